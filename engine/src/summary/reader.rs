//! Tokens on their way into the session, and what the model says of the sentences that they end.

use super::quotes::Quotes;
use super::sentences::Sentence;
use super::{Listener, Step, SummaryError};
use crate::model::Parameters;
use crate::session::Session;
use crate::tokenizer::Tokenizer;
use heapless::{Deque, Vec};

/// Tokens that are fed together, and between which a caller is asked. Prefill reads the weights once a chunk of them.
const BATCH: usize = 32;
/// Ends of sentences that wait for a token, or whose sentence isn't known yet.
const PAUSES: usize = 8;

/// The session, what it is fed next, and the sentences that were read.
pub(super) struct Reader<'a, 'm, 'w> {
    pub session: Session<'m, 'w>,
    pub quotes: &'a mut Quotes,
    parameters: Parameters<'m>,
    batch: Vec<u32, BATCH>,
    /// Bytes of the text up to the end of each token in the batch; where a sentence may have ended in it, up to that.
    ends: Vec<u32, BATCH>,
    /// In which tokens of the batch one may have ended, by bits.
    marked: u64,
    /// Bytes of the text up to the last token.
    position: u32,
    /// Where sentences may have ended whose tokens didn't come yet.
    pauses: Deque<u32, PAUSES>,
    /// Where they may have ended, and the mark's logit there, the last ones.
    marks: [(u32, f32); PAUSES],
    next_mark: usize,
}

impl<'a, 'm, 'w> Reader<'a, 'm, 'w> {
    pub fn new(session: Session<'m, 'w>, quotes: &'a mut Quotes, parameters: Parameters<'m>) -> Self {
        Self {
            session,
            quotes,
            parameters,
            batch: Vec::new(),
            ends: Vec::new(),
            marked: 0,
            position: 0,
            pauses: Deque::new(),
            marks: [(0, 0.0); PAUSES],
            next_mark: 0,
        }
    }

    /// How summaries of this model are chosen.
    pub fn parameters(&self) -> Parameters<'m> {
        self.parameters
    }

    /// Takes the next token of the prompt.
    pub fn push(&mut self, token: u32, listener: &mut dyn Listener) -> Result<(), SummaryError> {
        if self.batch.is_full() {
            self.flush(listener)?;
        }
        // Never full now.
        let _ = self.batch.push(token);
        let _ = self.ends.push(self.position);
        Ok(())
    }

    /// Takes the next token of the text.
    pub fn push_text(
        &mut self,
        token: u32,
        tokenizer: &Tokenizer<'_>,
        listener: &mut dyn Listener,
    ) -> Result<(), SummaryError> {
        self.push(token, listener)?;
        if self.parameters.mark.is_none() {
            return Ok(());
        }
        let bytes = tokenizer.piece(token).map_or(0, |piece| piece.count()) as u32;
        self.position = self.position.wrapping_add(bytes);
        if let Some(end) = self.ends.last_mut() {
            *end = self.position;
        }
        while let Some(&end) = self.pauses.front()
            && self.position.wrapping_sub(end) < u32::MAX / 2
        {
            self.pauses.pop_front();
            self.mark(self.batch.len().saturating_sub(1), end);
        }
        Ok(())
    }

    /// A sentence may have ended at byte `end`: where its last token is, the model is asked how important it is.
    pub fn pause(&mut self, end: u32) {
        if self.parameters.mark.is_none() {
            return;
        }
        if self.position.wrapping_sub(end) < u32::MAX / 2 {
            let reaches = |at: &u32| at.wrapping_sub(end) < u32::MAX / 2;
            if let Some(at) = self.ends.iter().position(reaches) {
                self.mark(at, end);
            }
        } else {
            // Where too many wait, this one has no mark.
            let _ = self.pauses.push_back(end);
        }
    }

    fn mark(&mut self, at: usize, end: u32) {
        if let Some(place) = self.ends.get_mut(at) {
            *place = end;
            self.marked |= 1 << (at % 64);
        }
    }

    /// Takes a sentence that has ended.
    pub fn take(&mut self, sentence: &Sentence) {
        let mark = self.marks.iter().find(|(end, _)| *end == sentence.end).map_or(0.0, |(_, mark)| *mark);
        self.quotes.take(sentence, mark, &self.parameters.ranking);
    }

    /// Takes the last token back, if it wasn't fed.
    pub fn hold(&mut self) -> Option<u32> {
        self.ends.pop();
        self.batch.pop()
    }

    /// Feeds the tokens that wait.
    #[inline(never)]
    pub fn flush(&mut self, listener: &mut dyn Listener) -> Result<(), SummaryError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        if listener.before().is_break() {
            return Err(SummaryError::Interrupted);
        }
        let Self { session, quotes, batch, ends, marked, marks, next_mark, .. } = self;
        match self.parameters.mark {
            Some(token) if *marked != 0 => session.feed_and_look(batch, *marked, token, &mut |index, logit| {
                let end = ends.get(index).copied().unwrap_or(0);
                quotes.mark(end, logit);
                if let Some(mark) = marks.get_mut(*next_mark % PAUSES) {
                    *mark = (end, logit);
                }
                *next_mark = (*next_mark + 1) % PAUSES;
            })?,
            _ => session.feed(batch)?,
        }
        listener.after(Step::Read(batch.len()));
        batch.clear();
        ends.clear();
        *marked = 0;
        Ok(())
    }

    /// Forgets the text.
    pub fn reset(&mut self) {
        self.session.reset();
        self.quotes.reset();
        self.batch.clear();
        self.ends.clear();
        self.pauses.clear();
        self.marks = [(0, 0.0); PAUSES];
        (self.marked, self.position, self.next_mark) = (0, 0, 0);
    }
}
