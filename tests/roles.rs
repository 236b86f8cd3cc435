//! Client and server as separate processes that share nothing but files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]
#![cfg(feature = "cli")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use cipherformer::{
    backend::cpu::Cpu,
    ckks::{Ciphertext, Ckks, Evaluator, SeededCiphertext},
    model::{LanguageModel, Quantised},
    rlwe::{Context, Params, SeededEvaluationKeys, Spec},
    transformer::{LanguageClassifier, Progress},
    wire::{self, Existing, Name, Reader, Stamp},
};

const TEXT: &str = "The harvest was late this year, and the barns stood empty until October.";

fn cipherformer(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cipherformer"))
        .args(args)
        .output()
        .unwrap()
}

/// Standard output of a run that succeeds.
fn run(args: &[&str]) -> String {
    let output = cipherformer(args);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {message}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(args: &[&str]) -> serde_json::Value {
    serde_json::from_str(&run(args)).unwrap()
}

/// Non-zero exit, and a message with all these words; nothing on standard output.
fn refused(args: &[&str], words: &[&str]) {
    let output = cipherformer(args);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{args:?} succeeded");
    assert!(!message.contains("panicked"), "{args:?}: {message}");
    assert!(output.stdout.is_empty(), "{args:?} printed to standard output");
    for word in words {
        assert!(message.contains(word), "{args:?}: no {word:?} in {message:?}");
    }
}

struct Place(PathBuf);

impl Place {
    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn names(dir: &str) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// What a process that is not the program makes of the same files.
fn in_process(server: &Path, input: &Path) -> Vec<u8> {
    let (spec, _): (Spec, _) = wire::load(&server.join("parameters.cf"), &()).unwrap();
    let ctx = Context::new(Cpu::new(), Params::new(spec).unwrap()).unwrap();
    let (keys, _): (SeededEvaluationKeys<Cpu>, _) =
        wire::load(&server.join("evaluation.keys"), &ctx).unwrap();
    let (ckks, keys) = (Ckks::new(&ctx), keys.expand(&ctx).unwrap());
    let model = Quantised::from(&LanguageModel::builtin().unwrap());
    let classifier = LanguageClassifier::new(&model, 256).unwrap();
    let mut reader = Reader::open(input).unwrap();
    let mut answer = Vec::new();
    while let Some((sent, stamp)) = reader.next::<_, SeededCiphertext<Cpu>>(&ctx).unwrap() {
        let x = sent.expand(&ctx).unwrap();
        let result: Ciphertext<Cpu> = classifier
            .infer(
                &Evaluator::new(&ckks, &keys),
                &x,
                &mut Progress::new(&mut |_, _, _| ()),
            )
            .unwrap();
        answer.extend(wire::to_bytes(&result, &ctx, stamp).unwrap());
    }
    answer
}

#[test]
fn client_and_server_share_files_only() {
    let place = Place(std::env::temp_dir().join(format!("cipherformer-roles-{}", std::process::id())));
    let [client, server, sent, answer] = ["client", "server", "sent.ct", "answer.ct"].map(|n| place.path(n));
    let (client, server, sent, answer) = (&*client, &*server, &*sent, &*answer);
    let keygen = json(&["keygen", "--json", "--client", client, "--server", server]);
    assert!(keygen["security_bits"].as_u64().unwrap() >= 128);
    assert_eq!(names(server), ["evaluation.keys", "parameters.cf"]);
    assert_eq!(
        names(client),
        ["embedding.safetensors", "parameters.cf", "secret.key"]
    );
    let secret = std::fs::read(Path::new(client).join("secret.key")).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let metadata = std::fs::metadata(Path::new(client).join("secret.key")).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }
    // No file of the server holds the secret, nor any eight bytes of it.
    for name in names(server) {
        let bytes = std::fs::read(Path::new(server).join(name)).unwrap();
        let parts: Vec<&[u8]> = secret[88..120].chunks(8).collect();
        assert!(!bytes.windows(8).any(|w| parts.contains(&w)));
    }

    refused(
        &["keygen", "--client", client, "--server", server],
        &["secret.key", "--force"],
    );
    refused(
        &["keygen", "--client", &place.path("new"), "--server", server],
        &["evaluation.keys", "--force"],
    );
    refused(
        &["keygen", "--client", server, "--server", server],
        &["two directories"],
    );
    assert_eq!(
        std::fs::read(Path::new(client).join("secret.key")).unwrap(),
        secret
    );

    let encrypted = json(&[
        "encrypt", "--json", "--client", client, "--text", TEXT, "--out", sent,
    ]);
    assert_eq!(encrypted["texts"], 1);
    run(&["infer", "--server", server, "--in", sent, "--out", answer]);
    let read = json(&["decrypt", "--json", "--keep", "--client", client, "--in", answer]);
    assert_eq!(read["label"], "en");
    let sum: f64 = (read["probabilities"].as_object().unwrap().values())
        .map(|p| p.as_f64().unwrap())
        .sum();
    assert!((sum - 1.0).abs() < 1e-5);
    assert!(run(&["decrypt", "--client", client, "--in", answer]).contains("English"));

    // An answer is read once, unless it is kept.
    assert!(names(&format!("{client}/requests")).is_empty());
    refused(
        &["decrypt", "--client", client, "--in", answer],
        &["read already", "--keep"],
    );

    for (path, kind) in [
        (Path::new(server).join("parameters.cf"), "parameters"),
        (Path::new(server).join("evaluation.keys"), "evaluation-keys"),
        (Path::new(client).join("secret.key"), "secret-key"),
        (PathBuf::from(sent), "seeded-ciphertexts"),
        (PathBuf::from(answer), "ciphertexts"),
    ] {
        let path = path.to_str().unwrap();
        let object = json(&["explain", "--json", path]);
        assert_eq!(
            (&object["kind"], &object["parameters"]),
            (&kind.into(), &"langid".into())
        );
        assert!(run(&["explain", path]).contains("format version 2"));
    }

    several_texts(&place, client, server);
    wrong_directories(&place, client, server, sent, answer);
    damaged_files(&place, client, server, sent, answer);
}

fn several_texts(place: &Place, client: &str, server: &str) {
    let [file, sent, answer] = ["lines.txt", "lines.ct", "lines.answer"].map(|n| place.path(n));
    // Two batches: 90 lines of three windows, of which one lies in both.
    let many = format!("{TEXT}\n").repeat(90);
    let lines =
        format!("{many}\n4711\nIl mercato del pesce apre ogni mattina prima dell'alba vicino al porto.\n");
    std::fs::write(&file, lines).unwrap();
    let encrypted = json(&[
        "encrypt", "--json", "--client", client, "--file", &file, "--out", &sent,
    ]);
    assert_eq!(
        (&encrypted["batches"], &encrypted["failed"]),
        (&2.into(), &1.into())
    );
    let inferred = json(&[
        "infer", "--json", "--server", server, "--in", &sent, "--out", &answer,
    ]);
    assert_eq!(inferred["batches"], 2);

    // The computation is a function of the bytes.
    let bytes = std::fs::read(&answer).unwrap();
    assert!(in_process(Path::new(server), Path::new(&sent)) == bytes);
    assert_eq!(json(&["explain", "--json", &answer])["batches"], 2);

    // A file that ends with its first batch is whole for itself, and no answer to this request.
    let cut = place.path("half.answer");
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    refused(
        &["decrypt", "--client", client, "--in", &cut],
        &["1 batch found", "the request had 2"],
    );
    let twice = [&bytes[..], &bytes[..]].concat();
    std::fs::write(&cut, twice).unwrap();
    refused(
        &["decrypt", "--client", client, "--in", &cut],
        &["3 batches found", "the request had 2"],
    );
    std::fs::write(&cut, &bytes[..bytes.len() - 1]).unwrap();
    refused(
        &["decrypt", "--client", client, "--in", &cut],
        &["frame 2", "fetch it again"],
    );

    let read = run(&["decrypt", "--json", "--client", client, "--in", &answer]);
    let read: Vec<serde_json::Value> = read.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let labels: Vec<(u64, &str)> = read
        .iter()
        .map(|o| (o["line"].as_u64().unwrap(), o["label"].as_str().unwrap()))
        .collect();
    let mut wanted: Vec<(u64, &str)> = (1..=90).map(|line| (line, "en")).collect();
    wanted.extend([(92, "unsure"), (93, "it")]);
    assert_eq!(labels, wanted);
    assert!(read[90]["error"].as_str().unwrap().contains("letter"));
}

fn wrong_directories(place: &Place, client: &str, server: &str, sent: &str, answer: &str) {
    let out = &*place.path("never.ct");
    refused(
        &["infer", "--server", client, "--in", sent, "--out", out],
        &["secret.key", "no server"],
    );
    refused(
        &["encrypt", "--client", server, "--text", TEXT, "--out", out],
        &["holds no secret.key", "keygen --client"],
    );
    refused(
        &["decrypt", "--client", server, "--in", answer],
        &["holds no secret.key"],
    );
    refused(
        &["infer", "--server", server, "--in", answer, "--out", out],
        &["holds CKKS ciphertexts, not seeded CKKS ciphertexts; pass what `cipherformer encrypt` wrote"],
    );
    refused(
        &["decrypt", "--client", client, "--in", sent],
        &["holds seeded CKKS ciphertexts, not CKKS ciphertexts; pass what `cipherformer infer` wrote"],
    );
    refused(&["explain", "/nonexistent/file.ct"], &["/nonexistent/file.ct"]);
    refused(
        &["explain", env!("CARGO_BIN_EXE_cipherformer")],
        &["does not begin as a cipherformer file"],
    );

    // Parameters that are not those of the model, and parameters without security.
    let path = Path::new(server).join("parameters.cf");
    let own = std::fs::read(&path).unwrap();
    let chain = cipherformer::ring::chain("n13_rational40_l2_d3").unwrap();
    wire::save(&path, &Spec { chain }, &(), Stamp::default(), Existing::Replace).unwrap();
    refused(
        &["infer", "--server", server, "--in", sent, "--out", out],
        &["parameters.cf", "n13_rational40_l2_d3", "langid"],
    );
    let insecure = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v2/parameters.bin");
    std::fs::copy(insecure, &path).unwrap();
    refused(
        &["infer", "--server", server, "--in", sent, "--out", out],
        &["parameters.cf", "128"],
    );
    std::fs::write(&path, own).unwrap();

    // Another client with the same parameters: only the names of the keys differ.
    let other = &*place.path("other");
    let ctx = Context::new(Cpu::new(), Params::shipped("langid").unwrap()).unwrap();
    let key = cipherformer::rlwe::SecretKey::generate(&ctx).unwrap();
    let stamp = Stamp {
        key: Name(key.name()),
        ..Stamp::default()
    };
    std::fs::create_dir(other).unwrap();
    let other_path = Path::new(other);
    for name in ["parameters.cf", "embedding.safetensors"] {
        std::fs::copy(Path::new(client).join(name), other_path.join(name)).unwrap();
    }
    wire::save(&other_path.join("secret.key"), &key, &ctx, stamp, Existing::Keep).unwrap();
    refused(
        &["decrypt", "--client", other, "--in", answer],
        &["encrypted for key", "holds the secret of"],
    );
    let foreign = &*place.path("foreign.ct");
    run(&["encrypt", "--client", other, "--text", TEXT, "--out", foreign]);
    refused(
        &["infer", "--server", server, "--in", foreign, "--out", out],
        &["encrypted for key", "holds the evaluation keys of"],
    );
    assert!(!Path::new(out).exists());
}

fn damaged_files(place: &Place, client: &str, server: &str, sent: &str, answer: &str) {
    let (cut, out) = (&*place.path("cut.ct"), &*place.path("never.ct"));
    let bytes = std::fs::read(sent).unwrap();
    for length in [0, 10, 100, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(cut, &bytes[..length]).unwrap();
        refused(
            &["infer", "--server", server, "--in", cut, "--out", out],
            &["cut.ct", "fetch it again"],
        );
        refused(&["explain", cut], &["cut.ct", "bytes where"]);
    }
    let mut bytes = std::fs::read(answer).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(cut, &bytes).unwrap();
    refused(
        &["decrypt", "--client", client, "--in", cut],
        &[
            "cut.ct",
            "CKKS ciphertexts: ciphertext ",
            " bytes at offset ",
            "is damaged",
        ],
    );
    let path = Path::new(server).join("evaluation.keys");
    let keys = std::fs::read(&path).unwrap();
    std::fs::write(&path, &keys[..keys.len() - 1]).unwrap();
    refused(
        &["infer", "--server", server, "--in", sent, "--out", out],
        &["evaluation.keys", "payload"],
    );
    std::fs::write(&path, &keys).unwrap();
    assert!(!Path::new(out).exists());
}

/// No command writes over a key, a request or a file of the user's, and no secret comes to lie below what is sent to a server.
#[test]
fn nothing_of_value_is_replaced() {
    let place = Place(std::env::temp_dir().join(format!("cipherformer-keep-{}", std::process::id())));
    let [client, server, sent, note] = ["client", "server", "sent.ct", "note.txt"].map(|n| place.path(n));
    for (c, s) in [("both/client", "both"), ("both", "both/server"), ("both", "both")] {
        let (c, s) = (place.path(c), place.path(s));
        refused(&["keygen", "--client", &c, "--server", &s], &["two directories"]);
        assert!(!Path::new(&c).join("secret.key").exists());
    }
    json(&["keygen", "--json", "--client", &client, "--server", &server]);
    std::fs::write(&note, "a file of the user's").unwrap();
    let secret = Path::new(&client).join("secret.key");
    let keys = Path::new(&server).join("evaluation.keys");
    let before = (std::fs::read(&secret).unwrap(), std::fs::read(&keys).unwrap());
    let text = "Il mercato del pesce apre ogni mattina prima dell'alba.";
    for out in [secret.to_str().unwrap(), keys.to_str().unwrap(), &note, &server] {
        refused(
            &["encrypt", "--client", &client, "--text", text, "--out", out],
            &["exists", "--out"],
        );
    }
    json(&[
        "encrypt", "--json", "--client", &client, "--text", text, "--out", &sent,
    ]);
    json(&[
        "encrypt", "--json", "--client", &client, "--text", text, "--out", &sent,
    ]);
    for (out, word) in [
        (keys.to_str().unwrap(), "exists"),
        (&note, "exists"),
        (&sent, "input"),
    ] {
        refused(
            &["infer", "--server", &server, "--in", &sent, "--out", out],
            &[word, "--out"],
        );
    }
    assert!(before == (std::fs::read(&secret).unwrap(), std::fs::read(&keys).unwrap()));
    assert_eq!(std::fs::read_to_string(&note).unwrap(), "a file of the user's");
}
