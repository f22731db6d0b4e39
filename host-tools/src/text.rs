//! Texts through a session: read as they come, answered as they are written, in memory that doesn't grow.

use anyhow::{Context, Result};
use jamlet::state::MAX_BEAMS;
use jamlet::tokenizer::{Decoder, Encoder, Tokenizer};
use jamlet::{Beams, Grounding, Model, Sampler, Session, SessionError};
use std::io::Read;
use std::ops::ControlFlow;

/// Symbols of a word that an encoder looks at together.
const WINDOW: usize = 4096;
/// Bytes that are read at a time.
const PIECE: usize = 1 << 12;
/// Tokens that are gathered before they are fed.
const BATCH: usize = 256;

/// How an answer is found.
#[derive(Clone, Debug)]
pub struct Decoding {
    /// Among all answers.
    pub search: Search,
    /// Prefers the words of the text, if it is there.
    pub grounding: Option<Grounding>,
}

/// How tokens are chosen.
#[derive(Clone, Debug)]
pub enum Search {
    /// One after the other.
    Sample(Box<Sampler>),
    /// As the best of as many answers as the session has room for.
    Beams,
}

impl Decoding {
    /// One token after the other, without a preference for the words of the text.
    pub fn ungrounded(sampler: Sampler) -> Self {
        Self { search: Search::Sample(Box::new(sampler)), grounding: None }
    }

    /// As a board writes summaries.
    pub fn summary() -> Self {
        Self { search: Search::Beams, grounding: Some(Grounding::new()) }
    }

    /// Forgets text and answer.
    pub fn reset(&mut self) {
        if let Search::Sample(sampler) = &mut self.search {
            sampler.reset();
        }
        if let Some(grounding) = &mut self.grounding {
            grounding.reset();
        }
    }
}

/// The tokenizer of an image.
///
/// # Errors
/// When the image has none.
pub fn tokenizer<'m>(model: &Model<'m>) -> Result<Tokenizer<'m>> {
    model
        .tokenizer()
        .context("the image has no tokenizer: it was packed with --no-tokenizer or from a folder without one")
}

/// All tokens of a text. Special tokens that are written out count as such.
///
/// # Errors
/// When the image has no tokenizer.
pub fn encode(model: &Model<'_>, text: &str) -> Result<Vec<u32>> {
    let mut encoder = Encoder::<WINDOW>::new(tokenizer(model)?);
    let mut ids = Vec::new();
    encoder.feed(text.as_bytes(), |id| ids.push(id));
    encoder.finish(|id| ids.push(id));
    Ok(ids)
}

/// The text of tokens, special ones left out.
///
/// # Errors
/// When the image has no tokenizer.
pub fn decode(model: &Model<'_>, ids: &[u32]) -> Result<String> {
    let mut decoder = Decoder::new(tokenizer(model)?, true);
    let mut text = String::new();
    for &id in ids {
        decoder.push(id, |part| text.push_str(part));
    }
    decoder.finish(|part| text.push_str(part));
    Ok(text)
}

/// Feeds everything that `input` has, as it comes, also to `grounding`. `tick` hears of tokens fed. Returns their number.
///
/// # Errors
/// When the input can't be read or the image has no tokenizer.
pub fn feed(
    session: &mut Session<'_, '_>,
    input: &mut dyn Read,
    mut grounding: Option<&mut Grounding>,
    mut tick: impl FnMut(u64),
) -> Result<u64> {
    let mut encoder = Encoder::<WINDOW>::new(tokenizer(session.model())?);
    let (mut bytes, mut ids) = (vec![0; PIECE], Vec::new());
    let before = session.position();
    loop {
        let count = match input.read(&mut bytes) {
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).context("reading the text"),
        };
        if count == 0 {
            encoder.finish(|id| ids.push(id));
        } else {
            encoder.feed(&bytes[..count], |id| ids.push(id));
        }
        if let Some(grounding) = &mut grounding {
            match count {
                0 => grounding.finish(),
                _ => grounding.feed(&bytes[..count]),
            }
        }
        let whole = if count == 0 { ids.len() } else { ids.len() / BATCH * BATCH };
        for batch in ids[..whole].chunks(BATCH) {
            session.feed(batch)?;
            tick(session.position() - before);
        }
        ids.drain(..whole);
        if count == 0 {
            return Ok(session.position() - before);
        }
    }
}

/// Feeds what the model wants before a text, into an empty session, or starts from where that was baked in.
///
/// # Errors
/// Never for a parsed image: its ids are known.
pub fn begin(session: &mut Session<'_, '_>) -> Result<()> {
    if session.start_baked() {
        return Ok(());
    }
    let opening: Vec<u32> = session.model().opening().collect();
    Ok(session.feed(&opening)?)
}

/// Feeds what the model wants after a text, where its answer begins.
///
/// # Errors
/// Never for a parsed image: its ids are known.
pub fn ask(session: &mut Session<'_, '_>) -> Result<()> {
    let suffix: Vec<u32> = session.model().prompt().suffix().collect();
    Ok(session.feed(&suffix)?)
}

/// Decodes until a stop token, or `limit` tokens (of beams at most [`MAX_SUMMARY`](jamlet::beams::MAX_SUMMARY)), or `sink`
/// breaks off. The sink gets every new piece of text. Returns the number of tokens, without the stop.
///
/// # Errors
/// When nothing was fed or the image has no tokenizer.
pub fn generate(
    session: &mut Session<'_, '_>,
    decoding: &mut Decoding,
    limit: usize,
    mut sink: impl FnMut(&str) -> ControlFlow<()>,
) -> Result<usize> {
    let mut decoder = Decoder::new(tokenizer(session.model())?, true);
    let mut flow = ControlFlow::Continue(());
    let mut count = 0;
    let mut write = |token| {
        count += 1;
        decoder.push(token, |part| flow = if flow.is_continue() { sink(part) } else { flow });
        flow
    };
    let Decoding { search, grounding } = decoding;
    match search {
        Search::Sample(sampler) => sample(session, sampler, grounding.as_mut(), limit, &mut write)?,
        Search::Beams => beams(session, grounding.as_ref(), limit, &mut write)?,
    }
    decoder.finish(|part| flow = if flow.is_continue() { sink(part) } else { flow });
    Ok(count)
}

fn sample(
    session: &mut Session<'_, '_>,
    sampler: &mut Sampler,
    mut grounding: Option<&mut Grounding>,
    limit: usize,
    mut write: impl FnMut(u32) -> ControlFlow<()>,
) -> Result<(), SessionError> {
    let prompt = session.model().prompt();
    for _ in 0..limit {
        let token = match &mut grounding {
            Some(grounding) => session.next_grounded(sampler, grounding)?,
            None => session.next(sampler)?,
        };
        if prompt.is_stop(token) || write(token).is_break() {
            break;
        }
    }
    Ok(())
}

fn beams(
    session: &mut Session<'_, '_>,
    grounding: Option<&Grounding>,
    limit: usize,
    mut write: impl FnMut(u32) -> ControlFlow<()>,
) -> Result<(), SessionError> {
    let mut beams = Beams::<{ MAX_BEAMS as usize }>::new(limit);
    let mut written = 0;
    loop {
        let more = beams.step(session, grounding)?;
        for token in beams.settled().skip(written) {
            written += 1;
            if write(token).is_break() {
                return Ok(());
            }
        }
        if !more {
            return Ok(());
        }
    }
}

/// The answer to a text, from an empty state.
///
/// # Errors
/// As [`feed`] and [`generate`].
pub fn summarize(session: &mut Session<'_, '_>, decoding: &mut Decoding, text: &str, limit: usize) -> Result<String> {
    session.reset();
    decoding.reset();
    begin(session)?;
    feed(session, &mut text.as_bytes(), decoding.grounding.as_mut(), |_| ())?;
    ask(session)?;
    let mut summary = String::new();
    generate(session, decoding, limit, |part| {
        summary.push_str(part);
        ControlFlow::Continue(())
    })?;
    Ok(summary.trim().to_owned())
}
