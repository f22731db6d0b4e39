//! x86-64: a folder for each set of instructions.

#[macro_use]
mod compiled;

pub(super) mod avx2;
pub(super) mod avx512;
