//! What a caller hears of a summary while it is made.

use super::Line;
use core::ops::ControlFlow;

/// Hears of progress and of the answer. A closure that takes `&str` is one that hears of the answer's text alone.
pub trait Listener {
    /// The model is about to compute, for as long as a few tokens take: the time to look at a port. A break ends what is
    /// going on with [`SummaryError::Interrupted`](super::SummaryError::Interrupted).
    fn before(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// The model has computed.
    fn after(&mut self, _step: Step) {}

    /// A line of the answer begins.
    fn line(&mut self, _line: &Line) {}

    /// The next piece of the answer. White space at the beginning is left out; `\n` stands between lines.
    fn text(&mut self, piece: &str) -> ControlFlow<()>;

    /// With [`SummaryOptions::examine`](super::SummaryOptions::examine): something that was looked at.
    fn examined(&mut self, _what: &Examined<'_>) {}
}

impl<F: FnMut(&str)> Listener for F {
    fn text(&mut self, piece: &str) -> ControlFlow<()> {
        self(piece);
        ControlFlow::Continue(())
    }
}

/// What the model computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It read so many tokens.
    Read(usize),
    /// It read so many tokens of a sentence again, as if it were the summary.
    Weighed(usize),
    /// It searched, and so many tokens of a summary are settled by that.
    Wrote(usize),
}

/// What was looked at to choose an answer.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Examined<'a> {
    /// A sentence that may be quoted.
    Sentence {
        /// Its bytes.
        text: &'a [u8],
        /// See [`SIGNALS`](super::SIGNALS).
        signals: &'a [f32],
        /// What the ranking makes of them.
        score: f32,
        /// The mean log-probability of its tokens and its end as the summary, and its end's, if there was room for it.
        likelihood: Option<[f32; 2]>,
    },
    /// The last hidden state behind the prompt.
    Hidden(&'a [f32]),
    /// The next token of the rewrite.
    Token(u32),
    /// The end of the rewrite.
    Rewrite {
        /// Mean log-probability of its tokens and its end.
        log_probability: f32,
        /// Mean cost of its tokens and its end.
        cost: f32,
    },
    /// What the gate between rewrite and quote looks at: see [`Gate::FEATURES`](crate::model::parameters::Gate::FEATURES).
    Gate(&'a [f32]),
}
