//! Prompts one after the other, each read only from about where it differs from the one before.

use anyhow::Result;
use jamlet::{RewindPoints, Session};

/// Tokens between two points.
const EVERY: usize = 64;

/// A session, what it has read, and states to go back to.
#[derive(Debug)]
pub struct Prompts<'b> {
    points: RewindPoints<'b>,
    /// The prompt that was read last.
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
        let common = self.before.iter().zip(tokens).take_while(|(a, b)| a == b).count();
        let common = common.min(tokens.len().saturating_sub(1));
        // What was decoded after `before` isn't known, so the session always goes back to a point.
        let reused = self.points.rewind(session, common as u64) as usize;
        self.before.clear();
        let mut read = reused;
        while read < tokens.len() {
            // The next prompt is likely to differ from this one where this one differs from the one before.
            let mut end = (read + EVERY).min(tokens.len());
            if read < common {
                end = end.min(common);
            }
            session.feed(&tokens[read..end])?;
            read = end;
            tick(read as u64);
            if read < tokens.len() {
                self.points.keep(session);
            }
        }
        self.before.extend(tokens);
        Ok(reused)
    }
}
