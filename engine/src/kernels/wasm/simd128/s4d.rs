//! The scan of S4D.

use super::vector::{add, load, load_state, map, mul, silu, splat, store, store_state};
use crate::kernels::portable::{self, S4dStep};
use crate::kernels::{S4dScan, StateScalar};

/// See [`portable::s4d_scan`], which also takes a state in f16, since there are no instructions for it.
pub(in crate::kernels) fn s4d_scan<S: StateScalar>(scan: S4dScan<'_, S>) {
    if S::HALF {
        return portable::s4d_scan(scan);
    }
    portable::s4d_with(scan, |state, step| {
        let S4dStep { decay, b, c, z, d, u } = step;
        let x = load(u);
        let mut y = splat(0.0);
        for (((h, decay), b), c) in state.iter_mut().zip(decay).zip(b).zip(c) {
            let next = add(mul(load(decay), load_state(h)), mul(load(b), x));
            store_state(h, next);
            y = add(y, mul(next, load(c)));
        }
        let y = add(y, mul(load(d), x));
        store(u, mul(y, map(load(z), silu)));
    });
}
