//! What `run` and `summarize` share: how tokens are chosen, where answers go.

use super::sampling::{SamplerArgs, of_image};
use anyhow::{Context, Result};
use jamlet::summary::Style;
use jamlet::{Model, Sampler, SamplerOptions, Session, SummaryOptions};
use jamlet_tools::frame::{self, Frame};
use jamlet_tools::summary::How;
use jamlet_tools::{memory, progress, text};
use serde::Serialize;
use std::borrow::Cow;
use std::io::{IsTerminal, Read, StdoutLock, Write};
use std::ops::ControlFlow;
use std::time::Instant;

impl SamplerArgs {
    /// For any text: as the image says, unless an option says otherwise.
    pub fn plain(&self, model: &Model<'_>) -> Result<Sampler> {
        Ok(Sampler::new(self.options(&of_image(model))?))
    }

    /// For summaries with `options`: where there is one beam, tokens are chosen by these.
    pub fn how(&self, beams: u32, options: SummaryOptions) -> Result<How> {
        let sampler = || self.options(&SamplerOptions::summary()).map(Sampler::new);
        let sampled = beams == 1 && options.style == Style::Rewrite;
        Ok(How { options, sampler: sampled.then(sampler).transpose()? })
    }
}

/// What a run took, for `--json`.
#[derive(Serialize)]
pub struct Answer {
    /// What the model wrote, where it wasn't printed as it came.
    pub text: String,
    /// Tokens that were read.
    pub prompt_tokens: u64,
    /// Tokens that were written.
    pub tokens: usize,
    /// Seconds of reading.
    pub prefill_seconds: f64,
    /// Seconds of writing.
    pub decode_seconds: f64,
    /// Bytes of the workspace, which are the same for every text.
    pub workspace_bytes: usize,
    /// The most memory that this process had, in bytes, where the system tells.
    pub peak_rss_bytes: Option<u64>,
}

/// Feeds `input` with what stands around it, and writes the answer, to a `template` or to the text itself, to standard output as it comes, unless `quiet`.
pub fn answer(
    session: &mut Session<'_, '_>,
    sampler: &mut Sampler,
    input: &mut dyn Read,
    frame: &mut Frame<'_>,
    template: bool,
    limit: usize,
    quiet: bool,
) -> Result<Answer> {
    let start = Instant::now();
    let bar = progress::tokens("reading");
    let fed = frame::feed(session, frame, input, |tokens| progress::set_tokens(&bar, tokens));
    bar.finish_and_clear();
    fed?;
    let prefill_seconds = start.elapsed().as_secs_f64();
    write(session, sampler, template, limit, quiet, prefill_seconds)
}

/// Writes the answer to what `session` has read to standard output as it comes, unless `quiet`.
pub fn write(
    session: &mut Session<'_, '_>,
    sampler: &mut Sampler,
    template: bool,
    limit: usize,
    quiet: bool,
    prefill_seconds: f64,
) -> Result<Answer> {
    let start = Instant::now();
    let mut out = Output::new(quiet);
    let mut begun = false;
    let prompt_tokens = session.position();
    let tokens = text::generate(session, sampler, limit, |part| {
        // A tokenizer may put a space before the first word.
        let part = if template && !begun { part.trim_start() } else { part };
        begun |= !part.is_empty();
        out.put(part)
    })?;
    Ok(Answer {
        text: out.finish()?,
        prompt_tokens,
        tokens,
        prefill_seconds,
        decode_seconds: start.elapsed().as_secs_f64(),
        workspace_bytes: session.plan().bytes(),
        peak_rss_bytes: memory::peak(),
    })
}

/// Where an answer goes as it comes: standard output, or where that is to have JSON, memory.
pub struct Output {
    out: StdoutLock<'static>,
    terminal: bool,
    kept: Option<String>,
    failed: Option<std::io::Error>,
}

impl Output {
    /// Standard output, unless `quiet`.
    pub fn new(quiet: bool) -> Self {
        let out = std::io::stdout().lock();
        Self { terminal: out.is_terminal(), out, kept: quiet.then(String::new), failed: None }
    }

    /// The next piece. Breaks where nobody reads on.
    pub fn put(&mut self, part: &str) -> ControlFlow<()> {
        if let Some(kept) = &mut self.kept {
            kept.push_str(part);
            return ControlFlow::Continue(());
        }
        let part = if self.terminal { printable(part) } else { part.into() };
        match self.out.write_all(part.as_bytes()).and_then(|()| self.out.flush()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// Whether escape sequences set how text looks: on a terminal that knows them, unless NO_COLOR asks for none.
    pub fn is_styled(&self) -> bool {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        self.terminal && self.kept.is_none() && !plain && !dumb
    }

    /// Sets how text looks from here on, where that can be set.
    pub fn style(&mut self, escape: &str) {
        if self.is_styled() {
            self.failed = self.failed.take().or_else(|| self.out.write_all(escape.as_bytes()).err());
        }
    }

    /// Ends the line. Returns what was kept.
    pub fn finish(mut self) -> Result<String> {
        if self.kept.is_none() && self.failed.is_none() {
            self.failed = writeln!(self.out).err();
        }
        match self.failed {
            Some(error) => Err(error).context("writing to standard output"),
            None => Ok(self.kept.unwrap_or_default()),
        }
    }
}

/// Text of a model as a terminal may get it: with `?` for control characters, of which escape sequences are made that do to a
/// terminal what they like.
fn printable(text: &str) -> Cow<'_, str> {
    let harms = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if text.contains(harms) { text.replace(harms, "?").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_an_answer_controls_a_terminal() {
        assert_eq!(printable("Größe:\t1\n日本 👩\u{200d}💻"), "Größe:\t1\n日本 👩\u{200d}💻");
        assert_eq!(printable("\x1b]0;title\x07 \u{9b}2J\r\x7f\0"), "?]0;title? ?2J???");
    }
}
