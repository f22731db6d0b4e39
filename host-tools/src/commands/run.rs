//! `jamlet run`.

use super::ask::Ask;
use super::generate::{Answer, answer, write};
use super::image::ModelArgs;
use super::sampling::{Chosen, SamplerArgs};
use super::{PlanArgs, ThreadsArgs, positive, print_json, print_json_line};
use anyhow::{Context, Result, ensure};
use clap::Args;
use jamlet::kernels::Kernels;
use jamlet::{Model, RewindPoints, Sampler, Session};
use jamlet_tools::chat::ChatTemplate;
use jamlet_tools::cores::{heads_at_once, on_threads};
use jamlet_tools::frame::Frame;
use jamlet_tools::input::{Input, check_whole};
use jamlet_tools::numbers::whole;
use jamlet_tools::progress;
use jamlet_tools::prompts::Prompts;
use jamlet_tools::workspace::HostWorkspace;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, Cursor, IsTerminal};
use std::path::PathBuf;
use std::time::Instant;

/// Continues a text token by token
#[derive(Args, Debug)]
pub struct Run {
    #[command(flatten)]
    image: ModelArgs,
    /// The text to continue [default: standard input]
    prompt: Option<OsString>,
    /// A file with the text
    #[arg(short, long, value_name = "FILE", conflicts_with = "prompt")]
    file: Option<PathBuf>,
    /// Continue the text with every line of standard input in turn; what a prompt shares with the one before isn't read again
    #[arg(short, long)]
    interactive: bool,
    /// States that are kept for that
    #[arg(long, value_name = "N", default_value_t = 8, requires = "interactive", value_parser = whole::<usize>)]
    checkpoints: usize,
    /// Put the model's prompt template around the text
    #[arg(short, long)]
    template: bool,
    /// Answer the text as a message of a conversation, by the model's chat template: see `jamlet chat`
    #[arg(long, conflicts_with_all = ["interactive", "template", "bos", "no_bos"])]
    chat: bool,
    /// With --chat: what the model is told first
    #[arg(long, value_name = "TEXT", requires = "chat")]
    system: Option<String>,
    /// With --chat: don't show what the model thinks before it answers
    #[arg(long, requires = "chat")]
    hide_thinking: bool,
    /// Begin with the model's token for that [default: as its tokenizer or template does]
    #[arg(long, conflicts_with = "no_bos")]
    bos: bool,
    /// Don't begin with the model's token for that
    #[arg(long)]
    no_bos: bool,
    /// Most tokens to write
    #[arg(short = 'n', long, default_value_t = 128, value_parser = positive)]
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
        let file = self.image.open()?;
        let model = file.model()?;
        if self.chat {
            return self.answer(&model, file.name());
        }
        let mut workspace =
            HostWorkspace::new(&model, self.plan.options()?.heads_at_once(heads_at_once(self.threads.count())))?;
        let mut sampler = self.sampler.plain(&model)?;
        on_threads(self.threads.count(), Kernels::detect(), |kernels| {
            let mut session = workspace.session_on(&model, kernels)?;
            if self.interactive {
                return self.interact(&mut session, &mut sampler);
            }
            let mut text = self.text()?;
            let mut frame = self.frame(&model)?;
            let answer =
                answer(&mut session, &mut sampler, &mut text, &mut frame, self.template, self.max_tokens, self.json)?;
            match self.json {
                true => print_json(&Report { answer, sampling: self.sampler.values(&model)? }),
                false => Ok(()),
            }
        })
    }

    /// Answers a message.
    fn answer(&self, model: &Model<'_>, name: &str) -> Result<()> {
        let ask = Ask {
            template: &ChatTemplate::of(model, name)?,
            system: self.system.as_deref(),
            options: self.plan.options_for_chat()?,
            threads: self.threads.count(),
            limit: self.max_tokens,
            hide_thinking: self.hide_thinking,
            quiet: self.json,
        };
        let mut sampler = self.sampler.plain(model)?;
        let text = self.text()?.read_all()?;
        let spoken = ask.ask(model, &mut sampler, &String::from_utf8_lossy(&text))?;
        match self.json {
            true => print_json(&Report { answer: spoken, sampling: self.sampler.values(model)? }),
            false => Ok(()),
        }
    }

    /// The text to continue.
    fn text(&self) -> Result<Input> {
        match &self.prompt {
            Some(prompt) => Input::new("the prompt".into(), Box::new(Cursor::new(prompt.as_encoded_bytes().to_vec()))),
            None => Input::open(self.file.as_deref()),
        }
    }

    /// Prompts that begin alike: a text, and every line of standard input behind it.
    fn interact(&self, session: &mut Session<'_, '_>, sampler: &mut Sampler) -> Result<()> {
        let begin = match (&self.prompt, &self.file) {
            (None, None) => Vec::new(),
            _ => self.text()?.read_all()?,
        };
        let mut memory = vec![0; RewindPoints::bytes(session.plan(), self.checkpoints)];
        let mut prompts = Prompts::new(RewindPoints::new(session.plan(), &mut memory));
        let terminal = std::io::stderr().is_terminal();
        let (mut lines, mut refused) = (0, 0);
        // Lines of any bytes, as other texts are.
        for line in std::io::stdin().lock().split(b'\n') {
            let line = line.context("standard input")?;
            let text = [&begin[..], line.strip_suffix(b"\r").unwrap_or(&line)].concat();
            lines += 1;
            if let Err(problem) = check_whole(&text) {
                eprintln!("jamlet: line {lines}: {problem}");
                refused += 1;
                continue;
            }
            let start = Instant::now();
            let tokens = self.tokens(session.model(), &text)?;
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
        ensure!(refused == 0, "{refused} of {lines} lines were no text");
        Ok(())
    }

    /// What stands around a text.
    fn frame<'m>(&self, model: &Model<'m>) -> Result<Frame<'m>> {
        let bos = if self.bos { Some(true) } else { self.no_bos.then_some(false) };
        Frame::new(model, self.template, bos)
    }

    /// A whole prompt.
    fn tokens(&self, model: &Model<'_>, text: &[u8]) -> Result<Vec<u32>> {
        let tokens = self.frame(model)?.encode(text);
        ensure!(!tokens.is_empty(), "an empty prompt");
        Ok(tokens)
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<A> {
    #[serde(flatten)]
    answer: A,
    /// How tokens were chosen.
    sampling: BTreeMap<&'static str, Chosen>,
}

/// One of the prompts of `--interactive`, for `--json`.
#[derive(Serialize)]
struct Turn {
    /// Tokens of the prompt that didn't have to be read.
    reused_tokens: usize,
    #[serde(flatten)]
    answer: Answer,
}
