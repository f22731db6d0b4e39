//! Summaries, from bytes in to text out: everything between a text and what is printed of it.
//!
//! A [`Summarizer`] owns the session and the steps around it: the opening or the baked prompt, the tokenizer, the
//! [grounding](crate::sampler::grounding), prefill in chunks, the prompt's end, the search and the decoder. A text may come
//! in pieces of any size and be as long as it likes; memory stays the same.
//!
//! ```
//! # use jamlet::summary::{Memory, SummaryError, SummaryOptions, Summarizer};
//! # use jamlet::Session;
//! fn summarize(session: Session<'_, '_>, text: &[u8]) -> Result<(), SummaryError> {
//!     let mut memory = Memory::<2, 256>::new(); // on a board, a static
//!     let mut summarizer = Summarizer::new(session, &mut memory, SummaryOptions::new())?;
//!     let mut print = |piece: &str| println!("{piece}");
//!     for piece in text.chunks(64) {
//!         summarizer.feed(piece, &mut print)?;
//!     }
//!     let answer = summarizer.finish(&mut print)?;
//!     println!("{} tokens read, {} written", answer.read, answer.written);
//!     Ok(())
//! }
//! ```

mod listener;
mod memory;
mod reader;

pub use listener::{Listener, Step};
pub use memory::Memory;

use crate::beams::{Beams, MAX_SUMMARY};
use crate::image::ImageError;
use crate::sampler::{Grounding, Sampler};
use crate::session::{Session, SessionError};
use crate::state::PlanError;
use crate::tokenizer::{Decoder, Encoder, Tokenizer};
use reader::Reader;

/// Why there is no summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SummaryError {
    /// The image has no tokenizer, so that it can't read texts.
    NoTokenizer,
    /// The [`Listener`] ended it.
    Interrupted,
    /// There is no text: nothing was fed.
    NoText,
    /// The session can't.
    Session(SessionError),
}

impl core::fmt::Display for SummaryError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoTokenizer => {
                write!(f, "the image has no tokenizer: it was packed with --no-tokenizer or from a folder without one")
            }
            Self::Interrupted => write!(f, "interrupted"),
            Self::NoText => write!(f, "no text yet"),
            Self::Session(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SummaryError {}

impl From<ImageError> for SummaryError {
    fn from(error: ImageError) -> Self {
        Self::Session(SessionError::Plan(PlanError::Image(error)))
    }
}

impl From<SessionError> for SummaryError {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

/// How summaries are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SummaryOptions {
    /// The most tokens that the model writes; of a search no more than [`MAX_SUMMARY`].
    pub limit: usize,
    /// Whether the words of a summary come from the text, see [`grounding`](crate::sampler::grounding).
    pub grounded: bool,
}

impl SummaryOptions {
    /// Grounded, of any length.
    pub const fn new() -> Self {
        Self { limit: MAX_SUMMARY, grounded: true }
    }

    /// At most so many tokens.
    pub const fn limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// With or without grounding.
    pub const fn grounded(self, grounded: bool) -> Self {
        Self { grounded, ..self }
    }
}

impl Default for SummaryOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// What was written, and what it took.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// Tokens that were read, the prompt's among them.
    pub read: u64,
    /// Tokens of the answer.
    pub written: u64,
}

/// Takes an empty session to where texts begin, if the image says how: [`Session::start_baked`], or a function that returns
/// false where it is known that nothing was baked in.
pub type Begin<'m> = fn(&mut Session<'m, '_>) -> bool;

/// Reads a text and writes its summary: see the [module](self). `B` and `W` are those of [`Memory`].
pub struct Summarizer<'a, 'm, 'w, const B: usize, const W: usize> {
    reader: Reader<'m, 'w>,
    tokenizer: Tokenizer<'m>,
    encoder: &'a mut Encoder<'m, W>,
    beams: &'a mut Beams<B>,
    grounding: &'a mut Grounding,
    options: SummaryOptions,
    begin: Begin<'m>,
    /// The session has seen the prompt's beginning, and a part of a text.
    begun: bool,
}

impl<'a, 'm, 'w, const B: usize, const W: usize> Summarizer<'a, 'm, 'w, B, W> {
    /// With an empty session, and memory that may have served another one.
    ///
    /// # Errors
    /// [`SummaryError::NoTokenizer`].
    pub fn new(
        session: Session<'m, 'w>,
        memory: &'a mut Memory<'m, B, W>,
        options: SummaryOptions,
    ) -> Result<Self, SummaryError> {
        let begin: Begin<'m> = |session| session.start_baked();
        Self::beginning_with(begin, session, memory, options)
    }

    /// As [`Summarizer::new`], where the caller knows how texts begin. Firmware whose image has no baked prompt then doesn't
    /// have the code for it.
    ///
    /// # Errors
    /// As there.
    pub fn beginning_with(
        begin: Begin<'m>,
        session: Session<'m, 'w>,
        memory: &'a mut Memory<'m, B, W>,
        options: SummaryOptions,
    ) -> Result<Self, SummaryError> {
        let tokenizer = session.model().tokenizer().ok_or(SummaryError::NoTokenizer)?;
        let Memory { encoder, beams, grounding } = memory;
        grounding.reset();
        let (Some(encoder), Some(beams)) =
            (encoder.fill(|| Encoder::new(tokenizer)), beams.fill(|| Beams::new(options.limit)))
        else {
            return Err(SummaryError::NoTokenizer);
        };
        Ok(Self { reader: Reader::new(session), tokenizer, encoder, beams, grounding, options, begin, begun: false })
    }

    /// The session.
    pub fn session(&self) -> &Session<'m, 'w> {
        &self.reader.session
    }

    /// The session, to save its state, or to restore one: then [`Summarizer::resumed`] goes on from there.
    pub fn session_mut(&mut self) -> &mut Session<'m, 'w> {
        &mut self.reader.session
    }

    /// Whether a text was begun.
    pub fn has_text(&self) -> bool {
        self.begun
    }

    /// Forgets the text.
    pub fn reset(&mut self) {
        self.encoder.finish(|_| {});
        self.beams.reset();
        self.grounding.reset();
        self.reader.reset();
        self.begun = false;
    }

    /// Reads the next piece of a text. Pieces may be cut anywhere, even within a character.
    ///
    /// # Errors
    /// [`SummaryError::Interrupted`], where `listener` wants it: [`Summarizer::reset`] is next.
    pub fn feed(&mut self, text: &[u8], listener: &mut dyn Listener) -> Result<(), SummaryError> {
        if text.is_empty() {
            return Ok(());
        }
        self.begin(listener)?;
        if self.options.grounded {
            self.grounding.feed(text);
        }
        let Self { encoder, reader, .. } = self;
        encoder.feed(text, |token| reader.push(token, listener));
        reader.check()
    }

    /// Ends the text's last word and feeds all tokens that wait, so that the session's state can be saved. More text may
    /// follow, in a new word.
    ///
    /// # Errors
    /// As [`Summarizer::feed`].
    pub fn flush(&mut self, listener: &mut dyn Listener) -> Result<(), SummaryError> {
        let Self { encoder, reader, .. } = self;
        encoder.finish(|token| reader.push(token, listener));
        reader.flush(listener)
    }

    /// The session's state was restored: the text that it has seen goes on. Its words aren't known.
    pub fn resumed(&mut self) {
        self.begun = true;
        self.grounding.miss();
    }

    /// Ends the text: reads what is left of it and the prompt's end, where the answer begins.
    ///
    /// # Errors
    /// As [`Summarizer::feed`].
    pub fn end(&mut self, listener: &mut dyn Listener) -> Result<(), SummaryError> {
        self.begin(listener)?;
        self.grounding.finish();
        let Self { encoder, reader, .. } = self;
        encoder.finish(|token| reader.push(token, listener));
        for token in reader.session.model().prompt().suffix() {
            reader.push(token, listener);
        }
        reader.flush(listener)
    }

    /// Writes the summary of a text that [`Summarizer::end`] ended.
    ///
    /// # Errors
    /// [`SummaryError::Interrupted`], or [`SummaryError::NoText`] where there is nothing to go on from.
    pub fn write(&mut self, listener: &mut dyn Listener) -> Result<Answer, SummaryError> {
        let read = self.reader.session.position();
        self.beams.reset();
        let grounding = self.options.grounded.then_some(&*self.grounding);
        let (mut line, mut written) = (Line::new(self.tokenizer), 0);
        loop {
            before(listener)?;
            let more = self.beams.step(&mut self.reader.session, grounding)?;
            let mut settled = 0;
            for token in self.beams.settled().skip(written) {
                settled += 1;
                line.push(token, listener)?;
            }
            written += settled;
            listener.after(Step::Wrote(settled));
            if !more {
                break;
            }
        }
        line.finish(listener)?;
        Ok(Answer { read, written: written as u64 })
    }

    /// Ends the text and writes its summary.
    ///
    /// # Errors
    /// As [`Summarizer::end`] and [`Summarizer::write`].
    pub fn finish(&mut self, listener: &mut dyn Listener) -> Result<Answer, SummaryError> {
        self.end(listener)?;
        self.write(listener)
    }

    /// As [`Summarizer::write`], where a sampler chooses one token after the other.
    ///
    /// # Errors
    /// As there.
    pub fn write_sampled(
        &mut self,
        sampler: &mut Sampler,
        listener: &mut dyn Listener,
    ) -> Result<Answer, SummaryError> {
        let Self { reader: Reader { session, .. }, grounding, options, .. } = self;
        let (read, prompt) = (session.position(), session.model().prompt());
        let (mut line, mut written) = (Line::new(self.tokenizer), 0);
        while written < options.limit as u64 {
            before(listener)?;
            let token = match options.grounded {
                true => session.next_grounded(sampler, grounding)?,
                false => session.next(sampler)?,
            };
            if prompt.is_stop(token) {
                break;
            }
            written += 1;
            line.push(token, listener)?;
            listener.after(Step::Wrote(1));
        }
        line.finish(listener)?;
        Ok(Answer { read, written })
    }

    /// Begins a text, if none has begun.
    fn begin(&mut self, listener: &mut dyn Listener) -> Result<(), SummaryError> {
        if self.begun {
            return Ok(());
        }
        self.begun = true;
        if !(self.begin)(&mut self.reader.session) {
            for token in self.reader.session.model().opening() {
                self.reader.push(token, listener);
            }
        }
        self.reader.check()
    }
}

/// Asks whether to go on.
fn before(listener: &mut dyn Listener) -> Result<(), SummaryError> {
    if listener.before().is_break() { Err(SummaryError::Interrupted) } else { Ok(()) }
}

/// The answer's tokens as text.
struct Line<'m> {
    decoder: Decoder<'m>,
    /// Something was written.
    begun: bool,
}

impl<'m> Line<'m> {
    fn new(tokenizer: Tokenizer<'m>) -> Self {
        Self { decoder: Decoder::new(tokenizer, true), begun: false }
    }

    fn push(&mut self, token: u32, listener: &mut dyn Listener) -> Result<(), SummaryError> {
        let Self { decoder, begun } = self;
        let mut stopped = false;
        decoder.push(token, |piece| stopped |= put(piece, begun, listener));
        if stopped { Err(SummaryError::Interrupted) } else { Ok(()) }
    }

    fn finish(mut self, listener: &mut dyn Listener) -> Result<(), SummaryError> {
        let mut stopped = false;
        self.decoder.finish(|piece| stopped |= put(piece, &mut self.begun, listener));
        if stopped { Err(SummaryError::Interrupted) } else { Ok(()) }
    }
}

/// Gives a piece to the listener, without the white space that some tokenizers put before the first word.
fn put(piece: &str, begun: &mut bool, listener: &mut dyn Listener) -> bool {
    let piece = if *begun { piece } else { piece.trim_start() };
    *begun |= !piece.is_empty();
    !piece.is_empty() && listener.text(piece).is_break()
}
