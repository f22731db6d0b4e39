//! jamlet as a WebAssembly module: `package/jamlet.js` is its other side, and documents what users call.
//!
//! A module serves one image; another image takes another instance of it. Calls come from one thread.
//!
//! | function | does |
//! |---|---|
//! | `place(bytes)` | room for an image or a piece of text, where the caller writes it; 0 where memory doesn't suffice |
//! | `open(window)` | takes what was placed as the image |
//! | `choose(style, lines)` | how the texts that follow are summarized |
//! | `feed()` | reads what was placed as the next piece of the text |
//! | `finish()` | ends the text and writes its summary |
//! | `reset()` | forgets the text |
//! | `said()`, `said_bytes()` | what the last of `open` and `finish` found, as JSON, or what went wrong, as text |
//!
//! `open`, `feed` and `finish` return 1 where they did it, and 0 where something went wrong.
#![no_std]

extern crate alloc;

mod listener;
mod memory;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use core::arch::wasm32;
use core::fmt::Display;
use core::panic::PanicInfo;
use dlmalloc::GlobalDlmalloc;
use jamlet::kernels::Kernels;
use jamlet::summary::{Answer, Memory, Style, SummaryOptions, TextKind};
use jamlet::{Model, Options, Session, Summarizer};
use listener::Caller;
use memory::Bytes;
use spin::{Mutex, MutexGuard};

#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

/// Summaries that are written side by side, as on boards.
const BEAMS: usize = 2;
/// Symbols of a word that are merged together, as in the `jamlet` command.
const WORD: usize = 4096;
/// Tokens that are computed together.
const CHUNK: u32 = 16;

/// All that there is.
struct Door {
    placed: Bytes,
    summarizer: Option<Summarizer<'static, 'static, 'static, BEAMS, WORD>>,
    said: String,
}

static DOOR: Mutex<Door> = Mutex::new(Door { placed: Bytes::NONE, summarizer: None, said: String::new() });

/// The door. After a call that was cut short it stays shut: a trap is better than to wait for ever.
fn door() -> MutexGuard<'static, Door> {
    DOOR.try_lock().unwrap_or_else(|| wasm32::unreachable())
}

impl Door {
    /// What is returned of a result, whose text or error waits to be asked for.
    fn say<E: Display>(&mut self, result: Result<String, E>) -> u32 {
        let done = u32::from(result.is_ok());
        self.said = result.unwrap_or_else(|error| error.to_string());
        done
    }
}

/// Room for an image or a piece of text; null where memory doesn't suffice.
#[unsafe(no_mangle)]
extern "C" fn place(bytes: usize) -> *mut u8 {
    let door = &mut *door();
    // The old one goes first.
    door.placed = Bytes::NONE;
    match Bytes::zeroed(bytes) {
        Some(placed) => {
            door.placed = placed;
            door.placed.as_mut_ptr()
        }
        None => core::ptr::null_mut(),
    }
}

/// Takes what was placed as the image, which stays; says its plan.
#[unsafe(no_mangle)]
extern "C" fn open(window: u32) -> u32 {
    let door = &mut *door();
    let image = core::mem::replace(&mut door.placed, Bytes::NONE).leak();
    let opened = summarizer(image, window).map(|summarizer| {
        let plan = plan(image.len(), &summarizer);
        door.summarizer = Some(summarizer);
        plan
    });
    door.say(opened)
}

fn summarizer(image: &'static [u8], window: u32) -> Result<Summarizer<'static, 'static, 'static, BEAMS, WORD>, String> {
    let model = Box::leak(Box::new(Model::parse(image).map_err(|error| error.to_string())?));
    let options = Options::window(window).chunk(CHUNK).beams(BEAMS as u32);
    let bytes = jamlet::Plan::new(image, options).map_err(|error| error.to_string())?.bytes();
    let workspace = Bytes::zeroed(bytes).ok_or_else(|| format!("no memory for a workspace of {bytes} bytes"))?;
    let session = Session::new(model, options, workspace.leak()).map_err(|error| error.to_string())?;
    let memory = Box::leak(Box::new(Memory::new()));
    Summarizer::new(session, memory, SummaryOptions::new()).map_err(|error| error.to_string())
}

/// An image's memory, part by part, as JSON.
fn plan(image: usize, summarizer: &Summarizer<'_, '_, '_, BEAMS, WORD>) -> String {
    let plan = summarizer.session().plan();
    let (parts, options) = (plan.parts(), plan.options);
    format!(
        r#"{{"kernels":"{}","window":{},"beams":{},"chunk":{},"bytes":{{"image":{image},"ssm":{},"conv":{},"cache":{},"beams":{},"scratch":{},"texts":{}}}}}"#,
        Kernels::detect().name(),
        options.window,
        options.beams,
        options.chunk,
        parts.ssm,
        parts.conv,
        parts.cache,
        parts.beams,
        parts.scratch,
        size_of::<Memory<'static, BEAMS, WORD>>(),
    )
}

/// How the texts that follow are summarized: quoted or rewritten, and in how many lines, 0 for as many as their length suggests.
#[unsafe(no_mangle)]
extern "C" fn choose(style: u32, lines: usize) {
    let style = match style {
        1 => Style::Quote,
        2 => Style::Compress,
        3 => Style::Rewrite,
        4 => Style::Title,
        _ => Style::Auto,
    };
    if let Some(summarizer) = &mut door().summarizer {
        summarizer.set_options(SummaryOptions::new().style(style).lines(lines));
    }
}

/// Reads what was placed as the next piece of the text.
#[unsafe(no_mangle)]
extern "C" fn feed() -> u32 {
    let door = &mut *door();
    let placed = core::mem::replace(&mut door.placed, Bytes::NONE);
    let fed = match &mut door.summarizer {
        Some(summarizer) => summarizer.feed(placed.as_slice(), &mut Caller).map_err(|error| error.to_string()),
        None => Err(NO_MODEL.to_string()),
    };
    door.say(fed.map(|()| String::new()))
}

/// Ends the text and writes its summary; says what that took.
#[unsafe(no_mangle)]
extern "C" fn finish() -> u32 {
    let door = &mut *door();
    let answer = match &mut door.summarizer {
        Some(summarizer) => {
            let answer = summarizer.finish(&mut Caller).map_err(|error| error.to_string());
            summarizer.reset();
            answer
        }
        None => Err(NO_MODEL.to_string()),
    };
    door.say(answer.map(found))
}

const NO_MODEL: &str = "no image was opened";

/// An answer as JSON.
fn found(answer: Answer) -> String {
    let kind = match answer.text {
        TextKind::Prose => "prose",
        TextKind::Lines => "lines",
        TextKind::OtherLanguage => "other-language",
        TextKind::Nothing => "nothing",
        _ => "other",
    };
    format!(r#"{{"kind":"{kind}","read":{},"written":{}}}"#, answer.read, answer.written)
}

/// Forgets the text.
#[unsafe(no_mangle)]
extern "C" fn reset() {
    if let Some(summarizer) = &mut door().summarizer {
        summarizer.reset();
    }
}

/// What was said last.
#[unsafe(no_mangle)]
extern "C" fn said() -> *const u8 {
    door().said.as_ptr()
}

/// How many bytes that are.
#[unsafe(no_mangle)]
extern "C" fn said_bytes() -> usize {
    door().said.len()
}

/// Nothing in the engine panics: what does is memory that ran out.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    wasm32::unreachable()
}
