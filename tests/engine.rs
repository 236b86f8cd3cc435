//! The facade: what a program that embeds the crate writes.

#![cfg(feature = "fallback")]
#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use cipherformer::{
    engine::{Client, Engine, ServerKeys},
    rlwe::Params,
    wire::Existing,
};

#[test]
fn keys_saved_by_the_client_serve_where_they_are_loaded() {
    let engine = Engine::auto(Params::shipped("n13_rational40_l2_d3").unwrap()).unwrap();
    let client = Client::generate(&engine).unwrap();
    let needs = engine.key_needs().relinearise().rotate([1]);
    let path = std::env::temp_dir().join(format!("cipherformer-engine-{}.keys", std::process::id()));
    let made = client.server_keys(&needs).unwrap();
    made.save(&path, Existing::Keep).unwrap();
    assert!(
        made.save(&path, Existing::Keep).is_err(),
        "a file that was there was replaced"
    );

    // The server: its own engine, the file and the message are all that it has.
    let server = Engine::auto(Params::shipped("n13_rational40_l2_d3").unwrap()).unwrap();
    let keys = ServerKeys::load(&server, &path).unwrap();
    let sent = client
        .encrypt_real(&[1.0, 2.0, 3.0, 4.0])
        .unwrap()
        .to_bytes(&engine)
        .unwrap();
    let x = keys.receive(&sent).unwrap();
    let square = keys.relinearise_rescale(&keys.mul(&x, &x).unwrap()).unwrap();
    let sum = keys.add(&square, &keys.rotate(&square, 1).unwrap()).unwrap();
    let answer = keys.answer(&sum).unwrap();

    let values = client.decrypt(&client.receive(&answer).unwrap()).unwrap();
    for (have, want) in values.iter().zip([5.0, 13.0, 25.0, 17.0]) {
        assert!((have.re - want).abs() < 1e-6, "{have:?} instead of {want}");
    }

    // A computation that only rotates takes the key of its rotation, and no other.
    let rotations = ServerKeys::load_for(&server, &path, &server.key_needs().rotate([1])).unwrap();
    assert!(rotations.bytes() < keys.bytes());
    let turned = rotations.rotate(&rotations.receive(&sent).unwrap(), 1).unwrap();
    let turned = client
        .decrypt(&client.receive(&rotations.answer(&turned).unwrap()).unwrap())
        .unwrap();
    assert!((turned[0].re - 2.0).abs() < 1e-6);
    assert!(
        rotations
            .relinearise_rescale(&rotations.mul(&x, &x).unwrap())
            .is_err()
    );
    let missing = ServerKeys::load_for(&server, &path, &server.key_needs().rotate([2]));
    assert!(missing.err().unwrap().to_string().contains("Galois element 25"));

    // Keys for other parameters, and a damaged file, are refused.
    let other = Engine::auto(Params::shipped("n12_single28_l1_d3").unwrap()).unwrap();
    assert!(ServerKeys::load(&other, &path).is_err());
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = ServerKeys::load(&server, &path).err().unwrap().to_string();
    assert!(error.contains("cipherformer-engine"), "{error}");
    std::fs::remove_file(path).unwrap();
}
