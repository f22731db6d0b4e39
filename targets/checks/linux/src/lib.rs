//! What the programs for Linux have in common.

mod case_file;
mod hints;

pub use case_file::{Lines, read};
pub use hints::{Hints, share_begins, share_ends};
