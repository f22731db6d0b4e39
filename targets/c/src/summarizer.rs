//! Texts in, summaries out.

use crate::error::{JamletError, code};
use crate::handle::{Entered, Handle, Head, bytes, open, write};
use crate::options::{JAMLET_MOST_BEAMS, JamletOptions};
use core::ffi::{c_char, c_void};
use core::mem::MaybeUninit;
use core::ops::ControlFlow;
use core::slice;
use jamlet::summary::{Answer, Line, Listener, MOST_LINES, Memory, Style, TextKind, Way};
use jamlet::{Options, Summarizer, SummaryOptions};

/// Symbols of a word that are merged together.
const WORD: usize = 256;

type Inner = Summarizer<'static, 'static, 'static, JAMLET_MOST_BEAMS, WORD>;

/// Reads texts and writes their summaries, in a workspace of the caller. There is nothing to free.
#[repr(align(16))]
pub struct JamletSummarizer {
    head: Head,
    inner: MaybeUninit<Inner>,
    /// `inner` has the only reference to it.
    memory: MaybeUninit<Memory<'static, JAMLET_MOST_BEAMS, WORD>>,
}

// SAFETY: two fields, of which `jamlet_summarizer_new` writes the head last.
unsafe impl Handle for JamletSummarizer {
    type Inner = Inner;
    const KIND: u32 = u32::from_le_bytes(*b"jmSu");

    fn head(this: *mut Self) -> *mut Head {
        this.wrapping_byte_add(core::mem::offset_of!(Self, head)).cast()
    }

    fn inner(this: *mut Self) -> *mut Inner {
        this.wrapping_byte_add(core::mem::offset_of!(Self, inner)).cast()
    }
}

/// What a line of a summary is.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JamletWay {
    /// There is no line.
    None = 0,
    /// A sentence of the text.
    Quote = 1,
    /// A sentence of the text, of which parts are left out.
    Compress = 2,
    /// Written by the model, in words of the text.
    Rewrite = 3,
}

impl From<Way> for JamletWay {
    fn from(way: Way) -> Self {
        match way {
            Way::Quote => Self::Quote,
            Way::Compress => Self::Compress,
            Way::Rewrite => Self::Rewrite,
            _ => Self::None,
        }
    }
}

/// What kind of text it was.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JamletText {
    /// There is no word in it.
    Nothing = 0,
    /// It has sentences.
    Prose = 1,
    /// It has no sentence: a log, a list.
    Lines = 2,
    /// It has hardly any English word: it is quoted at most.
    OtherLanguage = 3,
}

/// How a summary is to be made.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JamletStyle {
    /// Rewritten where the model is sure, otherwise quoted.
    Auto = 0,
    /// Always rewritten.
    Rewrite = 1,
    /// Quoted, with parts left out where that is safe.
    Compress = 2,
    /// Always quoted.
    Quote = 3,
    /// In one line without a stop: the text's own heading, a rewrite where the model is sure, otherwise the first clause of the
    /// sentence that says most.
    Title = 4,
}

/// How summaries are made.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct JamletSummaryOptions {
    /// A `jamlet_style`.
    pub style: i32,
    /// Lines, at most 7; 0 for as many as the length of the text suggests.
    pub lines: u32,
    /// The most tokens that the model writes a line; 0 for as many as there is room for.
    pub limit: u32,
}

/// What a caller hears of a summary while it is made. Each of the functions may be null. None may call a function of jamlet with
/// the handle that is at work.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct JamletListener {
    /// Handed to the functions.
    pub context: *mut c_void,
    /// The next piece of the summary: `bytes` bytes of UTF-8 without a zero at the end. A line feed stands between lines. False
    /// ends it with `JAMLET_ERROR_INTERRUPTED`.
    pub text: Option<unsafe extern "C" fn(context: *mut c_void, text: *const c_char, bytes: usize) -> bool>,
    /// A line begins: what it is, and how probable it is that it says what the text says, 0 to 1.
    pub line: Option<unsafe extern "C" fn(context: *mut c_void, way: JamletWay, confidence: f32)>,
    /// The model is about to compute, for as long as a few tokens take: the time to look at a port. False ends it with
    /// `JAMLET_ERROR_INTERRUPTED`.
    pub before: Option<unsafe extern "C" fn(context: *mut c_void) -> bool>,
}

impl JamletListener {
    const NONE: Self = Self { context: core::ptr::null_mut(), text: None, line: None, before: None };

    /// # Safety
    /// `listener` is null or points to one.
    unsafe fn read(listener: *const Self) -> Self {
        // SAFETY: the caller's promise.
        unsafe { listener.as_ref() }.copied().unwrap_or(Self::NONE)
    }
}

fn go_on(goes_on: bool) -> ControlFlow<()> {
    if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

impl Listener for JamletListener {
    fn before(&mut self) -> ControlFlow<()> {
        // SAFETY: a function of the caller, with the caller's context.
        go_on(self.before.is_none_or(|before| unsafe { before(self.context) }))
    }

    fn line(&mut self, line: &Line) {
        if let Some(begin) = self.line {
            // SAFETY: a function of the caller, with the caller's context.
            unsafe { begin(self.context, line.way.into(), line.confidence) }
        }
    }

    fn text(&mut self, piece: &str) -> ControlFlow<()> {
        // SAFETY: a function of the caller, with the caller's context and bytes that outlive the call.
        go_on(self.text.is_none_or(|text| unsafe { text(self.context, piece.as_ptr().cast(), piece.len()) }))
    }
}

/// What was written, and what it took.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct JamletAnswer {
    /// Its lines.
    pub lines: u32,
    /// What the first line is.
    pub way: JamletWay,
    /// How probable it is that the first line says what the text says, 0 to 1.
    pub confidence: f32,
    /// The text.
    pub text: JamletText,
    /// Tokens that were read, the prompt's among them.
    pub read: u64,
    /// Tokens that the model wrote, those that were not chosen among them.
    pub written: u64,
}

impl From<Answer> for JamletAnswer {
    fn from(answer: Answer) -> Self {
        Self {
            lines: answer.lines as u32,
            way: answer.first.map_or(JamletWay::None, |line| line.way.into()),
            confidence: answer.first.map_or(0.0, |line| line.confidence),
            text: match answer.text {
                TextKind::Prose => JamletText::Prose,
                TextKind::Lines => JamletText::Lines,
                TextKind::OtherLanguage => JamletText::OtherLanguage,
                _ => JamletText::Nothing,
            },
            read: answer.read,
            written: answer.written,
        }
    }
}

/// Makes a workspace into a summarizer: checks the whole image, and divides the workspace. Workspace and image stay where they are
/// as long as it is used; `options` may be null. A workspace that was a handle before may be made into another one.
// SAFETY: the caller keeps to what the head of jamlet.h says of pointers and handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jamlet_summarizer_new(
    workspace: *mut c_void,
    workspace_bytes: usize,
    image: *const c_void,
    image_bytes: usize,
    options: *const JamletOptions,
    summarizer: *mut *mut JamletSummarizer,
) -> JamletError {
    // SAFETY: the caller's promises about pointers.
    code(unsafe { new((workspace, workspace_bytes), (image, image_bytes), options, summarizer) })
}

unsafe fn new(
    workspace: (*mut c_void, usize),
    image: (*const c_void, usize),
    options: *const JamletOptions,
    summarizer: *mut *mut JamletSummarizer,
) -> Result<(), JamletError> {
    // SAFETY: the caller's promises about pointers, about an image that stays and a workspace that is nobody else's.
    unsafe {
        write(summarizer, core::ptr::null_mut())?;
        let options = JamletOptions::read(options)?;
        let handle = assemble(workspace, bytes(image.0, image.1)?, options)?;
        write(summarizer, handle)
    }
}

/// Makes the handle. What this needs of the stack must not be there while the parts are made that need much of it themselves, so
/// the session is made by a function of its own.
///
/// # Safety
/// `workspace` is null or points to bytes that nobody else uses as long as the handle.
#[inline(never)]
unsafe fn assemble(
    workspace: (*mut c_void, usize),
    image: &'static [u8],
    options: Options,
) -> Result<*mut JamletSummarizer, JamletError> {
    // SAFETY: the caller's promise.
    let (handle, session) = unsafe { open::<JamletSummarizer>(workspace, image, options)? };
    // SAFETY: the handle lies in the workspace, which is nobody else's, and its parts are written before they are read.
    unsafe {
        let memory = (&raw mut (*handle).memory).cast::<Memory<'static, JAMLET_MOST_BEAMS, WORD>>();
        memory.write(const { Memory::new() });
        let made = Summarizer::new(session, &mut *memory, SummaryOptions::new())?;
        (&raw mut (*handle).inner).write(MaybeUninit::new(made));
        (&raw mut (*handle).head).write(Head::of::<JamletSummarizer>());
    }
    Ok(handle)
}

/// Makes summaries in another way, from the next text on; null for the way of the beginning.
// SAFETY: the caller keeps to what the head of jamlet.h says of pointers and handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jamlet_summarizer_set_options(
    summarizer: *mut JamletSummarizer,
    options: *const JamletSummaryOptions,
) -> JamletError {
    // SAFETY: the caller's promises about pointers.
    let (entered, wanted) = unsafe { (Entered::new(summarizer), options.as_ref()) };
    code(entered.and_then(|mut inner| {
        inner.set_options(match wanted {
            Some(wanted) => wanted.read()?,
            None => SummaryOptions::new(),
        });
        Ok(())
    }))
}

impl JamletSummaryOptions {
    fn read(self) -> Result<SummaryOptions, JamletError> {
        let style = match self.style {
            style if style == JamletStyle::Auto as i32 => Style::Auto,
            style if style == JamletStyle::Rewrite as i32 => Style::Rewrite,
            style if style == JamletStyle::Compress as i32 => Style::Compress,
            style if style == JamletStyle::Quote as i32 => Style::Quote,
            style if style == JamletStyle::Title as i32 => Style::Title,
            _ => return Err(JamletError::Style),
        };
        let options = SummaryOptions::new().style(style).lines((self.lines as usize).min(MOST_LINES));
        Ok(if self.limit > 0 { options.limit(self.limit as usize) } else { options })
    }
}

/// Reads the next piece of a text in UTF-8. Pieces may be cut anywhere, even within a character. `listener` may be null.
// SAFETY: the caller keeps to what the head of jamlet.h says of pointers and handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jamlet_summarizer_feed(
    summarizer: *mut JamletSummarizer,
    text: *const c_char,
    text_bytes: usize,
    listener: *const JamletListener,
) -> JamletError {
    // SAFETY: the caller's promises about pointers.
    let (entered, text, mut listener) =
        unsafe { (Entered::new(summarizer), bytes(text, text_bytes), JamletListener::read(listener)) };
    code(entered.and_then(|mut inner| Ok(inner.feed(text?, &mut listener)?)))
}

/// Ends the text, writes its summary and is ready for the next text. `listener` and `answer` may be null.
// SAFETY: the caller keeps to what the head of jamlet.h says of pointers and handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jamlet_summarizer_finish(
    summarizer: *mut JamletSummarizer,
    listener: *const JamletListener,
    answer: *mut JamletAnswer,
) -> JamletError {
    // SAFETY: the caller's promises about pointers.
    let (entered, mut listener) = unsafe { (Entered::new(summarizer), JamletListener::read(listener)) };
    code(entered.and_then(|mut inner| {
        let made = inner.finish(&mut listener);
        inner.reset();
        let made = made?;
        if !answer.is_null() {
            // SAFETY: the caller's promises about pointers.
            unsafe { write(answer, made.into())? };
        }
        Ok(())
    }))
}

/// Forgets the text: needed after an error alone.
// SAFETY: the caller keeps to what the head of jamlet.h says of pointers and handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jamlet_summarizer_reset(summarizer: *mut JamletSummarizer) -> JamletError {
    // SAFETY: the caller's promises about pointers.
    code(unsafe { Entered::new(summarizer) }.map(|mut inner| inner.reset()))
}

/// Ends the text's last word and saves what was read so far into a buffer; `saved` gets the length. The text may go on.
// SAFETY: the caller keeps to what the head of jamlet.h says of pointers and handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jamlet_summarizer_save(
    summarizer: *mut JamletSummarizer,
    buffer: *mut c_void,
    buffer_bytes: usize,
    saved: *mut usize,
) -> JamletError {
    // SAFETY: the caller's promises about pointers.
    let (entered, buffer) = unsafe { (Entered::new(summarizer), buffer_of(buffer, buffer_bytes)) };
    code(entered.and_then(|mut inner| {
        let mut nobody = JamletListener::NONE;
        inner.flush(&mut nobody)?;
        let length = inner.session_mut().snapshot(buffer?)?;
        // SAFETY: the caller's promises about pointers.
        unsafe { write(saved, length) }
    }))
}

/// Goes on from a state that `jamlet_summarizer_save` saved, here or on another machine, with the same image and options. What was
/// read before is summarized with what follows, but only what follows can be quoted.
// SAFETY: the caller keeps to what the head of jamlet.h says of pointers and handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jamlet_summarizer_restore(
    summarizer: *mut JamletSummarizer,
    saved: *const c_void,
    saved_bytes: usize,
) -> JamletError {
    // SAFETY: the caller's promises about pointers.
    let (entered, saved) = unsafe { (Entered::new(summarizer), bytes(saved, saved_bytes)) };
    code(entered.and_then(|mut inner| {
        inner.session_mut().restore(saved?)?;
        inner.resumed();
        Ok(())
    }))
}

/// A caller's buffer for a saved state, zeroed.
///
/// # Safety
/// `buffer` is null or points to `length` bytes that nobody else uses meanwhile.
pub(crate) unsafe fn buffer_of<'a>(buffer: *mut c_void, length: usize) -> Result<&'a mut [u8], JamletError> {
    if buffer.is_null() || isize::try_from(length).is_err() {
        return Err(JamletError::Null);
    }
    // SAFETY: not null, not larger than can be, nobody else's, and initialized here.
    Ok(unsafe {
        buffer.cast::<u8>().write_bytes(0, length);
        slice::from_raw_parts_mut(buffer.cast(), length)
    })
}
