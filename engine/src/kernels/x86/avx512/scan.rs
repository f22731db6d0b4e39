//! The selective scan.

use super::vector::{eight_times, load_two, negative_exp2, store_two, to_int, twice};
use crate::kernels::math::LOG_SCALE;
use crate::kernels::portable::{self, Step};
use crate::kernels::x86::avx2;
use crate::kernels::{Scan, StateScalar};
use core::arch::x86_64::*;

/// The selective scan, two states of eight channels at a time.
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl")]
pub(in crate::kernels) fn scan<S: StateScalar>(scan: Scan<'_, S>) {
    portable::scan_with(scan, |state, step| {
        let Step { a, b, c, dt, z, d, u } = step;
        let (x, dt) = (avx2::load_f32(u), avx2::load_f32(dt));
        let dx = _mm256_mul_ps(dt, x);
        let dt = _mm256_mul_ps(dt, _mm256_set1_ps(LOG_SCALE));
        let (dt2, dx2) = (twice(dt), twice(dx));
        let mut y = _mm256_setzero_ps();
        let ((a, last_a), (b, last_b), (c, last_c)) = (a.as_chunks::<2>(), b.as_chunks::<2>(), c.as_chunks::<2>());
        let (state, last) = state.as_chunks_mut::<2>();
        for (((h, a), b), c) in state.iter_mut().zip(a).zip(b).zip(c) {
            let negative_decay = negative_exp2(to_int(_mm512_mul_ps(dt2, load_two(a))));
            let input = _mm512_mul_ps(dx2, eight_times(b));
            let next = _mm512_sub_ps(input, _mm512_mul_ps(negative_decay, load_two(h)));
            store_two(h, next);
            let outputs = _mm512_mul_ps(next, eight_times(c));
            y = _mm256_add_ps(y, _mm512_castps512_ps256(outputs));
            y = _mm256_add_ps(y, _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(outputs))));
        }
        for (((h, a), b), c) in last.iter_mut().zip(last_a).zip(last_b).zip(last_c) {
            let t = avx2::to_int(_mm256_mul_ps(dt, avx2::load_f32(a)));
            let input = _mm256_mul_ps(dx, _mm256_set1_ps(*b));
            let next = _mm256_sub_ps(input, _mm256_mul_ps(avx2::negative_exp2(t), avx2::load_state(h)));
            avx2::store_state(h, next);
            y = _mm256_add_ps(y, _mm256_mul_ps(next, _mm256_set1_ps(*c)));
        }
        let y = _mm256_add_ps(y, _mm256_mul_ps(avx2::load_f32(d), x));
        *u = avx2::to_array(_mm256_mul_ps(y, avx2::silu(avx2::load_f32(z))));
    });
}
