//! Words of a summary that its text has, in any inflection, and words that any text may have.

use super::hash::Hash;

/// Letters of a word that are remembered; longer ones are looked at as they are.
const LETTERS: usize = 16;
/// Shorter words are nobody's content.
const SHORTEST: u8 = 3;

/// Endings of one word in its forms, and those where a `y` changes.
const PLAIN: [&[u8]; 7] = [b"", b"s", b"es", b"d", b"ed", b"ing", b"e"];
const WITH_Y: [&[u8]; 4] = [b"y", b"ies", b"ied", b"ying"];

/// The part of a word since its last sign, letter by letter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    hash: Hash,
    letters: [u8; LETTERS],
    len: u8,
    /// Letters that words of the text begin with.
    known: u8,
    /// It is no word of the text, in whatever form, nor one that any text may have.
    foreign: bool,
}

impl Part {
    pub const NONE: Self = Self { hash: Hash::NONE, letters: [0; LETTERS], len: 0, known: 0, foreign: false };

    /// Adds a letter, where `has` knows the words' beginnings. Whether the part becomes foreign by it.
    pub fn push(&mut self, byte: u8, has: impl Fn(Hash) -> bool) -> bool {
        self.hash = self.hash.then(byte);
        if let Some(place) = self.letters.get_mut(usize::from(self.len)) {
            *place = byte;
        }
        self.len = self.len.saturating_add(1);
        if self.known.saturating_add(1) == self.len && has(self.hash) {
            self.known = self.len;
        }
        let foreign = self.known < self.len && self.len >= SHORTEST && !self.may_go_on();
        let first = foreign && !self.foreign;
        self.foreign |= foreign;
        first
    }

    /// Ends the part, and begins another one. Returns whether it turns out to be foreign only now.
    pub fn end(&mut self, has: impl Fn(Hash) -> bool) -> bool {
        let part = core::mem::replace(self, Self::NONE);
        part.len >= SHORTEST && !part.foreign && !has(part.hash.end()) && !part.is_free() && !part.is_form(has)
    }

    fn text(&self) -> &[u8] {
        self.letters.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Whether it is a word that any text may have.
    fn is_free(&self) -> bool {
        FUNCTION_WORDS.iter().any(|word| self.text().eq_ignore_ascii_case(word.as_bytes()))
    }

    /// Whether it may become such a word, or another form of one that the text has.
    fn may_go_on(&self) -> bool {
        let text = self.text();
        if text.is_empty() {
            return false;
        }
        let begins =
            |word: &&str| word.as_bytes().get(..text.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(text));
        if FUNCTION_WORDS.iter().any(begins) {
            return true;
        }
        let (stem, rest) = text.split_at_checked(usize::from(self.known)).unwrap_or((&[], text));
        // `running` of `run`.
        let single = rest.strip_prefix(stem.last().map_or(&[][..], core::slice::from_ref)).unwrap_or(rest);
        let endings = || PLAIN.iter().chain(&WITH_Y);
        stem.len() >= 2 && [rest, single].iter().any(|rest| endings().any(|ending| ending.starts_with(rest)))
    }

    /// Whether it is another form of a word that the text has.
    fn is_form(&self, has: impl Fn(Hash) -> bool) -> bool {
        let text = self.text();
        let with = |stem: &[u8], ending: &[u8]| {
            let hash = stem.iter().chain(ending).fold(Hash::NONE, |hash, &byte| hash.then(byte));
            has(hash.end())
        };
        [&PLAIN[..], &WITH_Y].into_iter().any(|endings| {
            let stems = endings.iter().filter_map(|ending| text.strip_suffix(*ending));
            let mut stems = stems.filter(|stem| stem.len() >= 2);
            stems.any(|stem| {
                let (last, before) = stem.split_last().unwrap_or((&0, &[]));
                let doubled = before.last() == Some(last);
                endings.iter().any(|ending| {
                    with(stem, ending)
                        || (doubled && with(before, ending))
                        || (ending.len() > 1 && has_doubled(stem, *last, ending, &has))
                })
            })
        })
    }
}

/// Whether the text has `run`, `n` and `ing` as one word.
fn has_doubled(stem: &[u8], last: u8, ending: &[u8], has: impl Fn(Hash) -> bool) -> bool {
    let letters = stem.iter().chain([&last]).chain(ending);
    has(letters.fold(Hash::NONE, |hash, &byte| hash.then(byte)).end())
}

/// Words that say nothing by themselves: a summary may have them where its text doesn't.
pub const FUNCTION_WORDS: [&str; 156] = [
    "a", "about", "across", "after", "again", "against", "all", "along", "also", "although", "among", "an", "and",
    "another", "any", "are", "around", "as", "at", "be", "because", "been", "before", "behind", "being", "between",
    "beyond", "both", "but", "by", "can", "could", "did", "do", "does", "down", "during", "each", "either", "even",
    "every", "few", "for", "from", "had", "has", "have", "having", "he", "her", "here", "hers", "him", "his", "how",
    "if", "in", "into", "is", "it", "its", "itself", "just", "least", "less", "like", "many", "may", "me", "might",
    "mine", "more", "most", "much", "must", "my", "near", "neither", "no", "nor", "not", "now", "of", "off", "on",
    "one", "only", "onto", "or", "other", "our", "ours", "out", "over", "own", "per", "same", "several", "shall",
    "she", "should", "since", "so", "some", "still", "such", "than", "that", "the", "their", "theirs", "them", "then",
    "there", "these", "they", "this", "those", "though", "through", "to", "too", "two", "under", "unless", "until",
    "up", "upon", "us", "use", "used", "uses", "using", "very", "via", "was", "we", "were", "what", "when", "where",
    "whether", "which", "while", "who", "whom", "whose", "why", "will", "with", "within", "without", "would", "you",
    "your", "yours",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether each word is foreign to a text that has `words`.
    fn foreign<const N: usize>(text: &[&str], words: [&str; N]) -> [bool; N] {
        let mut hashes: heapless::Vec<Hash, 256> = heapless::Vec::new();
        for word in text {
            let mut hash = Hash::NONE;
            for byte in word.bytes() {
                hash = hash.then(byte);
                hashes.push(hash).expect("room");
            }
            hashes.push(hash.end()).expect("room");
        }
        let has = |hash| hashes.contains(&hash);
        words.map(|word| {
            let mut part = Part::NONE;
            let within = word.bytes().filter(|&byte| part.push(byte, has)).count();
            assert!(within <= 1, "said once");
            let at_its_end = part.end(has);
            assert!(!(within > 0 && at_its_end), "said once");
            within > 0 || at_its_end
        })
    }

    #[test]
    fn forms_of_a_word_are_that_word() {
        let text = ["Provides", "library", "running", "stopped", "box", "API"];
        let forms =
            ["provide", "providing", "provided", "libraries", "run", "runs", "stop", "stopping", "boxes", "APIs"];
        assert_eq!(foreign(&text, forms), [false; 10]);
        let others = ["provision", "liberal", "rung", "stopper", "boxer", "prov", "xyz", "librarians", "BOX"];
        assert_eq!(foreign(&text, others), [true; 9]);
    }

    #[test]
    fn words_that_any_text_has_are_free() {
        assert_eq!(foreign(&["log"], ["the", "Without", "of", "x", "ab", "because"]), [false; 6]);
        assert_eq!(foreign(&["log"], ["thecat", "withouts", "abc"]), [true; 3]);
    }

    #[test]
    fn long_words_are_taken_as_they_are() {
        assert_eq!(
            foreign(&["internationalizations"], ["internationalizations", "internationalization"]),
            [false, true]
        );
    }
}
