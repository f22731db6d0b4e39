//! jamlet for C: its header, its libraries, their packages, and what shows that they work.

pub mod check;
pub mod header;
pub mod library;
pub mod packages;

use jamlet_tools::firmware::build::targets_folder;
use std::path::PathBuf;

/// The folder of all that is written in or for C.
pub fn folder() -> PathBuf {
    targets_folder().join("c")
}
