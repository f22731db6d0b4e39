//! The chat template in an image. It lies in the provenance, which engines and older readers leave alone, as `chat`.

use super::{Message, jinja};
use crate::text;
use anyhow::{Context, Result};
use jamlet::Model;
use jamlet::image::Role as Section;
use jamlet::tokenizer::{Encoder, MAX_ADDED, Prefix, RANKS, Tokenizer, WIDE, field, flag};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Symbols of a word that an encoder looks at together.
const WINDOW: usize = 4096;

/// A folder's chat template. A field that this jamlet doesn't know is an error: a newer one's template may mean something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatTemplate {
    /// Jinja, as the folder has it.
    pub template: String,
    /// Texts of the special tokens that it may name, by [`jinja::TOKENS`].
    #[serde(default)]
    pub tokens: BTreeMap<String, String>,
    /// `legacy` of the folder's tokenizer: with a `tokenizer.model` that puts a space before a text, whether one comes before every
    /// piece between marks.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub legacy: bool,
}

fn yes() -> bool {
    true
}

fn is_yes(flag: &bool) -> bool {
    *flag
}

impl ChatTemplate {
    /// The template of an image; `None` where it has none.
    ///
    /// # Errors
    /// When there is one that this jamlet doesn't know.
    pub fn find(model: &Model<'_>) -> Result<Option<Self>> {
        #[derive(Deserialize)]
        struct Provenance {
            chat: Option<ChatTemplate>,
        }
        let Some(section) = model.image().model_section(Section::Provenance) else { return Ok(None) };
        let json: serde_json::Value = match serde_json::from_slice(section.bytes) {
            Ok(json @ serde_json::Value::Object(_)) => json,
            // Provenance is for people: whatever else it is, it has no template.
            _ => return Ok(None),
        };
        let found: Provenance = serde_json::from_value(json)
            .context("the image's chat template isn't one that this jamlet knows: use a newer one")?;
        Ok(found.chat)
    }

    /// As [`ChatTemplate::find`], of an image that must have one. `name` is the image's.
    ///
    /// # Errors
    /// As there, and when there is none.
    pub fn of(model: &Model<'_>, name: &str) -> Result<Self> {
        Self::find(model).context(name.to_owned())?.with_context(|| {
            format!(
                "{name}: no chat template in this image: it was packed by a jamlet that didn't store it, with --no-template, or from a \
                 folder without one; `jamlet pack` the folder again"
            )
        })
    }

    /// The text of a conversation, up to where the answer begins if `answer` is set.
    ///
    /// # Errors
    /// What the template says of the messages.
    pub fn render(&self, messages: &[Message], answer: bool) -> Result<String> {
        let rendered = jinja::render(&self.template, messages, answer, &self.tokens);
        Ok(rendered.context("the chat template can't be rendered for this conversation")?.text)
    }
}

/// An image's tokenizer as prompts need it: all added tokens are found in texts.
#[derive(Clone, Debug)]
pub struct Marks {
    section: Vec<u8>,
    vocab: u32,
}

impl Marks {
    /// That of `model` for its `template`.
    ///
    /// # Errors
    /// When the image has no tokenizer.
    pub fn new(model: &Model<'_>, template: &ChatTemplate) -> Result<Self> {
        let tokenizer = text::tokenizer(model)?;
        let mut section = model.image().model_section(Section::Tokenizer).map_or(Vec::new(), |s| s.bytes.to_vec());
        let entries = added_tokens(&section);
        for entry in section.get_mut(entries).unwrap_or_default().as_chunks_mut::<4>().0 {
            let word = u32::from_le_bytes(*entry);
            let length = tokenizer.piece(word & flag::ID).map_or(0, |piece| piece.take(MAX_ADDED + 1).count());
            if length <= MAX_ADDED {
                *entry = (word | flag::IN_TEXT).to_le_bytes();
            }
        }
        // As transformers does it where SentencePiece alone would put a space before the text.
        if let Some(prefix) = section.get_mut(field::PREFIX).filter(|prefix| **prefix == Prefix::Text as u8) {
            *prefix = if template.legacy { Prefix::Segments } else { Prefix::BareText } as u8;
        }
        Ok(Self { section, vocab: model.header().vocab })
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// Never for what [`Marks::new`] made of a parsed image.
    pub fn tokenizer(&self) -> Result<Tokenizer<'_>> {
        Tokenizer::parse(&self.section, self.vocab).context("the image's tokenizer")
    }
}

/// Ids of a rendered text.
pub fn encode(tokenizer: Tokenizer<'_>, text: &str) -> Vec<u32> {
    let (mut encoder, mut ids) = (Encoder::<WINDOW>::new(tokenizer), Vec::new());
    encoder.feed(text.as_bytes(), |id| ids.push(id));
    encoder.finish(|id| ids.push(id));
    ids
}

/// Where the entries of the added tokens lie in a tokenizer's section, see [`jamlet::tokenizer`].
fn added_tokens(section: &[u8]) -> std::ops::Range<usize> {
    let byte = |at: usize| usize::from(section.get(at).copied().unwrap_or(0));
    let word = |at: usize| (0..4).fold(0, |word, i| word | byte(at + i) << (8 * i));
    let (tokens, width, flags) = (word(field::TOKENS), byte(field::WIDTH), byte(field::FLAGS) as u8);
    let symbols = if flags & WIDE != 0 { 2 } else { 1 };
    let ranks = if flags & RANKS != 0 { width } else { 0 };
    let start = field::HEADER_BYTES
        + tokens * (symbols + 2 * width + ranks)
        + width * (2 * word(field::LEVELS) + word(field::SLOTS) + 256);
    start..start + 4 * word(field::ADDED)
}
