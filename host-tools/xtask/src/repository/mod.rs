//! The source itself: format, lints, dependencies, coverage, generated tables.

pub mod coverage;
pub mod deny;
pub mod lint;
pub mod release;
mod unsafe_count;
mod yanked;
