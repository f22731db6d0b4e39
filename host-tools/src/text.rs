//! Texts through a session: read as they come, continued as they are written, in memory that doesn't grow. Summaries are
//! [`summary`](crate::summary)'s.

use crate::frame::Frame;
use anyhow::{Context, Result};
use jamlet::tokenizer::{Decoder, Encoder, Tokenizer};
use jamlet::{Model, Sampler, Session};
use std::io::Read;
use std::ops::ControlFlow;

/// Symbols of a word that an encoder looks at together.
const WINDOW: usize = 4096;
/// Bytes that are read at a time.
const PIECE: usize = 1 << 12;
/// Tokens that are gathered before they are fed.
const BATCH: usize = 256;

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
pub fn encode(model: &Model<'_>, text: impl AsRef<[u8]>) -> Result<Vec<u32>> {
    let mut encoder = Encoder::<WINDOW>::new(tokenizer(model)?);
    let mut ids = Vec::new();
    encoder.feed(text.as_ref(), |id| ids.push(id));
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

/// Feeds everything that `input` has, as it comes, with what stands around it, into an empty session. `tick` hears of tokens fed.
/// Returns their number.
///
/// # Errors
/// When the input can't be read.
pub fn feed(
    session: &mut Session<'_, '_>,
    frame: &mut Frame<'_>,
    input: &mut dyn Read,
    mut tick: impl FnMut(u64),
) -> Result<u64> {
    let before = session.position();
    frame.begin(session)?;
    let (mut bytes, mut ids) = (vec![0; PIECE], Vec::new());
    loop {
        let count = match input.read(&mut bytes) {
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).context("reading the text"),
        };
        if count == 0 {
            frame.finish(|id| ids.push(id));
        } else {
            frame.feed(&bytes[..count], |id| ids.push(id));
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

/// Samples until a stop token, or `limit` tokens, or `sink` breaks off. The sink gets every new piece of text. Returns the
/// number of tokens, without the stop.
///
/// # Errors
/// When nothing was fed or the image has no tokenizer.
pub fn generate(
    session: &mut Session<'_, '_>,
    sampler: &mut Sampler,
    limit: usize,
    mut sink: impl FnMut(&str) -> ControlFlow<()>,
) -> Result<usize> {
    let mut decoder = Decoder::new(tokenizer(session.model())?, true);
    let prompt = session.model().prompt();
    let mut flow = ControlFlow::Continue(());
    let mut count = 0;
    while count < limit && flow.is_continue() {
        let token = session.next(sampler)?;
        if prompt.is_stop(token) {
            break;
        }
        count += 1;
        decoder.push(token, |part| flow = if flow.is_continue() { sink(part) } else { flow });
    }
    decoder.finish(|part| flow = if flow.is_continue() { sink(part) } else { flow });
    Ok(count)
}
