//! Cuts a template's text into ids, which never change, and the text next to the message, which may share tokens with it.

use super::template::{Around, MARK};
use jamlet::tokenizer::{Encoder, Tokenizer};

/// The parts of a prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    pub prefix: Vec<u32>,
    pub before: String,
    /// `before` goes on behind the last id of `prefix`.
    pub goes_on: bool,
    pub trims: [bool; 2],
    pub after: String,
    pub suffix: Vec<u32>,
}

/// Messages that show whether the parts make the ids of the whole.
const MESSAGES: [&str; 16] =
    ["a", "A b", " a", "  a", "\na", "\n\n a", "\t", "a ", "a\n", " \n ", "7 8", "日本語", " é", "...", "", "'s"];

/// The parts of what a template makes, such that ids and texts together have the ids of the whole: `all` finds all added tokens in
/// texts, as templates need; `own` is the image's, which messages are encoded with. `None` if there are no such parts.
///
/// Added tokens cut a text. So what lies beyond the last one before the message, and the first one after it, is ids.
pub(super) fn split(around: &Around, all: Tokenizer<'_>, own: Tokenizer<'_>) -> Option<Parts> {
    let Around { before, after, trims, .. } = around;
    // Most ids first.
    let mut starts: Vec<usize> = added_tokens(all, before).map(|(at, text)| at + text.len()).collect();
    starts.reverse();
    starts.push(0);
    let first = added_tokens(all, after).next();
    // A token that takes white space before it must be seen behind the message.
    let first = first.map_or(Vec::new(), |(at, text)| vec![at, at + text.len()]);
    let ends: Vec<usize> = first.into_iter().chain([after.len()]).collect();

    let whole = |message: &str| encode(all, None, &[before, around.message(message), after].concat());
    let right: Vec<(&str, Vec<u32>)> = MESSAGES.iter().map(|message| (*message, whole(message))).collect();
    let fits = |parts: &Parts| {
        right.iter().all(|(message, right)| {
            let behind = parts.prefix.last().copied().filter(|_| parts.goes_on);
            let text = [&parts.before, around.message(message), &parts.after].concat();
            *right == [&parts.prefix[..], &encode(own, behind, &text), &parts.suffix].concat()
        })
    };
    for &start in &starts {
        let prefix = encode(all, None, &before[..start]);
        for &end in &ends {
            let head = encode(all, None, &[before, MARK, &after[..end]].concat());
            let all_ids = encode(all, None, &[before, MARK, after].concat());
            let suffix = all_ids.get(head.len()..).unwrap_or(&[]).to_vec();
            for goes_on in [false, true] {
                let parts = Parts {
                    prefix: prefix.clone(),
                    before: before[start..].into(),
                    goes_on: goes_on && !prefix.is_empty(),
                    trims: *trims,
                    after: after[..end].into(),
                    suffix: suffix.clone(),
                };
                if fits(&parts) {
                    return Some(parts);
                }
            }
        }
    }
    None
}

/// The added token that a text has first.
pub(super) fn first_mark(tokenizer: Tokenizer<'_>, text: &str) -> Option<u32> {
    let (_, mark) = added_tokens(tokenizer, text).next()?;
    tokenizer.added_token(&mark)
}

/// Added tokens that the ids of a text have, with their places in it.
fn added_tokens(tokenizer: Tokenizer<'_>, text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut from = 0;
    let ids = encode(tokenizer, None, text);
    let found: Vec<(usize, String)> = ids
        .into_iter()
        .filter_map(|id| {
            let token = String::from_utf8(tokenizer.piece(id)?.collect()).ok()?;
            let added = tokenizer.added_token(&token) == Some(id);
            let at = from + text[from..].find(&token).filter(|_| added)?;
            from = at + token.len();
            Some((at, token))
        })
        .collect();
    found.into_iter()
}

/// The ids of a text, which may go on behind an added token.
fn encode(tokenizer: Tokenizer<'_>, behind: Option<u32>, text: &str) -> Vec<u32> {
    let mut ids = Vec::new();
    let mut encoder = Encoder::<4096>::new(tokenizer);
    if let Some(id) = behind {
        encoder.go_on_behind(id);
    }
    encoder.feed(text.as_bytes(), |id| ids.push(id));
    encoder.finish(|id| ids.push(id));
    ids
}
