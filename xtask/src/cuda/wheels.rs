//! NVIDIA's compiler from its PyPI wheels, installed below the target folder; nothing of it is part of the project.

use std::{path::PathBuf, process::Command};

use super::{at, run, workshop};

/// A set of wheels: the folder it is installed in, and the pinned packages.
pub struct Wheels {
    folder: &'static str,
    packages: &'static [&'static str],
}

/// What makes the committed image: the oldest compiler whose PTX our drivers take.
pub const IMAGE: Wheels = Wheels {
    folder: "wheels-12.4",
    packages: &["nvidia-cuda-nvrtc-cu12==12.4.127"],
};

/// What the budget is measured with: the compiler of current drivers, and a disassembler.
pub const BUDGET: Wheels = Wheels {
    folder: "wheels-13.0",
    packages: &["nvidia-cuda-nvrtc==13.0.88", "nvidia-cuda-nvdisasm==13.5.37"],
};

impl Wheels {
    /// The folder `nvidia` of the packages, which are installed first if they are not there.
    pub fn folder(&self) -> Result<PathBuf, String> {
        let target = workshop().join(self.folder);
        let done = target.join("installed");
        let wanted = self.packages.join("\n");
        if std::fs::read_to_string(&done).is_ok_and(|have| have == wanted) {
            return Ok(target.join("nvidia"));
        }
        println!("installing {} to {}", self.packages.join(", "), target.display());
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"]);
        pip.args([
            "--disable-pip-version-check",
            "--root-user-action",
            "ignore",
            "--target",
        ]);
        run(pip.arg(&target).args(self.packages))?;
        std::fs::write(&done, wanted).map_err(at(done.display()))?;
        Ok(target.join("nvidia"))
    }
}
