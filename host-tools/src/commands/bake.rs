//! `jamlet bake`.

use super::image::ImageArgs;
use super::{PlanArgs, size};
use anyhow::Result;
use clap::Args;
use jamlet::Options;
use jamlet_tools::bake::bake;
use jamlet_tools::destination::Destination;
use jamlet_tools::image_file::ImageFile;
use jamlet_tools::{input, progress};
use std::path::{Path, PathBuf};

/// Stores the state after a fixed prompt in an image: what runs it with the same options starts from there at once
#[derive(Args, Debug)]
pub struct Bake {
    #[command(flatten)]
    image: ImageArgs,
    /// A text that follows the beginning of the model's own prompt template [default: nothing but the template]
    #[arg(short, long, value_name = "FILE")]
    prompt: Option<PathBuf>,
    /// Where the new image goes; `-` is standard output
    #[arg(short, long, value_name = "IMAGE")]
    output: PathBuf,
    #[command(flatten)]
    plan: PlanArgs,
}

impl Bake {
    /// Bakes, and says what came of it.
    pub fn run(&self) -> Result<()> {
        let file = self.image.open()?;
        let prompt = self.prompt.as_deref();
        let output = Destination::new(&self.output, file.path().into_iter().chain(prompt))?;
        bake_into(&file, prompt, self.plan.options()?, &output)
    }
}

/// Bakes the text of a file.
pub fn bake_into(image: &ImageFile, prompt: Option<&Path>, options: Options, output: &Destination) -> Result<()> {
    let text = match prompt {
        Some(path) => input::read(path)?,
        None => String::new(),
    };
    let signed = image.model()?.image().signature().is_some();
    let bar = progress::tokens("reading");
    let baked = bake(image, &text, options, output.path(), |read, _| bar.set_position(read));
    bar.finish_and_clear();
    let baked = baked?;
    writeln!(
        output.report(),
        "{}: {} tokens baked in, {} (for window {}, sinks {}){}",
        output.name(),
        baked.tokens,
        size(baked.bytes as u64),
        options.window,
        options.sinks,
        if signed { "; no longer signed" } else { "" }
    )?;
    Ok(())
}
