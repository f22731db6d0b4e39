//! What the caller hears while a summary is made.

use core::ops::ControlFlow;
use jamlet::summary::{Line, Listener, Step, Way};

// SAFETY: the caller gives functions that only read the bytes named.
unsafe extern "C" {
    /// A line begins: how it was made, and how probable it is that it is right.
    safe fn line(way: u32, confidence: f32);
    /// The next piece of it.
    safe fn text(piece: *const u8, bytes: usize);
    /// So many tokens were read, weighed (1) or written (2).
    safe fn step(what: u32, tokens: usize);
}

/// Tells the caller.
pub struct Caller;

impl Listener for Caller {
    fn after(&mut self, done: Step) {
        match done {
            Step::Read(tokens) => step(0, tokens),
            Step::Weighed(tokens) => step(1, tokens),
            Step::Wrote(tokens) => step(2, tokens),
        }
    }

    fn line(&mut self, begun: &Line) {
        let way = match begun.way {
            Way::Quote => 1,
            Way::Compress => 2,
            Way::Rewrite => 3,
            _ => 0,
        };
        line(way, begun.confidence);
    }

    fn text(&mut self, piece: &str) -> ControlFlow<()> {
        text(piece.as_ptr(), piece.len());
        ControlFlow::Continue(())
    }
}
