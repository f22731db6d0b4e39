//! What went wrong, as a number and as a text.

use core::ffi::{CStr, c_char};
use jamlet::summary::SummaryError;
use jamlet::{ImageError, PlanError, SessionError, SnapshotError};

/// What a function found. `jamlet_error_text` has a sentence about each.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JamletError {
    /// It did what was asked.
    Ok = 0,

    /// A pointer is null that must not be.
    Null = 1,
    /// Not a handle of this kind, or its workspace was overwritten.
    Handle = 2,
    /// The handle is in use: a function was called from one of its callbacks.
    Busy = 3,
    /// The workspace is smaller than `jamlet_plan` says.
    WorkspaceTooSmall = 4,
    /// The workspace doesn't lie at a multiple of `JAMLET_ALIGN`.
    WorkspaceMisaligned = 5,
    /// A buffer for a saved state is too small.
    BufferTooSmall = 6,

    /// `window` is 0 or too large.
    Window = 10,
    /// `sinks` is too large.
    Sinks = 11,
    /// `chunk` is 0 or too large.
    Chunk = 12,
    /// `beams` is not from 1 to `JAMLET_MOST_BEAMS`.
    Beams = 13,
    /// `style` is none of the styles.
    Style = 14,
    /// There are no choices, or more than `JAMLET_MOST_CHOICES`.
    Choices = 15,
    /// The workspace would be larger than the address space.
    TooLarge = 16,

    /// The image is cut off.
    ImageTruncated = 20,
    /// The image has more bytes than its header says.
    ImageTooLong = 21,
    /// The bytes are no image.
    NotAnImage = 22,
    /// The image's version is another one.
    ImageVersion = 23,
    /// The image needs what this version of jamlet doesn't have.
    ImageFeatures = 24,
    /// The image's checksum is wrong.
    ImageDamaged = 25,
    /// The image doesn't lie at a multiple of `JAMLET_ALIGN`.
    ImageMisaligned = 26,
    /// A field of the image has a value that can't be.
    ImageMalformed = 27,
    /// The image has no tokenizer.
    NoTokenizer = 28,

    /// A callback ended it.
    Interrupted = 30,
    /// A token isn't in the vocabulary.
    UnknownToken = 31,
    /// There are no logits: nothing was fed yet.
    NothingFed = 32,

    /// The bytes are no saved state.
    NotASnapshot = 40,
    /// The saved state's version is another one.
    SnapshotVersion = 41,
    /// The saved state belongs to another image.
    SnapshotOtherImage = 42,
    /// The saved state was made with other options.
    SnapshotOtherOptions = 43,
    /// The saved state's checksum, length or a field is wrong.
    SnapshotDamaged = 44,

    /// What a newer engine says and this interface has no number for.
    Other = 99,
}

/// A sentence about each.
const TEXTS: [(JamletError, &CStr); 32] = [
    (JamletError::Ok, c"no error"),
    (JamletError::Null, c"a pointer is null"),
    (JamletError::Handle, c"not a handle of this kind, or its workspace was overwritten"),
    (JamletError::Busy, c"the handle is in use: by another thread, or by the caller of this callback"),
    (
        JamletError::WorkspaceTooSmall,
        c"the workspace is too small: jamlet_plan and `jamlet plan --c-header` say its size",
    ),
    (JamletError::WorkspaceMisaligned, c"the workspace must lie at a multiple of 16 bytes"),
    (JamletError::BufferTooSmall, c"the buffer is too small for the state: jamlet_plan says its size"),
    (JamletError::Window, c"window is out of range: 1 to 16777216 would be right"),
    (JamletError::Sinks, c"sinks is out of range: 0 to 65536 would be right"),
    (JamletError::Chunk, c"chunk is out of range: 1 to 4096 would be right"),
    (JamletError::Beams, c"beams is out of range: 1 or 2 would be right"),
    (JamletError::Style, c"style is none of JAMLET_STYLE_AUTO, _REWRITE, _COMPRESS, _QUOTE and _TITLE"),
    (JamletError::Choices, c"the number of choices is out of range: 1 to 32 would be right"),
    (JamletError::TooLarge, c"the workspace would be larger than this machine can address"),
    (JamletError::ImageTruncated, c"the image is cut off"),
    (JamletError::ImageTooLong, c"the image has more bytes than its header says"),
    (JamletError::NotAnImage, c"not a jamlet image"),
    (JamletError::ImageVersion, c"the image has a version that this jamlet doesn't read"),
    (JamletError::ImageFeatures, c"the image needs features that this jamlet doesn't have: use a newer one"),
    (JamletError::ImageDamaged, c"the image is damaged: its checksum is wrong"),
    (JamletError::ImageMisaligned, c"the image must lie at a multiple of 16 bytes"),
    (JamletError::ImageMalformed, c"the image is malformed: `jamlet inspect` says where"),
    (JamletError::NoTokenizer, c"the image has no tokenizer"),
    (JamletError::Interrupted, c"interrupted by a callback"),
    (JamletError::UnknownToken, c"a token is not in the vocabulary"),
    (JamletError::NothingFed, c"no token was fed yet: there is nothing to continue"),
    (JamletError::NotASnapshot, c"not a saved state"),
    (JamletError::SnapshotVersion, c"the saved state has a version that this jamlet doesn't read"),
    (JamletError::SnapshotOtherImage, c"the saved state belongs to another image"),
    (
        JamletError::SnapshotOtherOptions,
        c"the saved state was made with another window, number of sinks or state width",
    ),
    (JamletError::SnapshotDamaged, c"the saved state is damaged or cut off"),
    (JamletError::Other, c"an error that this interface has no number for"),
];

/// A sentence about an error, for ever. May be called from anywhere.
#[unsafe(no_mangle)]
pub extern "C" fn jamlet_error_text(error: i32) -> *const c_char {
    let found = TEXTS.iter().find(|(known, _)| *known as i32 == error);
    found.map_or(c"not an error of jamlet", |(_, text)| *text).as_ptr()
}

/// What Rust calls a result, as C has it.
pub(crate) fn code(result: Result<(), JamletError>) -> JamletError {
    result.err().unwrap_or(JamletError::Ok)
}

impl From<ImageError> for JamletError {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Truncated { .. } => Self::ImageTruncated,
            ImageError::TrailingBytes { .. } => Self::ImageTooLong,
            ImageError::NotAnImage => Self::NotAnImage,
            ImageError::Version { .. } => Self::ImageVersion,
            ImageError::Features { .. } => Self::ImageFeatures,
            ImageError::Crc { .. } => Self::ImageDamaged,
            ImageError::Misaligned => Self::ImageMisaligned,
            _ => Self::ImageMalformed,
        }
    }
}

impl From<PlanError> for JamletError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Image(error) => error.into(),
            PlanError::Option { name: "window", .. } => Self::Window,
            PlanError::Option { name: "sinks", .. } => Self::Sinks,
            PlanError::Option { name: "chunk", .. } => Self::Chunk,
            PlanError::Option { name: "beams", .. } => Self::Beams,
            PlanError::TooLarge => Self::TooLarge,
            _ => Self::Other,
        }
    }
}

impl From<SessionError> for JamletError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Plan(error) => error.into(),
            SessionError::Workspace { aligned: false, .. } => Self::WorkspaceMisaligned,
            SessionError::Workspace { .. } => Self::WorkspaceTooSmall,
            SessionError::UnknownToken { .. } => Self::UnknownToken,
            SessionError::NothingFed => Self::NothingFed,
            SessionError::Beams { .. } => Self::Beams,
            _ => Self::Other,
        }
    }
}

impl From<SummaryError> for JamletError {
    fn from(error: SummaryError) -> Self {
        match error {
            SummaryError::NoTokenizer => Self::NoTokenizer,
            SummaryError::Interrupted => Self::Interrupted,
            SummaryError::Session(error) => error.into(),
            _ => Self::Other,
        }
    }
}

impl From<SnapshotError> for JamletError {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::TooSmall { .. } => Self::BufferTooSmall,
            SnapshotError::NotASnapshot => Self::NotASnapshot,
            SnapshotError::Version { .. } => Self::SnapshotVersion,
            SnapshotError::OtherImage { .. } => Self::SnapshotOtherImage,
            SnapshotError::OtherOption { .. } => Self::SnapshotOtherOptions,
            SnapshotError::Field { .. } | SnapshotError::Length { .. } | SnapshotError::Crc { .. } => {
                Self::SnapshotDamaged
            }
            _ => Self::Other,
        }
    }
}
