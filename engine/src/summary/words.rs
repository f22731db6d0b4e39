//! Words of a sentence: what is one, which of them tell what a text is about, and lists of those that don't.

/// Letters, digits, and all of a character beyond ASCII.
pub(super) const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80
}

/// The words of a sentence.
pub(super) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| !is_word(byte)).filter(|word| !word.is_empty())
}

/// Whether `word` is in a list of words in small letters, however it is written.
// Not inlined, as the next two: there is one of each in flash.
#[inline(never)]
pub(super) fn among(word: &[u8], list: &[&[u8]]) -> bool {
    list.iter().any(|listed| word.eq_ignore_ascii_case(listed))
}

/// Whether a word tells what a text is about.
#[inline(never)]
pub(super) fn is_content(word: &[u8]) -> bool {
    word.len() >= 3 && !among(word, STOP)
}

/// What words are compared by, so that most inflections of a word are the same: FNV-1a (Fowler, Noll, Vo) of its first six bytes
/// as small letters, folded to 16 bits.
#[inline(never)]
pub(super) fn key(word: &[u8]) -> u16 {
    let hash = word
        .iter()
        .take(6)
        .fold(0x811c_9dc5u32, |hash, byte| (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193));
    (hash >> 16 ^ hash) as u16
}

/// The different content words of a sentence, the first 32.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    keys: [u16; 32],
    len: u8,
}

impl Keys {
    pub const NONE: Self = Self { keys: [0; 32], len: 0 };

    /// Those of a sentence instead of what was here.
    pub fn set(&mut self, text: &[u8]) {
        self.len = 0;
        for word in words(text).filter(|word| is_content(word)) {
            let key = key(word);
            if !self.all().contains(&key)
                && let Some(place) = self.keys.get_mut(usize::from(self.len))
            {
                *place = key;
                self.len += 1;
            }
        }
    }

    pub fn all(&self) -> &[u16] {
        self.keys.get(..usize::from(self.len)).unwrap_or(&[])
    }

    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// How many of both are the same.
    pub fn shared(&self, other: &Self) -> usize {
        self.all().iter().filter(|key| other.all().contains(key)).count()
    }
}

/// Words of three letters and more that any text has.
const STOP: &[&[u8]] = &[
    b"the", b"and", b"for", b"with", b"are", b"was", b"were", b"been", b"this", b"that", b"these", b"those", b"its",
    b"from", b"not", b"you", b"your", b"our", b"she", b"they", b"his", b"her", b"their", b"them", b"him", b"will",
    b"can", b"has", b"have", b"had", b"does", b"did", b"but", b"who", b"which", b"what", b"when", b"where", b"how",
    b"than", b"then", b"there", b"here", b"also", b"more", b"most", b"other", b"into", b"over", b"under", b"about",
    b"out", b"all", b"any", b"some", b"such", b"may", b"might", b"should", b"would", b"could", b"must", b"one", b"two",
    b"new", b"use", b"used", b"using", b"being", b"only", b"just", b"very", b"each", b"both", b"via", b"per",
    b"because", b"while", b"after", b"before", b"between", b"through", b"during", b"until", b"upon", b"yes", b"said",
    b"says", b"get", b"let", b"too", b"now", b"own", b"same", b"well", b"however",
];

/// First words of a sentence that point to the one before it.
pub(super) const ANAPHORS: &[&[u8]] = &[
    b"this", b"it", b"he", b"she", b"they", b"these", b"those", b"that", b"such", b"its", b"his", b"her", b"their",
    b"them", b"both", b"another",
];

/// First words of a sentence that go on from the one before it.
pub(super) const CONNECTIVES: &[&[u8]] = &[
    b"but",
    b"and",
    b"or",
    b"so",
    b"however",
    b"also",
    b"then",
    b"therefore",
    b"thus",
    b"moreover",
    b"furthermore",
    b"additionally",
    b"similarly",
    b"instead",
    b"otherwise",
    b"finally",
    b"yet",
    b"nevertheless",
    b"still",
    b"although",
    b"because",
    b"if",
    b"when",
    b"while",
    b"since",
];

/// First words of an instruction.
pub(super) const IMPERATIVES: &[&[u8]] = &[
    b"see", b"click", b"select", b"choose", b"enter", b"open", b"note", b"press", b"run", b"read", b"check",
    b"contact", b"visit", b"please", b"go", b"type",
];

/// What `This ...` speaks of where it means the text itself.
pub(super) const DOCUMENTS: &[&[u8]] = &[
    b"document",
    b"article",
    b"paper",
    b"specification",
    b"topic",
    b"section",
    b"page",
    b"command",
    b"cmdlet",
    b"method",
    b"function",
    b"property",
    b"tutorial",
    b"guide",
    b"post",
];

/// Words that tell kinds of sentences apart: the writer, the writers, the reader, greetings, events, duties, conclusions,
/// purposes, pointers.
pub(super) const CUES: [&[&[u8]]; 9] = [
    &[b"i", b"my", b"me", b"mine", b"myself"],
    &[b"we", b"our", b"us", b"ours"],
    &[b"you", b"your", b"yours"],
    &[
        b"hi",
        b"hello",
        b"hey",
        b"dear",
        b"thanks",
        b"thank",
        b"regards",
        b"sincerely",
        b"cheers",
        b"greetings",
        b"welcome",
        b"wishes",
    ],
    &[
        b"announced",
        b"voted",
        b"approved",
        b"decided",
        b"agreed",
        b"moved",
        b"introduced",
        b"launched",
        b"released",
        b"reported",
        b"called",
        b"urged",
        b"found",
        b"won",
        b"died",
        b"closed",
        b"opened",
        b"proposed",
        b"cancelled",
        b"canceled",
        b"rejected",
        b"confirmed",
        b"passed",
    ],
    &[b"will", b"must", b"shall", b"should", b"needs", b"need"],
    &[
        b"conclusion",
        b"summary",
        b"overall",
        b"concluded",
        b"result",
        b"results",
        b"therefore",
        b"finally",
        b"main",
        b"purpose",
        b"goal",
        b"key",
        b"aim",
        b"aims",
        b"important",
    ],
    &[
        b"provides",
        b"provide",
        b"allows",
        b"allow",
        b"describes",
        b"describe",
        b"defines",
        b"define",
        b"enables",
        b"enable",
        b"lets",
        b"helps",
        b"proposes",
        b"propose",
        b"introduces",
        b"specifies",
        b"explains",
        b"contains",
        b"implements",
        b"returns",
        b"creates",
        b"gets",
        b"sets",
        b"retrieves",
        b"present",
        b"presents",
    ],
    &[
        b"example",
        b"examples",
        b"e",
        b"following",
        b"below",
        b"above",
        b"note",
        b"figure",
        b"table",
        b"information",
        b"see",
        b"click",
        b"link",
        b"previous",
        b"next",
    ],
];

/// First words of a greeting.
pub(super) const GREETINGS: &[&[u8]] = &[
    b"dear",
    b"hi",
    b"hello",
    b"hey",
    b"greetings",
    b"regards",
    b"sincerely",
    b"best",
    b"kind",
    b"yours",
    b"cheers",
    b"thanks",
    b"many",
    b"warm",
    b"good",
];

/// Labels of lines that say who wrote, when, and who was there.
pub(super) const META: &[&[u8]] = &[
    b"present",
    b"attendees",
    b"participants",
    b"attending",
    b"date",
    b"subject",
    b"from",
    b"to",
    b"cc",
    b"version",
    b"ingredients",
    b"author",
    b"authors",
    b"time",
    b"location",
    b"re",
    b"priority",
    b"url",
    b"tags",
    b"absent",
    b"chair",
    b"sent",
    b"place",
    b"serves",
    b"license",
    b"licence",
];

/// Words of politeness.
pub(super) const SMALL_TALK: &[&[u8]] = &[
    b"hope",
    b"weekend",
    b"congratulations",
    b"happy",
    b"glad",
    b"sorry",
    b"welcome",
    b"apologies",
    b"excited",
    b"question",
    b"thank",
    b"thanks",
    b"enjoy",
    b"wish",
    b"wishes",
    b"leaflet",
    b"regret",
];

/// Words that say when.
pub(super) const WHEN: &[&[u8]] = &[
    b"monday",
    b"tuesday",
    b"wednesday",
    b"thursday",
    b"friday",
    b"saturday",
    b"sunday",
    b"january",
    b"february",
    b"march",
    b"april",
    b"june",
    b"july",
    b"august",
    b"september",
    b"october",
    b"november",
    b"december",
    b"today",
    b"tomorrow",
    b"tonight",
    b"yesterday",
];

/// Words of what went wrong.
pub(super) const TROUBLE: &[&[u8]] = &[
    b"error",
    b"errors",
    b"fail",
    b"failed",
    b"fails",
    b"failure",
    b"fatal",
    b"critical",
    b"aborted",
    b"crash",
    b"crashed",
    b"burst",
    b"expired",
    b"broken",
    b"broke",
    b"stopped",
    b"tripped",
    b"lost",
    b"destroyed",
    b"killed",
    b"injured",
    b"outage",
    b"leak",
    b"leaked",
    b"refused",
    b"refuse",
    b"damaged",
    b"missing",
    b"wrong",
    b"storm",
    b"vulnerability",
    b"attacker",
];

/// Words of what was found.
pub(super) const RESULTS: &[&[u8]] = &[
    b"show",
    b"shows",
    b"showed",
    b"suggest",
    b"suggests",
    b"demonstrate",
    b"demonstrates",
    b"propose",
    b"present",
    b"introduce",
    b"outperforms",
    b"achieves",
    b"improves",
    b"found",
    b"find",
    b"conclude",
];

/// Words of contrast.
pub(super) const CONTRAST: &[&[u8]] = &[b"but", b"however", b"although", b"though", b"instead", b"while", b"despite"];

/// Labels of lines that say what came of it.
pub(super) const OUTCOMES: &[&[u8]] = &[
    b"decision",
    b"summary",
    b"conclusion",
    b"result",
    b"results",
    b"outcome",
    b"resolution",
    b"resolved",
    b"tldr",
    b"abstract",
    b"purpose",
    b"problem",
    b"issue",
    b"cause",
    b"fix",
];

/// The first word of a line, where this or the second word is followed by a colon and a space.
pub(super) fn label(text: &[u8]) -> Option<&[u8]> {
    let colon = text.iter().take(32).position(|&byte| byte == b':')?;
    let (head, tail) = text.split_at_checked(colon)?;
    if tail.get(1) != Some(&b' ') || words(head).nth(2).is_some() {
        return None;
    }
    words(head).next()
}

/// Beginnings of what documents say of their own licence, of who keeps them, and how to contribute.
const TERMS: &str = "copyright |licensed under |dual-licensed |dual licensed |mit license |apache license|\
                     this project is licensed under |this crate is licensed under |unless you explicitly state otherwise, any contribution |\
                     this project is developed and maintained by |this project is maintained by |this crate is maintained by |\
                     contribution to this |the minimum supported rust version |this crate is guaranteed to compile |\
                     this crate is guaranteed to build |this file may not be copied";

/// Words at the beginning of a sentence that mean something of the one before it,
const REFERRING: &str = "this these those that it its they their he his she her such both however but so thus therefore hence \
                         otherwise also then instead moreover";
/// and those that do as its second word, behind one of these.
const ABOVE: &str = "above mentioned latter former";
const BEFORE_ABOVE: &str = "the from as";
/// "This" is the text itself before one of these.
const ITSELF: &str = "crate library package program project repository tool module extension software document file page article \
                      paper book chapter guide manual report policy release distribution specification standard";

/// As [`among`], of words between spaces: less flash than a list of slices.
#[inline(never)]
fn listed(word: &[u8], words: &str) -> bool {
    words.as_bytes().split(|&byte| byte == b' ').any(|listed| word.eq_ignore_ascii_case(listed))
}

/// Whether a sentence begins with what can't be understood without the one before it.
#[inline(never)]
pub(super) fn refers_back(text: &[u8]) -> bool {
    let mut found = words(text);
    let (first, second) = (found.next().unwrap_or(&[]), found.next().unwrap_or(&[]));
    let of_itself = first.eq_ignore_ascii_case(b"this") && listed(second, ITSELF);
    listed(first, REFERRING) && !of_itself || listed(first, BEFORE_ABOVE) && listed(second, ABOVE)
}

/// Whether a line greets, says who wrote and who was there, or is about the document's own licence and upkeep.
pub(super) fn is_formal(text: &[u8]) -> bool {
    let first = words(text).next().unwrap_or(&[]);
    let begins = |terms: &[u8]| text.get(..terms.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(terms));
    TERMS.as_bytes().split(|&byte| byte == b'|').any(begins)
        || (among(first, GREETINGS) && words(text).nth(7).is_none())
        || (label(text).is_some() && among(first, META))
}

#[cfg(test)]
mod tests {
    use super::{key, refers_back};

    #[test]
    fn what_goes_on_from_a_sentence_is_told_by_its_first_words() {
        for text in [
            "This was decided.",
            "It prints a line.",
            "However, others do.",
            "The above limits hold.",
            "As mentioned, it works.",
        ] {
            assert!(refers_back(text.as_bytes()), "{text}");
        }
        for text in [
            "This crate prints lines.",
            "The same-origin policy holds.",
            "Items are listed.",
            "Above all, be kind.",
            "",
        ] {
            assert!(!refers_back(text.as_bytes()), "{text}");
        }
    }

    /// Weights of words are fitted by `host-tools/train/dumps.py`, whose `bucket` has the lower bits of these.
    #[test]
    fn keys_are_what_weights_were_fitted_to() {
        assert_eq!(key(b"decided"), 0xfd36);
        assert_eq!(key(b"Decide"), 0xfd36);
        assert_eq!(key("caf\u{e9}".as_bytes()), 0xf862);
        assert_eq!(key(b"a"), 0xcd20);
    }
}
