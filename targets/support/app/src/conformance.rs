//! Runs one case of the conformance suite: the same code on the host and on every board.
//!
//! A *case* is a blob that the test harness places in the board's memory: little-endian words, then the image.
//!
//! | word | what |
//! |---|---|
//! | 0 | [`MAGIC`] |
//! | 1, 2 | offset of the image in the blob, a multiple of 64, and its length |
//! | 3 | tokens in the prompt |
//! | 4 | tokens to decode |
//! | 5, 6, 7 | window, sinks, chunk |
//! | 8 | state width: 0 for f32, 1 for f16, 2 for int8 |
//! | 9 | with heavy hitters, the most recent tokens that are kept besides; else 0 |
//! | 10 | tokens to stream, the prompt again and again: see [`crate::endless`]; 0 to run the case as below |
//! | 11, 12 | offset and length of a saved state to begin from; length 0 for none |
//! | 13 | tokens of the prompt after which the state is reported, or 0 |
//! | 14 | 1 to begin from the image's baked prompt |
//! | 15 | beams of a search to run in place of decoding, at most [`MOST_BEAMS`]; 0 for none |
//! | 16.. | the prompt |

use crate::endless;
use crate::hash::Fnv;
pub use crate::marks::Marks;
use core::fmt::{self, Write};
use heapless::{String, Vec};
use jamlet::kernels::Kernels;
use jamlet::{Beams, Eviction, Model, Options, Sampler, Session, SessionError, StateWidth};

/// First word of a case.
pub const MAGIC: u32 = u32::from_le_bytes(*b"JCAS");
/// First word of a list of hostile images; then how many, then offset and length of each.
pub const ATTACKS: u32 = u32::from_le_bytes(*b"JATK");
/// Instead of a case: an access that isn't aligned, which must fault where that is trapped.
pub const UNALIGNED: [u8; 4] = *b"JUNA";
/// Words before the prompt.
pub const HEADER_WORDS: usize = 16;
/// The most beams of a case.
pub const MOST_BEAMS: usize = 2;
/// Tokens that are fed at once: a multiple of the chunks that the suite tries, as far as that matters.
const FEED: usize = 64;

/// A case, checked.
pub struct Case<'b> {
    /// The model.
    pub image: &'b [u8],
    /// What is prefilled.
    pub prompt: &'b [[u8; 4]],
    /// Tokens to decode.
    pub decode: u32,
    /// Tokens to stream instead.
    pub stream: u32,
    /// A saved state to begin from, or nothing.
    pub state: &'b [u8],
    /// Tokens of the prompt after which the state is reported, or 0.
    pub report_at: usize,
    /// Begins from the image's baked prompt.
    pub baked: bool,
    /// Searches with the options' beams.
    pub search: bool,
    /// Options of the session.
    pub options: Options,
}

impl<'b> Case<'b> {
    /// Reads a case; `None` where there isn't one.
    pub fn parse(blob: &'b [u8]) -> Option<Self> {
        let (words, _) = blob.as_chunks::<4>();
        let word = |at: usize| words.get(at).map(|word| u32::from_le_bytes(*word));
        if word(0)? != MAGIC {
            return None;
        }
        let (offset, length) = (word(1)? as usize, word(2)? as usize);
        let image = blob.get(offset..offset.checked_add(length)?)?;
        let (offset, length) = (word(11)? as usize, word(12)? as usize);
        let state = blob.get(offset..offset.checked_add(length)?)?;
        let prompt = words.get(HEADER_WORDS..HEADER_WORDS.checked_add(word(3)? as usize)?)?;
        Some(Self {
            image,
            prompt,
            decode: word(4)?,
            stream: word(10)?,
            state,
            report_at: word(13)? as usize,
            baked: word(14)? == 1,
            search: word(15)? > 0,
            options: Options {
                window: word(5)?,
                sinks: word(6)?,
                chunk: word(7)?,
                state: match word(8)? {
                    1 => StateWidth::F16,
                    2 => StateWidth::I8,
                    _ => StateWidth::F32,
                },
                eviction: match word(9)? {
                    0 => Eviction::Window,
                    recent => Eviction::HeavyHitters { recent },
                },
                heads_at_once: 1,
                beams: word(15)?.max(1),
            },
        })
    }
}

/// Takes every image of a list and reports, a line each: the error that it gives, or "none" after it ran for some tokens.
/// Whether the blob is such a list.
///
/// # Errors
/// When the report can't be written.
pub fn attacks(blob: &[u8], workspace: &mut [u8], report: &mut impl Write) -> Result<bool, fmt::Error> {
    let words = blob.as_chunks::<4>().0;
    let word = |at: usize| words.get(at).map_or(0, |word| u32::from_le_bytes(*word) as usize);
    if word(0) != ATTACKS as usize {
        return Ok(false);
    }
    for index in 0..word(1) {
        let (start, length) = (word(2 + 2 * index), word(3 + 2 * index));
        let image = blob.get(start..start.saturating_add(length)).unwrap_or(&[]);
        match Model::parse(image) {
            Ok(model) => match survive(&model, workspace) {
                Ok(()) => writeln!(report, "none")?,
                Err(error) => writeln!(report, "{error}")?,
            },
            Err(error) => writeln!(report, "{error}")?,
        }
    }
    Ok(true)
}

/// Some tokens of a model that may hold any numbers.
fn survive(model: &Model<'_>, workspace: &mut [u8]) -> Result<(), SessionError> {
    let mut session = Session::new(model, Options::window(4).sinks(1).chunk(2), workspace)?;
    // Only where a state for these options is baked in.
    session.start_baked();
    session.feed(&[0, 1, 2])?;
    let mut sampler = Sampler::greedy();
    for _ in 0..4 {
        session.next(&mut sampler)?;
    }
    Ok(())
}

/// Runs a case and reports, a line a finding:
///
/// ```text
/// workspace 123456      bytes that the session asked for
/// state 934a535441...   the state in hexadecimal digits, where the case asks for it
/// ids 5 17 3            the tokens decoded, greedily
/// hash 0123456789abcdef of the bits of all logits: after the prompt and after every token but the last
/// ```
///
/// After a search the ids are those of the best beam, the hash is that of the session's state, and a line `steps 32` says how often all
/// beams were fed. A line `error` instead says what kept it from running.
///
/// # Errors
/// When the report can't be written.
pub fn run(case: &Case, workspace: &mut [u8], marks: &mut impl Marks, report: &mut impl Write) -> fmt::Result {
    run_with(case, workspace, Kernels::detect(), marks, report)
}

/// The same with kernels of the caller's choice.
///
/// # Errors
/// When the report can't be written.
pub fn run_with<'k>(
    case: &Case<'k>,
    workspace: &mut [u8],
    kernels: Kernels<'k>,
    marks: &mut impl Marks,
    report: &mut impl Write,
) -> fmt::Result {
    let model = match Model::parse(case.image) {
        Ok(model) => model,
        Err(error) => return writeln!(report, "error image: {error}"),
    };
    let mut session = match Session::with_kernels(&model, case.options, workspace, kernels) {
        Ok(session) => session,
        Err(error) => return writeln!(report, "error session: {error}"),
    };
    writeln!(report, "workspace {}", session.plan().bytes())?;
    if case.stream > 0 {
        return endless::run(case.prompt, case.stream, &mut session, marks, report);
    }
    if !case.state.is_empty()
        && let Err(error) = session.restore(case.state)
    {
        return writeln!(report, "error state: {error}");
    }
    let (first, rest) = case.prompt.split_at_checked(case.report_at).unwrap_or((&[], case.prompt));
    if let Err(error) = feed(&mut session, first) {
        return writeln!(report, "error prompt: {error}");
    }
    if case.report_at > 0 {
        report_state(&mut session, report)?;
    }
    marks.prefill_begins();
    if case.baked && !session.start_baked() {
        return writeln!(report, "error baked: no baked prompt for these options");
    }
    let fed = feed(&mut session, rest);
    marks.prefill_ends();
    if let Err(error) = fed {
        return writeln!(report, "error prompt: {error}");
    }
    if case.search {
        return search(case.decode, &mut session, marks, report);
    }
    let mut hash = Fnv::new();
    let mut sampler = Sampler::greedy();
    report.write_str("ids")?;
    let mut next = None;
    for _ in 0..case.decode {
        // Hashing is left out of the marked region: it is the suite's work, not the engine's.
        let counted = next.is_some();
        if counted {
            marks.token_begins();
        }
        let fed = next.map_or(Ok(()), |token| session.feed(&[token]));
        sampler.begin();
        let seen = fed.and_then(|()| session.logits(|first, logits| sampler.see(first, logits)));
        let token = sampler.choose();
        if counted {
            marks.token_ends();
        }
        if let Err(error) = seen.and_then(|()| session.logits(|_, logits| hash.add(logits))) {
            return writeln!(report, "\nerror decode: {error}");
        }
        write!(report, " {token}")?;
        next = Some(token);
    }
    writeln!(report, "\nhash {:016x}", hash.finish())
}

/// Searches for at most `limit` tokens.
#[inline(never)]
fn search(limit: u32, session: &mut Session<'_, '_>, marks: &mut impl Marks, report: &mut impl Write) -> fmt::Result {
    let mut beams = Beams::<MOST_BEAMS>::new(limit as usize);
    // The first step feeds nothing.
    let mut more = beams.step(session, None);
    let mut steps = 0;
    while let Ok(true) = more {
        marks.token_begins();
        more = beams.step(session, None);
        marks.token_ends();
        steps += 1;
    }
    if let Err(error) = more {
        return writeln!(report, "error search: {error}");
    }
    report.write_str("ids")?;
    beams.tokens().try_for_each(|token| write!(report, " {token}"))?;
    let mut hash = Fnv::new();
    let Ok(_) = session.snapshot_to(|bytes| {
        hash.add_bytes(bytes);
        Ok::<_, core::convert::Infallible>(())
    });
    writeln!(report, "\nhash {:016x}\nsteps {steps}", hash.finish())
}

fn feed(session: &mut Session<'_, '_>, words: &[[u8; 4]]) -> Result<(), SessionError> {
    words.chunks(FEED).try_for_each(|words| {
        let tokens: Vec<u32, FEED> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
        session.feed(&tokens)
    })
}

fn report_state(session: &mut Session<'_, '_>, report: &mut impl Write) -> fmt::Result {
    report.write_str("state ")?;
    session.snapshot_to(|bytes| {
        // A console takes long for every call, so digits go there in groups.
        bytes.chunks(32).try_for_each(|bytes| {
            let digit = |half: u8| char::from_digit(half.into(), 16).unwrap_or('?');
            let digits: String<64> = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
            report.write_str(&digits)
        })
    })?;
    report.write_char('\n')
}
