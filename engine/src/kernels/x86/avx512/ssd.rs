//! The scan of Mamba-2.

use super::vector::{join, negative_exp2, split, to_int};
use crate::kernels::math::LOG_SCALE;
use crate::kernels::ssd::{SsdRows, SsdStep};
use crate::kernels::x86::avx2;
use crate::kernels::{SsdScan, StateScalar};
use core::arch::x86_64::*;

/// Tokens that are computed while a number of the state is in a register.
const TOKENS: usize = 4;

/// Two blocks of channels and [`TOKENS`] at a time.
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl")]
pub(in crate::kernels) fn ssd_scan<S: StateScalar>(scan: SsdScan<'_, S>) {
    let Some((rows, mut u, state)) = SsdRows::new(scan) else { return };
    let [before, pairs, behind] = rows.cut(2, state);
    rows.through(
        pairs,
        &mut u,
        |state, steps, u| pair::<S, TOKENS>(state, steps, u),
        |state, steps, u| pair::<S, 1>(state, steps, u),
    );
    for part in [before, behind] {
        rows.through_each(part, &mut u, |state, step, u| avx2::blocks::<S, 1>(state, step, u));
    }
}

/// `T` tokens and two blocks, whose state is `(2, N, 8)`: 4 + 5·T instructions for each number of the state.
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw,avx512vl")]
#[inline]
fn pair<S: StateScalar, const T: usize>(state: &mut [[S; 8]], steps: [SsdStep<'_, 2>; T], u: &mut [[[f32; 8]; 2]; T]) {
    let n = steps.iter().map(|step| step.b.len().min(step.c.len())).min().unwrap_or(0);
    if state.len() < 2 * n {
        return;
    }
    let eights = |x: &[[f32; 8]; 2]| join(avx2::load_f32(&x[0]), avx2::load_f32(&x[1]));
    let zero = [_mm512_setzero_ps(); T];
    let (mut decay, mut dx, mut y) = (zero, zero, zero);
    for t in 0..T {
        let dt = eights(steps[t].dt);
        decay[t] =
            negative_exp2(to_int(_mm512_mul_ps(_mm512_mul_ps(dt, _mm512_set1_ps(LOG_SCALE)), eights(steps[t].a))));
        dx[t] = _mm512_mul_ps(dt, eights(&u[t]));
    }
    let h = state.as_mut_ptr();
    let mut number = |index: usize| {
        // SAFETY: so many numbers are there, as was checked, and `index` is less than n.
        unsafe {
            let (low, high) = (h.add(index), h.add(n + index));
            let mut state = join(avx2::load_state(&*low), avx2::load_state(&*high));
            for t in 0..T {
                let (b, c) = (*steps[t].b.as_ptr().add(index), *steps[t].c.as_ptr().add(index));
                let input = _mm512_mul_ps(dx[t], _mm512_set1_ps(b));
                state = _mm512_sub_ps(input, _mm512_mul_ps(decay[t], state));
                y[t] = _mm512_add_ps(y[t], _mm512_mul_ps(state, _mm512_set1_ps(c)));
                if S::HALF && t + 1 < T {
                    state = _mm512_cvtph_ps(_mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(state));
                }
            }
            let [first, second] = split(state);
            avx2::store_state(&mut *low, first);
            avx2::store_state(&mut *high, second);
        }
    };
    for two in 0..n / 2 {
        (0..2).for_each(|index| number(2 * two + index));
    }
    (n / 2 * 2..n).for_each(number);
    for t in 0..T {
        let skipped = _mm512_mul_ps(eights(steps[t].d), eights(&u[t]));
        let sums = split(_mm512_add_ps(y[t], skipped));
        for (u, (sum, z)) in u[t].iter_mut().zip(sums.into_iter().zip(steps[t].z)) {
            *u = avx2::to_array(_mm256_mul_ps(sum, avx2::silu(avx2::load_f32(z))));
        }
    }
}
