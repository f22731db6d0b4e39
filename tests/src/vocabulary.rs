//! Tokenizer sections from a list of tokens, valid or not: the packer makes only those that it can vouch for.

use std::sync::LazyLock;

use jamlet::tokenizer::{NONE, RANKS, VERSION, field, hash, slot};
use jamlet_tools::hf::tokenizer::{Program, program};

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
    pub program: Program,
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
    /// Tables of Unicode's form C, if texts are normalized.
    pub normal_forms: Vec<u8>,
}

impl Vocabulary {
    /// All bytes share the first token as their symbol, but for those that `symbols` lists, each a token of its own.
    pub fn of_symbols(kind: u8, symbols: &str) -> Self {
        let mut vocabulary = Self {
            kind,
            program: Program::default(),
            prefix: 0,
            strip: 0,
            tokens: vec![Token::Symbol(b"?".to_vec())],
            bytes: vec![0; 256],
            added: Vec::new(),
            whole: Vec::new(),
            ranks: None,
            normal_forms: Vec::new(),
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
        let levels = self.levels(&symbols);
        levels.iter().for_each(|&(id, level)| bytes.extend([narrow(id), narrow(level)].concat()));
        let (lookup, probe) = self.lookup();
        for id in lookup.iter().chain(&self.bytes) {
            bytes.extend(narrow(*id));
        }
        self.added.iter().for_each(|entry| bytes.extend(entry.to_le_bytes()));
        self.whole.iter().for_each(|&id| bytes.extend(narrow(id)));
        bytes.extend(&texts);
        bytes.extend(&self.program.bytes);
        bytes.extend(&self.normal_forms);
        let mut set = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        set(field::VERSION, &VERSION.to_le_bytes());
        for (at, value) in [
            (field::WIDTH, 2),
            (field::KIND, self.kind),
            (field::FLAGS, if self.ranks.is_some() { RANKS } else { 0 }),
            (field::STAGES, self.program.stages),
            (field::CLASSES, self.program.classes),
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
            (field::LEVELS, levels.len()),
            (field::PROGRAM, self.program.bytes.len()),
            (field::NORMAL_FORMS, self.normal_forms.len()),
        ] {
            set(at, &(count as u32).to_le_bytes());
        }
        bytes
    }

    /// Merged tokens whose level isn't their rank.
    fn levels(&self, symbols: &[u8]) -> Vec<(u32, u32)> {
        let rank = |id: usize| self.ranks.as_ref().map_or(id as u32 + 1, |ranks| ranks[id]);
        let mut levels = vec![0; self.tokens.len()];
        for (id, token) in self.tokens.iter().enumerate() {
            if let Token::Merged(left, right) = *token
                && symbols[id] > 1
            {
                let of = |part: u32| levels.get(part as usize).copied().unwrap_or(0);
                levels[id] = rank(id).max(of(left)).max(of(right));
            }
        }
        (0..).zip(levels).filter(|&(id, level)| level > rank(id as usize)).collect()
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

/// Programs that cut: none, as GPT-2, as cl100k, at spaces, digits before that, and bytes after it. Letters and digits are those
/// of ASCII, so that programs are small.
pub fn cuts(choice: u8) -> Program {
    static ALL: LazyLock<[Program; 6]> = LazyLock::new(|| {
        let gpt2 = (r"'s|'t|'re|'ve|'m|'ll|'d| ?[a-z]+| ?[0-9]+| ?[^\sa-z0-9]+|\s+(?!\S)|\s+", false);
        let cl100k = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\na-z0-9]?[a-z]+|[0-9]{1,3}| ?[^\sa-z0-9]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
        let lists: [&[(&str, bool)]; 6] = [
            &[],
            &[gpt2],
            &[(cl100k, false)],
            &[("[ ▁][^ ▁]*|[^ ▁]+", false)],
            &[("[0-9]", false), gpt2],
            &[("[!-/]+", false), gpt2, ("[0-9]+", true), ("[0-9][0-9][0-9]", true), (r"\s+$", true)],
        ];
        lists.map(|list| program(list, false).expect("a program"))
    });
    ALL[usize::from(choice % 6)].clone()
}

/// The tables of Unicode's form C.
pub fn normal_forms() -> Vec<u8> {
    static TABLES: LazyLock<Vec<u8>> = LazyLock::new(jamlet_tools::hf::tokenizer::normal_forms);
    TABLES.clone()
}

/// The vocabulary of the small images: a few letters, some merges, a special token and a whole word.
pub fn small() -> Vocabulary {
    use jamlet::tokenizer::flag;
    let mut small = Vocabulary::of_symbols(0, "abc \n'");
    small.program = cuts(1);
    // Ids: 1 a, 2 b, 3 c, 4 space, 5 newline, 6 apostrophe.
    small.tokens.extend([Token::Merged(1, 2), Token::Merged(7, 3), Token::Merged(4, 8), Token::Merged(1, 1)]);
    small.tokens.push(Token::Literal(Some(b"<s>".to_vec())));
    small.added = vec![11 | flag::SPECIAL | flag::IN_TEXT];
    small
}
