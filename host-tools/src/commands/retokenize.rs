//! `jamlet retokenize`.

use anyhow::{Context, Result, ensure};
use clap::Args;
use jamlet::Model;
use jamlet::image::{Image, Role, features};
use jamlet_tools::destination::Destination;
use jamlet_tools::hf::tokenizer::load;
use jamlet_tools::mapped::Mapped;
use jamlet_tools::pack;
use std::io::Write;
use std::path::PathBuf;

/// Writes the tokenizer of a folder into images, as after a change of its format; weights and prompts stay as they are
#[derive(Args, Debug)]
pub struct Retokenize {
    /// A Hugging Face folder with the tokenizer that the images were packed with
    folder: PathBuf,
    /// The images, which are replaced
    #[arg(required = true)]
    images: Vec<PathBuf>,
}

impl Retokenize {
    /// Rewrites one image after the other.
    pub fn run(&self) -> Result<()> {
        for path in &self.images {
            let mapped = Mapped::open(path)?;
            // The model as a whole may not parse: its tokenizer can be of another version.
            let image = Image::parse_with(&mapped, crc32fast::hash).with_context(|| path.display().to_string())?;
            let has = image.header().features;
            ensure!(has & features::TOKENIZER != 0, "{}: no tokenizer to replace", path.display());
            let packed = load(&self.folder, image.header().vocab)?;
            let packed = packed.with_context(|| {
                format!(
                    "{}: no tokenizer; tokenizer.json, tokenizer.model, or vocab.json with merges.txt was expected",
                    self.folder.display()
                )
            })?;
            let destination = Destination::new(path, [&*self.folder])?;
            let mut file = destination.draft()?;
            let mut writer = pack::Blocks::new(file.as_file_mut());
            // A signature would be of other bytes, and a baked prompt belongs to the image as it was.
            let wanted = has & !(features::SIGNED | features::BAKED);
            pack::rewrite(&image, wanted, &[(Role::Tokenizer, &packed.bytes)], &mut writer)?;
            writer.flush().with_context(|| path.display().to_string())?;
            drop(writer);
            let written = Mapped::open(file.path())?;
            Model::parse_with(&written, crc32fast::hash).with_context(|| path.display().to_string())?;
            drop(written);
            destination.publish(file)?;
            println!("{}: a tokenizer of {} bytes", path.display(), packed.bytes.len());
        }
        Ok(())
    }
}
