//! From a vocabulary and its merges to the packed section.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use jamlet::tokenizer::{
    Kind, MAX_ADDED, MAX_SYMBOLS, MAX_TEXT, NONE, Prefix, RANKS, Strip, Tokenizer, VERSION, WIDE, field, flag, hash,
    slot,
};

use super::program::{Stage, compile};
use super::{ImportError, PackedTokenizer, TokenizerError, nfc};

/// A tokenizer, whatever file it came from.
pub(super) struct Spec {
    pub kind: Kind,
    /// What cuts texts into words, one after the other.
    pub stages: Vec<Stage>,
    /// Texts are brought into Unicode's form C.
    pub nfc: bool,
    pub prefix: Prefix,
    pub strip: Strip,
    /// Text of every id; `None` for ids without.
    pub texts: Vec<Option<Vec<u8>>>,
    /// Symbol of every byte; [`NONE`] for a byte that no text has.
    pub bytes: [u32; 256],
    /// Symbols that are characters, in the SentencePiece kind.
    pub characters: HashMap<char, u32>,
    /// All merges; a later one for the same pair stands for the earlier.
    pub merges: Vec<Merge>,
    /// A word that is a token becomes this token, whatever the merges say.
    pub ignore_merges: bool,
    pub added: Vec<Added>,
    /// What isn't as the files say, for people.
    pub notes: Vec<String>,
}

/// Two neighbours that become one token.
pub(super) struct Merge {
    pub left: u32,
    pub right: u32,
    /// What they become.
    pub id: u32,
    /// Of all merges that are possible the one with the lowest rank happens, and of those with the same the leftmost.
    pub rank: usize,
}

/// A special or other added token.
#[derive(Default)]
pub(super) struct Added {
    pub id: u32,
    pub special: bool,
    /// Found in texts.
    pub in_text: bool,
    /// Swallows the white space before it.
    pub strip_left: bool,
    /// Swallows the white space after it.
    pub strip_right: bool,
    /// Found only where no character of a word stands beside it.
    pub single_word: bool,
    /// Found between those that aren't normalized.
    pub normalized: bool,
}

/// Most symbols of a token.
const LONGEST: usize = MAX_SYMBOLS as usize;

/// How a token is made.
#[derive(Clone, Copy)]
enum Node {
    /// No merge makes it.
    Literal,
    Symbol,
    Merged {
        left: u32,
        right: u32,
        rank: usize,
    },
}

/// Packs a tokenizer. Errors name `file`.
pub(super) fn build(file: &Path, spec: &Spec, vocab: u32) -> Result<PackedTokenizer, TokenizerError> {
    check_lengths(file, spec)?;
    let merges: HashMap<(u32, u32), (usize, u32)> =
        spec.merges.iter().map(|merge| ((merge.left, merge.right), (merge.rank, merge.id))).collect();
    let symbols: HashSet<u32> =
        spec.bytes.iter().chain(spec.characters.values()).copied().filter(|&id| id != NONE).collect();
    let nodes: Vec<Node> = (0..spec.texts.len() as u32)
        .map(|id| if symbols.contains(&id) { Node::Symbol } else { node(spec, &merges, id) })
        .collect();
    let symbols = count_symbols(file, spec, &nodes)?;

    let merged = || {
        nodes.iter().zip(0u32..).filter_map(|(node, id)| match *node {
            Node::Merged { left, right, rank } => Some((id, left, right, rank)),
            _ => None,
        })
    };
    let ranks = ranks(&nodes);
    let ranked = merged().any(|(id, ..)| ranks[id as usize] != id + 1);
    let levels = levels(&nodes, &ranks);

    let entries: Vec<(u32, u32)> = merged()
        .map(|(id, left, right, _)| (hash(left, right), id))
        .chain(spec.characters.iter().map(|(&c, &id)| (hash(NONE, c.into()), id)))
        .collect();
    let (lookup, probe) = lookup(entries).ok_or_else(|| {
        let found = "merges of which more than 255 have the same place in a hash table";
        ImportError::field(file, "merges", found, "merges that were not made to collide")
    })?;
    let added = added(file, spec)?;
    let whole = whole(spec, &nodes);
    let mut notes = spec.notes.clone();
    let program = program(file, spec)?;
    let normal_forms = if spec.nfc { nfc::tables() } else { Vec::new() };

    let width = if spec.texts.len() < usize::from(u16::MAX) { 2 } else { 4 };
    let mut out = Section { bytes: vec![0; field::HEADER_BYTES], width };
    let longest = symbols.iter().copied().max().unwrap_or(1).max(1);
    let wide = longest > u8::MAX.into();
    match wide {
        true => symbols.iter().for_each(|count| out.bytes.extend(count.to_le_bytes())),
        false => symbols.iter().for_each(|&count| out.bytes.push(count as u8)),
    }
    let mut texts = Vec::new();
    for (id, node) in nodes.iter().enumerate() {
        match (*node, &spec.texts[id]) {
            (Node::Merged { left, right, .. }, _) => [left, right].iter().for_each(|&part| out.id(part)),
            (_, None) => out.offset(NONE),
            (_, Some(text)) if text.len() > MAX_TEXT => {
                notes.push(format!(
                    "{}: left out: no merge makes it, and it has {} bytes, more than {MAX_TEXT}",
                    show(spec, id as u32),
                    text.len()
                ));
                out.offset(NONE);
            }
            (_, Some(text)) => {
                out.offset(texts.len() as u32);
                texts.push(text.len() as u8);
                texts.extend(text);
            }
        }
    }
    if ranked {
        ranks.iter().for_each(|&rank| out.id(rank));
    }
    levels.iter().for_each(|&(id, level)| [id, level].iter().for_each(|&number| out.id(number)));
    lookup.iter().for_each(|&id| out.id(id));
    spec.bytes.iter().for_each(|&id| out.id(id));
    added.iter().for_each(|entry| out.bytes.extend(entry.to_le_bytes()));
    whole.iter().for_each(|&id| out.id(id));
    out.bytes.extend(&texts);
    out.bytes.extend(&program.bytes);
    out.bytes.extend(&normal_forms);

    let mut set = |at: usize, bytes: &[u8]| out.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    set(field::VERSION, &VERSION.to_le_bytes());
    set(field::WIDTH, &[width as u8]);
    set(field::KIND, &[spec.kind as u8]);
    set(field::FLAGS, &[if ranked { RANKS } else { 0 } | if wide { WIDE } else { 0 }]);
    set(field::STAGES, &[program.stages]);
    set(field::CLASSES, &[program.classes]);
    set(field::PREFIX, &[spec.prefix as u8]);
    set(field::STRIP, &[spec.strip as u8]);
    set(field::PROBE, &[probe]);
    set(field::LONGEST, &longest.to_le_bytes());
    for (at, count) in [
        (field::TOKENS, nodes.len()),
        (field::SLOTS, lookup.len()),
        (field::ADDED, added.len()),
        (field::WHOLE, whole.len()),
        (field::TEXTS, texts.len()),
        (field::LEVELS, levels.len()),
        (field::PROGRAM, program.bytes.len()),
        (field::NORMAL_FORMS, normal_forms.len()),
    ] {
        set(at, &(count as u32).to_le_bytes());
    }
    let packed = PackedTokenizer { bytes: out.bytes, vocab, notes };
    match Tokenizer::parse(&packed.bytes, vocab) {
        Ok(_) => Ok(packed),
        Err(error) => Err(ImportError::file(file, format!("{error}; a vocabulary of at most {vocab} was expected"))),
    }
}

/// Refuses texts that no token can have, before anything takes time that grows with their length.
fn check_lengths(file: &Path, spec: &Spec) -> Result<(), TokenizerError> {
    let most = match spec.kind {
        Kind::ByteLevel => LONGEST,
        Kind::SentencePiece => 4 * LONGEST,
    };
    let long = spec.texts.iter().flatten().find(|text| text.len() > most);
    long.map_or(Ok(()), |text| {
        let found = format!("one of {} bytes", text.len());
        Err(ImportError::field(file, "vocabulary", found, format!("tokens of at most {most} bytes")))
    })
}

/// Ranks of merged tokens from 1 on, as small as they can be: their ids, where these are in the order of the merges.
fn ranks(nodes: &[Node]) -> Vec<u32> {
    let mut order: Vec<(usize, usize)> = nodes
        .iter()
        .enumerate()
        .filter_map(|(id, node)| match *node {
            Node::Merged { rank, .. } => Some((rank, id)),
            _ => None,
        })
        .collect();
    order.sort_unstable();
    let rises = order.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1);
    let mut ranks = vec![0; nodes.len()];
    let mut next = 0;
    for (at, &(rank, id)) in order.iter().enumerate() {
        // Those that were equal stay so.
        next += u32::from(at == 0 || order[at - 1].0 != rank);
        ranks[id] = if rises { id as u32 + 1 } else { next };
    }
    ranks
}

/// Tokens whose level, the highest rank among the merges that make them, isn't their own rank.
fn levels(nodes: &[Node], ranks: &[u32]) -> Vec<(u32, u32)> {
    fn level(nodes: &[Node], ranks: &[u32], id: u32) -> u32 {
        match nodes[id as usize] {
            Node::Merged { left, right, .. } => {
                ranks[id as usize].max(level(nodes, ranks, left)).max(level(nodes, ranks, right))
            }
            _ => 0,
        }
    }
    let all = (0..nodes.len() as u32).map(|id| (id, level(nodes, ranks, id)));
    all.filter(|&(id, level)| level > ranks[id as usize]).collect()
}

/// How texts are cut.
fn program(file: &Path, spec: &Spec) -> Result<super::program::Program, TokenizerError> {
    let tells = spec.added.iter().any(|token| token.strip_left || token.strip_right || token.single_word);
    compile(&spec.stages, tells).map_err(|found| {
        ImportError::field(
            file,
            "pre_tokenizer",
            found,
            "expressions that an automaton can match, looking one character ahead",
        )
    })
}

/// A section being written.
struct Section {
    bytes: Vec<u8>,
    width: usize,
}

impl Section {
    fn id(&mut self, id: u32) {
        self.bytes.extend(&id.to_le_bytes()[..self.width]);
    }

    /// An offset into the texts, in a node's place.
    fn offset(&mut self, offset: u32) {
        self.bytes.extend(offset.to_le_bytes());
        self.bytes.extend(&[0; 8][..2 * self.width - 4]);
    }
}

/// A token's text, for messages.
fn show(spec: &Spec, id: u32) -> String {
    let text = spec.texts.get(id as usize).and_then(Option::as_deref).unwrap_or_default();
    format!("{:?} (id {id})", String::from_utf8_lossy(text))
}

/// How the merges make a token, no symbol, of its text, if they do.
fn node(spec: &Spec, merges: &HashMap<(u32, u32), (usize, u32)>, id: u32) -> Node {
    let Some(text) = &spec.texts[id as usize] else { return Node::Literal };
    let mut word: Vec<u32> = match (spec.kind, str::from_utf8(text)) {
        (Kind::SentencePiece, Ok(text)) => text
            .chars()
            .flat_map(|c| match spec.characters.get(&c) {
                Some(&symbol) => vec![symbol],
                None => c.encode_utf8(&mut [0; 4]).bytes().map(|byte| spec.bytes[usize::from(byte)]).collect(),
            })
            .collect(),
        _ => text.iter().map(|&byte| spec.bytes[usize::from(byte)]).collect(),
    };
    if word.contains(&NONE) {
        return Node::Literal;
    }
    // Only what merges to one token matters: stop at the last merge.
    loop {
        let first = word
            .windows(2)
            .enumerate()
            .filter_map(|(at, pair)| merges.get(&(pair[0], pair[1])).map(|&(rank, merged)| (rank, at, merged)))
            .min();
        let Some((rank, at, merged)) = first else { return Node::Literal };
        if word.len() == 2 {
            let (left, right) = (word[0], word[1]);
            return if merged == id { Node::Merged { left, right, rank } } else { Node::Literal };
        }
        word[at] = merged;
        word.remove(at + 1);
    }
}

/// The section's symbols table.
fn count_symbols(file: &Path, spec: &Spec, nodes: &[Node]) -> Result<Vec<u16>, TokenizerError> {
    fn count(nodes: &[Node], id: u32) -> usize {
        match nodes[id as usize] {
            Node::Literal => 0,
            Node::Symbol => 1,
            Node::Merged { left, right, .. } => count(nodes, left) + count(nodes, right),
        }
    }
    (0..nodes.len() as u32)
        .map(|id| {
            let count = count(nodes, id);
            u16::try_from(count).ok().filter(|_| count <= LONGEST).ok_or_else(|| {
                let expected = format!("tokens of at most {LONGEST} bytes or characters");
                ImportError::field(file, "vocabulary", show(spec, id), expected)
            })
        })
        .collect()
}

/// The hash table of `(hash, id)`, and its longest probe. `None` where it would have to be far larger than its entries:
/// they have the same hash, and no table is large enough.
fn lookup(mut entries: Vec<(u32, u32)>) -> Option<(Vec<u32>, u8)> {
    entries.sort_unstable();
    let mut slots = entries.len() * 5 / 4 + 1;
    while slots <= entries.len() * 8 + 1 {
        let mut table = vec![NONE; slots];
        let mut longest = 1;
        for &(hash, id) in &entries {
            let mut at = slot(hash, slots as u32) as usize;
            let mut probe = 1;
            while table[at] != NONE {
                at = (at + 1) % slots;
                probe += 1;
            }
            table[at] = id;
            longest = longest.max(probe);
        }
        match u8::try_from(longest) {
            Ok(longest) => return Some((table, longest)),
            Err(_) => slots += slots / 4,
        }
    }
    None
}

/// The section's added tokens.
fn added(file: &Path, spec: &Spec) -> Result<Vec<u32>, TokenizerError> {
    let mut added: Vec<(&[u8], u32)> = Vec::new();
    for token in &spec.added {
        let text = spec.texts[token.id as usize].as_deref().unwrap_or_default();
        if token.in_text && text.len() > MAX_ADDED {
            let expected = format!("added tokens of at most {MAX_ADDED} bytes");
            return Err(ImportError::field(file, "added_tokens", show(spec, token.id), expected));
        }
        let flags = [
            (token.special, flag::SPECIAL),
            (token.in_text, flag::IN_TEXT),
            (token.strip_left, flag::STRIP_LEFT),
            (token.strip_right, flag::STRIP_RIGHT),
            (token.single_word, flag::SINGLE_WORD),
            (token.normalized, flag::NORMALIZED),
        ];
        let flags = flags.iter().filter(|(is, _)| *is).fold(0, |flags, (_, bit)| flags | bit);
        added.push((text, token.id | flags));
    }
    added.sort_unstable();
    Ok(added.into_iter().map(|(_, entry)| entry).collect())
}

/// Tokens that only a whole word can be.
fn whole(spec: &Spec, nodes: &[Node]) -> Vec<u32> {
    if !spec.ignore_merges {
        return Vec::new();
    }
    let in_text: HashSet<u32> = spec.added.iter().filter(|token| token.in_text).map(|token| token.id).collect();
    let mut whole: Vec<(&[u8], u32)> = Vec::new();
    for (id, node) in (0..).zip(nodes) {
        if let (Node::Literal, Some(text)) = (node, &spec.texts[id as usize])
            && !in_text.contains(&id)
            && text.len() <= MAX_TEXT
        {
            whole.push((text, id));
        }
    }
    whole.sort_unstable();
    whole.into_iter().map(|(_, id)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lookup_finds_everything_and_gives_up_where_all_collide() {
        let entries: Vec<(u32, u32)> = (0..1000).map(|id| (hash(id, id + 1), id)).collect();
        let (table, longest) = lookup(entries.clone()).expect("a table");
        for (hash, id) in entries {
            let first = slot(hash, table.len() as u32) as usize;
            assert!((first..first + usize::from(longest)).any(|at| table[at % table.len()] == id), "{id}");
        }
        // 255 of the same hash are one probe after the other; no table has room for more, however large.
        assert_eq!(lookup((0..255).map(|id| (7, id)).collect()).expect("a table").1, 255);
        assert!(lookup((0..256).map(|id| (7, id)).collect()).is_none());
    }
}
