//! Summaries on a machine that has a heap.

use anyhow::{Context, Result};
use jamlet::state::MAX_BEAMS;
use jamlet::summary::{Answer, Listener, Memory, SummaryError, SummaryOptions, TextKind, Way};
use jamlet::{Sampler, Session, Summarizer};
use std::io::{ErrorKind, Read};

/// Symbols of a word that are merged together.
const WORD: usize = 4096;
/// Bytes that are read at a time.
const PIECE: usize = 1 << 12;

/// Memory for summaries of any number of beams.
pub type HostMemory<'m> = Memory<'m, { MAX_BEAMS as usize }, WORD>;
/// A summarizer in it.
pub type HostSummarizer<'a, 'm, 'w> = Summarizer<'a, 'm, 'w, { MAX_BEAMS as usize }, WORD>;

/// Memory on the heap.
pub fn memory<'m>() -> Box<HostMemory<'m>> {
    Box::new(Memory::new())
}

/// Feeds everything that `input` has, as it comes.
///
/// # Errors
/// When the input can't be read.
pub fn read(
    summarizer: &mut HostSummarizer<'_, '_, '_>,
    input: &mut dyn Read,
    listener: &mut dyn Listener,
) -> Result<()> {
    let mut bytes = vec![0; PIECE];
    loop {
        match input.read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(count) => summarizer.feed(&bytes[..count], listener)?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("reading the text"),
        }
    }
}

/// How a summary is made.
#[derive(Clone, Debug)]
pub struct How {
    /// What the engine wants to know.
    pub options: SummaryOptions,
    /// Chooses tokens one by one; otherwise a search does.
    pub sampler: Option<Sampler>,
}

impl How {
    /// As a board does it.
    pub fn new() -> Self {
        Self { options: SummaryOptions::new(), sampler: None }
    }
}

impl Default for How {
    fn default() -> Self {
        Self::new()
    }
}

/// Writes the summary of what a summarizer has read to the end.
///
/// # Errors
/// Those of the listener.
pub fn write(
    summarizer: &mut HostSummarizer<'_, '_, '_>,
    how: &How,
    listener: &mut dyn Listener,
) -> Result<Answer, SummaryError> {
    match how.sampler.clone() {
        Some(mut sampler) => summarizer.write_sampled(&mut sampler, listener),
        None => summarizer.write(listener),
    }
}

/// The summary of a text.
///
/// # Errors
/// When the image has no tokenizer.
pub fn summarize<'m>(
    session: Session<'m, '_>,
    memory: &mut HostMemory<'m>,
    how: &How,
    text: &str,
) -> Result<(String, Answer)> {
    let mut summary = String::new();
    let answer = summarize_to(session, memory, how, text, &mut |piece: &str| summary.push_str(piece))?;
    summary.truncate(summary.trim_end().len());
    Ok((summary, answer))
}

/// The summary of a text, and all that a listener hears of it.
///
/// # Errors
/// As [`summarize`].
pub fn summarize_to<'m>(
    session: Session<'m, '_>,
    memory: &mut HostMemory<'m>,
    how: &How,
    text: &str,
    listener: &mut dyn Listener,
) -> Result<Answer> {
    let mut summarizer = Summarizer::new(session, memory, how.options)?;
    summarizer.feed(text.as_bytes(), listener)?;
    summarizer.end(listener)?;
    Ok(write(&mut summarizer, how, listener)?)
}

/// A way's name in JSON and tables.
pub fn way_name(way: Way) -> &'static str {
    match way {
        Way::Quote => "quote",
        Way::Compress => "compress",
        Way::Rewrite => "rewrite",
        _ => "other",
    }
}

/// A kind of text's name in JSON.
pub fn kind_name(kind: TextKind) -> &'static str {
    match kind {
        TextKind::Prose => "prose",
        TextKind::Lines => "lines",
        TextKind::OtherLanguage => "other-language",
        TextKind::Nothing => "nothing",
        _ => "other",
    }
}
