//! The arithmetic of the engine: what each kernel computes, and the contract that makes it the same everywhere.
//!
//! `portable.rs` defines every kernel. The folders, one an architecture and in it one an instruction set with a file an
//! operation, reproduce it **bit for bit**; nothing outside `kernels` knows that they exist. [`Kernels`] picks one.
//!
//! # The contract
//!
//! * **Integers are exact.** A stored weight is a byte that [`crate::matrix::decode`] turns into int8, or half a byte that
//!   [`crate::matrix::decode_nibbles`] turns into −8 to 7. Products of two int8 are summed in i32. The group size is at most
//!   1,024, so a group's sum is at most 1,024 · 127² < 2²⁴: it fits an i32 in any order of summation, and its conversion to
//!   f32 is exact. A kernel may multiply weights of 4 bits as the u = q + 8 that are stored, and take `8·Σx` of the group off.
//! * **Every f32 operation is named**, with its order: `+ − × ÷` and square root, each rounded to nearest even. Nothing is
//!   contracted to a fused multiply-add, and nothing is reassociated. Subnormals are computed, not flushed.
//! * **Sums over a vector** (of squares, of a dot product, of softmax) use eight lanes: lane `i` sums the
//!   elements `i, i + 8, i + 16, …` in that order, then `(l0+l4) + (l2+l6)` and `(l1+l5) + (l3+l7)` are added.
//! * **Sums over groups, taps, states and cached tokens** go from the first to the last, one accumulator an output.
//! * **Maxima** compare with `>`, so NaN never wins and the order doesn't matter.
//! * **Rounding to an integer** is to nearest even, by adding and subtracting 1.5 · 2²³.
//! * **One exponential** of numbers up to 0, `exp2` of `math.rs`, in integers, serves softmax, SiLU, softplus and the scan.
//! * **Conversion to an integer** is towards zero and saturating; NaN becomes 0.
//! * Where a NaN arises, a NaN arises everywhere, but its sign and payload are the processor's.
//!
//! What follows for the caller: the result for a token doesn't depend on which other tokens share its chunk, on how rows
//! are split over cores, or on the processor. Slices of lengths that don't agree are safe: what one of them lacks isn't computed.
//! The engine asserts its lengths where it cuts them (`planned`).
//!
//! # The kernels
//!
//! | kernel | computes |
//! |---|---|
//! | `quantize` | per group: `scale = max\|x\| · (1/127)`, `q = round(x · (127 / max\|x\|))` |
//! | `matmul`, `matmul_q4` | `y = Σ_groups f32(Σ w·q) × (w_scale × q_scale)`, w in 8 bits or in 4 |
//! | `rms_norm` | `x · (1 / sqrt(Σx²/n + ε)) · w` (Zhang and Sennrich 2019) |
//! | `conv_silu` | causal depthwise convolution, then SiLU |
//! | `scan` | the selective scan (Gu and Dao 2023, algorithm 2), gated |
//! | `s4d_scan` | the scan with constant dt, B and C (Gu et al. 2022), gated: no exponential but the gate's |
//! | `ssd_scan` | the scan with one decay a head (Dao and Gu 2024), gated: one exponential a channel |
//! | `scores`, `softmax`, `weighted_values` | attention over an int8 cache |
//! | `swiglu` | `silu(gate) × up` (Shazeer 2020) |

#![expect(unsafe_code, reason = "vector loads, instructions that not every processor has, and outputs shared by cores")]

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(dsp)]
mod arm;
mod cores;
#[cfg(test)]
pub(crate) mod counted;
mod dispatch;
mod heads;
#[cfg(feature = "narrow-state")]
mod int8_state;
pub(crate) mod math;
mod mlps;
mod operands;
#[cfg_attr(not(portable), expect(dead_code, reason = "it defines all kernels; here only parts of it run"))]
mod portable;
mod ssd;
mod tokens;
#[cfg(target_arch = "wasm32")]
mod wasm;
#[cfg(target_arch = "x86_64")]
mod x86;

#[doc(hidden)]
pub use cores::Columns;
#[cfg(all(feature = "cores", target_has_atomic = "ptr"))]
pub use cores::WorkerPool;
#[cfg(feature = "cores")]
pub use cores::{Executor, OneCore};
pub use dispatch::Kernels;
pub(crate) use heads::{HeadRoom, Lane, Units};
pub(crate) use mlps::{Mlp, Mlps};
pub use operands::StateWidth;
#[doc(hidden)]
pub use operands::{Product, Quantized, S4dScan, Scan, SsdScan, StateScalar, WeightedHead};
pub(crate) use tokens::TokenRows;
