//! The scan of S4D.

use super::vector::{load, load_state, map, silu, splat, store, store_state, zip};
use crate::kernels::portable::{self, S4dStep};
use crate::kernels::{S4dScan, StateScalar};
use core::arch::aarch64::*;

/// See [`portable::s4d_scan`].
#[target_feature(enable = "neon")]
pub(in crate::kernels) fn s4d_scan<S: StateScalar>(scan: S4dScan<'_, S>) {
    portable::s4d_with(scan, |state, step| {
        let S4dStep { decay, b, c, z, d, u } = step;
        let product = |x, y| zip(x, y, |x, y| vmulq_f32(x, y));
        let sum = |x, y| zip(x, y, |x, y| vaddq_f32(x, y));
        let x = load(u);
        let mut y = splat(0.0);
        for (((h, decay), b), c) in state.iter_mut().zip(decay).zip(b).zip(c) {
            let next = sum(product(load(decay), load_state(h)), product(load(b), x));
            store_state(h, next);
            y = sum(y, product(next, load(c)));
        }
        let y = sum(y, product(load(d), x));
        store(u, product(y, map(load(z), |z| silu(z))));
    });
}
