//! Models that are made here, because they need no training.

pub mod fixtures;
pub mod random_text_model;
pub mod synthetic;

use anyhow::Result;
use jamlet_tools::image_file::ImageFile;
use std::path::Path;

/// An image from a file, checked before anything is built for it.
///
/// # Errors
/// When it can't be read, and what is wrong with it.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let file = ImageFile::open(Some(path))?;
    file.model()?;
    Ok(file.bytes().to_vec())
}
