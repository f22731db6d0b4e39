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
//!
//! # How a summary is found
//!
//! While a text is read it is cut into sentences, of which those that say most by their signals wait in a buffer. When it is
//! over, these are ranked by [what the image has learnt](crate::model::parameters). The best one is the *quote*. A
//! *rewrite* by the model takes its place where the [gate](crate::model::parameters::Gate) is sure that it is better, but never of a
//! text with a title.
//!
//! A long text is read passage by passage, each as if it were a text, and only quoted: a passage ends with a paragraph of at least
//! [`PASSAGE`] bytes, or with a sentence somewhat later. Of the passages' lines the best are kept. In a summary of several lines each
//! is a statement by itself where the passage has one: headings, lettered clauses and what announces a list come last. With one
//! line ([`SummaryOptions::lines`]), and where everything is rewritten, a text is one passage, however long.

mod answer;
mod choose;
mod compress;
mod digest;
mod listener;
mod memory;
mod quotes;
mod reader;
mod sentences;
mod signals;
mod sink;
mod words;
mod write;

pub use answer::{Answer, Line, Style, SummaryError, SummaryOptions, TextKind, Way};
pub use digest::MOST_LINES;
pub use listener::{Examined, Listener, Step};
pub use memory::Memory;
pub use quotes::{KEPT, examine};
pub use sentences::SENTENCE;
pub use signals::SIGNALS;

use crate::beams::Beams;
use crate::prompt_encoder::PromptEncoder;
use crate::sampler::Grounding;
use crate::session::Session;
use crate::tokenizer::Tokenizer;
use digest::Digest;
use reader::Reader;
use sentences::{Sentence, Splitter};

/// Bytes of a passage that ends with its paragraph.
pub const PASSAGE: u32 = 1400;
/// Bytes of a passage that ends with its sentence.
const LONG_PASSAGE: u32 = 1700;
/// Bytes of a passage that ends with its word.
const LONGEST_PASSAGE: u32 = 2400;

/// What a byte of the text says of its sentences.
struct Split {
    /// One may have ended here: see [`Splitter::read`].
    pause: Option<u32>,
    /// One ended before it.
    ended: bool,
}

/// Takes an empty session to where texts begin, if the image says how: [`Session::start_baked`], or a function that returns
/// false where it is known that nothing was baked in.
pub type Begin<'m> = fn(&mut Session<'m, '_>) -> bool;

/// Reads a text and writes its summary: see the [module](self). `B` and `W` are those of [`Memory`].
pub struct Summarizer<'a, 'm, 'w, const B: usize, const W: usize> {
    reader: Reader<'a, 'm, 'w>,
    tokenizer: Tokenizer<'m>,
    encoder: &'a mut PromptEncoder<'m, W>,
    beams: &'a mut Beams<B>,
    grounding: &'a mut Grounding,
    splitter: &'a mut Splitter,
    digest: &'a mut Digest,
    options: SummaryOptions,
    begin: Begin<'m>,
    /// The session has seen the prompt's beginning, and a part of a passage.
    begun: bool,
    /// The prompt's last token, which isn't fed yet.
    held: Option<u32>,
    /// Bytes of the text and of the passage, as far as they matter.
    bytes: u32,
    passage: u32,
    /// Passages that ended before this one.
    passages: u32,
    /// Tokens that were read of the text up to the last prompt's end, and those that were written.
    read: u64,
    written: u64,
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
    // Not inlined, and without a copy of itself: what it is made of is large for a stack.
    #[inline(never)]
    pub fn beginning_with(
        begin: Begin<'m>,
        mut session: Session<'m, 'w>,
        memory: &'a mut Memory<'m, B, W>,
        options: SummaryOptions,
    ) -> Result<Self, SummaryError> {
        let tokenizer = session.model().tokenizer().ok_or(SummaryError::NoTokenizer)?;
        session.reset();
        let parameters = session.model().parameters();
        let Memory { encoder, beams, grounding, splitter, quotes, digest } = memory;
        encoder.load(session.model(), tokenizer);
        beams.set_limit(options.limit);
        beams.reset();
        grounding.set_costs(parameters.costs);
        grounding.reset();
        splitter.reset();
        digest.reset();
        quotes.reset();
        Ok(Self {
            reader: Reader::new(session, quotes, parameters),
            tokenizer,
            encoder,
            beams,
            grounding,
            splitter,
            digest,
            options,
            begin,
            begun: false,
            held: None,
            bytes: 0,
            passage: 0,
            passages: 0,
            read: 0,
            written: 0,
        })
    }

    /// The session.
    pub fn session(&self) -> &Session<'m, 'w> {
        &self.reader.session
    }

    /// The session, to save its state, or to restore one: then [`Summarizer::resumed`] goes on from there.
    pub fn session_mut(&mut self) -> &mut Session<'m, 'w> {
        &mut self.reader.session
    }

    /// How summaries are made.
    pub fn options(&self) -> SummaryOptions {
        self.options
    }

    /// Makes them in another way, from the next text on.
    pub fn set_options(&mut self, options: SummaryOptions) {
        self.options = options;
        self.beams.set_limit(options.limit);
    }

    /// Whether a text was begun.
    pub fn has_text(&self) -> bool {
        self.begun || self.passages > 0
    }

    /// Forgets the text.
    pub fn reset(&mut self) {
        self.reset_passage();
        self.splitter.reset();
        self.digest.reset();
        (self.bytes, self.passages, self.read, self.written) = (0, 0, 0, 0);
    }

    /// Forgets the passage, but for where its sentence stands.
    fn reset_passage(&mut self) {
        self.encoder.reset();
        self.beams.reset();
        self.grounding.reset();
        self.reader.reset();
        (self.begun, self.held, self.passage) = (false, None, 0);
    }

    /// Reads the next piece of a text. Pieces may be cut anywhere, even within a character.
    ///
    /// # Errors
    /// [`SummaryError::Interrupted`], where `listener` wants it: [`Summarizer::reset`] is next.
    pub fn feed(&mut self, text: &[u8], listener: &mut dyn Listener) -> Result<(), SummaryError> {
        for &byte in text {
            self.read(byte, listener)?;
        }
        Ok(())
    }

    fn read(&mut self, byte: u8, listener: &mut dyn Listener) -> Result<(), SummaryError> {
        let paragraph = self.splitter.paragraph();
        let Split { pause, ended } = self.split(Some(byte));
        if self.options.has_passages() && self.passage >= PASSAGE {
            let new_paragraph = paragraph != self.splitter.paragraph();
            if ended && (new_paragraph || self.passage >= LONG_PASSAGE)
                || self.passage >= LONGEST_PASSAGE && byte.is_ascii_whitespace()
            {
                self.end_passage(listener)?;
                self.splitter.begin_passage();
            }
        }
        self.begin(listener)?;
        (self.bytes, self.passage) = (self.bytes.saturating_add(1), self.passage.saturating_add(1));
        if self.options.grounded {
            self.grounding.feed(&[byte]);
        }
        if let Some(end) = pause {
            self.reader.pause(end);
        }
        self.encoder.push(byte);
        self.pass_on(listener)
    }

    /// Cuts the text into sentences: reads a byte, or the end.
    #[inline(never)]
    fn split(&mut self, byte: Option<u8>) -> Split {
        let Self { reader, splitter, .. } = self;
        let mut ended = false;
        let mut take = |sentence: &Sentence| {
            ended = true;
            reader.take(sentence);
        };
        let pause = match byte {
            Some(byte) => splitter.read(byte, &mut take),
            None => {
                splitter.finish(&mut take);
                None
            }
        };
        Split { pause, ended }
    }

    /// Gives the tokens that are certain by now to the session.
    fn pass_on(&mut self, listener: &mut dyn Listener) -> Result<(), SummaryError> {
        while let Some(token) = self.encoder.pop() {
            self.reader.push_text(token, &self.tokenizer, listener)?;
        }
        Ok(())
    }

    /// Ends the text's last word and feeds all tokens that wait, so that the session's state can be saved. More text may
    /// follow, in a new word.
    ///
    /// # Errors
    /// As [`Summarizer::feed`].
    pub fn flush(&mut self, listener: &mut dyn Listener) -> Result<(), SummaryError> {
        self.encoder.end_word();
        self.pass_on(listener)?;
        self.reader.flush(listener)
    }

    /// The session's state was restored: the text that it has seen goes on. Its words and sentences aren't known.
    pub fn resumed(&mut self) {
        self.encoder.resumed();
        self.splitter.reset();
        self.reader.quotes.reset();
        self.grounding.reset();
        self.grounding.miss();
        self.begun = true;
    }

    /// Ends the text: reads what is left of it and the prompt's end, where the answer begins.
    ///
    /// # Errors
    /// As [`Summarizer::feed`].
    pub fn end(&mut self, listener: &mut dyn Listener) -> Result<(), SummaryError> {
        self.begin(listener)?;
        self.reader.pause(self.splitter.last_end());
        self.ask(listener)?;
        self.split(None);
        Ok(())
    }

    /// Ends the text and writes its summary.
    ///
    /// # Errors
    /// As [`Summarizer::end`] and [`Summarizer::write`].
    pub fn finish(&mut self, listener: &mut dyn Listener) -> Result<Answer, SummaryError> {
        self.end(listener)?;
        self.write(listener)
    }

    /// Begins a passage, if none has begun.
    fn begin(&mut self, listener: &mut dyn Listener) -> Result<(), SummaryError> {
        if self.begun {
            return Ok(());
        }
        self.begun = true;
        if !(self.begin)(&mut self.reader.session) {
            for token in self.reader.session.model().opening() {
                self.reader.push(token, listener)?;
            }
        }
        // So that batches begin with the text, whether the opening was read or not.
        self.reader.flush(listener)
    }

    /// Reads the text's last word and the prompt's end but for its last token.
    fn ask(&mut self, listener: &mut dyn Listener) -> Result<(), SummaryError> {
        self.grounding.finish();
        self.encoder.end();
        self.pass_on(listener)?;
        self.held = self.reader.hold();
        self.reader.flush(listener)?;
        // It counts as read, however often it will be.
        let held = usize::from(self.held.is_some());
        listener.after(Step::Read(held));
        self.read += self.reader.session.position() + held as u64;
        Ok(())
    }

    /// Ends a passage behind which another one begins: its line waits.
    #[inline(never)]
    fn end_passage(&mut self, listener: &mut dyn Listener) -> Result<(), SummaryError> {
        self.ask(listener)?;
        self.passages = self.passages.saturating_add(1);
        self.write_passage(listener)?;
        self.reset_passage();
        Ok(())
    }
}

/// Asks whether to go on.
fn before(listener: &mut dyn Listener) -> Result<(), SummaryError> {
    if listener.before().is_break() { Err(SummaryError::Interrupted) } else { Ok(()) }
}
