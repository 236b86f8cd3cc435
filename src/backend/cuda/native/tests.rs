//! The decision and the cache with a compiler that counts; the compiler itself where it is installed.

use std::{cell::Cell, fs, path::PathBuf};

use super::*;

/// A compiler that is none: its machine code names the architecture.
struct Counting {
    version: (i32, i32),
    answer: Result<&'static [u8], &'static str>,
    calls: Cell<usize>,
}

impl Counting {
    fn new() -> Self {
        Self {
            version: (13, 0),
            answer: Ok(ELF),
            calls: Cell::new(0),
        }
    }
}

impl Compiler for Counting {
    fn version(&self) -> (i32, i32) {
        self.version
    }

    fn compile(&self, architecture: &str) -> Result<Vec<u8>, String> {
        self.calls.set(self.calls.get() + 1);
        let image = self.answer.map_err(str::to_owned)?;
        Ok([image, architecture.as_bytes()].concat())
    }
}

/// A folder of a test; removed when dropped.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let name = format!("cipherformer-native-{name}-{}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn cache(&self) -> Cache {
        Cache::at(&self.0.join("deep").join("kernels"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn machine_code_is_compiled_once() {
    let (place, compiler) = (Place::new("once"), Counting::new());
    let cache = place.cache();
    let first = prepared(&compiler, Some(&cache), "sm_90").unwrap();
    let second = prepared(&compiler, Some(&cache), "sm_90").unwrap();
    assert_eq!(first.image, b"\x7fELFsm_90");
    assert_eq!((second.image, compiler.calls.get()), (first.image, 1));
    assert_eq!(first.origin, "sm_90, compiled by NVRTC 13.0");
    assert_eq!(second.origin, "sm_90, compiled by NVRTC 13.0, from the cache");
    // Of another architecture or compiler is another image.
    let other = prepared(&compiler, Some(&cache), "sm_80").unwrap();
    assert_eq!(
        (&other.image[..], compiler.calls.get()),
        (&b"\x7fELFsm_80"[..], 2)
    );
    let newer = Counting {
        version: (13, 1),
        ..Counting::new()
    };
    prepared(&newer, Some(&cache), "sm_90").unwrap();
    assert_eq!(newer.calls.get(), 1);
}

#[test]
fn what_is_wrong_in_the_cache_is_replaced() {
    let (place, compiler) = (Place::new("wrong"), Counting::new());
    let cache = place.cache();
    let good = prepared(&compiler, Some(&cache), "sm_90").unwrap().image;
    let file = cache.file(&key((13, 0), "sm_90"));
    let whole = fs::read(&file).unwrap();
    let other = prepared(&compiler, Some(&cache), "sm_80").map(|_| cache.file(&key((13, 0), "sm_80")));
    let other = fs::read(other.unwrap()).unwrap();
    let changed = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let header = whole.len() - good.len();
    let faults = [
        (Vec::new(), "no image of ours"),
        (whole[..header - 1].to_vec(), "no image of ours"),
        (
            b"\x7fELF and nothing else of ours, but long enough to have a header of eighty bytes ...."
                .to_vec(),
            "no image of ours",
        ),
        (changed(0), "no image of ours"),
        (changed(8), "the image of other kernels"),
        (other, "the image of other kernels"),
        (changed(40), "bytes long instead of"),
        (changed(47), "bytes long instead of"),
        (changed(48), "damaged"),
        (changed(header), "damaged"),
        (changed(whole.len() - 1), "damaged"),
        (whole[..header].to_vec(), "0 bytes long instead of 9"),
        (whole[..whole.len() - 1].to_vec(), "8 bytes long instead of 9"),
        ([&whole[..], b"more"].concat(), "13 bytes long instead of 9"),
    ];
    for (bytes, fault) in faults {
        let calls = compiler.calls.get();
        fs::write(&file, &bytes).unwrap();
        let found = prepared(&compiler, Some(&cache), "sm_90").unwrap();
        assert!(found.origin.contains(fault), "{}, not {fault}", found.origin);
        assert_eq!(
            (&found.image, compiler.calls.get()),
            (&good, calls + 1),
            "{fault}"
        );
        assert_eq!(fs::read(&file).unwrap(), whole, "{fault}");
    }
    // Nothing but images is left behind.
    let left = fs::read_dir(file.parent().unwrap()).unwrap().count();
    assert_eq!(left, 2);
}

#[test]
fn a_cache_that_cannot_be_is_no_obstacle() {
    let (place, compiler) = (Place::new("none"), Counting::new());
    // A file where the folder would be.
    fs::create_dir_all(&place.0).unwrap();
    fs::write(place.0.join("deep"), b"").unwrap();
    let found = prepared(&compiler, Some(&place.cache()), "sm_90").unwrap();
    assert!(found.origin.contains("could not be kept"), "{}", found.origin);
    let found = prepared(&compiler, None, "sm_90").unwrap();
    assert!(found.origin.contains("no folder"), "{}", found.origin);
    assert_eq!(compiler.calls.get(), 2);
}

/// What others can have written is neither read nor written to.
#[cfg(unix)]
#[test]
fn a_folder_of_others_is_no_cache() {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    let (place, compiler) = (Place::new("shared"), Counting::new());
    let cache = place.cache();
    prepared(&compiler, Some(&cache), "sm_90").unwrap();
    let file = cache.file(&key((13, 0), "sm_90"));
    let folder = file.parent().unwrap();
    let refused = |fault: &str| {
        let calls = compiler.calls.get();
        let found = prepared(&compiler, Some(&cache), "sm_90").unwrap();
        for part in ["it could not be kept", fault, "XDG_CACHE_HOME"] {
            assert!(found.origin.contains(part), "{}, not {part}", found.origin);
        }
        assert_eq!(compiler.calls.get(), calls + 1, "{fault}");
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "{fault}");
    };
    let taken = || {
        let found = prepared(&compiler, Some(&cache), "sm_90").unwrap();
        assert!(found.origin.ends_with("from the cache"), "{}", found.origin);
    };
    for mode in [0o777, 0o1777, 0o770, 0o720, 0o702] {
        fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
        refused(&format!("has mode {mode:o}"));
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    taken();
    // Only some users may give a folder away.
    if chown(folder, Some(12_345), None).is_ok() {
        refused("belongs to user 12345");
        let me = fs::metadata(&place.0).map(|own| std::os::unix::fs::MetadataExt::uid(&own));
        chown(folder, Some(me.unwrap()), None).unwrap();
        taken();
    }
    let elsewhere = place.0.join("elsewhere");
    fs::rename(folder, &elsewhere).unwrap();
    symlink(&elsewhere, folder).unwrap();
    refused("is no folder itself");
}

/// And so it is with a file in a folder that is right; another takes its place.
#[cfg(unix)]
#[test]
fn a_file_of_others_is_replaced() {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    let (place, compiler) = (Place::new("planted"), Counting::new());
    let cache = place.cache();
    prepared(&compiler, Some(&cache), "sm_90").unwrap();
    let file = cache.file(&key((13, 0), "sm_90"));
    let whole = fs::read(&file).unwrap();
    let replaced = |fault: &str| {
        let calls = compiler.calls.get();
        let found = prepared(&compiler, Some(&cache), "sm_90").unwrap();
        for part in [fault, "and was replaced"] {
            assert!(found.origin.contains(part), "{}, not {part}", found.origin);
        }
        assert_eq!(compiler.calls.get(), calls + 1, "{fault}");
        let now = fs::symlink_metadata(&file).unwrap();
        assert!(now.is_file(), "{fault}");
        assert_eq!(now.permissions().mode() & 0o777, 0o600, "{fault}");
        assert_eq!(fs::read(&file).unwrap(), whole, "{fault}");
    };
    for mode in [0o666, 0o620, 0o602] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        replaced(&format!("has mode {mode:o}"));
    }
    if chown(&file, Some(12_345), None).is_ok() {
        replaced("belongs to user 12345");
    }
    // A link to what would be taken, which stays as it is.
    let elsewhere = place.0.join("elsewhere");
    fs::rename(&file, &elsewhere).unwrap();
    symlink(&elsewhere, &file).unwrap();
    replaced("is no file itself");
    assert_eq!(fs::read(&elsewhere).unwrap(), whole);
    // A pipe that nobody writes to is not waited for.
    fs::remove_file(&file).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&file).status();
    assert!(made.unwrap().success());
    replaced("is no file itself");
    // A folder cannot be replaced.
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let found = prepared(&compiler, Some(&cache), "sm_90").unwrap();
    assert!(found.origin.contains("could not be kept"), "{}", found.origin);
    let left = fs::read_dir(file.parent().unwrap()).unwrap().count();
    assert_eq!(left, 1);
}

#[cfg(unix)]
#[test]
fn a_planted_draft_is_not_followed() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let place = Place::new("draft");
    fs::create_dir_all(&place.0).unwrap();
    let [victim, absent, first, second, free] =
        ["victim", "absent", "first", "second", "free"].map(|name| place.0.join(name));
    fs::write(&victim, b"mine").unwrap();
    symlink(&victim, &first).unwrap();
    symlink(&absent, &second).unwrap();
    let planted = [first, second];
    let error = cache::start(planted.clone().into_iter()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    let (name, file) = cache::start(planted.into_iter().chain([free.clone()])).unwrap();
    assert_eq!(name, free);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read(&victim).unwrap(), b"mine");
    assert!(!absent.exists());
}

#[test]
fn reasons_to_keep_the_ptx() {
    let place = Place::new("reasons");
    let refused = |compiler: Counting| {
        let reason = prepared(&compiler, Some(&place.cache()), "sm_90").err().unwrap();
        assert!(!place.0.exists(), "{reason}");
        reason
    };
    let old = refused(Counting {
        version: (11, 8),
        ..Counting::new()
    });
    assert_eq!(old, "NVRTC 11.8 is too old, 12.0 is the oldest that is used");
    let unknown = refused(Counting {
        answer: Err("invalid value for --gpu-architecture"),
        ..Counting::new()
    });
    assert_eq!(unknown, "invalid value for --gpu-architecture");
    let text = refused(Counting {
        answer: Ok(b".version 8.4"),
        ..Counting::new()
    });
    assert_eq!(text, "NVRTC 13.0 gave no machine code");
}

#[test]
fn every_source_is_there_and_decides_the_key() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("kernels");
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".cu") || name.ends_with(".cuh"))
        .collect();
    names.sort();
    assert_eq!(names, SOURCES.map(|(name, _)| name));
    assert_ne!(key((13, 0), "sm_80"), key((13, 0), "sm_90"));
    assert_ne!(key((13, 0), "sm_80"), key((13, 1), "sm_80"));
    assert_eq!(key((13, 0), "sm_80"), key((13, 0), "sm_80"));
}

/// `LD_LIBRARY_PATH=target/cuda/wheels-13.0/nvidia/cu13/lib cargo test --release --lib native -- --ignored`
#[test]
#[ignore = "needs libnvrtc, which `cargo xtask budget` installs"]
fn the_compiler_makes_machine_code() {
    let compiler = Nvrtc::open().unwrap();
    let place = Place::new("compiler");
    for architecture in ["sm_80", "sm_90"] {
        let compiled = prepared(&compiler, Some(&place.cache()), architecture).unwrap();
        assert!(compiled.image.starts_with(ELF));
        // Every kernel of the PTX is a section of the machine code.
        let ptx = include_str!("../../../../kernels/ptx/kernels.ptx");
        let names = ptx
            .lines()
            .filter_map(|line| line.trim().strip_prefix(".visible .entry "));
        let names: Vec<&str> = names.filter_map(|rest| rest.split('(').next()).collect();
        assert!(names.len() > 50);
        for name in names {
            let section = format!(".text.{name}\0");
            let mut windows = compiled.image.windows(section.len());
            assert!(
                windows.any(|w| w == section.as_bytes()),
                "{name} on {architecture}"
            );
        }
        let cached = prepared(&compiler, Some(&place.cache()), architecture).unwrap();
        assert!(cached.image == compiled.image && cached.origin.ends_with("from the cache"));
    }
    // An architecture that the compiler does not know is a reason.
    let error = compiler.compile("sm_11").err().unwrap();
    assert!(error.contains("gpu-architecture"), "{error}");
}
