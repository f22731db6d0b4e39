//! Reads an untouched Hugging Face folder.

pub mod checkpoint;
pub mod config;
pub mod error;
pub mod files;
pub mod generation;
pub mod tokenizer;
pub mod weights;

pub use checkpoint::{Checkpoint, Tensor};
pub use config::JambaConfig;
pub use error::ImportError;
pub use generation::Generation;
pub use weights::{Matrix, Projection, WeightId, Weights};
