//! jamlet: int8 Jamba language models without heap or operating system.
#![no_std]
#![deny(unsafe_code)]
#![warn(missing_docs)]

#[cfg(target_endian = "big")]
compile_error!("images are little-endian and read in place");

pub mod image;
pub mod kernels;
mod layers;
pub mod model;
pub mod sampler;
mod session;
pub mod state;
pub mod tokenizer;

pub use image::ImageError;
pub use model::Model;
pub use sampler::{Sampler, SamplerOptions};
pub use session::{Session, SessionError};
pub use state::{Aligned, Options, Plan, PlanError, StateWidth, Workspace};
