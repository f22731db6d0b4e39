//! Tokens on their way into the session.

use super::{Listener, Step, SummaryError};
use crate::session::Session;
use heapless::Vec;

/// Tokens that are fed together, and between which a caller is asked. Prefill reads the weights once a chunk of them.
const BATCH: usize = 32;

/// The session, and what it is fed next.
pub(super) struct Reader<'m, 'w> {
    pub session: Session<'m, 'w>,
    batch: Vec<u32, BATCH>,
    /// What went wrong where that couldn't be said at once.
    failure: Result<(), SummaryError>,
}

impl<'m, 'w> Reader<'m, 'w> {
    pub fn new(session: Session<'m, 'w>) -> Self {
        Self { session, batch: Vec::new(), failure: Ok(()) }
    }

    /// Takes the next token. What goes wrong, [`Reader::check`] says.
    pub fn push(&mut self, token: u32, listener: &mut dyn Listener) {
        if self.batch.is_full() && self.failure.is_ok() {
            self.failure = self.flush(listener);
        }
        // Full only after a failure.
        let _ = self.batch.push(token);
    }

    /// What went wrong since the last time.
    pub fn check(&mut self) -> Result<(), SummaryError> {
        core::mem::replace(&mut self.failure, Ok(()))
    }

    /// Feeds the tokens that wait.
    #[inline(never)]
    pub fn flush(&mut self, listener: &mut dyn Listener) -> Result<(), SummaryError> {
        self.check()?;
        if self.batch.is_empty() {
            return Ok(());
        }
        if listener.before().is_break() {
            return Err(SummaryError::Interrupted);
        }
        self.session.feed(&self.batch)?;
        listener.after(Step::Read(self.batch.len()));
        self.batch.clear();
        Ok(())
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.session.reset();
        self.batch.clear();
        self.failure = Ok(());
    }
}
