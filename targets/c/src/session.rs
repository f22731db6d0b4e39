//! Tokens in, logits and tokens out.

use crate::error::{JamletError, code};
use crate::handle::{Entered, Handle, Head, bytes, open, write};
use crate::options::JamletOptions;
use crate::summarizer::buffer_of;
use core::ffi::{c_char, c_void};
use core::mem::MaybeUninit;
use core::slice;
use jamlet::tokenizer::{Decoder, Encoder};
use jamlet::{Sampler, SamplerOptions, Session};

/// Symbols of a word that are merged together.
const WORD: usize = 256;
/// Tokens of a text that are fed together.
const TOGETHER: usize = 32;

/// Runs a model token by token, in a workspace of the caller. There is nothing to free.
#[repr(align(16))]
pub struct JamletSession {
    head: Head,
    inner: MaybeUninit<Run>,
}

/// A run, and how its texts are read and written.
pub(crate) struct Run {
    pub session: Session<'static, 'static>,
    pub text: Option<Text>,
    sampler: Sampler,
}

/// Both directions between text and tokens.
pub(crate) struct Text {
    pub encoder: Encoder<'static, WORD>,
    decoder: Decoder<'static>,
}

// SAFETY: two fields, of which `jamlet_session_new` writes the head last.
unsafe impl Handle for JamletSession {
    type Inner = Run;
    const KIND: u32 = u32::from_le_bytes(*b"jmSe");

    fn head(this: *mut Self) -> *mut Head {
        this.wrapping_byte_add(core::mem::offset_of!(Self, head)).cast()
    }

    fn inner(this: *mut Self) -> *mut Run {
        this.wrapping_byte_add(core::mem::offset_of!(Self, inner)).cast()
    }
}

/// How tokens are chosen. Zeros everywhere are the most probable token, always.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct JamletSampling {
    /// Logits are divided by it; 0 is always the most probable token.
    pub temperature: f32,
    /// The most probable tokens that take part; 0 for as many as there is room for.
    pub top_k: u32,
    /// The fewest tokens whose probabilities sum up to this take part; 0 and 1 are off.
    pub top_p: f32,
    /// Tokens with less than this fraction of the best one's probability don't take part; 0 is off.
    pub min_p: f32,
    /// Logits of tokens that were chosen before are divided by it; 0 and 1 are off.
    pub repetition_penalty: f32,
    /// A token that would complete a sequence of so many tokens for a second time is avoided; 0 is off.
    pub no_repeat_ngram: u32,
    /// Seed of the random numbers: the same seed gives the same tokens on every machine.
    pub seed: u64,
}

impl From<JamletSampling> for SamplerOptions {
    fn from(s: JamletSampling) -> Self {
        let on = |x: f32| if x == 0.0 { 1.0 } else { x };
        Self {
            temperature: s.temperature,
            top_k: s.top_k as usize,
            top_p: on(s.top_p),
            min_p: s.min_p,
            repetition_penalty: on(s.repetition_penalty),
            no_repeat_ngram: s.no_repeat_ngram as usize,
            seed: s.seed,
        }
    }
}

/// Takes the tokens of a text, one after the other.
// SAFETY: called with what it was given with, and with text or numbers that are there for as long as the call.
pub type JamletTokenSink = Option<unsafe extern "C" fn(context: *mut c_void, token: u32)>;
/// Takes a piece of a text: `bytes` bytes of UTF-8 without a zero at the end.
// SAFETY: called with what it was given with, and with text or numbers that are there for as long as the call.
pub type JamletTextSink = Option<unsafe extern "C" fn(context: *mut c_void, text: *const c_char, bytes: usize)>;
/// Takes the logits of the tokens `first` to `first + count - 1`.
// SAFETY: called with what it was given with, and with text or numbers that are there for as long as the call.
pub type JamletLogitsSink =
    Option<unsafe extern "C" fn(context: *mut c_void, first: u32, logits: *const f32, count: usize)>;

/// Makes a workspace into a session, as `jamlet_summarizer_new` makes one into a summarizer. The options' `beams` is best 1 here.
// SAFETY: the caller keeps to what the head of jamlet.h says of pointers and handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jamlet_session_new(
    workspace: *mut c_void,
    workspace_bytes: usize,
    image: *const c_void,
    image_bytes: usize,
    options: *const JamletOptions,
    session: *mut *mut JamletSession,
) -> JamletError {
    // SAFETY: the caller's promises about pointers.
    code(unsafe { new((workspace, workspace_bytes), (image, image_bytes), options, session) })
}

unsafe fn new(
    workspace: (*mut c_void, usize),
    image: (*const c_void, usize),
    options: *const JamletOptions,
    session: *mut *mut JamletSession,
) -> Result<(), JamletError> {
    // SAFETY: the caller's promises about pointers, about an image that stays and a workspace that is nobody else's.
    unsafe {
        write(session, core::ptr::null_mut())?;
        let options = JamletOptions::read(options)?;
        let (handle, made) = open::<JamletSession>(workspace, bytes(image.0, image.1)?, options)?;
        Run::write(&raw mut (*handle).inner, made);
        (&raw mut (*handle).head).write(Head::of::<JamletSession>());
        write(session, handle)
    }
}

/// Forgets everything that was fed.
// SAFETY: the caller keeps to what the head of jamlet.h says of pointers and handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jamlet_session_reset(session: *mut JamletSession) -> JamletError {
    // SAFETY: the caller's promises about pointers.
    code(unsafe { Entered::new(session) }.map(|mut run| run.reset()))
}

/// Forgets everything that was fed, and feeds what the image begins its prompts with.
// SAFETY: the caller keeps to what the head of jamlet.h says of pointers and handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jamlet_session_start(session: *mut JamletSession) -> JamletError {
    // SAFETY: the caller's promises about pointers.
    code(unsafe { Entered::new(session) }.and_then(|mut run| {
        run.reset();
        Ok(run.session.start()?)
    }))
}

/// Says how many tokens were fed.
// SAFETY: the caller keeps to what the head of jamlet.h says of pointers and handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jamlet_session_position(session: *mut JamletSession, position: *mut u64) -> JamletError {
    // SAFETY: the caller's promises about pointers.
    code(unsafe { Entered::new(session).and_then(|run| write(position, run.session.position())) })
}

/// Says how many tokens the vocabulary has.
// SAFETY: the caller keeps to what the head of jamlet.h says of pointers and handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jamlet_session_vocabulary(session: *mut JamletSession, tokens: *mut u32) -> JamletError {
    // SAFETY: the caller's promises about pointers.
    code(unsafe { Entered::new(session).and_then(|run| write(tokens, run.session.model().header().vocab)) })
}

/// Reads tokens. Where one isn't in the vocabulary, none is read.
// SAFETY: the caller keeps to what the head of jamlet.h says of pointers and handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jamlet_session_feed(
    session: *mut JamletSession,
    tokens: *const u32,
    count: usize,
) -> JamletError {
    let found = match tokens.is_null() || count > (isize::MAX as usize) / size_of::<u32>() {
        _ if count == 0 => Ok(&[][..]),
        true => Err(JamletError::Null),
        // SAFETY: the caller's promises about pointers.
        false => Ok(unsafe { slice::from_raw_parts(tokens, count) }),
    };
    // SAFETY: the caller's promises about pointers.
    code(unsafe { Entered::new(session) }.and_then(|mut run| Ok(run.session.feed(found?)?)))
}

/// Reads a text in UTF-8, which may come in pieces: what can't be told yet waits until `last` is true.
// SAFETY: the caller keeps to what the head of jamlet.h says of pointers and handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jamlet_session_feed_text(
    session: *mut JamletSession,
    text: *const c_char,
    text_bytes: usize,
    last: bool,
) -> JamletError {
    // SAFETY: the caller's promises about pointers.
    let (entered, found) = unsafe { (Entered::new(session), bytes(text, text_bytes)) };
    code(entered.and_then(|mut run| run.feed_text(found?, last)))
}

/// Gives the tokens of a text to `sink`, and feeds none. The text may come in pieces, until `last` is true.
// SAFETY: the caller keeps to what the head of jamlet.h says of pointers and handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jamlet_session_tokenize(
    session: *mut JamletSession,
    text: *const c_char,
    text_bytes: usize,
    last: bool,
    sink: JamletTokenSink,
    context: *mut c_void,
) -> JamletError {
    // SAFETY: the caller's promises about pointers.
    let (entered, found) = unsafe { (Entered::new(session), bytes(text, text_bytes)) };
    code(entered.and_then(|mut run| {
        let (found, sink) = (found?, sink.ok_or(JamletError::Null)?);
        let encoder = &mut run.text.as_mut().ok_or(JamletError::NoTokenizer)?.encoder;
        // SAFETY: a function of the caller, with the caller's context.
        let mut out = |token| unsafe { sink(context, token) };
        encoder.feed(found, &mut out);
        if last {
            encoder.finish(&mut out);
        }
        Ok(())
    }))
}

/// Gives the text of a token to `sink`: the characters that are whole by now. Special tokens have none.
// SAFETY: the caller keeps to what the head of jamlet.h says of pointers and handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jamlet_session_text(
    session: *mut JamletSession,
    token: u32,
    sink: JamletTextSink,
    context: *mut c_void,
) -> JamletError {
    // SAFETY: the caller's promises about pointers.
    code(unsafe { Entered::new(session) }.and_then(|mut run| {
        let sink = sink.ok_or(JamletError::Null)?;
        let decoder = &mut run.text.as_mut().ok_or(JamletError::NoTokenizer)?.decoder;
        // SAFETY: a function of the caller, with the caller's context and bytes that outlive the call.
        decoder.push(token, |piece| unsafe { sink(context, piece.as_ptr().cast(), piece.len()) });
        Ok(())
    }))
}

/// Chooses tokens in another way from now on; null is always the most probable one.
// SAFETY: the caller keeps to what the head of jamlet.h says of pointers and handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jamlet_session_set_sampling(
    session: *mut JamletSession,
    sampling: *const JamletSampling,
) -> JamletError {
    // SAFETY: the caller's promises about pointers.
    let (entered, wanted) = unsafe { (Entered::new(session), sampling.as_ref()) };
    code(entered.map(|mut run| {
        run.sampler = Sampler::new(wanted.map_or(SamplerOptions::greedy(), |&wanted| wanted.into()));
    }))
}

/// Chooses the next token, which is fed when the next one is asked for. `ends` tells whether it ends an answer; it may be null.
// SAFETY: the caller keeps to what the head of jamlet.h says of pointers and handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jamlet_session_next(
    session: *mut JamletSession,
    token: *mut u32,
    ends: *mut bool,
) -> JamletError {
    // SAFETY: the caller's promises about pointers.
    code(unsafe { Entered::new(session) }.and_then(|mut run| {
        let Run { session, sampler, .. } = &mut *run;
        let chosen = session.next(sampler)?;
        // SAFETY: the caller's promises about pointers.
        unsafe {
            if !ends.is_null() {
                write(ends, session.model().prompt().is_stop(chosen))?;
            }
            write(token, chosen)
        }
    }))
}

/// Gives the logits after the last token to `sink`, in blocks, by rising tokens.
// SAFETY: the caller keeps to what the head of jamlet.h says of pointers and handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jamlet_session_logits(
    session: *mut JamletSession,
    sink: JamletLogitsSink,
    context: *mut c_void,
) -> JamletError {
    // SAFETY: the caller's promises about pointers.
    code(unsafe { Entered::new(session) }.and_then(|mut run| {
        let sink = sink.ok_or(JamletError::Null)?;
        // SAFETY: a function of the caller, with the caller's context and logits that outlive the call.
        run.session.logits(|first, logits| unsafe { sink(context, first as u32, logits.as_ptr(), logits.len()) })?;
        Ok(())
    }))
}

/// Saves what the session remembers into a buffer, with what the next logits are computed from; `saved` gets the length.
// SAFETY: the caller keeps to what the head of jamlet.h says of pointers and handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jamlet_session_save(
    session: *mut JamletSession,
    buffer: *mut c_void,
    buffer_bytes: usize,
    saved: *mut usize,
) -> JamletError {
    // SAFETY: the caller's promises about pointers.
    let (entered, buffer) = unsafe { (Entered::new(session), buffer_of(buffer, buffer_bytes)) };
    code(entered.and_then(|mut run| {
        let length = run.session.snapshot_with_logits(buffer?)?;
        // SAFETY: the caller's promises about pointers.
        unsafe { write(saved, length) }
    }))
}

/// Goes on from a state that was saved, here or on another machine, with the same image and options. On an error the session is as
/// it was.
// SAFETY: the caller keeps to what the head of jamlet.h says of pointers and handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jamlet_session_restore(
    session: *mut JamletSession,
    saved: *const c_void,
    saved_bytes: usize,
) -> JamletError {
    // SAFETY: the caller's promises about pointers.
    let (entered, saved) = unsafe { (Entered::new(session), bytes(saved, saved_bytes)) };
    code(entered.and_then(|mut run| Ok(run.session.restore(saved?)?)))
}

impl Run {
    /// Makes a run where it stays. Not inlined, so that what it needs of the stack is free again afterwards.
    ///
    /// # Safety
    /// `to` is a place for it.
    #[inline(never)]
    unsafe fn write(to: *mut MaybeUninit<Self>, session: Session<'static, 'static>) {
        let text = session
            .model()
            .tokenizer()
            .map(|tokenizer| Text { encoder: Encoder::new(tokenizer), decoder: Decoder::resume(tokenizer, true) });
        // SAFETY: the caller's promise.
        unsafe { to.write(MaybeUninit::new(Self { session, text, sampler: Sampler::greedy() })) }
    }

    fn reset(&mut self) {
        self.session.reset();
        self.sampler.reset();
        if let Some(text) = &mut self.text {
            text.encoder.finish(|_| {});
            text.decoder.finish(|_| {});
        }
    }

    /// Feeds a text's tokens, some at a time.
    pub fn feed_text(&mut self, text: &[u8], last: bool) -> Result<(), JamletError> {
        let Self { session, text: both, .. } = self;
        let encoder = &mut both.as_mut().ok_or(JamletError::NoTokenizer)?.encoder;
        let (mut waiting, mut count, mut result) = ([0; TOGETHER], 0, Ok(()));
        let mut out = |token| {
            if let Some(place) = waiting.get_mut(count) {
                (*place, count) = (token, count + 1);
            }
            if count == TOGETHER {
                result = result.and_then(|()| session.feed(&waiting));
                count = 0;
            }
        };
        encoder.feed(text, &mut out);
        if last {
            encoder.finish(&mut out);
        }
        result?;
        Ok(session.feed(waiting.get(..count).unwrap_or_default())?)
    }
}
