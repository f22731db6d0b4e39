//! `jamlet run`.

use super::generate::{SamplerArgs, answer, input};
use super::{PlanArgs, print_json};
use anyhow::Result;
use clap::Args;
use jamlet_tools::image_file::ImageFile;
use jamlet_tools::workspace::HostWorkspace;
use std::io::Read;
use std::path::PathBuf;

/// Continues a text token by token
#[derive(Args, Debug)]
pub struct Run {
    /// The image [default: the built-in model]
    #[arg(short, long, value_name = "IMAGE")]
    model: Option<PathBuf>,
    /// The text to continue [default: standard input]
    prompt: Option<String>,
    /// A file with the text
    #[arg(short, long, value_name = "FILE", conflicts_with = "prompt")]
    file: Option<PathBuf>,
    /// Put the model's prompt template around the text
    #[arg(short, long)]
    template: bool,
    /// Most tokens to write
    #[arg(short = 'n', long, default_value_t = 128)]
    max_tokens: usize,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    sampler: SamplerArgs,
    /// Print as JSON, with what it took
    #[arg(long)]
    json: bool,
}

impl Run {
    /// Reads, then writes.
    pub fn run(&self) -> Result<()> {
        let file = ImageFile::open(self.model.as_deref())?;
        let model = file.model()?;
        let mut workspace = HostWorkspace::new(&model, self.plan.options())?;
        let mut session = workspace.session(&model)?;
        let mut sampler = self.sampler.sampler(0);
        let mut text: Box<dyn Read + '_> = match &self.prompt {
            Some(prompt) => Box::new(prompt.as_bytes()),
            None => input(self.file.as_deref())?,
        };
        let answer = answer(&mut session, &mut sampler, &mut text, self.template, self.max_tokens, self.json)?;
        if self.json { print_json(&answer) } else { Ok(()) }
    }
}
