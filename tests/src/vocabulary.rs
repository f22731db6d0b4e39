//! Tokenizer sections from a list of tokens, valid or not: the packer makes only those that it can vouch for.

use jamlet::tokenizer::{NONE, RANKS, VERSION, field, hash, slot};

/// How a token is made.
#[derive(Clone, Debug)]
pub enum Token {
    /// No merge makes it; it may have a text.
    Literal(Option<Vec<u8>>),
    /// A byte or character.
    Symbol(Vec<u8>),
    /// Two tokens before it.
    Merged(u32, u32),
}

/// What a section holds. Fields are those of the section's header.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    /// 0 byte-level, 1 SentencePiece.
    pub kind: u8,
    /// How words are cut.
    pub words: u8,
    /// Most digits in a word.
    pub digits: u8,
    /// How digits are cut off.
    pub cut_digits: u8,
    /// Where a space is put before a text.
    pub prefix: u8,
    /// What decoding strips.
    pub strip: u8,
    /// The tokens by id.
    pub tokens: Vec<Token>,
    /// Symbol of every byte.
    pub bytes: Vec<u32>,
    /// Entries of the added tokens: id and flags.
    pub added: Vec<u32>,
    /// Whole words.
    pub whole: Vec<u32>,
    /// Ranks, if the ids are none.
    pub ranks: Option<Vec<u32>>,
}

impl Vocabulary {
    /// All bytes share the first token as their symbol, but for those that `symbols` lists, each a token of its own.
    pub fn of_symbols(kind: u8, symbols: &str) -> Self {
        let mut vocabulary = Self {
            kind,
            words: 0,
            digits: 0,
            cut_digits: 0,
            prefix: 0,
            strip: 0,
            tokens: vec![Token::Symbol(b"?".to_vec())],
            bytes: vec![0; 256],
            added: Vec::new(),
            whole: Vec::new(),
            ranks: None,
        };
        for c in symbols.chars() {
            if c.is_ascii() {
                vocabulary.bytes[c as usize] = vocabulary.tokens.len() as u32;
            }
            vocabulary.tokens.push(Token::Symbol(c.to_string().into_bytes()));
        }
        vocabulary
    }

    /// Symbols of every token; 255 at most, as the section can't say more.
    pub fn symbols(&self) -> Vec<u8> {
        let mut symbols: Vec<u8> = Vec::with_capacity(self.tokens.len());
        for token in &self.tokens {
            symbols.push(match token {
                Token::Literal(_) => 0,
                Token::Symbol(_) => 1,
                Token::Merged(left, right) => {
                    let of = |id: &u32| symbols.get(*id as usize).copied().unwrap_or(0);
                    of(left).saturating_add(of(right))
                }
            });
        }
        symbols
    }

    /// The section.
    pub fn section(&self) -> Vec<u8> {
        let symbols = self.symbols();
        let mut bytes = vec![0; field::HEADER_BYTES];
        bytes.extend(&symbols);
        let narrow = |id: u32| (id as u16).to_le_bytes();
        let mut texts = Vec::new();
        for token in &self.tokens {
            match token {
                Token::Merged(left, right) => bytes.extend([narrow(*left), narrow(*right)].concat()),
                Token::Literal(None) => bytes.extend(NONE.to_le_bytes()),
                Token::Literal(Some(text)) | Token::Symbol(text) => {
                    bytes.extend((texts.len() as u32).to_le_bytes());
                    texts.push(text.len() as u8);
                    texts.extend(&text[..text.len().min(255)]);
                }
            }
        }
        if let Some(ranks) = &self.ranks {
            ranks.iter().for_each(|&rank| bytes.extend(narrow(rank)));
        }
        let (lookup, probe) = self.lookup();
        for id in lookup.iter().chain(&self.bytes) {
            bytes.extend(narrow(*id));
        }
        self.added.iter().for_each(|entry| bytes.extend(entry.to_le_bytes()));
        self.whole.iter().for_each(|&id| bytes.extend(narrow(id)));
        bytes.extend(&texts);
        let mut set = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        set(field::VERSION, &VERSION.to_le_bytes());
        for (at, value) in [
            (field::WIDTH, 2),
            (field::KIND, self.kind),
            (field::FLAGS, if self.ranks.is_some() { RANKS } else { 0 }),
            (field::WORDS, self.words),
            (field::DIGITS, self.digits),
            (field::CUT_DIGITS, self.cut_digits),
            (field::PREFIX, self.prefix),
            (field::STRIP, self.strip),
            (field::PROBE, probe),
            (field::LONGEST, symbols.iter().copied().max().unwrap_or(1).max(1)),
        ] {
            set(at, &[value]);
        }
        for (at, count) in [
            (field::TOKENS, self.tokens.len()),
            (field::SLOTS, lookup.len()),
            (field::ADDED, self.added.len()),
            (field::WHOLE, self.whole.len()),
            (field::TEXTS, texts.len()),
        ] {
            set(at, &(count as u32).to_le_bytes());
        }
        bytes
    }

    /// The hash table of merged tokens and characters, and its longest probe.
    fn lookup(&self) -> (Vec<u32>, u8) {
        let entry = |token: &Token| match token {
            Token::Merged(left, right) => Some(hash(*left, *right)),
            Token::Symbol(text) if self.kind == 1 => {
                let mut characters = str::from_utf8(text).ok()?.chars();
                let only = characters.next().filter(|_| characters.next().is_none());
                only.map(|c| hash(NONE, c.into()))
            }
            _ => None,
        };
        let slots = self.tokens.len() * 5 / 4 + 1;
        let (mut table, mut longest) = (vec![NONE; slots], 1);
        for (id, token) in self.tokens.iter().enumerate() {
            let Some(hash) = entry(token) else { continue };
            let mut at = slot(hash, slots as u32) as usize;
            let mut probe = 1_u8;
            while table[at] != NONE {
                at = (at + 1) % slots;
                probe = probe.saturating_add(1);
            }
            table[at] = id as u32;
            longest = longest.max(probe);
        }
        (table, longest)
    }
}

/// The vocabulary of the small images: a few letters, some merges, a special token and a whole word.
pub fn small() -> Vocabulary {
    use jamlet::tokenizer::flag;
    let mut small = Vocabulary::of_symbols(0, "abc \n'");
    small.words = 1;
    // Ids: 1 a, 2 b, 3 c, 4 space, 5 newline, 6 apostrophe.
    small.tokens.extend([Token::Merged(1, 2), Token::Merged(7, 3), Token::Merged(4, 8), Token::Merged(1, 1)]);
    small.tokens.push(Token::Literal(Some(b"<s>".to_vec())));
    small.added = vec![11 | flag::SPECIAL | flag::IN_TEXT];
    small
}
