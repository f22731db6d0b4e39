//! Which image a command works with: one convention for all of them.

use anyhow::Result;
use clap::Args;
use jamlet_tools::image_file::ImageFile;
use std::path::{Path, PathBuf};

/// The image of a command that is about one: the first argument, or `-m`.
#[derive(Args, Clone, Debug)]
pub struct ImageArgs {
    /// The image: a file, or `pico`, `nano`, `pico-4bit` or `nano-4bit` for a built-in model [default: pico]
    #[arg(value_name = "IMAGE")]
    image: Option<PathBuf>,
    /// The same, as with the commands whose argument is a text
    #[arg(short, long, value_name = "IMAGE", conflicts_with = "image")]
    model: Option<PathBuf>,
}

impl ImageArgs {
    /// As it was named.
    pub fn path(&self) -> Option<&Path> {
        self.image.as_deref().or(self.model.as_deref())
    }

    /// The image, not checked yet.
    pub fn open(&self) -> Result<ImageFile> {
        ImageFile::open(self.path())
    }
}

/// The image of a command whose argument is a text.
#[derive(Args, Clone, Debug)]
pub struct ModelArgs {
    /// The image: a file, or `pico`, `nano`, `pico-4bit` or `nano-4bit` for a built-in model [default: pico]
    #[arg(short, long, value_name = "IMAGE")]
    model: Option<PathBuf>,
}

impl ModelArgs {
    /// The image, not checked yet.
    pub fn open(&self) -> Result<ImageFile> {
        ImageFile::open(self.model.as_deref())
    }
}
