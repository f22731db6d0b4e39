//! aarch64: a folder for each set of instructions.

pub(super) mod dotprod;
#[cfg(i8mm)]
pub(super) mod i8mm;
pub(super) mod neon;
