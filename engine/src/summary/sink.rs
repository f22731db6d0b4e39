//! Where the text of a line goes.

use super::digest::Digest;
use super::{Listener, SummaryError};

/// Takes a line's text in pieces. One type for all, so that what writes is in flash once.
pub(super) enum Sink<'a> {
    /// The answer.
    Answer {
        listener: &'a mut dyn Listener,
        /// Something of the line was written.
        begun: bool,
        /// What went wrong, after which nothing is written any more.
        result: Result<(), SummaryError>,
    },
    /// Lines that wait.
    Digest(&'a mut Digest),
}

impl<'a> Sink<'a> {
    /// A line of the answer, of which something was written where it has `begun`.
    pub fn answer(listener: &'a mut dyn Listener, begun: bool) -> Self {
        Self::Answer { listener, begun, result: Ok(()) }
    }

    /// The next piece, of the answer without the white space that some tokenizers put before the first word.
    pub fn put(&mut self, piece: &str) {
        match self {
            Self::Digest(digest) => digest.write(piece),
            Self::Answer { listener, begun, result } => {
                let piece = if *begun { piece } else { piece.trim_start() };
                if !piece.is_empty() && result.is_ok() {
                    *begun = true;
                    if listener.text(piece).is_break() {
                        *result = Err(SummaryError::Interrupted);
                    }
                }
            }
        }
    }

    /// Whether something was written, or what went wrong.
    pub fn begun(self) -> Result<bool, SummaryError> {
        match self {
            Self::Digest(_) => Ok(true),
            Self::Answer { begun, result, .. } => result.map(|()| begun),
        }
    }
}
