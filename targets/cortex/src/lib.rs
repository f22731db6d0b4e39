//! What the Cortex-M boards share.
#![no_std]

pub mod cmsdk;
#[cfg(feature = "emulated")]
pub mod conformance;
mod fault;
pub mod marks;
pub mod stack;
