//! WebAssembly's vectors of 128 bits. All of its floating point is exact IEEE 754, subnormals included, and so is this.

mod attention;
mod matmul;
mod rows;
mod s4d;
mod scan;
mod vector;

pub(in crate::kernels) use attention::{scores, softmax, weighted_values};
pub(in crate::kernels) use matmul::matmul;
pub(in crate::kernels) use rows::{conv_silu, quantize, quantize_head, quantize_query, softplus_bias, swiglu};
pub(in crate::kernels) use s4d::s4d_scan;
pub(in crate::kernels) use scan::scan;

// What the compiler vectorises by itself, since the whole module may use vectors. The scan of Mamba-2 takes V8 3.1 instructions a number
// of the state, its gate left out; written by hand for two tokens it took 2.8, and no less time.
pub(in crate::kernels) use crate::kernels::portable::{dot, matmul_q4, rms_norm, rms_norm_in_place, ssd_scan};
