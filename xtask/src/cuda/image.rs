//! The committed image of the kernels.

use super::{at, nvrtc::Nvrtc, root, wheels};

/// Makes `kernels/ptx/kernels.ptx`, or compares with it (`--check`).
pub fn run(args: &[String]) -> Result<(), String> {
    let folder = wheels::IMAGE.folder()?.join("cuda_nvrtc/lib");
    let compiler = Nvrtc::open(&folder, "libnvrtc.so.12", "libnvrtc-builtins.so.12.4")?;
    let output = compiler.compile("compute_80")?;
    let ptx = String::from_utf8(output.image).map_err(|e| e.to_string())?;
    let ptx = format!("{}\n", ptx.trim_end_matches('\0').trim_end());
    let path = root().join("kernels/ptx/kernels.ptx");
    let count = super::entries(&ptx).count();
    if args.iter().any(|a| a == "--check") {
        let have = std::fs::read_to_string(&path).map_err(at(path.display()))?;
        if have != ptx {
            let line = have.lines().zip(ptx.lines()).position(|(a, b)| a != b);
            let line = line.map_or("its end".to_owned(), |i| format!("line {}", i + 1));
            return Err(format!(
                "{} is stale, from {line} on; run `cargo xtask ptx` and commit it",
                path.display()
            ));
        }
        println!("{count} kernels, up to date");
    } else {
        std::fs::write(&path, ptx).map_err(at(path.display()))?;
        println!("{count} kernels written to {}", path.display());
    }
    Ok(())
}
