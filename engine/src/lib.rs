//! jamlet: int8 Jamba language models without heap or operating system.
//!
//! A model is one packed file, the *image* ([`image`] specifies it), that lies in flash or in a mapped file and is read in
//! place. Everything that changes lies in one *workspace*, whose size is a `const fn` of the image and of the attention
//! window ([`Plan`]): firmware that links has the memory that it needs, for a text of any length.
//!
//! ```
//! use jamlet::summary::{Memory, SummaryOptions, Summarizer};
//! use jamlet::{Model, Options, Session};
//!
//! fn summarize(image: &[u8], workspace: &mut [u8], text: &str) -> Result<(), Box<dyn std::error::Error>> {
//!     let model = Model::parse(image)?; // checked once; nothing behind it can fail or panic
//!     let session = Session::new(&model, Options::window(256).beams(2), workspace)?;
//!     let mut memory = Memory::<2, 256>::new();
//!     let mut summarizer = Summarizer::new(session, &mut memory, SummaryOptions::new())?;
//!
//!     // The text may come in pieces, from a serial port say, and be as long as it likes.
//!     let mut print = |piece: &str| print!("{piece}");
//!     summarizer.feed(text.as_bytes(), &mut print)?;
//!     summarizer.finish(&mut print)?;
//!     Ok(())
//! }
//! # assert!(summarize(&[], &mut [], "").is_err());
//! ```
//!
//! On a board, image and workspace are statics, and the linker proves that they fit:
//!
//! ```ignore
//! static IMAGE: &[u8] = jamlet::include_image!("model.jamlet");
//! const PLAN: Plan = Plan::of(IMAGE, Options::window(256).beams(2));
//! // Of crate `static_cell`. Not its `StaticCell`: `init(Workspace::new())` would take the whole workspace on the stack.
//! static WORKSPACE: ConstStaticCell<Workspace<{ PLAN.bytes() }>> = ConstStaticCell::new(Workspace::new());
//! ```
//!
//! The stack needs 8 KiB on a Cortex-M, interrupts included.
//!
//! # Features
//!
//! | feature | by default | adds |
//! |---|---|---|
//! | `narrow-state` | yes | `StateWidth::F16` and `StateWidth::I8`: states of the Mamba layers in two bytes or one |
//! | `heavy-hitters` | yes | `Eviction::HeavyHitters`: an attention cache that keeps the tokens that were attended to most |
//! | `dsp` | no | kernels for ARMv8-M cores with DSP instructions (most Cortex-M33): without, a token takes 4 times as many instructions. ARMv7E-M cores always use theirs |
//! | `portable` | no | the portable kernels also where those with DSP instructions are certain to run: for tests |
//! | `defmt` | no | `defmt::Format` for errors |
//!
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
