//! What stands around a text that a model reads: its prompt, or what its tokenizer puts around any text. Texts are read as they come,
//! in memory that doesn't grow.

use crate::text::tokenizer;
use anyhow::{Context, Result};
use jamlet::tokenizer::Encoder;
use jamlet::{Model, PromptEncoder, Session};
use std::io::Read;

/// Symbols of a word that an encoder looks at together.
const WINDOW: usize = 4096;
/// Bytes that are read at a time.
const PIECE: usize = 1 << 12;
/// Tokens that are gathered before they are fed.
const BATCH: usize = 256;

/// Encodes a text with what stands around it.
#[derive(Debug)]
pub struct Frame<'m> {
    /// Ids that come first.
    start: Vec<u32>,
    /// A session may start from the baked state instead.
    baked: bool,
    text: Text<'m>,
}

#[derive(Debug)]
enum Text<'m> {
    InPrompt(Box<PromptEncoder<'m, WINDOW>>),
    Plain {
        encoder: Box<Encoder<'m, WINDOW>>,
        /// The token that begins a text has come: it isn't read again where the text has it written out.
        begun_by: Option<u32>,
        end: Vec<u32>,
    },
}

impl<'m> Frame<'m> {
    /// The model's prompt where `template` is set, or else what its tokenizer puts around a text. `bos` says whether the token that
    /// begins a text comes first, instead of the image.
    ///
    /// # Errors
    /// When the image has no tokenizer, or no token that begins a text is known and it is asked for.
    pub fn new(model: &Model<'m>, template: bool, bos: Option<bool>) -> Result<Self> {
        let known = model.header().bos;
        let mut start: Vec<u32> = match template {
            true => model.opening().collect(),
            false => model.plain_start().collect(),
        };
        let mut baked = template;
        let has_bos = known.is_some() && start.first().copied() == known;
        match bos {
            Some(true) if !has_bos => {
                let none = "--bos: the image names no token that begins a text: the config that it was packed from has no bos_token_id";
                start.insert(0, known.context(none)?);
                baked = false;
            }
            Some(false) if has_bos => {
                start.remove(0);
                baked = false;
            }
            _ => {}
        }
        let text = match template {
            true => Text::InPrompt(Box::new(PromptEncoder::new(model, tokenizer(model)?))),
            false => Text::Plain {
                encoder: Box::new(Encoder::new(tokenizer(model)?)),
                begun_by: start.last().copied().filter(|_| known == start.last().copied()),
                end: model.plain_end().collect(),
            },
        };
        Ok(Self { start, baked, text })
    }

    /// The ids before everything that [`Frame::feed`] gives.
    pub fn start(&self) -> &[u32] {
        &self.start
    }

    /// Takes an empty session to where the text begins.
    ///
    /// # Errors
    /// Never for a parsed image: its ids are known.
    pub fn begin(&self, session: &mut Session<'_, '_>) -> Result<()> {
        if self.baked && session.start_baked() {
            return Ok(());
        }
        Ok(session.feed(&self.start)?)
    }

    /// Reads the next piece of the text and gives the ids that are certain by now to `out`.
    pub fn feed(&mut self, text: &[u8], mut out: impl FnMut(u32)) {
        match &mut self.text {
            Text::InPrompt(encoder) => encoder.feed(text, out),
            Text::Plain { encoder, begun_by, .. } => encoder.feed(text, |id| {
                if begun_by.take() != Some(id) {
                    out(id);
                }
            }),
        }
    }

    /// Ends the text and gives the ids that are left to `out`, with those that follow it.
    pub fn finish(&mut self, mut out: impl FnMut(u32)) {
        match &mut self.text {
            Text::InPrompt(encoder) => encoder.finish(out),
            Text::Plain { encoder, begun_by, end } => {
                encoder.finish(|id| {
                    if begun_by.take() != Some(id) {
                        out(id);
                    }
                });
                end.iter().copied().for_each(out);
            }
        }
    }

    /// All ids of a text with what stands around it.
    pub fn encode(mut self, text: impl AsRef<[u8]>) -> Vec<u32> {
        let mut ids = std::mem::take(&mut self.start);
        self.feed(text.as_ref(), |id| ids.push(id));
        self.finish(|id| ids.push(id));
        ids
    }
}

/// The ids of the beginning of the model's prompt and of `text`, which follows it, to be baked in.
///
/// # Errors
/// When the image has no tokenizer.
pub fn to_bake(model: &Model<'_>, text: &str) -> Result<Vec<u32>> {
    let mut ids: Vec<u32> = model.prompt().prefix().collect();
    if text.is_empty() {
        // What the template has next to the message is encoded with it.
        return Ok(ids);
    }
    let mut encoder = Encoder::<WINDOW>::new(tokenizer(model)?);
    let mut text = text;
    if let Some(template) = model.template() {
        if template.trims_start() {
            text = text.trim_start();
        }
        if let Some(last) = ids.last().copied().filter(|_| template.goes_on()) {
            encoder.go_on_behind(last);
        }
        encoder.feed(template.before(), |id| ids.push(id));
    }
    encoder.feed(text.as_bytes(), |id| ids.push(id));
    encoder.finish(|id| ids.push(id));
    Ok(ids)
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
