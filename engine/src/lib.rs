#![doc = include_str!("../README.md")]
//! # From top to bottom
//!
//! Most users need only [`Model`], [`Session`] and [`summary`]; other uses of a model [`Sampler`] and [`tokenizer`]. Each module
//! uses only those that follow it:
//!
//! * [`summary`]: from the bytes of a text to its summary, everything in between.
//! * [`beams`]: a few summaries side by side, of which the most probable is kept.
//! * [`rewind`]: going back in a run, in memory of the caller.
//! * [`Session`]: a run. `feed` is prefill, `next` is decode, `reset` forgets, `snapshot` and `restore` carry it elsewhere.
//! * [`Sampler`]: from logits to a token, without ever holding all logits; [`Grounding`]: with names from the text alone.
//! * [`PromptEncoder`]: text to the ids of a whole prompt.
//! * `layers`: Mamba, attention, MLP and mixture of experts, each readable beside its paper.
//! * [`state`]: the memory plan, the workspace and how it is divided, the attention cache.
//! * [`model`]: the weights of an image by name and shape.
//! * [`image`]: the format, and the checks that make everything above infallible.
//! * [`tokenizer`]: text to ids and back, streaming, read from the image.
//! * [`kernels`]: all arithmetic, with the contract that makes it bit-identical on every target. The only module that knows
//!   about processors, and the only place for `unsafe`.
//! * `matrix`: the quantized matrix, in the order in which kernels read it.
//! * `slot`: a value or none, as zeros.
//! * `planned`: the assertion that the memory plan and its use agree.
#![no_std]
#![deny(unsafe_code)]
#![warn(missing_docs)]

#[cfg(target_endian = "big")]
compile_error!("images are little-endian and read in place");

pub mod beams;
pub mod image;
pub mod kernels;
mod layers;
#[doc(hidden)]
pub mod matrix;
pub mod model;
mod planned;
mod prompt_encoder;
pub mod rewind;
pub mod sampler;
mod session;
mod slot;
pub mod state;
pub mod summary;
pub mod tokenizer;

pub use beams::Beams;
pub use image::ImageError;
pub use model::Model;
pub use prompt_encoder::PromptEncoder;
pub use rewind::RewindPoints;
pub use sampler::{Grounding, Sampler, SamplerOptions};
pub use session::{Session, SessionError};
pub use state::{Aligned, Eviction, Options, Plan, PlanError, RestoreError, SnapshotError, StateWidth, Workspace};
pub use summary::{Summarizer, SummaryOptions};
