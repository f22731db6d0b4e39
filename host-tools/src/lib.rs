//! What the `jamlet` command does, as a library that its tests and `xtask` share.
#![deny(unsafe_code)]

pub mod aligned;
pub mod bake;
pub mod bench;
pub mod boards;
pub mod c_source;
pub mod calibrate;
pub mod chat;
pub mod cores;
pub mod destination;
pub mod endless;
pub mod estimate;
pub mod eval;
pub mod firmware;
pub mod frame;
pub mod hf;
pub mod image_file;
pub mod input;
pub mod mapped;
pub mod memory;
pub mod numbers;
pub mod pack;
pub mod process;
pub mod progress;
pub mod prompts;
pub mod prose;
pub mod reference;
pub mod score;
pub mod sign;
pub mod summary;
pub mod text;
pub mod tokenizer_facts;
pub mod tune;
pub mod workspace;
