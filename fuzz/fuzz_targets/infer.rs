#![no_main]

cipherformer_fuzz::target_of_files!(cipherformer_fuzz::infer::infer);
