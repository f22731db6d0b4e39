//! Grounded decoding: which words a text has, so that a summary's words come from it.
//!
//! Small models condense by pattern, and where a text is about something that they never saw, the pattern brings a name or
//! number that they did see. A [`Grounding`] reads the text as the model does, in constant memory, and while a summary is
//! written lowers the logits of tokens that lead away from the text ([`Beams`](crate::Beams),
//! [`Session::next_grounded`](crate::Session::next_grounded)):
//!
//! | a token that | costs |
//! |---|---|
//! | makes a *name* of something that the text doesn't have, or leaves one off in the middle | [`NAME`] |
//! | makes a word that no word of the text begins with | [`Costs::word`] |
//! | makes a word that the text has in no form, and that isn't one that any text may have ([`FUNCTION_WORDS`]) | [`NAME`] |
//! | leaves any other word of the text in its middle | [`Costs::cut`] |
//! | makes a word that doesn't stand behind the summary's last word anywhere in the text | [`Costs::follow`] |
//! | makes a word again that the summary has already (four letters or more) | [`Costs::again`] |
//! | doesn't go on with a word of the text's [first words](Costs::lead_words) | [`Costs::lead`] |
//! | ends the summary | [`Costs::end`] |
//!
//! A name is a word with a digit or `_`, with a capital letter behind its first letter, or with a capital at its beginning where no
//! sentence begins. What stands between backticks is one, with its signs; white space there breaks it off. Nothing is
//! forbidden: a model that is sure enough, or has nothing else, writes what it wants.
//!
//! # How words are remembered
//!
//! A word is a hash of its bytes, the first as a small letter, because a sentence may begin with it. Every prefix of every word of
//! the text sets three bits of a table, and so does the whole word with an end mark: a Bloom filter (Bloom 1970). A word of the
//! summary is known as long as each of its prefixes is. Tokens don't matter: text and summary may cut a word differently, and a name that
//! has the beginning of one name and the end of another isn't known.
//!
//! Letters and digits are ASCII's and `_` here, and every other byte is a sign: words are cut where the score of invented names
//! cuts them but for `_` and letters beyond ASCII. A word with signs in it (`libfoo-dev`) is remembered as a whole and from each of
//! its parts to the end of that part.
//!
//! # False positives
//!
//! A letter that the text doesn't have there passes with probability `p`, the share of bits set to the power of three, and a
//! name that is wrong in its last `n` characters with about `p^(n + 1)`: the end mark has to pass, too. `p` grows with the
//! number of different words, on package descriptions, one after the other:
//!
//! | characters of text | 500 | 1,000 | 2,000 | 4,000 | 10,000 | 30,000 | 100,000 |
//! |---|---|---|---|---|---|---|---|
//! | `p` | 0.03 % | 0.1 % | 0.7 % | 3 % | 13 % | 43 % | 86 % |
//!
//! It has to be that small, because decoding looks for what passes among thousands of tokens: with one bit a prefix (`p` of
//! 2 % at 500 characters) 5 % of `pico`'s summaries had an invented name, with three none of 576. In texts far beyond the
//! table every word passes, and only the preference for the first words remains.

pub use super::content::FUNCTION_WORDS;

use super::content::Part;
use super::hash::Hash;
use crate::tokenizer::Tokenizer;

/// What an invented name costs, and any other word that is not of the text, in logits (nats): more than a model is ever sure, and than [`REPEAT`](super::REPEAT).
pub const NAME: f32 = 1000.0;
/// What tokens cost, in logits: part of an image, because what is right depends on the model. All at least 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// A word that the text doesn't have.
    pub word: f32,
    /// A word of the text that is left in its middle (`convert` of `converter`). That may be another form of it, or no word at
    /// all.
    pub cut: f32,
    /// A word that isn't behind the one before it in the text, too. A model that is unsure rather goes on as the text does, and
    /// what people wrote reads better than what it would make up.
    pub follow: f32,
    /// A long word that the summary has already. Of people's summaries of packages 4 to 8 % say one twice; `pico`'s do in 10 to
    /// 16 % with it, and in 17 to 23 % without.
    pub again: f32,
    /// A token that isn't of the text's first words.
    pub lead: f32,
    /// The end. Words cost something now and then; where the end is cheaper, summaries stop early.
    pub end: f32,
    /// How many first words there are.
    pub lead_words: u8,
}

impl Costs {
    /// Where an image doesn't say: chosen on descriptions of packages.
    pub const USUAL: Self =
        Self { word: 1.0, cut: 2.0, follow: 0.25, again: 2.0, lead: 0.9, end: 2.75, lead_words: 12 };
}

/// Letters of the shortest word that isn't to be said again.
const LONG: u8 = 4;
/// How many of a summary's words are remembered for that, the last ones.
const SAID: usize = 16;

/// Bits for the words of the text.
const TEXT_BITS: u32 = 1 << 14;
/// Bits for its first words.
const LEAD_BITS: u32 = 1 << 11;
/// Bits for its pairs of words. One that passes wrongly does less harm than a name.
const PAIR_BITS: u32 = 1 << 13;

/// The words of a text, and the word that is being written: see the [module](self).
///
/// All zeros when new, so that a `static` takes no flash.
#[derive(Clone, Debug)]
pub struct Grounding {
    text: Bits<{ TEXT_BITS as usize / 32 }>,
    lead: Bits<{ LEAD_BITS as usize / 32 }>,
    pairs: Bits<{ PAIR_BITS as usize / 32 }>,
    /// Words of the text, as far as they matter.
    words: u8,
    /// A part of the text was not seen.
    blind: bool,
    /// What tokens cost, where it isn't the usual.
    costs: Option<Costs>,
    reader: Reader,
    writer: Writer,
}

/// Where the text is.
#[derive(Clone, Copy, Debug)]
struct Reader {
    /// The word from its first letter, and its part since the last sign.
    word: Hash,
    part: Hash,
    /// The word up to its last letter, and the word before it likewise.
    spelled: Hash,
    before: Hash,
    /// The last byte was a letter or digit.
    letter: bool,
}

/// Where the summary is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writer {
    /// The word from its first letter, up to its last letter, and the word before it likewise.
    word: Hash,
    spelled: Hash,
    before: Hash,
    /// The last byte was a letter or digit.
    letter: bool,
    /// The word is a name.
    name: bool,
    /// The word is none of the text's.
    strange: bool,
    /// It doesn't follow the word before it in the text.
    astray: bool,
    /// The last byte that was no white space, 0 at the beginning.
    previous: u8,
    /// The word since its last sign.
    part: Part,
    /// No sentence begins with this word.
    inside: bool,
    /// Between backticks.
    code: bool,
    /// Letters of the word, as far as they matter.
    letters: u8,
    /// The word was said before.
    repeated: bool,
    /// The last long words, and where the next one goes.
    said: [Hash; SAID],
    next: u8,
}

/// What a token does to a word.
#[derive(Clone, Copy, Debug, Default)]
struct Effect {
    /// Makes a name that the text doesn't have, or breaks one off.
    name: bool,
    /// Makes a word that the text doesn't have.
    word: bool,
    /// Makes one that the text has in no form.
    foreign: bool,
    /// Breaks one off that isn't a name.
    cut: bool,
    /// Makes one that doesn't follow the last one in the text.
    stray: bool,
    /// Makes one that was said before.
    again: bool,
    /// Has a letter or digit.
    letter: bool,
    /// Has one that doesn't go on with one of the first words.
    elsewhere: bool,
}

impl Grounding {
    /// Of no text.
    pub const fn new() -> Self {
        Self {
            text: Bits([0; _]),
            lead: Bits([0; _]),
            pairs: Bits([0; _]),
            words: 0,
            blind: false,
            costs: None,
            reader: Reader::NEW,
            writer: Writer::NEW,
        }
    }

    /// Other costs than the usual ones, from the next text on.
    pub fn set_costs(&mut self, costs: Costs) {
        self.costs = Some(costs);
    }

    fn costs(&self) -> &Costs {
        self.costs.as_ref().unwrap_or(&Costs::USUAL)
    }

    /// Forgets the text.
    pub fn reset(&mut self) {
        self.text.0.fill(0);
        self.lead.0.fill(0);
        self.pairs.0.fill(0);
        (self.words, self.blind) = (0, false);
        (self.reader, self.writer) = (Reader::NEW, Writer::NEW);
    }

    /// There is more of the text than will be fed, as where a session's state was restored: until [`Grounding::reset`], no
    /// token costs anything.
    pub fn miss(&mut self) {
        self.blind = true;
    }

    /// Whether there is more of the text than was fed.
    pub(crate) fn has_missed(&self) -> bool {
        self.blind
    }

    /// Reads the next piece of the text. Pieces may be cut anywhere.
    pub fn feed(&mut self, text: &[u8]) {
        for &byte in text {
            self.read(byte);
        }
    }

    /// Ends the text: a summary of it begins.
    pub fn finish(&mut self) {
        self.read(b' ');
        self.writer = Writer::NEW;
    }

    fn read(&mut self, byte: u8) {
        let letter = is_letter(byte);
        if letter && self.reader.word.0 == 0 {
            self.words = self.words.saturating_add(1);
        }
        let reader = &mut self.reader;
        if !letter && reader.letter {
            let ends = [reader.word.end(), reader.part.end()];
            self.remember(ends);
        }
        let reader = &mut self.reader;
        if byte.is_ascii_whitespace() {
            *reader = Reader { before: reader.spelled.or(reader.before), ..Reader::NEW };
        } else if letter {
            if !reader.letter {
                reader.part = Hash(0);
            }
            (reader.word, reader.part) = (reader.word.then(byte), reader.part.then(byte));
            reader.spelled = reader.word;
            self.pairs.set(reader.before.beside(reader.word));
            let prefixes = [reader.word, reader.part];
            self.remember(prefixes);
        } else if reader.word.0 != 0 {
            reader.word = reader.word.then(byte);
            self.text.set(reader.word);
        }
        self.reader.letter = letter;
    }

    fn remember(&mut self, hashes: [Hash; 2]) {
        for hash in hashes {
            self.text.set(hash);
            if self.words <= self.costs().lead_words {
                self.lead.set(hash);
            }
        }
    }

    /// What a token would cost as the summary's next.
    pub(crate) fn cost(&self, tokenizer: &Tokenizer<'_>, id: u32) -> f32 {
        self.cost_behind(&self.writer, tokenizer, id)
    }

    /// What it would cost as the next of another summary of the same text.
    pub(crate) fn cost_behind(&self, writer: &Writer, tokenizer: &Tokenizer<'_>, id: u32) -> f32 {
        if self.blind {
            return 0.0;
        }
        let effect = self.write(&mut writer.clone(), tokenizer, id);
        let (mut cost, costs) = (0.0, self.costs());
        if tokenizer.is_special(id) {
            cost += costs.end;
        } else if effect.elsewhere || !effect.letter {
            cost += costs.lead;
        }
        if effect.word {
            cost += costs.word;
        }
        if effect.cut {
            cost += costs.cut;
        }
        if effect.stray {
            cost += costs.follow;
        }
        if effect.again {
            cost += costs.again;
        }
        if effect.name || effect.foreign {
            cost += NAME;
        }
        cost
    }

    /// Writes a token.
    pub(crate) fn push(&mut self, tokenizer: &Tokenizer<'_>, id: u32) {
        let mut writer = self.writer;
        self.write(&mut writer, tokenizer, id);
        self.writer = writer;
    }

    /// Writes a token of another summary.
    pub(crate) fn push_behind(&self, writer: &mut Writer, tokenizer: &Tokenizer<'_>, id: u32) {
        self.write(writer, tokenizer, id);
    }

    fn write(&self, writer: &mut Writer, tokenizer: &Tokenizer<'_>, id: u32) -> Effect {
        let mut effect = Effect::default();
        if tokenizer.is_special(id) {
            self.write_byte(writer, b' ', &mut effect);
        } else {
            tokenizer.piece(id).into_iter().flatten().for_each(|byte| self.write_byte(writer, byte, &mut effect));
        }
        effect
    }

    fn write_byte(&self, writer: &mut Writer, byte: u8, effect: &mut Effect) {
        let letter = is_letter(byte);
        let has = |hash| self.text.has(hash);
        effect.foreign |= if letter { writer.part.push(byte, has) } else { writer.part.end(has) };
        if !letter && writer.letter && !writer.strange && !self.text.has(writer.word.end()) {
            if writer.name { effect.name = true } else { effect.cut = true }
        }
        writer.letter = letter;
        if byte.is_ascii_whitespace() {
            let inside = !matches!(writer.previous, 0 | b'.' | b'!' | b'?' | b':');
            let before = writer.spelled.or(writer.before);
            effect.name |= writer.code;
            writer.say();
            let (said, next) = (writer.said, writer.next);
            *writer =
                Writer { previous: writer.previous, inside, before, code: writer.code, said, next, ..Writer::NEW };
            return;
        }
        writer.previous = byte;
        writer.code ^= byte == b'`';
        let first = writer.word.0 == 0;
        if first && !letter {
            return;
        }
        writer.word = writer.word.then(byte);
        effect.name |= !letter && writer.code && !self.text.has(writer.word);
        let marks = byte.is_ascii_digit() || byte == b'_' || (byte.is_ascii_uppercase() && (!first || writer.inside));
        let was_invented = writer.name && writer.strange;
        writer.name |= marks || (letter && writer.code);
        if letter {
            effect.letter = true;
            writer.spelled = writer.word;
            writer.letters = writer.letters.saturating_add(1);
            // What goes on from there, as a plural does, says it as well.
            let again = !writer.repeated && writer.said.contains(&writer.word);
            writer.repeated |= again;
            effect.again |= again;
            if writer.before != Hash(0) && !self.pairs.has(writer.before.beside(writer.word)) {
                effect.stray |= !writer.astray;
                writer.astray = true;
            }
            effect.elsewhere |= !self.lead.has(writer.word);
            if !self.text.has(writer.word) {
                effect.word |= !writer.strange;
                writer.strange = true;
            }
        }
        // Once a word: where it goes on from there costs nothing more.
        effect.name |= writer.name && writer.strange && !was_invented;
    }
}

/// A letter or digit, or what identifiers have between them.
const fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

impl Default for Grounding {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    const NEW: Self = Self { word: Hash(0), part: Hash(0), spelled: Hash(0), before: Hash(0), letter: false };
}

impl Writer {
    /// At the beginning.
    pub(crate) const NEW: Self = Self {
        word: Hash(0),
        spelled: Hash(0),
        before: Hash(0),
        letter: false,
        name: false,
        strange: false,
        astray: false,
        previous: 0,
        part: Part::NONE,
        inside: false,
        code: false,
        letters: 0,
        repeated: false,
        said: [Hash(0); SAID],
        next: 0,
    };

    /// Remembers the word that ends here.
    fn say(&mut self) {
        if self.letters >= LONG {
            if let Some(place) = self.said.get_mut(usize::from(self.next)) {
                *place = self.spelled;
            }
            self.next = (self.next + 1) % SAID as u8;
        }
    }
}

/// `32 N` bits, `N` a power of two.
#[derive(Clone, Debug)]
struct Bits<const N: usize>([u32; N]);

impl<const N: usize> Bits<N> {
    /// Three hashes of one: FNV's high bits depend on the last bytes too little, and multiplication (by primes) mends that.
    fn places(hash: Hash) -> [(usize, u32); 3] {
        [0x9e37_79b1u32, 0x85eb_ca6b, 0xc2b2_ae35].map(|factor| {
            let bit = hash.0.wrapping_mul(factor) >> const { u32::BITS - (32 * N).ilog2() };
            (bit as usize / 32, 1 << (bit % 32))
        })
    }

    fn set(&mut self, hash: Hash) {
        for (word, bit) in Self::places(hash) {
            if let Some(word) = self.0.get_mut(word) {
                *word |= bit;
            }
        }
    }

    fn has(&self, hash: Hash) -> bool {
        Self::places(hash).iter().all(|&(word, bit)| self.0.get(word).is_some_and(|word| word & bit != 0))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    const TEXT: &[u8] = b"The pt2-clone (v1.5) plays ProTracker modules on Linux. LibreOffice's XMMS2 does not";

    fn of(text: &[u8]) -> Grounding {
        let mut grounding = Grounding::new();
        grounding.feed(text);
        grounding.finish();
        grounding
    }

    /// What each part of a summary does, in the order in which it is written.
    fn write<const N: usize>(grounding: &Grounding, parts: [&str; N]) -> [Effect; N] {
        let mut writer = grounding.writer;
        parts.map(|part| {
            let mut effect = Effect::default();
            part.bytes().for_each(|byte| grounding.write_byte(&mut writer, byte, &mut effect));
            effect
        })
    }

    /// The parts that make an invented name.
    fn invented<const N: usize>(parts: [&str; N]) -> [bool; N] {
        write(&of(TEXT), parts).map(|effect| effect.name)
    }

    #[test]
    fn names_come_from_the_text() {
        assert_eq!(invented(["Player", " for", " Pro", "Tracker", " modules", " "]), [false; 6]);
        assert_eq!(invented(["a", " Fast", "Tracker"]), [false, true, false], "once a name");
        assert_eq!(invented(["p", "t", "3"]), [false, false, true], "a word becomes a name late");
        assert_eq!(invented(["pt2", "-", "clone", " linux", "."]), [false; 5], "no name without capitals");
        assert_eq!(invented(["Pt2", " plays", " Modules"]), [false; 3], "a capital at the beginning");
        assert_eq!(invented(["a", " LINUX", " ", "Protracker", " "]), [false, true, false, true, false], "as spelled");
        assert_eq!(invented(["on", " (Linux", ")", " LibreOffice", "'s", " 1", ".", "5", " "]), {
            let mut numbers = [false; 9];
            numbers[5] = true; // v1.5 is one part: 1 doesn't begin it.
            numbers
        });
        assert_eq!(invented(["5", " of", " clone"]), [false; 3], "after a sign a part begins");
        assert_eq!(invented(["Windows", " player. ", "Sound"]), [false; 3], "where sentences begin");
        assert_eq!(invented(["a", " Windows"]), [false, true]);
    }

    #[test]
    fn names_are_neither_cut_nor_joined() {
        assert_eq!(invented(["x", " Pro", " Linux"]), [false, false, true]);
        assert_eq!(invented(["x", " Pro", "x"]), [false, false, true]);
        assert_eq!(invented(["x", " XMMS", "."]), [false, false, true]);
        assert_eq!(invented(["x", " Linux", "2"]), [false, false, true]);
        // The beginning of one name, the end of another.
        assert_eq!(invented(["x", " Pro", "Office"]), [false, false, true]);
        assert_eq!(invented(["pt2", "-", "Linux"]), [false, false, true]);
    }

    #[test]
    fn code_is_the_text_s() {
        let grounding = of(b"`Matrix::from_raw` of linmath takes `rows * cols`.");
        let invented = |parts: [&str; 4]| write(&grounding, parts).map(|effect| effect.name);
        assert_eq!(invented(["a", " `Matrix", "::from_raw", "` "]), [false; 4]);
        assert_eq!(invented(["`from", "_raw", "` `", "linmath`"]), [false; 4], "parts, and words that are plain there");
        assert_eq!(invented(["`lin", "`", " lin", " "]), [false, true, false, false], "broken off, which words may be");
        assert_eq!(invented(["`other", "` ", "other", " "]), [true, false, false, false]);
        assert_eq!(invented(["`Matrix", ".", "` (matrix", "."]), [false, true, false, false], "other signs");
        assert_eq!(invented(["`linmath", " ", "takes", "`"]), [false, true, false, false], "white space, or the end");
    }

    #[test]
    fn words_and_first_words_are_told_apart() {
        let grounding = of(b"one two three four five six seven eight nine ten eleven twelve thirteen");
        let [known, late, odd, sign] = write(&grounding, ["tw", " thirt", " other", " -"]);
        assert!(known.letter && !known.elsewhere && !known.word);
        assert!(late.elsewhere && !late.word);
        assert!(odd.elsewhere && odd.word && !odd.name);
        assert!(!sign.letter);
        let [out, on] = write(&grounding, ["oth", "er"]);
        assert!(out.word && !on.word, "a word leaves the text once");
    }

    #[test]
    fn words_end_where_the_text_s_do() {
        let grounding = of(b"hexadecimal viewers, hexyl-like");
        let cuts = |parts: [&str; 3]| write(&grounding, parts).map(|effect| effect.cut);
        assert_eq!(cuts(["hexade", "cimal", " viewers"]), [false; 3], "not before it ends");
        assert_eq!(cuts(["hexade", " viewer", "."]), [false, true, true]);
        assert_eq!(cuts(["hexyl", "-like", " "]), [false; 3], "parts of words");
        assert_eq!(cuts(["other", " words", " "]), [false; 3], "only the text's words");
    }

    #[test]
    fn words_follow_each_other_as_in_the_text() {
        let grounding = of(b"Reads raw images, and raw sound (in PCM).");
        let strays = |parts: [&str; 3]| write(&grounding, parts).map(|effect| effect.stray);
        assert_eq!(strays(["raw", " images", " and"]), [false; 3], "signs between words don't matter");
        assert_eq!(strays(["raw", " so", "und"]), [false; 3], "both words that follow one");
        assert_eq!(strays(["reads", " sound", " in"]), [false, true, false]);
        assert_eq!(strays(["raw", " s", "ignal"]), [false, false, true], "as soon as it is another word, and once");
        assert_eq!(strays(["other", " images", ""]), [false, true, false], "nothing follows what isn't in the text");
    }

    #[test]
    fn long_words_are_said_once() {
        let grounding = of(b"text");
        let again = |parts: [&str; 4]| write(&grounding, parts).map(|effect| effect.again);
        assert_eq!(again(["Class", " for a", " class", "es"]), [false, false, true, false], "and once a word");
        assert_eq!(
            again(["for", " a cl", "ass for", " a class"]),
            [false, false, false, true],
            "short ones may come again"
        );
        assert_eq!(again(["class", "ical", " class", ""]), [false; 4], "the beginning of another word");
        let mut many = grounding.writer;
        let mut twice = 0;
        for number in (0..2 * SAID).chain(0..SAID).chain(SAID..2 * SAID) {
            let mut effect = Effect::default();
            format_word(number).bytes().for_each(|byte| grounding.write_byte(&mut many, byte, &mut effect));
            twice += usize::from(effect.again);
        }
        assert_eq!(twice, 0, "the last {SAID} words are remembered");
    }

    /// A word of four letters, and a space.
    fn format_word(number: usize) -> std::string::String {
        std::format!("{}{}ab ", char::from(b'a' + (number / 26) as u8), char::from(b'a' + (number % 26) as u8))
    }

    #[test]
    fn pieces_of_a_text_are_the_text() {
        let whole = of(TEXT);
        for size in 1..20 {
            let mut pieces = Grounding::new();
            TEXT.chunks(size).for_each(|piece| pieces.feed(piece));
            pieces.finish();
            assert_eq!((pieces.text.0, pieces.lead.0), (whole.text.0, whole.lead.0), "pieces of {size} bytes");
            assert_eq!(pieces.pairs.0, whole.pairs.0, "pieces of {size} bytes");
        }
        let mut again = whole.clone();
        again.reset();
        assert_eq!((again.text.0, again.words), (Grounding::new().text.0, 0));
    }

    /// A word of 8 random letters, by SplitMix64.
    fn word(number: u64) -> [u8; 8] {
        core::array::from_fn(|letter| {
            let mut z = (8 * number + letter as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            b'a' + ((z ^ (z >> 31)) % 26) as u8
        })
    }

    #[test]
    fn false_positives_are_as_rare_as_a_bloom_filter_s() {
        let mut grounding = Grounding::new();
        let mut read = 0;
        for count in [100, 400, 1000] {
            for number in core::mem::replace(&mut read, count)..count {
                grounding.feed(&word(number));
                grounding.feed(b" ");
            }
            let set: u32 = grounding.text.0.iter().map(|bits| bits.count_ones()).sum();
            let share = (f64::from(set) / f64::from(TEXT_BITS)).powi(3);
            let passed = (0..20_000)
                .filter(|&number| {
                    let hash = word(1_000_000 + number).into_iter().fold(Hash(0), Hash::then);
                    grounding.text.has(hash)
                })
                .count();
            let rate = passed as f64 / 20_000.0;
            // Four standard deviations.
            let error = 4.0 * f64::sqrt(share * (1.0 - share) / 20_000.0);
            assert!((rate - share).abs() < error, "{count} words: {rate} instead of {share}");
            // A whole word passes only if every letter does.
            let whole = (0..20_000).filter(|&number| !write_word(&grounding, &word(1_000_000 + number)));
            assert!((whole.count() as f64) < 20_000.0 * 0.04, "{count} words");
        }
    }

    /// Whether a word is none of the text's.
    fn write_word(grounding: &Grounding, word: &[u8]) -> bool {
        let (mut writer, mut effect) = (Writer::NEW, Effect::default());
        word.iter().chain(b" ").for_each(|&byte| grounding.write_byte(&mut writer, byte, &mut effect));
        effect.word
    }

    #[test]
    fn a_long_text_fills_the_table_and_nothing_else() {
        let mut grounding = Grounding::new();
        for number in 0..30_000 {
            grounding.feed(&word(number));
            grounding.feed(b"\n");
        }
        grounding.finish();
        assert!(grounding.text.0.iter().all(|&bits| bits == u32::MAX), "everything is known");
        let first: u32 = grounding.lead.0.iter().map(|bits| bits.count_ones()).sum();
        assert!(first <= u32::from(Costs::USUAL.lead_words) * 9 * 3, "8 letters and an end each");
        assert_eq!(size_of::<Grounding>() / 64, 54, "3.5 KB, whatever the text");
    }
}
