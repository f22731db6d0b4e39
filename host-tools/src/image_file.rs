//! Images as the commands get them: a file, or a model that is built in.

use crate::mapped::Mapped;
use anyhow::{Context, Result, bail, ensure};
use jamlet::image::MAGIC;
use jamlet::{Model, include_image};
use std::path::{Path, PathBuf};

static PICO: &[u8] = include_image!("../models/pico.jamlet");
static NANO: &[u8] = include_image!("../models/nano.jamlet");
static PICO_4BIT: &[u8] = include_image!("../models/pico-4bit.jamlet");
static NANO_4BIT: &[u8] = include_image!("../models/nano-4bit.jamlet");

/// The models that are built in by name; the first one is used where none is named. A file with such a name is `./NAME`.
pub static BUILT_IN: [(&str, &[u8]); 4] =
    [("pico", PICO), ("nano", NANO), ("pico-4bit", PICO_4BIT), ("nano-4bit", NANO_4BIT)];

/// An image's bytes, wherever they lie.
#[derive(Debug)]
pub struct ImageFile {
    name: String,
    path: Option<PathBuf>,
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    Mapped(Mapped),
    BuiltIn(&'static [u8]),
}

impl ImageFile {
    /// The image at `path`, the built-in model of that name, or the first one of them for none. It isn't checked yet.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn open(path: Option<&Path>) -> Result<Self> {
        let [default, ..] = &BUILT_IN;
        let named = |path: &Path| BUILT_IN.iter().find(|(name, _)| path == Path::new(name));
        if let Some((name, bytes)) = path.map_or(Some(default), named) {
            return Ok(Self { name: format!("built-in model {name}"), path: None, bytes: Bytes::BuiltIn(bytes) });
        }
        let path = path.unwrap_or(Path::new(""));
        let mapped = match path.try_exists() {
            Ok(false) => bail!("{}: neither a file nor one of the built-in models {}", path.display(), names()),
            _ => Mapped::open(path)?,
        };
        Ok(Self { name: path.display().to_string(), path: Some(path.into()), bytes: Bytes::Mapped(mapped) })
    }

    /// The file, where it is one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The path, or what to call the built-in model.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Mapped(map) => map,
            Bytes::BuiltIn(bytes) => bytes,
        }
    }

    /// Checks everything, checksum included.
    ///
    /// # Errors
    /// What is wrong with the image, with its name.
    pub fn model(&self) -> Result<Model<'_>> {
        let begins = self.bytes().iter().zip(&MAGIC).all(|(found, right)| found == right);
        ensure!(begins && !self.bytes().is_empty(), "{}: not a jamlet image; `jamlet pack` makes one", self.name);
        Model::parse_with(self.bytes(), crc32fast::hash).with_context(|| self.name.clone())
    }
}

/// The names of the built-in models, for messages.
fn names() -> String {
    BUILT_IN.map(|(name, _)| name).join(", ")
}
