//! The checked view of a tokenizer section.

use super::nfc::Tables;
use super::program::Program;
use super::{
    Kind, MAX_ADDED, MAX_CLASSES, MAX_STAGES, MAX_SYMBOLS, Prefix, RANKS, Strip, TokenizerError, VERSION, WIDE, field,
    flag,
};

/// "No token".
pub const NONE: u32 = u32::MAX;

/// Hash of a pair in the lookup.
#[inline]
pub const fn hash(a: u32, b: u32) -> u32 {
    let h = a.wrapping_mul(0x9e37_79b1).wrapping_add(b).wrapping_mul(0x85eb_ca6b);
    (h ^ h >> 15).wrapping_mul(0x9e37_79b1)
}

/// First slot of a hash.
#[inline]
pub const fn slot(hash: u32, slots: u32) -> u32 {
    ((hash as u64 * slots as u64) >> 32) as u32
}

/// A tokenizer that lies in an image. Cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Tokenizer<'m> {
    pub(super) kind: Kind,
    pub(super) stages: u8,
    classes: u8,
    pub(super) prefix: Prefix,
    pub(super) strip: Strip,
    probe: u8,
    longest: u16,
    slots: u32,
    symbols: Counts<'m>,
    nodes: Ids<'m>,
    ranks: Option<Ids<'m>>,
    /// Sorted pairs: a token, and its level where that isn't its rank.
    levels: Ids<'m>,
    lookup: Ids<'m>,
    bytes: Ids<'m>,
    added: &'m [[u8; 4]],
    whole: Ids<'m>,
    texts: &'m [u8],
    program: &'m [u8],
    normal_forms: &'m [u8],
}

/// A table of counts.
#[derive(Clone, Copy, Debug)]
enum Counts<'m> {
    Narrow(&'m [u8]),
    Wide(&'m [[u8; 2]]),
}

impl Counts<'_> {
    fn len(self) -> usize {
        match self {
            Self::Narrow(counts) => counts.len(),
            Self::Wide(counts) => counts.len(),
        }
    }

    #[inline]
    fn get(self, index: usize) -> Option<u16> {
        match self {
            Self::Narrow(counts) => counts.get(index).map(|&count| count.into()),
            Self::Wide(counts) => counts.get(index).map(|&count| u16::from_le_bytes(count)),
        }
    }
}

/// A table of ids.
#[derive(Clone, Copy, Debug)]
enum Ids<'m> {
    Narrow(&'m [[u8; 2]]),
    Wide(&'m [[u8; 4]]),
}

impl<'m> Ids<'m> {
    fn new(bytes: &'m [u8], width: usize) -> Self {
        match width {
            2 => Self::Narrow(bytes.as_chunks().0),
            _ => Self::Wide(bytes.as_chunks().0),
        }
    }

    fn len(self) -> usize {
        match self {
            Self::Narrow(ids) => ids.len(),
            Self::Wide(ids) => ids.len(),
        }
    }

    #[inline]
    fn get(self, index: usize) -> u32 {
        match self {
            Self::Narrow(ids) => match ids.get(index).map_or(u16::MAX, |&id| u16::from_le_bytes(id)) {
                u16::MAX => NONE,
                id => id.into(),
            },
            Self::Wide(ids) => ids.get(index).map_or(NONE, |&id| u32::from_le_bytes(id)),
        }
    }

    /// Entries 2 i and 2 i + 1.
    #[inline]
    fn pair(self, index: usize) -> (u32, u32) {
        (self.get(2 * index), self.get(2 * index + 1))
    }

    /// Entry 2 i and what follows it as one u32.
    fn offset(self, index: usize) -> u32 {
        match self {
            Self::Narrow(ids) => match ids.get(2 * index..2 * index + 2) {
                Some(&[[a, b], [c, d]]) => u32::from_le_bytes([a, b, c, d]),
                _ => NONE,
            },
            Self::Wide(_) => self.get(2 * index),
        }
    }
}

/// Cuts a section into its tables.
struct Cut<'m>(&'m [u8]);

impl<'m> Cut<'m> {
    /// The caller has checked the total length.
    fn take(&mut self, bytes: usize) -> &'m [u8] {
        let (head, rest) = self.0.split_at_checked(bytes).unwrap_or((&[], &[]));
        self.0 = rest;
        head
    }
}

impl<'m> Tokenizer<'m> {
    /// Checks a section completely. Afterwards nothing here can fail, whatever the bytes are; a damaged section that still
    /// passes gives wrong tokens, which the image's checksum is there to prevent.
    ///
    /// `vocab` is the model's; a tokenizer may know fewer tokens, not more.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(bytes: &'m [u8], vocab: u32) -> Result<Self, TokenizerError> {
        let tokenizer = Self::view(bytes, vocab)?;
        tokenizer.check()?;
        Ok(tokenizer)
    }

    /// As [`Tokenizer::parse`], for bytes that it has checked before: reads the header alone.
    pub(crate) fn view(bytes: &'m [u8], vocab: u32) -> Result<Self, TokenizerError> {
        let found = bytes.len() as u64;
        let header: &[u8; field::HEADER_BYTES] =
            bytes.first_chunk().ok_or(TokenizerError::Length { expected: field::HEADER_BYTES as u64, found })?;
        let byte = |at: usize| header.get(at).copied().unwrap_or(0);
        let word = |at: usize| u32::from_le_bytes([byte(at), byte(at + 1), byte(at + 2), byte(at + 3)]);
        let wrong = |name, found| Err(TokenizerError::Field { name, found });

        let version = u16::from_le_bytes([byte(field::VERSION), byte(field::VERSION + 1)]);
        if version != VERSION {
            return wrong("version", version.into());
        }
        let width = byte(field::WIDTH);
        if width != 2 && width != 4 {
            return wrong("width", width.into());
        }
        let kind = match byte(field::KIND) {
            0 => Kind::ByteLevel,
            1 => Kind::SentencePiece,
            other => return wrong("kind", other.into()),
        };
        let flags = byte(field::FLAGS);
        if flags & !(RANKS | WIDE) != 0 {
            return wrong("flags", flags.into());
        }
        let (stages, classes) = (byte(field::STAGES), byte(field::CLASSES));
        if usize::from(stages) > MAX_STAGES {
            return wrong("stages", stages.into());
        }
        if usize::from(classes) > MAX_CLASSES {
            return wrong("classes", classes.into());
        }
        let prefix = match byte(field::PREFIX) {
            0 => Prefix::Never,
            1 => Prefix::Segments,
            2 => Prefix::BareSegments,
            3 => Prefix::Text,
            4 => Prefix::BareText,
            other => return wrong("prefix", other.into()),
        };
        let strip = match byte(field::STRIP) {
            0 => Strip::Nothing,
            1 => Strip::Space,
            2 => Strip::FirstToken,
            other => return wrong("strip", other.into()),
        };
        if word(field::ZERO) != 0 {
            return wrong("reserved", word(field::ZERO));
        }
        let (tokens, slots) = (word(field::TOKENS), word(field::SLOTS));
        if tokens == 0 || tokens > vocab.min(flag::ID) || (width == 2 && tokens >= u16::MAX.into()) {
            return wrong("tokens", tokens);
        }
        if slots == 0 {
            return wrong("slots", slots);
        }
        let (added, whole, texts) = (word(field::ADDED), word(field::WHOLE), word(field::TEXTS));
        let (levels, program, normal_forms) = (word(field::LEVELS), word(field::PROGRAM), word(field::NORMAL_FORMS));

        let ranks = if flags & RANKS != 0 { u64::from(tokens) } else { 0 };
        let count_width = if flags & WIDE != 0 { 2 } else { 1 };
        let ids = 2 * u64::from(tokens) + ranks + 2 * u64::from(levels) + u64::from(slots) + 256 + u64::from(whole);
        let expected = field::HEADER_BYTES as u64
            + u64::from(tokens) * count_width
            + ids * u64::from(width)
            + 4 * u64::from(added)
            + u64::from(texts)
            + u64::from(program)
            + u64::from(normal_forms);
        if expected != found {
            return Err(TokenizerError::Length { expected, found });
        }
        // No cast cuts anything off from here: every part is at most `found`.
        let (w, mut cut) = (usize::from(width), Cut(bytes));
        cut.take(field::HEADER_BYTES);
        Ok(Self {
            kind,
            stages,
            classes,
            prefix,
            strip,
            probe: byte(field::PROBE),
            longest: u16::from_le_bytes([byte(field::LONGEST), byte(field::LONGEST + 1)]),
            slots,
            symbols: match count_width {
                1 => Counts::Narrow(cut.take(tokens as usize)),
                _ => Counts::Wide(cut.take(2 * tokens as usize).as_chunks().0),
            },
            nodes: Ids::new(cut.take(tokens as usize * 2 * w), w),
            ranks: (ranks != 0).then(|| Ids::new(cut.take(tokens as usize * w), w)),
            levels: Ids::new(cut.take(levels as usize * 2 * w), w),
            lookup: Ids::new(cut.take(slots as usize * w), w),
            bytes: Ids::new(cut.take(256 * w), w),
            added: cut.take(added as usize * 4).as_chunks().0,
            whole: Ids::new(cut.take(whole as usize * w), w),
            texts: cut.take(texts as usize),
            program: cut.take(program as usize),
            normal_forms: cut.take(normal_forms as usize),
        })
    }

    fn check(&self) -> Result<(), TokenizerError> {
        let wrong = |table, index: usize| Err(TokenizerError::Entry { table, index: index as u32 });
        let mut longest = 1;
        for index in 0..self.symbols.len() {
            let id = index as u32;
            let symbols = self.symbols.get(index).unwrap_or(0);
            let right = match symbols {
                0 => self.nodes.offset(index) == NONE || self.text(id).is_some(),
                1 => self.text(id).is_some_and(|text| !text.is_empty()),
                _ => {
                    let (left, right) = self.nodes.pair(index);
                    let (l, r) = (self.symbols(left), self.symbols(right));
                    // Parts are shorter than the whole: every descent ends.
                    l != 0 && r != 0 && l + r == usize::from(symbols)
                }
            };
            if !right {
                return wrong("nodes", index);
            }
            longest = longest.max(symbols);
        }
        if longest != self.longest || longest > MAX_SYMBOLS {
            return Err(TokenizerError::Field { name: "most symbols", found: self.longest.into() });
        }
        for index in 0..self.lookup.len() {
            let id = self.lookup.get(index);
            if id != NONE && self.symbols(id) == 0 {
                return wrong("lookup", index);
            }
        }
        for index in 0..self.bytes.len() {
            let symbol = self.bytes.get(index);
            if symbol != NONE && self.symbols(symbol) != 1 {
                return wrong("bytes", index);
            }
        }
        for (index, entry) in self.added.iter().enumerate() {
            let entry = u32::from_le_bytes(*entry);
            let piece = self.piece(entry & flag::ID);
            let length = piece.map_or(0, |piece| piece.take(MAX_ADDED + 1).count());
            if length == 0
                || (entry & flag::IN_TEXT != 0 && length > MAX_ADDED)
                || entry & !flag::ID & !flag::KNOWN != 0
            {
                return wrong("added tokens", index);
            }
        }
        for index in 0..self.whole.len() {
            if self.text(self.whole.get(index)).is_none() {
                return wrong("whole words", index);
            }
        }
        if let Some(tables) = self.normal_forms() {
            tables.check()?;
        } else if !self.normal_forms.is_empty() {
            return wrong("normal forms", 0);
        }
        match Program::view(self.program, self.classes, self.stages) {
            Some(program) => program.check(self.classes, self.stages),
            None => wrong("program", 0),
        }
    }

    /// How texts are cut into words.
    pub(super) fn program(&self) -> Program<'m> {
        Program::view(self.program, self.classes, self.stages).unwrap_or(Program::NOTHING)
    }

    /// The tables of Unicode's normalization, where texts are normalized.
    pub(super) fn normal_forms(&self) -> Option<Tables<'m>> {
        if self.normal_forms.is_empty() { None } else { Tables::view(self.normal_forms) }
    }

    /// Tokens that it knows: ids are below this.
    pub fn tokens(&self) -> u32 {
        self.symbols.len() as u32
    }

    /// Most symbols (bytes, or characters) that a merged token has.
    pub fn longest(&self) -> usize {
        self.longest.into()
    }

    /// The bytes of a token's text; `None` where it has none.
    ///
    /// A text may be a part of a character: only [`Decoder`](super::Decoder) makes strings of them.
    pub fn piece(&self, id: u32) -> Option<Piece<'_>> {
        match self.symbols(id) {
            0 => self.text(id).map(|text| Piece { tokenizer: self, id: NONE, next: 0, symbols: 0, text }),
            symbols => Some(Piece { tokenizer: self, id, next: 0, symbols, text: &[] }),
        }
    }

    /// The id of the special or other added token with this text.
    pub fn added_token(&self, text: &str) -> Option<u32> {
        self.find_added(text.bytes()).map(|entry| entry & flag::ID)
    }

    /// Whether a token is special: none of the text, but a mark in it.
    pub fn is_special(&self, id: u32) -> bool {
        let entry = self.piece(id).and_then(|piece| self.find_added(piece));
        entry.is_some_and(|entry| entry & flag::SPECIAL != 0 && entry & flag::ID == id)
    }

    /// Whether white space after a token belongs to it.
    pub(super) fn strips_right(&self, id: u32) -> bool {
        let entry = self.piece(id).and_then(|piece| self.find_added(piece));
        entry.is_some_and(|entry| entry & flag::STRIP_RIGHT != 0 && entry & flag::ID == id)
    }

    fn find_added(&self, text: impl Iterator<Item = u8> + Clone) -> Option<u32> {
        let at = self.added.partition_point(|entry| self.added_text(*entry).lt(text.clone()));
        let entry = *self.added.get(at)?;
        self.added_text(entry).eq(text).then_some(u32::from_le_bytes(entry))
    }

    fn added_text(&self, entry: [u8; 4]) -> impl Iterator<Item = u8> {
        self.piece(u32::from_le_bytes(entry) & flag::ID).into_iter().flatten()
    }

    /// Entry of the added tokens' table.
    pub(super) fn added(&self, index: usize) -> Option<u32> {
        self.added.get(index).map(|&entry| u32::from_le_bytes(entry))
    }

    /// Number of added tokens.
    pub(super) fn added_len(&self) -> usize {
        self.added.len()
    }

    /// Byte `at` of the text of entry `index` in the added tokens' table.
    pub(super) fn added_byte(&self, index: usize, at: usize) -> Option<u8> {
        self.added_text(*self.added.get(index)?).nth(at)
    }

    /// The token that a word with this text is whatever the merges say.
    pub(super) fn whole_word(&self, text: impl Iterator<Item = u8> + Clone) -> Option<u32> {
        let (mut low, mut high) = (0, self.whole.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let id = self.whole.get(middle);
            match self.text(id).unwrap_or(&[]).iter().copied().cmp(text.clone()) {
                core::cmp::Ordering::Less => low = middle + 1,
                core::cmp::Ordering::Equal => return Some(id),
                core::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// Number of whole words.
    pub(super) fn whole_len(&self) -> usize {
        self.whole.len()
    }

    /// Symbols that a token was merged from; 0 for a literal and beyond the vocabulary.
    #[inline]
    pub(super) fn symbols(&self, id: u32) -> usize {
        self.symbols.get(id as usize).unwrap_or(0).into()
    }

    /// The parts of a merged token.
    #[inline]
    pub(super) fn parts(&self, id: u32) -> (u32, u32) {
        self.nodes.pair(id as usize)
    }

    /// When the merge that makes a merged token happens: lower is earlier.
    #[inline]
    pub(super) fn rank(&self, id: u32) -> u32 {
        self.ranks.map_or(id.wrapping_add(1), |ranks| ranks.get(id as usize))
    }

    /// The highest rank among the merges that a token is made by; 0 for a symbol.
    #[inline]
    pub(super) fn level(&self, id: u32) -> u32 {
        if self.symbols(id) < 2 {
            return 0;
        }
        let (mut low, mut high) = (0, self.levels.len() / 2);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.levels.pair(middle) {
                (found, level) if found == id => return level,
                (found, _) if found < id => low = middle + 1,
                _ => high = middle,
            }
        }
        self.rank(id)
    }

    /// The token that two tokens merge to.
    #[inline]
    pub(super) fn merged(&self, left: u32, right: u32) -> Option<u32> {
        self.find(hash(left, right), |id| self.nodes.pair(id as usize) == (left, right) && self.symbols(id) > 1)
    }

    /// The symbol of a byte.
    #[inline]
    pub(super) fn byte(&self, byte: u8) -> u32 {
        self.bytes.get(byte.into())
    }

    /// The symbol of a character, in the SentencePiece kind.
    pub(super) fn character(&self, character: char) -> Option<u32> {
        let mut utf8 = [0; 4];
        let utf8 = character.encode_utf8(&mut utf8).as_bytes();
        self.find(hash(NONE, character.into()), |id| self.symbols(id) == 1 && self.text(id) == Some(utf8))
    }

    #[inline]
    fn find(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = slot(hash, self.slots);
        for _ in 0..self.probe {
            match self.lookup.get(at as usize) {
                NONE => return None,
                id if is(id) => return Some(id),
                _ => at = if at + 1 == self.slots { 0 } else { at + 1 },
            }
        }
        None
    }

    /// The text of a symbol or literal.
    fn text(&self, id: u32) -> Option<&'m [u8]> {
        if self.symbols.get(id as usize)? > 1 {
            return None;
        }
        let (&length, rest) = self.texts.get(self.nodes.offset(id as usize) as usize..)?.split_first()?;
        rest.get(..usize::from(length))
    }

    /// The symbol at place `at` of a token, counted from 0.
    fn symbol(&self, mut id: u32, mut at: usize) -> u32 {
        // Ends: parts have fewer symbols than the whole.
        while self.symbols(id) > 1 {
            let (left, right) = self.parts(id);
            let length = self.symbols(left);
            id = if at < length { left } else { right };
            at = if at < length { at } else { at - length };
        }
        id
    }
}

/// The bytes of a token, see [`Tokenizer::piece`].
#[derive(Clone, Debug)]
pub struct Piece<'t> {
    tokenizer: &'t Tokenizer<'t>,
    id: u32,
    /// The symbol after the one that `text` is the rest of.
    next: usize,
    symbols: usize,
    text: &'t [u8],
}

impl Iterator for Piece<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if self.text.is_empty() {
            if self.next == self.symbols {
                return None;
            }
            self.text = self.tokenizer.text(self.tokenizer.symbol(self.id, self.next)).unwrap_or(&[]);
            self.next += 1;
        }
        let (&byte, rest) = self.text.split_first()?;
        self.text = rest;
        Some(byte)
    }
}
