//! `jamlet summarize`.

use super::generate::{Answer, Output};
use super::image::ModelArgs;
use super::sampling::SamplerArgs;
use super::{BeamsArgs, FormatArgs, PlanArgs, ThreadsArgs, positive, print_json};
use anyhow::{Context, Result};
use clap::Args;
use indicatif::ProgressBar;
use jamlet::kernels::Kernels;
use jamlet::summary::{Listener, Step, SummaryError};
use jamlet::{Session, Summarizer};
use jamlet_tools::cores::{heads_at_once, on_threads};
use jamlet_tools::prose;
use jamlet_tools::workspace::HostWorkspace;
use jamlet_tools::{memory, progress, summary};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

/// Summarizes a text, as a board with the same image would
#[derive(Args, Debug)]
pub struct Summarize {
    /// The text [default: standard input]
    file: Option<PathBuf>,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    image: ModelArgs,
    /// Longest summary in tokens
    #[arg(short = 'n', long, default_value_t = 64, value_parser = positive)]
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
        let file = self.image.open()?;
        let model = file.model()?;
        let beams = self.beams.count(&self.plan, &self.sampler, self.max_tokens)?;
        let options = self.plan.options()?.heads_at_once(heads_at_once(self.threads.count())).beams(beams);
        let mut workspace = HostWorkspace::new(&model, options)?;
        let answer = on_threads(self.threads.count(), Kernels::detect(), |kernels| {
            self.answer(workspace.session_on(&model, kernels)?, beams)
        })?;
        if self.json { print_json(&answer) } else { Ok(()) }
    }

    fn answer(&self, session: Session<'_, '_>, beams: u32) -> Result<Answer> {
        let mut text = prose::open(self.file.as_deref(), self.format.format())?;
        let how = self.sampler.how(beams, self.max_tokens, self.ungrounded)?;
        let mut memory = summary::memory();
        let mut summarizer = Summarizer::new(session, &mut memory, how.options)?;
        let start = Instant::now();
        let mut reading = Reading { bar: progress::tokens("reading"), tokens: 0 };
        let read =
            summary::read(&mut summarizer, &mut text, &mut reading).and_then(|()| Ok(summarizer.end(&mut reading)?));
        reading.bar.finish_and_clear();
        read?;
        let (prefill_seconds, start) = (start.elapsed().as_secs_f64(), Instant::now());
        let mut writing = Writing(Output::new(self.json));
        let answer = summary::write(&mut summarizer, &how, &mut writing);
        // Where nobody read on, the output says why.
        let text = match (&answer, writing.0.finish()) {
            (Err(SummaryError::Interrupted) | Ok(_), text) => text?,
            (Err(_), _) => String::new(),
        };
        let answer = answer.context("writing the summary")?;
        Ok(Answer {
            text,
            prompt_tokens: answer.read,
            tokens: answer.written as usize,
            prefill_seconds,
            decode_seconds: start.elapsed().as_secs_f64(),
            workspace_bytes: summarizer.session().plan().bytes(),
            peak_rss_bytes: memory::peak(),
        })
    }
}

/// Shows how much was read.
struct Reading {
    bar: ProgressBar,
    tokens: u64,
}

impl Listener for Reading {
    fn text(&mut self, _: &str) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn after(&mut self, step: Step) {
        if let Step::Read(tokens) = step {
            self.tokens += tokens as u64;
            progress::set_tokens(&self.bar, self.tokens);
        }
    }
}

/// Prints what is written.
struct Writing(Output);

impl Listener for Writing {
    fn text(&mut self, piece: &str) -> ControlFlow<()> {
        self.0.put(piece)
    }
}
