//! Tests and measures the engine's kernels where they will run: on emulated boards, and under qemu-aarch64.
#![no_std]

extern crate alloc;

pub mod bench;
pub mod equal;
#[cfg(feature = "heap")]
pub mod heap;
