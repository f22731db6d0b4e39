//! A conversation as a file: what was said, what of it a session has read, and the state after that.
//!
//! All integers are unsigned and little-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | magic `93 4A 43 48 41 54 53 0A` (`\x93JCHATS\n`) |
//! | 4 | version, 1 |
//! | 4 | bytes of the messages |
//! | 8 | number of tokens |
//! | 8 | bytes of the state |
//! | | the messages: JSON, a list of `{"role": …, "content": …}` |
//! | 4 each | the tokens that the session has read |
//! | | the state: a snapshot, which is bound to image, window and state width |
//! | 4 | CRC-32 (ISO-HDLC) of all bytes before it |

use super::{Conversation, Message};
use crate::destination;
use anyhow::{Context, Result, bail, ensure};
use jamlet::Session;
use std::path::Path;

const MAGIC: [u8; 8] = *b"\x93JCHATS\n";
const VERSION: u32 = 1;
const HEADER: usize = 32;

/// Writes a conversation and the state of its session, which [settles](Conversation::settle), to `path`. A file that was there is
/// replaced by a whole one.
///
/// # Errors
/// When it can't be written.
pub fn save(path: &Path, conversation: &mut Conversation<'_, '_>, session: &mut Session<'_, '_>) -> Result<u64> {
    conversation.settle(session)?;
    let messages = serde_json::to_vec(conversation.messages())?;
    let mut state = vec![0; session.plan().snapshot_bytes()];
    let length = session.snapshot(&mut state)?;
    let tokens = conversation.tokens();
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(u32::try_from(messages.len()).context("more than 4 GiB of messages")?.to_le_bytes());
    bytes.extend((tokens.len() as u64).to_le_bytes());
    bytes.extend((length as u64).to_le_bytes());
    bytes.extend(messages);
    bytes.extend(tokens.iter().flat_map(|token| token.to_le_bytes()));
    bytes.extend(&state[..length]);
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    destination::write(path, &bytes)?;
    Ok(bytes.len() as u64)
}

/// Reads a conversation from `path`, and its state into `session`. After an error both are as they were.
///
/// # Errors
/// When it can't be read, isn't a saved conversation, or belongs to another image or other options.
pub fn load(path: &Path, conversation: &mut Conversation<'_, '_>, session: &mut Session<'_, '_>) -> Result<()> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let name = || path.display().to_string();
    let Parts { messages, tokens, state } = parts(&bytes).with_context(name)?;
    let vocab = session.model().header().vocab;
    if let Some(token) = tokens.iter().find(|token| **token >= vocab) {
        bail!("{}: token {token}; 0 to {} would be right", path.display(), vocab - 1);
    }
    // Where its tokens aren't as many as those before the state, the state is that of something else.
    let position = state.get(POSITION..POSITION + 8).and_then(|word| word.try_into().ok()).map(u64::from_le_bytes);
    ensure!(
        position == Some(tokens.len() as u64),
        "{}: {} tokens, but the state is that after {}",
        path.display(),
        tokens.len(),
        position.unwrap_or(0)
    );
    session.restore(state).with_context(name)?;
    conversation.resume(session, messages, tokens);
    Ok(())
}

/// Where a snapshot has its number of tokens, see [`jamlet::state::snapshot`].
const POSITION: usize = 32;

struct Parts<'b> {
    messages: Vec<Message>,
    tokens: Vec<u32>,
    state: &'b [u8],
}

/// The parts of a file.
fn parts(bytes: &[u8]) -> Result<Parts<'_>> {
    ensure!(bytes.starts_with(&MAGIC), "not a saved conversation: the first 8 bytes differ from \\x93JCHATS\\n");
    let word = |at: usize| bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_le_bytes);
    let version = word(8);
    ensure!(version == VERSION, "saved by version {version} of this format; this jamlet reads version {VERSION}");
    let long = |at: usize| u64::from(word(at + 4)) << 32 | u64::from(word(at));
    let (messages, tokens, state) = (u64::from(word(12)), long(16), long(24));
    let expected = tokens.checked_mul(4).and_then(|tokens| tokens.checked_add(messages)?.checked_add(state));
    let expected = expected.and_then(|parts| parts.checked_add(HEADER as u64 + 4));
    let found = bytes.len() as u64;
    ensure!(
        expected == Some(found),
        "{found} bytes; {} would be right: it was cut or changed",
        expected.unwrap_or(u64::MAX)
    );
    let (content, stored) = bytes.split_last_chunk::<4>().context("no checksum")?;
    let (stored, computed) = (u32::from_le_bytes(*stored), crc32fast::hash(content));
    ensure!(stored == computed, "checksum {computed:08x}, but the file says {stored:08x}: it is damaged");
    let (messages, rest) = content[HEADER..].split_at(messages as usize);
    let (tokens, state) = rest.split_at(4 * tokens as usize);
    let messages = serde_json::from_slice(messages).context("the messages")?;
    let tokens = tokens.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    Ok(Parts { messages, tokens, state })
}
