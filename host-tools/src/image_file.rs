//! Images as the commands get them: a file, or the default model that is built in.

use crate::mapped::Mapped;
use anyhow::{Context, Result};
use jamlet::{Model, include_image};
use std::path::Path;

/// The model that `summarize` and `run` use where none is named.
static DEFAULT: &[u8] = include_image!("../models/pico.jamlet");

/// An image's bytes, wherever they lie.
#[derive(Debug)]
pub struct ImageFile {
    name: String,
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    Mapped(Mapped),
    BuiltIn,
}

impl ImageFile {
    /// The image at `path`, or the built-in one. It isn't checked yet.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn open(path: Option<&Path>) -> Result<Self> {
        Ok(match path {
            Some(path) => Self { name: path.display().to_string(), bytes: Bytes::Mapped(Mapped::open(path)?) },
            None => Self { name: "built-in model".into(), bytes: Bytes::BuiltIn },
        })
    }

    /// The path, or what to call the built-in model.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Mapped(map) => map,
            Bytes::BuiltIn => DEFAULT,
        }
    }

    /// Checks everything, checksum included.
    ///
    /// # Errors
    /// What is wrong with the image, with its name.
    pub fn model(&self) -> Result<Model<'_>> {
        Model::parse_with(self.bytes(), crc32fast::hash).with_context(|| self.name.clone())
    }
}
