//! What a caller hears of a summary while it is made.

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

    /// The next piece of the answer. White space at its beginning is left out.
    fn text(&mut self, piece: &str) -> ControlFlow<()>;
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
    /// It searched, and so many tokens of a summary are settled by that.
    Wrote(usize),
}
