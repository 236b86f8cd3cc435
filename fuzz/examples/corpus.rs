//! Writes the seeds to corpus/: `cargo run --no-default-features --example corpus`.

use std::{fs, io, path::Path};

fn main() -> io::Result<()> {
    for (target, seeds) in cipherformer_fuzz::seeds::all() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        fs::create_dir_all(&dir)?;
        for (name, bytes) in seeds {
            fs::write(dir.join(name), bytes)?;
        }
    }
    Ok(())
}
