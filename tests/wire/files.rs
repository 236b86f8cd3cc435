//! Files appear whole or not at all, and errors of the system say what to do.

use cipherformer::{
    backend::cpu::Cpu,
    ckks::Ciphertext,
    rlwe::SecretKey,
    wire::{self, Existing, Name, Stamp},
};

use super::{golden, objects::context};

#[test]
fn a_file_is_kept_unless_told_otherwise_and_secrets_are_private() {
    let ctx = context();
    let dir = std::env::temp_dir().join(format!("cipherformer-wire-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("secret.key");
    let key = SecretKey::generate(&ctx).unwrap();
    let stamp = Stamp {
        key: Name(key.name()),
        ..Stamp::default()
    };
    wire::save(&path, &key, &ctx, stamp, Existing::Keep).unwrap();
    let first = std::fs::read(&path).unwrap();
    let refused = wire::save(&path, &key, &ctx, stamp, Existing::Keep).unwrap_err();
    assert!(refused.to_string().contains("exists already"), "{refused}");
    let other = SecretKey::generate(&ctx).unwrap();
    let stamp = Stamp {
        key: Name(other.name()),
        ..Stamp::default()
    };
    wire::save(&path, &other, &ctx, stamp, Existing::Replace).unwrap();
    assert!(std::fs::read(&path).unwrap() != first);
    let loaded: (SecretKey<Cpu>, Stamp) = wire::load(&path, &ctx).unwrap();
    assert_eq!(loaded.0.name(), other.name());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    // A ciphertext that cannot be written leaves nothing behind.
    let (ct, _): (Ciphertext<Cpu>, _) = wire::from_bytes(&golden::read(2, "ciphertexts"), &ctx).unwrap();
    let unusable = ct.divided_by_pow2(4000).unwrap();
    let bad = wire::save(&dir.join("bad.ct"), &unusable, &ctx, stamp, Existing::Keep);
    assert!(bad.unwrap_err().to_string().contains("scale"));
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
    std::fs::remove_dir_all(dir).unwrap();
}

/// What the system refuses is told with a remedy, and as what it is.
#[test]
fn errors_of_the_system_say_what_to_do() {
    let ctx = context();
    let dir = std::env::temp_dir().join(format!("cipherformer-errors-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let load = |path: &std::path::Path| {
        let loaded = wire::load::<_, Ciphertext<Cpu>>(path, &ctx);
        loaded.map(|_| ()).unwrap_err().to_string()
    };
    let expect = |message: &str, words: &[&str]| {
        for word in words {
            assert!(message.contains(word), "no {word:?} in {message:?}");
        }
    };
    let shown = dir.to_str().unwrap();
    expect(&load(&dir), &[shown, "is a directory", "pass a file in it"]);
    let inspected = wire::inspect(&dir).unwrap_err().to_string();
    expect(&inspected, &[shown, "is a directory", "pass a file in it"]);
    expect(
        &load(&dir.join("absent")),
        &["absent", "open the file", "check the path"],
    );
    let (ct, stamp): (Ciphertext<Cpu>, Stamp) =
        wire::from_bytes(&golden::read(2, "ciphertexts"), &ctx).unwrap();
    let save = |path: &std::path::Path| wire::save(path, &ct, &ctx, stamp, Existing::Replace);
    let message = save(&dir.join("none/there.ct")).unwrap_err().to_string();
    expect(&message, &["create a file", "check the path"]);
    let message = save(&dir.join("..")).unwrap_err().to_string();
    expect(&message, &["is a directory", "add the name of a file"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let path = dir.join("locked.ct");
        save(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
        // The superuser may read everything.
        if std::fs::File::open(&path).is_err() {
            expect(&load(&path), &["locked.ct", "denied", "change the permissions"]);
        }
        let device = load(std::path::Path::new("/dev/null"));
        expect(&device, &["/dev/null", "is no regular file", "save it as a file"]);
    }
    std::fs::remove_dir_all(dir).unwrap();
}
