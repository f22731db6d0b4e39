//! `jamlet summarize`.

use super::generate::{SamplerArgs, answer, input};
use super::{BeamsArgs, PlanArgs, ThreadsArgs, print_json};
use anyhow::Result;
use clap::Args;
use jamlet::kernels::Kernels;
use jamlet_tools::cores::{heads_at_once, on_threads};
use jamlet_tools::image_file::ImageFile;
use jamlet_tools::workspace::HostWorkspace;
use std::path::PathBuf;

/// Summarizes a text, as a board with the same image would
#[derive(Args, Debug)]
pub struct Summarize {
    /// The text [default: standard input]
    file: Option<PathBuf>,
    /// The image [default: the built-in model]
    #[arg(short, long, value_name = "IMAGE")]
    model: Option<PathBuf>,
    /// Longest summary in tokens
    #[arg(short = 'n', long, default_value_t = 64)]
    max_tokens: usize,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    threads: ThreadsArgs,
    #[command(flatten)]
    beams: BeamsArgs,
    #[command(flatten)]
    sampler: SamplerArgs,
    /// Don't prefer the text's words: names may be made up then
    #[arg(long)]
    ungrounded: bool,
    /// Print as JSON, with what it took
    #[arg(long)]
    json: bool,
}

impl Summarize {
    /// Reads, then writes.
    pub fn run(&self) -> Result<()> {
        let file = ImageFile::open(self.model.as_deref())?;
        let model = file.model()?;
        let beams = self.beams.count(&self.sampler, self.max_tokens)?;
        let options = self.plan.options().heads_at_once(heads_at_once(self.threads.count())).beams(beams);
        let mut workspace = HostWorkspace::new(&model, options)?;
        let mut decoding = self.sampler.summary(beams, self.ungrounded);
        let mut text = input(self.file.as_deref())?;
        let answer = on_threads(self.threads.count(), Kernels::detect(), |kernels| {
            let mut session = workspace.session_on(&model, kernels)?;
            answer(&mut session, &mut decoding, &mut text, true, self.max_tokens, self.json)
        })?;
        if self.json { print_json(&answer) } else { Ok(()) }
    }
}
