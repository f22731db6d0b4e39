//! What every board runs, whatever its serial port: [`app`] for users, [`conformance`] for the test suite.
#![no_std]
#![forbid(unsafe_code)]

pub mod app;
pub mod board;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "conformance")]
pub mod endless;
#[cfg(feature = "every-call")]
pub mod every_call;
pub mod extras;
#[cfg(feature = "conformance")]
pub mod hash;
mod input;
mod line;
mod log;
#[cfg(feature = "conformance")]
mod marks;
mod rate;
pub mod settings;
#[cfg(feature = "signature")]
mod signature;
mod terminal;
