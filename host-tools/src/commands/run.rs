//! `jamlet run`.

use super::generate::{Answer, SamplerArgs, answer, input, write};
use super::{PlanArgs, ThreadsArgs, print_json, print_json_line};
use anyhow::{Context, Result, ensure};
use clap::Args;
use jamlet::kernels::Kernels;
use jamlet::{Model, RewindPoints, Sampler, Session};
use jamlet_tools::cores::{heads_at_once, on_threads};
use jamlet_tools::image_file::ImageFile;
use jamlet_tools::progress;
use jamlet_tools::prompts::Prompts;
use jamlet_tools::text;
use jamlet_tools::workspace::HostWorkspace;
use serde::Serialize;
use std::io::{BufRead, IsTerminal, Read};
use std::path::PathBuf;
use std::time::Instant;

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
    /// Continue the text with every line of standard input in turn; what a prompt shares with the one before isn't read again
    #[arg(short, long)]
    interactive: bool,
    /// States that are kept for that
    #[arg(long, value_name = "N", default_value_t = 8, requires = "interactive")]
    checkpoints: usize,
    /// Put the model's prompt template around the text
    #[arg(short, long)]
    template: bool,
    /// Most tokens to write
    #[arg(short = 'n', long, default_value_t = 128)]
    max_tokens: usize,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    threads: ThreadsArgs,
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
        let mut workspace =
            HostWorkspace::new(&model, self.plan.options().heads_at_once(heads_at_once(self.threads.count())))?;
        let mut sampler = self.sampler.plain();
        on_threads(self.threads.count(), Kernels::detect(), |kernels| {
            let mut session = workspace.session_on(&model, kernels)?;
            if self.interactive {
                return self.interact(&mut session, &mut sampler);
            }
            let mut text: Box<dyn Read + '_> = match &self.prompt {
                Some(prompt) => Box::new(prompt.as_bytes()),
                None => input(self.file.as_deref())?,
            };
            let answer = answer(&mut session, &mut sampler, &mut text, self.template, self.max_tokens, self.json)?;
            if self.json { print_json(&answer) } else { Ok(()) }
        })
    }

    /// Prompts that begin alike: a text, and every line of standard input behind it.
    fn interact(&self, session: &mut Session<'_, '_>, sampler: &mut Sampler) -> Result<()> {
        let begin = match (&self.prompt, &self.file) {
            (Some(prompt), _) => prompt.clone(),
            (None, Some(file)) => std::fs::read_to_string(file).with_context(|| file.display().to_string())?,
            (None, None) => String::new(),
        };
        let mut memory = vec![0; RewindPoints::bytes(session.plan(), self.checkpoints)];
        let mut prompts = Prompts::new(RewindPoints::new(session.plan(), &mut memory));
        let terminal = std::io::stderr().is_terminal();
        for line in std::io::stdin().lock().lines() {
            let line = line.context("standard input")?;
            let start = Instant::now();
            let tokens = self.tokens(session.model(), &format!("{begin}{line}"))?;
            let bar = progress::tokens("reading");
            let reused = prompts.read(session, &tokens, |tokens| bar.set_position(tokens));
            bar.finish_and_clear();
            let (reused, seconds) = (reused?, start.elapsed().as_secs_f64());
            sampler.reset();
            let answer = write(session, sampler, self.template, self.max_tokens, self.json, seconds)?;
            if self.json {
                print_json_line(&Turn { reused_tokens: reused, answer })?;
            } else if terminal {
                eprintln!("[{} tokens, {reused} of them read before]", tokens.len());
            }
        }
        Ok(())
    }

    /// A whole prompt.
    fn tokens(&self, model: &Model<'_>, text: &str) -> Result<Vec<u32>> {
        let mut tokens: Vec<u32> = match self.template {
            true => model.opening().collect(),
            false => model.header().bos.into_iter().collect(),
        };
        tokens.extend(text::encode(model, text)?);
        if self.template {
            tokens.extend(model.prompt().suffix());
        }
        ensure!(!tokens.is_empty(), "an empty prompt");
        Ok(tokens)
    }
}

/// One of the prompts of `--interactive`, for `--json`.
#[derive(Serialize)]
struct Turn {
    /// Tokens of the prompt that didn't have to be read.
    reused_tokens: usize,
    #[serde(flatten)]
    answer: Answer,
}
