#![no_main]

cipherformer_fuzz::target_of_files!(cipherformer_fuzz::compute::compute);
