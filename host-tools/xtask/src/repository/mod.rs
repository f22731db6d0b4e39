//! The source itself: format, lints, dependencies, coverage, releases, the README's picture.

pub mod coverage;
pub mod deny;
pub mod lint;
pub mod release;
pub mod session;
mod unsafe_count;
mod yanked;
