//! Packs the tokenizer of a Hugging Face folder into the section that [`jamlet::tokenizer`] reads.
//!
//! `tokenizer.json` decides where it exists, then `tokenizer.model`, then `vocab.json` with `merges.txt`. What they may ask
//! for stands in the README of host-tools; anything else is refused by name.

mod automaton;
mod build;
mod bytes;
mod fields;
mod json;
mod marks;
mod nfc;
mod pairs;
mod pattern;
mod pre_tokenizer;
mod program;
mod prompt;
mod protobuf;
mod sentencepiece;
mod split;
mod template;

pub use nfc::tables as normal_forms;
pub use program::Program;
pub use prompt::{Prompt, PromptIds, SUMMARY, TemplateParts, prompt};

use std::path::{Path, PathBuf};

use jamlet::tokenizer::{Prefix, Tokenizer};

use super::ImportError;

/// Why a tokenizer can't be packed.
pub type TokenizerError = ImportError;

/// A tokenizer section.
#[derive(Clone, Debug)]
pub struct PackedTokenizer {
    /// The section's bytes.
    pub bytes: Vec<u8>,
    /// Vocabulary size of the model that it was packed for.
    pub vocab: u32,
    /// What isn't as the files say, for people.
    pub notes: Vec<String>,
}

impl PackedTokenizer {
    /// The engine's view of it.
    ///
    /// # Panics
    /// If `bytes` isn't what [`load`] made.
    pub fn view(&self) -> Tokenizer<'_> {
        Tokenizer::parse(&self.bytes, self.vocab).expect("a packed tokenizer is valid")
    }
}

/// Compiles regular expressions that cut texts one after the other; those with `true` read bytes, each as the character that
/// stands for it in GPT-2's alphabet. With `spaces_and_words`, the program tells white space and words apart, too, as added
/// tokens may ask for.
///
/// # Errors
/// What can't be done in an expression.
pub fn program(patterns: &[(&str, bool)], spaces_and_words: bool) -> Result<Program, String> {
    let stage = |&(text, bytes): &(&str, bool)| Ok(program::Stage { pattern: pattern::parse(text)?, bytes });
    program::compile(&patterns.iter().map(stage).collect::<Result<Vec<_>, String>>()?, spaces_and_words)
}

/// Packs the tokenizer of the folder `dir` for a model of `vocab` tokens. `None` where there is none.
///
/// # Errors
/// If a file can't be read, or asks for something that the engine's tokenizer doesn't do.
pub fn load(dir: &Path, vocab: u32) -> Result<Option<PackedTokenizer>, TokenizerError> {
    let Some((file, spec)) = read(dir, vocab)? else { return Ok(None) };
    build::build(&file, &spec, vocab).map(Some)
}

/// As [`load`], but all added tokens are found in texts: prompts write them out, where texts may not. Where a `tokenizer.model`
/// puts a space before a text, transformers puts one before every piece between added tokens, or, unless `legacy`, before a
/// piece that begins the text.
fn load_for_prompts(dir: &Path, vocab: u32, legacy: bool) -> Result<Option<PackedTokenizer>, TokenizerError> {
    let Some((file, mut spec)) = read(dir, vocab)? else { return Ok(None) };
    spec.added.iter_mut().for_each(|token| token.in_text = true);
    if spec.prefix == Prefix::Text {
        spec.prefix = if legacy { Prefix::Segments } else { Prefix::BareText };
    }
    build::build(&file, &spec, vocab).map(Some)
}

/// The folder's tokenizer and the file that it is in.
fn read(dir: &Path, vocab: u32) -> Result<Option<(PathBuf, build::Spec)>, TokenizerError> {
    let exists = |file: &Path| file.try_exists().map_err(ImportError::io(file));
    let file = dir.join("tokenizer.json");
    if exists(&file)? {
        let spec = json::read(&file, vocab)?;
        return Ok(Some((file, spec)));
    }
    let file = dir.join("tokenizer.model");
    if exists(&file)? {
        let spec = sentencepiece::read(&file, vocab)?;
        return Ok(Some((file, spec)));
    }
    let file = dir.join("vocab.json");
    if exists(&file)? && exists(&dir.join("merges.txt"))? {
        let spec = pairs::read(dir, vocab)?;
        return Ok(Some((file, spec)));
    }
    Ok(None)
}
