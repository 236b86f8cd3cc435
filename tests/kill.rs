//! SIGKILL in the middle of every command that writes: what was there is still there or replaced by something whole, and the next run
//! clears up and finishes.
//!
//! The moments are those at which something changes in the directories: a file appears, grows past a power of two, or goes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]
#![cfg(all(feature = "cli", unix))]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use cipherformer::{
    backend::cpu::Cpu,
    ckks::{Ciphertext, Ckks, SeededCiphertext},
    model::{CLASSES, Embedding},
    rlwe::{Context, Params, SecretKey, SeededEvaluationKeys, Spec},
    wire::{self, Existing, Name, Reader, Stamp},
};

const TEXT: &str = "The harvest was late this year, and the barns stood empty until October.";

/// A directory of the test's own.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("cipherformer-kill-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// Every file and directory with its length.
    fn files(&self) -> BTreeMap<PathBuf, u64> {
        let mut found = BTreeMap::new();
        let mut open = vec![self.0.clone()];
        while let Some(directory) = open.pop() {
            for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
                // A file may go between listing and looking.
                let Ok(metadata) = entry.metadata() else { continue };
                if metadata.is_dir() {
                    open.push(entry.path());
                }
                found.insert(entry.path(), metadata.len());
            }
        }
        found
    }

    /// Files under temporary names.
    fn temporary(&self) -> Vec<PathBuf> {
        let is_temporary = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            let digits = name.rsplit('.').next().unwrap();
            name.starts_with('.') && digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit())
        };
        self.files().into_keys().filter(is_temporary).collect()
    }

    /// Removes everything.
    fn clear(&self) {
        std::fs::remove_dir_all(&self.0).unwrap();
        std::fs::create_dir(&self.0).unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cipherformer"));
    command.args(args);
    command
}

fn run(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

fn succeeds(args: &[&str]) {
    let output = run(args);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {message}");
}

fn spawn(args: &[&str]) -> Child {
    let mut command = command(args);
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills the command at its `moment`-th change in the directory; says whether it was still running then.
fn killed_at(place: &Place, args: &[&str], moment: usize) -> bool {
    let coarse = |files: BTreeMap<PathBuf, u64>| -> BTreeMap<PathBuf, u32> {
        let magnitude = |bytes: u64| u64::BITS - (bytes >> 20).leading_zeros() + u32::from(bytes > 0);
        files
            .into_iter()
            .map(|(path, bytes)| (path, magnitude(bytes)))
            .collect()
    };
    let mut last = coarse(place.files());
    let mut changes = 0;
    let mut child = spawn(args);
    loop {
        let ended = child.try_wait().unwrap().is_some();
        let now = coarse(place.files());
        if now != last {
            changes += 1;
            last = now;
        }
        if !ended && changes >= moment {
            child.kill().unwrap();
            return !child.wait().unwrap().success();
        }
        if ended {
            return false;
        }
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// Kills the command after a while; says whether it was still running then.
fn killed_after(args: &[&str], while_running: Duration) -> bool {
    let mut child = spawn(args);
    std::thread::sleep(while_running);
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

fn context() -> Context<Cpu> {
    Context::new(Cpu::new(), Params::shipped("langid").unwrap()).unwrap()
}

/// Two directories of keys.
struct Pair<'a> {
    place: &'a Place,
    client: String,
    server: String,
    ctx: Context<Cpu>,
}

impl<'a> Pair<'a> {
    fn new(place: &'a Place) -> Self {
        let [client, server] = ["client", "server"].map(|n| place.path(n));
        let ctx = context();
        Self {
            place,
            client,
            server,
            ctx,
        }
    }

    fn keygen(&self) -> [&str; 5] {
        ["keygen", "--client", &self.client, "--server", &self.server]
    }

    /// Every file is whole, and no half of another pair lies beside one of these. The name of the secret and of the keys.
    fn check(&self) -> (Option<Name>, Option<Name>) {
        for directory in [&self.client, &self.server] {
            let path = Path::new(directory).join("parameters.cf");
            if path.exists() {
                let (spec, _): (Spec, _) = wire::load(&path, &()).unwrap();
                assert!(spec == *self.ctx.params().spec());
            }
        }
        let table = Path::new(&self.client).join("embedding.safetensors");
        if table.exists() {
            Embedding::from_safetensors(&std::fs::read(&table).unwrap()).unwrap();
        }
        let (secret, keys) = (
            Path::new(&self.client).join("secret.key"),
            Path::new(&self.server).join("evaluation.keys"),
        );
        let secret = secret.exists().then(|| {
            let loaded: (SecretKey<Cpu>, Stamp) = wire::load(&secret, &self.ctx).unwrap();
            assert!(table.exists() && Path::new(&self.client).join("parameters.cf").exists());
            loaded.1.key
        });
        let keys = keys.exists().then(|| {
            let loaded: (SeededEvaluationKeys<Cpu>, Stamp) = wire::load(&keys, &self.ctx).unwrap();
            assert!(Path::new(&self.server).join("parameters.cf").exists());
            loaded.1.key
        });
        assert!(keys.is_none() || keys == secret);
        assert!(!Path::new(&self.server).join("secret.key").exists());
        (secret, keys)
    }

    /// The next run finishes for the secret that is there, or says that nothing is missing.
    fn finish(&self) {
        let (secret, keys) = self.check();
        let output = run(&self.keygen());
        if output.status.success() {
            let (finished, own) = self.check();
            assert!(finished == own && finished.is_some());
            assert!(secret.is_none() || secret == finished);
        } else {
            let message = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(keys.is_some(), "{message}");
            assert!(message.contains("nothing is missing"), "{message}");
        }
        assert!(self.place.temporary().is_empty(), "{:?}", self.place.temporary());
        let names = [
            "client",
            "client/embedding.safetensors",
            "client/parameters.cf",
            "client/secret.key",
            "server",
            "server/evaluation.keys",
            "server/parameters.cf",
        ];
        let names: Vec<PathBuf> = names.iter().map(|n| self.place.0.join(n)).collect();
        assert_eq!(self.place.files().into_keys().collect::<Vec<_>>(), names);
    }
}

#[test]
fn keygen() {
    let place = Place::new("keygen");
    let pair = Pair::new(&place);
    let clock = Instant::now();
    succeeds(&pair.keygen());
    let took = clock.elapsed();
    let (mut kills, mut halves, mut leftovers) = (0, 0, 0);
    let mut after = || {
        let (secret, keys) = pair.check();
        kills += 1;
        halves += usize::from(secret.is_some() && keys.is_none());
        leftovers += usize::from(!place.temporary().is_empty());
        pair.finish();
    };
    for moment in 1.. {
        place.clear();
        if !killed_at(&place, &pair.keygen(), moment) {
            break;
        }
        after();
    }
    for part in 1..6 {
        place.clear();
        if killed_after(&pair.keygen(), took * part / 6) {
            after();
        }
    }
    assert!(
        kills >= 6 && halves > 0 && leftovers > 0,
        "{kills} kills, {halves} halves, {leftovers} leftovers"
    );
}

#[test]
fn forced_keygen() {
    let place = Place::new("force");
    let pair = Pair::new(&place);
    succeeds(&pair.keygen());
    let mut force = pair.keygen().to_vec();
    force.push("--force");
    let (mut old, mut new) = (0, 0);
    for moment in 1.. {
        let (before, _) = pair.check();
        if !killed_at(&place, &force, moment) {
            break;
        }
        let (after, _) = pair.check();
        assert!(after.is_some());
        old += usize::from(after == before);
        new += usize::from(after != before);
        pair.finish();
    }
    assert!(old > 0 && new > 0, "{old} old, {new} new");
}

/// The batches of a file of seeded ciphertexts, all whole.
fn batches(path: &str, ctx: &Context<Cpu>) -> (usize, Stamp) {
    let mut reader = Reader::open(Path::new(path)).unwrap();
    let (mut count, mut of) = (0, Stamp::default());
    while let Some((_, stamp)) = reader.next::<_, SeededCiphertext<Cpu>>(ctx).unwrap() {
        (count, of) = (count + 1, stamp);
    }
    (count, of)
}

fn requests(client: &str) -> Vec<String> {
    let entries = std::fs::read_dir(Path::new(client).join("requests"));
    let names = entries.into_iter().flatten().flatten();
    let names = names.map(|e| e.file_name().into_string().unwrap());
    names.filter(|name| !name.starts_with('.')).collect()
}

#[test]
fn encrypt() {
    let place = Place::new("encrypt");
    let pair = Pair::new(&place);
    succeeds(&pair.keygen());
    let [file, out] = ["lines.txt", "sent.ct"].map(|n| place.path(n));
    std::fs::write(&file, format!("{TEXT}\n").repeat(90)).unwrap();
    succeeds(&["encrypt", "--client", &pair.client, "--text", TEXT, "--out", &out]);
    let old = std::fs::read(&out).unwrap();
    let encrypt = [
        "encrypt",
        "--client",
        &pair.client,
        "--file",
        &file,
        "--out",
        &out,
    ];
    let (mut kept, mut leftovers) = (0, 0);
    for moment in 1.. {
        std::fs::write(&out, &old).unwrap();
        let alive = killed_at(&place, &encrypt, moment);
        let (count, stamp) = batches(&out, &pair.ctx);
        // Whatever is there can be read by the client that remembers it.
        assert!(requests(&pair.client).contains(&format!("{}.json", stamp.request)));
        if count == 1 {
            assert!(std::fs::read(&out).unwrap() == old);
        } else {
            assert_eq!(count, 2);
        }
        for name in requests(&pair.client) {
            let path = Path::new(&pair.client).join("requests").join(name);
            serde_json::from_slice::<serde_json::Value>(&std::fs::read(path).unwrap()).unwrap();
        }
        if !alive {
            break;
        }
        kept += usize::from(count == 1);
        leftovers += usize::from(!place.temporary().is_empty());
    }
    assert!(kept > 0 && leftovers > 0, "{kept} kept, {leftovers} leftovers");
    assert!(place.temporary().is_empty(), "{:?}", place.temporary());
    pair.check();
}

#[test]
fn infer_and_decrypt() {
    let place = Place::new("infer");
    let pair = Pair::new(&place);
    succeeds(&pair.keygen());
    let [sent, out] = ["sent.ct", "answer.ct"].map(|n| place.path(n));
    succeeds(&[
        "encrypt",
        "--client",
        &pair.client,
        "--text",
        TEXT,
        "--out",
        &sent,
    ]);
    let (_, stamp) = batches(&sent, &pair.ctx);

    // An answer that was there before: the logits are zero, and belong to the request.
    let (secret, _): (SecretKey<Cpu>, _) =
        wire::load(&Path::new(&pair.client).join("secret.key"), &pair.ctx).unwrap();
    let ckks = Ckks::new(&pair.ctx);
    let zeros = vec![cipherformer::arith::Complex::default(); CLASSES * ckks.max_slots()];
    let top = pair.ctx.params().top();
    let answer = ckks.encrypt(&secret, &zeros, CLASSES, top).unwrap();
    let answer = answer.expand(&pair.ctx).unwrap();
    wire::save(Path::new(&out), &answer, &pair.ctx, stamp, Existing::Keep).unwrap();
    let old = std::fs::read(&out).unwrap();

    // When its file appears, and when the answer is written to it. Each run clears what the one before left.
    let infer = ["infer", "--server", &pair.server, "--in", &sent, "--out", &out];
    for moment in [1, 2] {
        let alive = killed_at(&place, &infer, moment);
        if std::fs::read(&out).unwrap() != old {
            wire::load::<_, Ciphertext<Cpu>>(Path::new(&out), &pair.ctx).unwrap();
        }
        assert!(alive || moment == 2);
        assert!(place.temporary().len() <= 1, "{:?}", place.temporary());
        std::fs::write(&out, &old).unwrap();
    }

    // Decryption writes nothing, and forgets the request at the end.
    let before = place.files();
    let decrypt = ["decrypt", "--client", &pair.client, "--in", &out];
    killed_after(&decrypt, Duration::from_millis(20));
    let request = Path::new(&pair.client).join(format!("requests/{}.json", stamp.request));
    let same = |a: &BTreeMap<PathBuf, u64>, b: &BTreeMap<PathBuf, u64>| {
        let but = |m: &BTreeMap<PathBuf, u64>| -> Vec<(PathBuf, u64)> {
            let files = m.iter().filter(|(p, _)| p.is_file());
            files
                .filter(|(p, _)| **p != request)
                .map(|(p, n)| (p.clone(), *n))
                .collect()
        };
        but(a) == but(b)
    };
    assert!(same(&before, &place.files()));
    if request.exists() {
        killed_at(&place, &decrypt, 1);
        assert!(same(&before, &place.files()));
    }
    pair.check();
}
