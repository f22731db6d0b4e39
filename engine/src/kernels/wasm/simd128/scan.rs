//! The selective scan.

use super::vector::{add, load, load_state, map, mul, negative_exp2, silu, splat, store, store_state, sub, to_int};
use crate::kernels::math::LOG_SCALE;
use crate::kernels::portable::{self, Step};
use crate::kernels::{Scan, StateScalar};

/// See [`portable::scan`].
pub(in crate::kernels) fn scan<S: StateScalar>(scan: Scan<'_, S>) {
    portable::scan_with(scan, |state, step| {
        let Step { a, b, c, dt, z, d, u } = step;
        let (x, dt) = (load(u), load(dt));
        let dx = mul(dt, x);
        let dt = mul(dt, splat(LOG_SCALE));
        let mut y = splat(0.0);
        for (((h, a), b), c) in state.iter_mut().zip(a).zip(b).zip(c) {
            let negative_decay = map(to_int(mul(dt, load(a))), negative_exp2);
            let next = sub(mul(dx, splat(*b)), mul(negative_decay, load_state(h)));
            store_state(h, next);
            y = add(y, mul(next, splat(*c)));
        }
        let y = add(y, mul(load(d), x));
        store(u, mul(y, map(load(z), silu)));
    });
}
