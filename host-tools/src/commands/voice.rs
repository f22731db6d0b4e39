//! What a chat model says, as people and scripts get it.

use super::generate::{Answer, Output};
use indicatif::ProgressBar;
use jamlet::Plan;
use jamlet_tools::chat::thinking::{self, Part, Splitter};
use jamlet_tools::chat::{End, Listener, Turn};
use jamlet_tools::{memory, progress};
use serde::Serialize;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

/// Begins and ends dim text on a terminal.
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// A turn, for `--json`.
#[derive(Serialize)]
pub struct Spoken {
    #[serde(flatten)]
    pub answer: Answer,
    /// What the model thought before it answered.
    pub thinking: Option<String>,
    /// Tokens of the conversation that were not read again, and those that were read.
    pub reused_tokens: usize,
    pub read_tokens: usize,
    /// Why the answer ended.
    pub end: End,
}

impl Spoken {
    /// What was said in a turn: `text` as it was written.
    pub fn new(turn: &Turn, text: &str, plan: &Plan) -> Self {
        let (thinking, text) = thinking::split(text);
        Self {
            answer: Answer {
                text,
                prompt_tokens: turn.prompt_tokens as u64,
                tokens: turn.tokens,
                prefill_seconds: turn.prefill_seconds,
                decode_seconds: turn.decode_seconds,
                workspace_bytes: plan.bytes(),
                peak_rss_bytes: memory::peak(),
            },
            thinking,
            reused_tokens: turn.reused_tokens,
            read_tokens: turn.prompt_tokens - turn.reused_tokens,
            end: turn.end,
        }
    }
}

/// Prints an answer as it comes: thinking is dim on a terminal, between its marks elsewhere, or hidden.
pub struct Voice<'s> {
    out: Output,
    splitter: Splitter,
    hide: bool,
    quiet: bool,
    /// All of the answer.
    said: String,
    /// Something was printed.
    begun: bool,
    bar: ProgressBar,
    /// Pieces that were thought and not shown.
    thoughts: u64,
    /// Set where the answer is to end.
    stop: Option<&'s AtomicBool>,
}

impl<'s> Voice<'s> {
    /// Before an answer. With `quiet` it isn't printed, with `hide` what is thought isn't.
    pub fn new(hide: bool, quiet: bool, stop: Option<&'s AtomicBool>) -> Self {
        let bar = progress::tokens("reading");
        Self {
            out: Output::new(quiet),
            splitter: Splitter::default(),
            hide,
            quiet,
            said: String::new(),
            begun: false,
            bar,
            thoughts: 0,
            stop,
        }
    }

    /// Ends the answer, and returns all of it.
    ///
    /// # Errors
    /// When nobody reads on.
    pub fn finish(mut self) -> anyhow::Result<String> {
        let (dim, mut left) = (self.splitter.thinks(), Vec::new());
        self.splitter.finish(|part, text| left.push((part, text.to_owned())));
        for (part, text) in left {
            // Who doesn't read on has the error from `finish`.
            let _ = self.show(part, &text);
        }
        self.bar.finish_and_clear();
        if dim {
            self.out.style(PLAIN);
        }
        self.out.finish()?;
        Ok(self.said)
    }

    fn show(&mut self, part: Part, text: &str) -> ControlFlow<()> {
        if self.quiet {
            return ControlFlow::Continue(());
        }
        if self.hide && part != Part::Answer {
            return self.hide(part);
        }
        if part == Part::Mark && self.out.is_styled() {
            self.out.style(if text == thinking::BEGIN { DIM } else { PLAIN });
            return ControlFlow::Continue(());
        }
        // What comes first are no empty lines.
        let text = if self.begun { text } else { text.trim_start() };
        if text.is_empty() {
            return ControlFlow::Continue(());
        }
        if !self.begun {
            self.bar.finish_and_clear();
            self.begun = true;
        }
        self.out.put(text)
    }

    /// Shows that there is thinking, on a terminal.
    fn hide(&mut self, part: Part) -> ControlFlow<()> {
        if part == Part::Mark && self.thoughts == 0 {
            self.bar.finish_and_clear();
            self.bar = progress::tokens("thinking");
        }
        self.thoughts += u64::from(part == Part::Thought);
        progress::set_tokens(&self.bar, self.thoughts);
        ControlFlow::Continue(())
    }

    fn goes_on(&self) -> ControlFlow<()> {
        match self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

impl Listener for Voice<'_> {
    fn read(&mut self, tokens: u64) -> ControlFlow<()> {
        progress::set_tokens(&self.bar, tokens);
        self.goes_on()
    }

    fn text(&mut self, piece: &str) -> ControlFlow<()> {
        self.said.push_str(piece);
        let mut parts = Vec::new();
        self.splitter.push(piece, |part, text| parts.push((part, text.to_owned())));
        for (part, text) in parts {
            self.show(part, &text)?;
        }
        self.goes_on()
    }
}
