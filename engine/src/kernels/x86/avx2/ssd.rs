//! The scan of Mamba-2.

use super::vector::{load_f32, load_state, negative_exp2, silu, store_state, to_array, to_int};
use crate::kernels::math::LOG_SCALE;
use crate::kernels::ssd::{SsdRows, SsdStep};
use crate::kernels::{SsdScan, StateScalar};
use core::arch::x86_64::*;

/// Two blocks of channels at a time, which share B and C: so the sum over N of one doesn't wait for that of the other.
#[target_feature(enable = "avx2,f16c")]
pub(in crate::kernels) fn ssd_scan<S: StateScalar>(scan: SsdScan<'_, S>) {
    let Some((rows, mut u, state)) = SsdRows::new(scan) else { return };
    let [before, pairs, behind] = rows.cut(2, state);
    rows.through_each(pairs, &mut u, |state, step, u| blocks::<S, 2>(state, step, u));
    for part in [before, behind] {
        rows.through_each(part, &mut u, |state, step, u| blocks::<S, 1>(state, step, u));
    }
}

/// One token and `P` blocks, whose state is `(P, N, 8)`: of two, 14 instructions for each number of the state.
#[target_feature(enable = "avx2,f16c")]
#[inline]
pub(in crate::kernels) fn blocks<S: StateScalar, const P: usize>(
    state: &mut [[S; 8]],
    [step]: [SsdStep<'_, P>; 1],
    [u]: &mut [[[f32; 8]; P]; 1],
) {
    let SsdStep { b, c, dt, z, a, d } = step;
    let n = b.len();
    if c.len() < n || state.len() < P * n {
        return;
    }
    let (b, c, h) = (b.as_ptr(), c.as_ptr(), state.as_mut_ptr());
    let zero = [_mm256_setzero_ps(); P];
    let (mut decay, mut dx, mut y) = (zero, zero, zero);
    for p in 0..P {
        let dt = load_f32(&dt[p]);
        decay[p] = negative_exp2(to_int(_mm256_mul_ps(_mm256_mul_ps(dt, _mm256_set1_ps(LOG_SCALE)), load_f32(&a[p]))));
        dx[p] = _mm256_mul_ps(dt, load_f32(&u[p]));
    }
    let mut number = |index: usize| {
        // SAFETY: so many numbers are there, as was checked, and `index` is less than n.
        unsafe {
            let (b, c) = (_mm256_set1_ps(*b.add(index)), _mm256_set1_ps(*c.add(index)));
            let mut next = zero;
            // All loads before the stores: blocks often lie a multiple of 4 KiB apart, where a load that follows waits for a store.
            for p in 0..P {
                next[p] = _mm256_mul_ps(decay[p], load_state(&*h.add(p * n + index)));
            }
            for p in 0..P {
                next[p] = _mm256_sub_ps(_mm256_mul_ps(dx[p], b), next[p]);
                store_state(&mut *h.add(p * n + index), next[p]);
                y[p] = _mm256_add_ps(y[p], _mm256_mul_ps(next[p], c));
            }
        }
    };
    for four in 0..n / 4 {
        (0..4).for_each(|index| number(4 * four + index));
    }
    (n / 4 * 4..n).for_each(number);
    for p in 0..P {
        let sum = _mm256_add_ps(y[p], _mm256_mul_ps(load_f32(&d[p]), load_f32(&u[p])));
        u[p] = to_array(_mm256_mul_ps(sum, silu(load_f32(&z[p]))));
    }
}
