//! `jamlet bake`.

use super::{PlanArgs, size};
use anyhow::{Context, Result};
use clap::Args;
use jamlet::Options;
use jamlet_tools::bake::bake;
use jamlet_tools::image_file::ImageFile;
use jamlet_tools::progress;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Stores the state after a fixed prompt in an image: what runs it with the same options starts from there at once
#[derive(Args, Debug)]
pub struct Bake {
    /// The image [default: the built-in model]
    image: Option<PathBuf>,
    /// A text that follows the beginning of the model's own prompt template [default: nothing but the template]
    #[arg(short, long, value_name = "FILE")]
    prompt: Option<PathBuf>,
    /// Where the new image goes
    #[arg(short, long, value_name = "IMAGE")]
    output: PathBuf,
    #[command(flatten)]
    plan: PlanArgs,
}

impl Bake {
    /// Bakes, and says what came of it.
    pub fn run(&self) -> Result<()> {
        let file = ImageFile::open(self.image.as_deref())?;
        bake_into(&file, self.prompt.as_deref(), self.plan.options(), &self.output)
    }
}

/// Bakes the text of a file.
pub fn bake_into(image: &ImageFile, prompt: Option<&Path>, options: Options, output: &Path) -> Result<()> {
    let text = match prompt {
        Some(path) => std::fs::read_to_string(path).with_context(|| path.display().to_string())?,
        None => String::new(),
    };
    let signed = image.model()?.image().signature().is_some();
    let bar = progress::tokens("reading");
    let baked = bake(image, &text, options, output, |read, _| bar.set_position(read));
    bar.finish_and_clear();
    let baked = baked?;
    writeln!(
        std::io::stdout(),
        "{}: {} tokens baked in, {} (for window {}, sinks {}){}",
        output.display(),
        baked.tokens,
        size(baked.bytes as u64),
        options.window,
        options.sinks,
        if signed { "; no longer signed" } else { "" }
    )?;
    Ok(())
}
