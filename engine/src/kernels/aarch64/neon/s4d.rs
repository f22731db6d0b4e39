//! The scan of S4D: nothing that the compiler can't vectorise.

use crate::kernels::{S4dScan, StateScalar, portable};

/// See [`portable::s4d_scan`].
#[target_feature(enable = "neon")]
pub(in crate::kernels) fn s4d_scan<S: StateScalar>(scan: S4dScan<'_, S>) {
    portable::s4d_scan(scan);
}
