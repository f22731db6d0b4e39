//! A text without an end, as far as a test can have one: whether its last tokens cost what its first ones cost.

use crate::hash::Fnv;
use crate::marks::Marks;
use core::fmt::{self, Write};
use heapless::Vec;
use jamlet::Session;

/// Tokens that are fed at once, a multiple of the chunk.
pub const BATCH: usize = 40;
/// Batches at the beginning that aren't counted: caches fill.
pub const WARM_UP: usize = 25;
/// Batches that are counted, at the beginning and at the end.
pub const COUNTED: usize = 25;

/// Feeds `prompt` again and again, up to `tokens` tokens, and reports:
///
/// ```text
/// early 1234            bytes of stack that had been used after the first counted batches
/// hash 0123456789abcdef of the bits of the logits after the last token
/// ```
///
/// The prefill's marks are around the first counted batches, a token's around the last ones.
///
/// # Errors
/// When the report can't be written.
pub fn run(
    prompt: &[[u8; 4]],
    tokens: u32,
    session: &mut Session,
    marks: &mut impl Marks,
    report: &mut impl Write,
) -> fmt::Result {
    let mut endless = prompt.iter().cycle().map(|word| u32::from_le_bytes(*word));
    let batches = tokens as usize / BATCH;
    for index in 0..batches {
        let batch: Vec<u32, BATCH> = endless.by_ref().take(BATCH).collect();
        let (first, last) = (index.wrapping_sub(WARM_UP) < COUNTED, index + COUNTED >= batches);
        if first {
            marks.prefill_begins();
        } else if last {
            marks.token_begins();
        }
        let fed = session.feed(&batch);
        if first {
            marks.prefill_ends();
        } else if last {
            marks.token_ends();
        }
        if let Err(error) = fed {
            return writeln!(report, "error stream: {error}");
        }
        if index + 1 == WARM_UP + COUNTED
            && let Some(bytes) = marks.stack()
        {
            writeln!(report, "early {bytes}")?;
        }
    }
    let mut hash = Fnv::new();
    if let Err(error) = session.logits(|_, logits| hash.add(logits)) {
        return writeln!(report, "error logits: {error}");
    }
    writeln!(report, "hash {:016x}", hash.finish())
}
