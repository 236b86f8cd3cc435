//! Encryption over rings: parameters and their security.

pub mod security;
