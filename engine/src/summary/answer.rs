//! What is asked for, and what is answered.

use crate::beams::MAX_SUMMARY;
use crate::image::ImageError;
use crate::session::SessionError;
use crate::state::PlanError;

/// What a line of a summary is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Way {
    /// A sentence of the text.
    Quote,
    /// A sentence of the text, of which parts are left out.
    Compress,
    /// Written by the model, in words of the text.
    Rewrite,
}

/// How a summary is to be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Style {
    /// Rewritten where the model is sure, otherwise quoted.
    #[default]
    Auto,
    /// Always rewritten.
    Rewrite,
    /// Quoted, with parts left out where that is safe.
    Compress,
    /// Always quoted.
    Quote,
    /// In one line without a stop: the text's own heading, a rewrite where the model is sure, otherwise the first clause of the
    /// sentence that says most.
    Title,
}

/// What kind of text it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextKind {
    /// It has sentences.
    Prose,
    /// It has no sentence: a log, a list.
    Lines,
    /// It has hardly any English word: it is quoted at most.
    OtherLanguage,
    /// There is no word in it.
    Nothing,
}

/// A line of a summary.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Line {
    /// What it is.
    pub way: Way,
    /// How probable it is that it says what the text says, 0 to 1, as far as the image's parameters tell.
    pub confidence: f32,
}

/// What was written, and what it took.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// Its lines; the way and the confidence of each, the [`Listener`](super::Listener) hears.
    pub lines: usize,
    /// The first one.
    pub first: Option<Line>,
    /// The last passage of the text.
    pub text: TextKind,
    /// Tokens that were read, the prompt's among them.
    pub read: u64,
    /// Tokens that the model wrote, those that were not chosen among them.
    pub written: u64,
}

/// How summaries are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SummaryOptions {
    /// Quoted or rewritten.
    pub style: Style,
    /// Lines, at most [`MOST_LINES`](super::MOST_LINES); 0 for as many as the length of the text suggests.
    pub lines: usize,
    /// The most tokens that the model writes a line; of a search no more than [`MAX_SUMMARY`].
    pub limit: usize,
    /// Whether the words of a rewrite come from the text, see [`grounding`](crate::sampler::grounding).
    pub grounded: bool,
    /// Everything is computed and told to the listener, also what the answer doesn't need: for fitting parameters.
    pub examine: bool,
}

impl SummaryOptions {
    /// As a person wants it: of any length, in the words of the text.
    pub const fn new() -> Self {
        Self { style: Style::Auto, lines: 0, limit: MAX_SUMMARY, grounded: true, examine: false }
    }

    /// Another style.
    pub const fn style(self, style: Style) -> Self {
        Self { style, ..self }
    }

    /// So many lines.
    pub const fn lines(self, lines: usize) -> Self {
        Self { lines, ..self }
    }

    /// At most so many tokens.
    pub const fn limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// With or without grounding.
    pub const fn grounded(self, grounded: bool) -> Self {
        Self { grounded, ..self }
    }

    /// With everything computed and told.
    pub const fn examine(self, examine: bool) -> Self {
        Self { examine, ..self }
    }

    /// Whether a text is read passage by passage.
    pub(super) const fn has_passages(&self) -> bool {
        match self.style {
            Style::Rewrite => self.lines > 1,
            Style::Title => false,
            _ => self.lines != 1,
        }
    }
}

impl Default for SummaryOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// Why there is no summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SummaryError {
    /// The image has no tokenizer, so that it can't read texts.
    NoTokenizer,
    /// The [`Listener`](super::Listener) ended it.
    Interrupted,
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
