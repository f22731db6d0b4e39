//! Texts to tokens and back, and texts that a model continues. What stands around a text is [`frame`](crate::frame)'s, summaries are
//! [`summary`](crate::summary)'s.

use anyhow::{Context, Result};
use jamlet::tokenizer::{Decoder, Encoder, Tokenizer};
use jamlet::{Model, Sampler, Session};
use std::ops::ControlFlow;

/// Symbols of a word that an encoder looks at together.
const WINDOW: usize = 4096;
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
    Ok(encode_with(tokenizer(model)?, text))
}

/// All tokens of a text by a tokenizer.
pub fn encode_with(tokenizer: Tokenizer<'_>, text: impl AsRef<[u8]>) -> Vec<u32> {
    let mut encoder = Encoder::<WINDOW>::new(tokenizer);
    let mut ids = Vec::new();
    encoder.feed(text.as_ref(), |id| ids.push(id));
    encoder.finish(|id| ids.push(id));
    ids
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
