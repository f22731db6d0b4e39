//! The selective scan.

use super::vector::{load_f32, load_state, negative_exp2, silu, store_state, to_array, to_int};
use crate::kernels::math::LOG_SCALE;
use crate::kernels::portable::{self, Step};
use crate::kernels::{Scan, StateScalar};
use core::arch::x86_64::*;

#[target_feature(enable = "avx2,f16c")]
pub(in crate::kernels) fn scan<S: StateScalar>(scan: Scan<'_, S>) {
    portable::scan_with(scan, |state, step| {
        let Step { a, b, c, dt, z, d, u } = step;
        let (x, dt) = (load_f32(u), load_f32(dt));
        let dx = _mm256_mul_ps(dt, x);
        let dt = _mm256_mul_ps(dt, _mm256_set1_ps(LOG_SCALE));
        let mut y = _mm256_setzero_ps();
        for (((h, a), b), c) in state.iter_mut().zip(a).zip(b).zip(c) {
            let negative_decay = negative_exp2(to_int(_mm256_mul_ps(dt, load_f32(a))));
            let input = _mm256_mul_ps(dx, _mm256_set1_ps(*b));
            let next = _mm256_sub_ps(input, _mm256_mul_ps(negative_decay, load_state(h)));
            store_state(h, next);
            y = _mm256_add_ps(y, _mm256_mul_ps(next, _mm256_set1_ps(*c)));
        }
        let y = _mm256_add_ps(y, _mm256_mul_ps(load_f32(d), x));
        *u = to_array(_mm256_mul_ps(y, silu(load_f32(z))));
    });
}
