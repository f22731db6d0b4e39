//! The most stack that boards were seen to use: after everything that the fuzzer of the serial line found worth keeping was
//! typed at them, in QEMU. Their stack is painted at the start, so nothing that was ever in use is missed.

use crate::boards::conversation::{Conversation, options};
use crate::boards::emulated::Emulated;
use crate::models::random_text_model;
use anyhow::{Context, Result, ensure};
use jamlet_tests::fuzz::{TARGETS, corpus};
use std::fs;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(300);

/// What a board used.
pub struct Painted {
    /// Inputs that were typed.
    pub inputs: usize,
    /// Bytes of stack.
    pub bytes: u64,
    /// The input after which there was no more.
    pub deepest: String,
}

/// Types the corpus and its seeds at a board.
///
/// # Errors
/// When the board ends, or doesn't answer.
pub fn worst(board: &Emulated) -> Result<Painted> {
    let scratch = tempfile::tempdir()?;
    let (path, image) = (scratch.path().join("talker.jamlet"), random_text_model::image()?);
    fs::write(&path, &image)?;
    let program = board.build(board.folder, Some(&path))?;
    let mut talk = Conversation::open(&mut board.serial(&program, &path), options(board), &image, LIMIT)?;
    talk.wait("> ")?;
    let inputs = inputs()?;
    let mut painted = Painted { inputs: inputs.len(), bytes: 0, deepest: String::new() };
    for (index, (name, input)) in inputs.into_iter().enumerate() {
        talk.type_in(&typed(&input));
        let bytes = look(&mut talk, index).with_context(|| format!("{} after {name}", board.name))?;
        if bytes > painted.bytes {
            (painted.bytes, painted.deepest) = (bytes, name);
        }
    }
    Ok(painted)
}

/// Ends what was left half done, escape sequences too, and asks for the stack. The mark tells one look from another.
fn look(talk: &mut Conversation<'_>, index: usize) -> Result<u64> {
    let mark = format!("mark{index}");
    talk.type_in(format!("\r\x04\r\x04{mark}\x15/stats\r").as_bytes());
    talk.wait(&mark)?;
    talk.wait("\r\nstack ")?;
    Ok(talk.wait(" bytes at most")?.parse()?)
}

/// By name: the committed ones, then the seeds.
fn inputs() -> Result<Vec<(String, Vec<u8>)>> {
    let target = TARGETS.iter().find(|target| target.name == "serial").context("no fuzz target serial")?;
    let mut inputs = corpus::read(target.name)?;
    ensure!(!inputs.is_empty(), "the fuzz target {} has no corpus", target.name);
    inputs.extend((target.seeds)().into_iter().enumerate().map(|(index, seed)| (format!("seed {index}"), seed)));
    Ok(inputs)
}

/// The bytes of a script (see `tests/src/fuzz/serial.rs`) that reach a board: its first byte is about the board, and what
/// follows a NUL about the line.
fn typed(script: &[u8]) -> Vec<u8> {
    let mut rest = script.iter().skip(1);
    let mut bytes = Vec::new();
    while let Some(&byte) = rest.next() {
        match byte {
            0 => match rest.next().map_or(0, |what| what % 4) {
                0 => bytes.push(0),
                // A line error, which a pipe has none of.
                1 => {}
                _ => bytes.push(b'a'),
            },
            byte => bytes.push(byte),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_line_does_is_not_typed() {
        assert_eq!(typed(b"?ab\x00\x00c\x00\x01d\x00\x02\x04\x00"), b"ab\0cda\x04\0");
        assert_eq!(typed(b""), b"");
    }
}
