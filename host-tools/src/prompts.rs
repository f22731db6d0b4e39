//! Prompts one after the other, each read only from about where it differs from the one before.

use anyhow::Result;
use jamlet::{RewindPoints, Session};
use std::ops::ControlFlow;

/// Tokens between two points.
const EVERY: usize = 64;
/// Tokens that are read before anybody hears of it, unless more are computed together.
const AT_ONCE: usize = 16;

/// A session, what it has read, and states to go back to.
#[derive(Debug)]
pub struct Prompts<'b> {
    points: RewindPoints<'b>,
    /// What the session is known to have read: all of it, or what came before tokens that were decoded since.
    before: Vec<u32>,
}

impl<'b> Prompts<'b> {
    /// Nothing was read.
    pub fn new(points: RewindPoints<'b>) -> Self {
        Self { points, before: Vec::new() }
    }

    /// Has `session` read `tokens` and nothing else, and returns how many of them it had read already. At least one is read
    /// in any case, so that there are logits. `tick` hears of tokens read.
    ///
    /// # Errors
    /// For a token that isn't in the vocabulary.
    pub fn read(&mut self, session: &mut Session<'_, '_>, tokens: &[u32], mut tick: impl FnMut(u64)) -> Result<usize> {
        self.read_while(session, tokens, &[], |reused, read| {
            tick((reused + read) as u64);
            ControlFlow::Continue(())
        })
    }

    /// As [`Prompts::read`], as long as `tick` says so, which hears of the tokens that had been read and of those that were read
    /// since: afterwards [`Prompts::known`] is what was read. States after so many tokens as `marks` says are kept, too.
    ///
    /// # Errors
    /// As there.
    pub fn read_while(
        &mut self,
        session: &mut Session<'_, '_>,
        tokens: &[u32],
        marks: &[usize],
        mut tick: impl FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<usize> {
        let common = self.before.iter().zip(tokens).take_while(|(a, b)| a == b).count();
        let common = common.min(tokens.len().saturating_sub(1));
        let reused = self.go_back(session, common);
        let piece = (session.plan().options.chunk as usize).clamp(AT_ONCE, EVERY);
        let mut read = reused;
        while read < tokens.len() {
            // The next prompt is likely to differ from this one where this one differs from the one before.
            let stops = marks.iter().copied().chain([common]).filter(|&stop| stop > read);
            let end = stops.chain([read + EVERY, tokens.len()]).min().unwrap_or(tokens.len());
            for piece in tokens[read..end].chunks(piece) {
                session.feed(piece)?;
                self.before.extend(piece);
                read += piece.len();
                if tick(reused, read - reused).is_break() {
                    return Ok(reused);
                }
            }
            if read < tokens.len() || marks.contains(&read) {
                self.points.keep(session);
            }
        }
        Ok(reused)
    }

    /// Takes `session` back to where it had read `position` tokens of what is known, or to a point before that, and returns their
    /// number.
    pub fn go_back(&mut self, session: &mut Session<'_, '_>, position: usize) -> usize {
        // Where tokens were decoded that aren't known, the session's position lies behind all that is, and it goes back to a point.
        let position = self.points.rewind(session, position.min(self.before.len()) as u64) as usize;
        self.before.truncate(position);
        position
    }

    /// The session has read `tokens` since, by decoding them.
    pub fn decoded(&mut self, tokens: &[u32]) {
        self.before.extend(tokens);
    }

    /// The session's state was replaced by that after `tokens`.
    pub fn restored(&mut self, session: &mut Session<'_, '_>, tokens: Vec<u32>) {
        self.points.clear();
        self.points.keep(session);
        self.before = tokens;
    }

    /// What the session is known to have read.
    pub fn known(&self) -> &[u32] {
        &self.before
    }
}
