//! The `cipherformer` command line program.

fn main() {}
