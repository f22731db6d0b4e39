//! The scan of S4D.

use super::vector::{load_f32, load_state, silu, store_state, to_array};
use crate::kernels::portable::{self, S4dStep};
use crate::kernels::{S4dScan, StateScalar};
use core::arch::x86_64::*;

/// See [`portable::s4d_scan`].
#[target_feature(enable = "avx2,f16c")]
pub(in crate::kernels) fn s4d_scan<S: StateScalar>(scan: S4dScan<'_, S>) {
    portable::s4d_with(scan, |state, step| {
        let S4dStep { decay, b, c, z, d, u } = step;
        let x = load_f32(u);
        let mut y = _mm256_setzero_ps();
        for (((h, decay), b), c) in state.iter_mut().zip(decay).zip(b).zip(c) {
            let kept = _mm256_mul_ps(load_f32(decay), load_state(h));
            let next = _mm256_add_ps(kept, _mm256_mul_ps(load_f32(b), x));
            store_state(h, next);
            y = _mm256_add_ps(y, _mm256_mul_ps(next, load_f32(c)));
        }
        let y = _mm256_add_ps(y, _mm256_mul_ps(load_f32(d), x));
        *u = to_array(_mm256_mul_ps(y, silu(load_f32(z))));
    });
}
