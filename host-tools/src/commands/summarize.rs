//! `jamlet summarize`.

use super::ask::Ask;
use super::generate::{Answer, Output};
use super::image::ModelArgs;
use super::sampling::SamplerArgs;
use super::style::StyleArgs;
use super::voice::Spoken;
use super::{BeamsArgs, FormatArgs, PlanArgs, ThreadsArgs, print_json};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use indicatif::ProgressBar;
use jamlet::image::features;
use jamlet::kernels::Kernels;
use jamlet::summary::{Line, Listener, MOST_LINES, Step, SummaryError};
use jamlet::{Model, Session, Summarizer};
use jamlet_tools::chat::summary::{PROMPT, ask};
use jamlet_tools::chat::{ChatTemplate, End};
use jamlet_tools::cores::{heads_at_once, on_threads};
use jamlet_tools::hf::tokenizer::SUMMARY;
use jamlet_tools::numbers::one_to;
use jamlet_tools::prose;
use jamlet_tools::summary::How;
use jamlet_tools::workspace::HostWorkspace;
use jamlet_tools::{memory, progress, summary};
use serde::Serialize;
use std::io::{IsTerminal, Read};
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
    #[command(flatten)]
    style: StyleArgs,
    /// Lines of the summary, at most 7 [default: 1 for a text of up to 1,500 bytes, up to 7 for longer ones]
    #[arg(long, value_name = "N", value_parser = one_to::<{ MOST_LINES as u32 }, u8>)]
    lines: Option<u8>,
    /// What a chat model is asked, with {text} where the text stands [default: for a few sentences]
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    threads: ThreadsArgs,
    #[command(flatten)]
    beams: BeamsArgs,
    #[command(flatten)]
    sampler: SamplerArgs,
    /// Print as JSON, with what it took
    #[arg(long)]
    json: bool,
}

impl Summarize {
    /// Reads, then writes.
    pub fn run(&self) -> Result<()> {
        let file = self.image.open()?;
        let model = file.model()?;
        if let Some(template) = self.chat_template(&model)? {
            return self.ask(&model, &template);
        }
        ensure!(
            self.prompt.is_none(),
            "--prompt does nothing here: {} isn't asked, since {}",
            file.name(),
            match self.style.may_write() {
                true => "it was made to summarize or has no chat template",
                false => "--style says that its words aren't wanted",
            }
        );
        ensure!(
            !self.style.is_title() || self.lines.is_none(),
            "--lines does nothing with --style title: a title is one line"
        );
        let asked = self.style.options(&self.sampler)?.lines(self.lines.unwrap_or(0).into());
        let beams = self.beams.count(&self.plan, &self.sampler, asked.limit)?;
        let options = self.plan.options()?.heads_at_once(heads_at_once(self.threads.count())).beams(beams);
        let mut workspace = HostWorkspace::new(&model, options)?;
        let answer = on_threads(self.threads.count(), Kernels::detect(), |kernels| {
            self.answer(workspace.session_on(&model, kernels)?, &self.sampler.how(beams, asked)?)
        })?;
        if self.json {
            return print_json(&answer);
        }
        // For people; what reads the output gets the summary alone.
        if std::io::stderr().is_terminal()
            && let Some(note) = note(&answer)
        {
            eprintln!("{note}");
        }
        Ok(())
    }

    /// The template of a chat model that is to be asked: one that wasn't made to summarize.
    fn chat_template(&self, model: &Model<'_>) -> Result<Option<ChatTemplate>> {
        let summarizes = |model: &Model<'_>| {
            model.header().has(features::SUMMARY)
                || model.tokenizer().is_some_and(|tokenizer| tokenizer.added_token(SUMMARY).is_some())
        };
        match self.style.may_write() && !summarizes(model) {
            true => ChatTemplate::find(model),
            false => Ok(None),
        }
    }

    /// Asks a chat model. It reads the text whole.
    fn ask(&self, model: &Model<'_>, template: &ChatTemplate) -> Result<()> {
        ensure!(self.lines.is_none(), "--lines does nothing where a chat model is asked; --prompt can say how long");
        ensure!(self.beams.is_default(), "--beams does nothing where a chat model is asked: it writes one answer");
        let limit = self.style.answer()?;
        let question = Ask {
            template,
            system: None,
            options: self.plan.options_for_chat()?,
            threads: self.threads.count(),
            limit,
            hide_thinking: true,
            quiet: self.json,
        };
        let mut sampler = self.sampler.plain(model)?;
        let mut text = Vec::new();
        prose::open(self.file.as_deref(), self.format.format())?.read_to_end(&mut text).context("reading the text")?;
        let message = ask(self.prompt.as_deref().unwrap_or(PROMPT), String::from_utf8_lossy(&text).trim());
        let spoken = question.ask(model, &mut sampler, &message)?;
        if self.json {
            return print_json(&Asked { way: "chat", spoken });
        }
        if spoken.end == End::Limit && spoken.answer.text.is_empty() {
            bail!("after {limit} tokens the model still thinks; -n lets it write more");
        }
        Ok(())
    }

    fn answer(&self, session: Session<'_, '_>, how: &How) -> Result<Summary> {
        let mut text = prose::open(self.file.as_deref(), self.format.format())?;
        let mut memory = summary::memory();
        let mut summarizer = Summarizer::new(session, &mut memory, how.options)?;
        let start = Instant::now();
        let mut reading = Reading { bar: progress::tokens("reading"), tokens: 0 };
        let read =
            summary::read(&mut summarizer, &mut text, &mut reading).and_then(|()| Ok(summarizer.end(&mut reading)?));
        reading.bar.finish_and_clear();
        read?;
        let (prefill_seconds, start) = (start.elapsed().as_secs_f64(), Instant::now());
        let mut writing = Writing { out: Output::new(self.json), lines: Vec::new() };
        let answer = summary::write(&mut summarizer, how, &mut writing);
        // Where the reader went away, `finish` has the error.
        let Writing { out, lines } = writing;
        let text = match (&answer, out.finish()) {
            (Err(SummaryError::Interrupted) | Ok(_), text) => text?,
            (Err(_), _) => String::new(),
        };
        let answer = answer.context("writing the summary")?;
        let texts: Vec<&str> = text.split('\n').collect();
        let lines = lines.iter().zip(texts.iter().chain(std::iter::repeat(&"")));
        Ok(Summary {
            kind: summary::kind_name(answer.text),
            way: answer.first.map(|line| summary::way_name(line.way)),
            confidence: answer.first.map(|line| line.confidence),
            lines: lines.map(|(line, text)| SummaryLine::new(line, text)).collect(),
            answer: Answer {
                text,
                prompt_tokens: answer.read,
                tokens: answer.written as usize,
                prefill_seconds,
                decode_seconds: start.elapsed().as_secs_f64(),
                workspace_bytes: summarizer.session().plan().bytes(),
                peak_rss_bytes: memory::peak(),
            },
        })
    }
}

/// A chat model's summary, for `--json`.
#[derive(Serialize)]
struct Asked {
    /// How it was made.
    way: &'static str,
    #[serde(flatten)]
    spoken: Spoken,
}

/// A summary, for `--json`.
#[derive(Serialize)]
struct Summary {
    /// What kind of text it is of: prose, lines, other-language, nothing.
    kind: &'static str,
    /// Of the first line: quote, compress or rewrite.
    way: Option<&'static str>,
    /// Of the first line, 0 to 1.
    confidence: Option<f32>,
    /// All lines.
    lines: Vec<SummaryLine>,
    #[serde(flatten)]
    answer: Answer,
}

/// A line of a summary, for `--json`.
#[derive(Serialize)]
struct SummaryLine {
    text: String,
    way: &'static str,
    confidence: f32,
}

impl SummaryLine {
    fn new(line: &Line, text: &str) -> Self {
        Self { text: text.to_owned(), way: summary::way_name(line.way), confidence: line.confidence }
    }
}

/// What a person should know of a summary.
fn note(summary: &Summary) -> Option<&'static str> {
    match (summary.kind, summary.way) {
        ("nothing", None) => Some("(nothing to summarize)"),
        ("other-language", _) => Some("(quoted: the text isn't English)"),
        ("lines", Some("quote")) => Some("(quoted: the text has no sentences)"),
        (_, Some("quote")) => Some("(quoted)"),
        (_, Some("compress")) => Some("(quoted in part)"),
        _ => None,
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
struct Writing {
    out: Output,
    lines: Vec<Line>,
}

impl Listener for Writing {
    fn line(&mut self, line: &Line) {
        self.lines.push(*line);
    }

    fn text(&mut self, piece: &str) -> ControlFlow<()> {
        self.out.put(piece)
    }
}
