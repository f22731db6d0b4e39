//! What the fuzzers do with a string of bytes. `tests/fuzz` runs these with libFuzzer and AddressSanitizer; the ordinary
//! tests run each some thousand times.
//!
//! No function here may panic, leak or take long, whatever the bytes are.

pub mod checkpoint;
pub mod config;
pub mod corpus;
pub mod image;
pub mod inference;
mod input;
pub mod serial;
pub mod snapshot;
pub mod summarizer;
pub mod tokenizer;
pub mod tokenizer_files;
pub mod vocabulary;

pub use input::Input;

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: that of its module, of its program and of its corpus.
    pub name: &'static str,
    /// What it does with bytes.
    pub run: fn(&[u8]),
    /// Inputs to begin with, beside the corpus.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Bytes of the longest input.
    pub longest: usize,
}

macro_rules! targets {
    ($($name:ident: $longest:expr),* $(,)?) => {
        [$(Target { name: stringify!($name), run: $name::run, seeds: $name::seeds, longest: $longest }),*]
    };
}

/// All targets.
pub const TARGETS: [Target; 10] = targets! {
    image: 4096,
    inference: 4096,
    tokenizer: 2048,
    vocabulary: 512,
    snapshot: 2048,
    serial: 256,
    summarizer: 4096,
    config: 1024,
    checkpoint: 4096,
    tokenizer_files: 4096,
};
