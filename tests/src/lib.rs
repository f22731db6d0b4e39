//! What the cross-crate tests share.
#![forbid(unsafe_code)]

pub mod attacks;
pub mod fixtures;
pub mod folder;
pub mod fuzz;
pub mod images;
#[path = "../../engine/tests/random/mod.rs"]
pub mod random;
pub mod tiny;
pub mod tokenizers;
pub mod vocabulary;
