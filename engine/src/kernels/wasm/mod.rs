//! WebAssembly: a folder for each set of instructions. A module either has an instruction or isn't loaded, so which kernels run
//! is settled when it is compiled.

#[cfg(target_feature = "simd128")]
pub(super) mod simd128;
