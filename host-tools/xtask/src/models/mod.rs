//! Models that are made here, because they need no training.

pub mod fixtures;
pub mod random_text_model;
pub mod synthetic;

use anyhow::Result;
use jamlet_tools::hf::Weights;
use jamlet_tools::hf::tokenizer::PromptIds;
use jamlet_tools::image_file::ImageFile;
use jamlet_tools::pack::{self, Blobs, Choice, Widths};
use std::fs;
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

/// Packs a Hugging Face folder without its tokenizer, with so many bits a weight.
///
/// # Errors
/// What is wrong with the folder.
pub fn pack(folder: &Path, bits: Widths) -> Result<Vec<u8>> {
    let weights = Weights::open(folder)?;
    let prompt = PromptIds::default().section();
    let blobs = Blobs { prompt, provenance: b"{}".to_vec(), ..Blobs::default() };
    let out = tempfile::NamedTempFile::new()?;
    pack::pack(
        &weights,
        &blobs,
        pack::Options { bits: Choice::Widths(bits), ..pack::Options::default() },
        out.path(),
        |_, _| (),
    )?;
    Ok(fs::read(out.path())?)
}
