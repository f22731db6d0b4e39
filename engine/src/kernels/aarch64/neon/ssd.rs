//! The scan of Mamba-2: but for one exponential a channel nothing that the compiler can't vectorise.

use crate::kernels::{SsdScan, StateScalar, portable};

/// See [`portable::ssd_scan`].
#[target_feature(enable = "neon")]
pub(in crate::kernels) fn ssd_scan<S: StateScalar>(scan: SsdScan<'_, S>) {
    portable::ssd_scan(scan);
}
