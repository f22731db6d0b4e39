//! What the `jamlet` command does, as a library that its tests and `xtask` share.
#![forbid(unsafe_code)]

pub mod hf;
pub mod reference;
