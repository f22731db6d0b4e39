//! Arm's 32-bit cores: a folder for each set of instructions.

pub(super) mod dsp;
