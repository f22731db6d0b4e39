//! A text cut into sentences as it streams by, in constant memory.
//!
//! | a sentence ends | |
//! |---|---|
//! | at a blank line | always, and so does the paragraph |
//! | at `.`, `!` or `?`, closing signs and white space | but not within `e.g. this`, `Mr. X`, `J. Smith`, `No. 5`, nor before a small letter that goes on |
//! | at the end of a line | of fewer than 40 bytes, before a list item, and unless a small letter goes on, a comma is last, or a word such as `the`; but not a line of 60 to 100 bytes, unless `:` is last or both lines begin alike, nor one that is about as long as the longest behind which a small letter went on |
//!
//! Other ends of lines are spaces, and so is every run of white space. Signs of headings and lists at the beginning of a
//! sentence are dropped, and what stands between lines of three backticks. Of a sentence longer than [`SENTENCE`] bytes only the beginning
//! is here, and nobody quotes it.

use super::words::{among, is_word};

/// The most bytes of a sentence.
pub const SENTENCE: usize = 320;
/// A shorter line wasn't broken for its length.
const SHORT_LINE: u32 = 40;
/// Before a capital letter or a digit, lines from here to there were.
const BROKEN_LINE: core::ops::RangeInclusive<u32> = 60..=100;

/// Bytes by which lines that were broken for their length are shorter than the longest of them: a word's.
const RAGGED: u32 = 12;

/// A sentence, or a line that is none.
#[derive(Clone, Debug)]
pub(super) struct Sentence {
    bytes: [u8; SENTENCE],
    len: u16,
    /// Longer than the buffer.
    pub cut: bool,
    /// Ended by `.`, `!` or `?`.
    pub stopped: bool,
    /// A list item.
    pub item: bool,
    /// Marked as a heading (`#`).
    pub heading: bool,
    /// First of its paragraph.
    pub opens: bool,
    /// Number of its paragraph.
    pub paragraph: u16,
    /// Bytes of the text up to its end, modulo 2³².
    pub end: u32,
}

impl Sentence {
    pub const NONE: Self = Self {
        bytes: [0; SENTENCE],
        len: 0,
        cut: false,
        stopped: false,
        item: false,
        heading: false,
        opens: false,
        paragraph: 0,
        end: 0,
    };

    pub fn text(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }

    fn push(&mut self, byte: u8) {
        match self.bytes.get_mut(usize::from(self.len)) {
            Some(place) => {
                *place = byte;
                self.len += 1;
            }
            None => self.cut = true,
        }
    }

    /// Begins anew.
    fn clear(&mut self) {
        (self.len, self.cut, self.item, self.heading) = (0, false, false, false);
    }
}

/// White space since the last byte that was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    None,
    Space,
    Line,
    Blank,
}

/// Where in a text a splitter is.
#[derive(Clone, Debug)]
pub(super) struct Splitter {
    now: Sentence,
    gap: Gap,
    /// The last bytes were a stop, and signs that close something.
    stop: bool,
    /// There were such signs behind it.
    closed: bool,
    /// Bytes of the line that are no white space, and the first one.
    line: u32,
    initial: u8,
    /// Bytes of the longest line that a small letter went on from.
    broken: u32,
    /// Backticks at the beginning of the line; whether this is within a fenced block, or behind a fence on its line.
    ticks: u8,
    fenced: bool,
    fence_line: bool,
    paragraph: u16,
    /// A sentence of the paragraph has ended.
    opened: bool,
    /// Bytes of the text, modulo 2³².
    position: u32,
}

impl Splitter {
    pub const NEW: Self = Self {
        now: Sentence::NONE,
        gap: Gap::None,
        stop: false,
        closed: false,
        line: 0,
        initial: 0,
        broken: 0,
        ticks: 0,
        fenced: false,
        fence_line: false,
        paragraph: 0,
        opened: false,
        position: 0,
    };

    /// Reads a byte. A sentence that ends before it goes to `out`. Returns where the text may have ended a sentence, if this
    /// byte is the white space behind that.
    pub fn read(&mut self, byte: u8, out: impl FnMut(&Sentence)) -> Option<u32> {
        self.position = self.position.wrapping_add(1);
        match byte {
            b'\n' => {
                let text = self.now.len > 0 && matches!(self.gap, Gap::None | Gap::Space);
                let pause = text.then_some(self.now.end);
                self.end_line();
                pause
            }
            b' ' | b'\t' | b'\r' => {
                let pause = (self.gap == Gap::None && self.stop).then_some(self.now.end);
                if self.gap == Gap::None {
                    self.gap = Gap::Space;
                }
                pause
            }
            _ => {
                self.read_sign(byte, out);
                None
            }
        }
    }

    /// Ends the text: the last sentence goes to `out`.
    pub fn finish(&mut self, out: impl FnMut(&Sentence)) {
        self.end(out);
    }

    /// Paragraphs that ended.
    pub fn paragraph(&self) -> u16 {
        self.paragraph
    }

    /// A passage has ended before the last byte that was read: it begins another text.
    pub fn begin_passage(&mut self) {
        (self.paragraph, self.opened) = (0, false);
        (self.position, self.now.end) = (1, 1);
    }

    /// Where a text that ends here ends its last sentence.
    pub fn last_end(&self) -> u32 {
        self.now.end
    }

    /// Begins another text.
    pub fn reset(&mut self) {
        self.now.clear();
        self.now.end = 0;
        (self.gap, self.stop, self.closed) = (Gap::None, false, false);
        (self.line, self.initial, self.broken, self.ticks) = (0, 0, 0, 0);
        (self.fenced, self.fence_line, self.opened) = (false, false, false);
        (self.paragraph, self.position) = (0, 0);
    }

    fn end_line(&mut self) {
        let blank = matches!(self.gap, Gap::Line | Gap::Blank) || self.fence_line || self.fenced;
        self.gap = if blank { Gap::Blank } else { Gap::Line };
        (self.ticks, self.fence_line) = (0, false);
    }

    /// Reads a byte that is no white space.
    fn read_sign(&mut self, byte: u8, out: impl FnMut(&Sentence)) {
        let begins_line = matches!(self.gap, Gap::Line | Gap::Blank) || self.line == 0 || self.ticks > 0;
        if begins_line && byte == b'`' && !self.fence_line {
            self.ticks += 1;
            if self.ticks == 3 {
                (self.fenced, self.fence_line, self.ticks) = (!self.fenced, true, 0);
                self.end(out);
                self.end_paragraph();
            }
            return;
        }
        if self.fenced || self.fence_line {
            return;
        }
        let ticks = core::mem::take(&mut self.ticks);
        let first = if ticks > 0 { b'`' } else { byte };
        match core::mem::replace(&mut self.gap, Gap::None) {
            Gap::None => {}
            gap => self.end_gap(gap, first, out),
        }
        for _ in 0..ticks {
            self.put(b'`');
        }
        self.put(byte);
    }

    /// White space is over, `next` follows.
    fn end_gap(&mut self, gap: Gap, next: u8, out: impl FnMut(&Sentence)) {
        if gap == Gap::Blank {
            self.end(out);
            self.end_paragraph();
        } else if (self.stop && self.stops_before(next)) || (gap == Gap::Line && self.line_ends_before(next)) {
            self.end(out);
        } else if self.is_number() {
            // Of a list.
            self.now.len = 0;
            self.now.item = true;
        } else if self.now.len > 0 {
            self.now.push(b' ');
        }
        if gap != Gap::Space {
            if next.is_ascii_lowercase() && self.now.len > 0 {
                self.broken = self.broken.max(self.line);
            }
            self.line = 0;
        }
        (self.stop, self.closed) = (false, false);
    }

    fn put(&mut self, byte: u8) {
        if self.line == 0 {
            self.initial = byte;
        }
        self.line = self.line.saturating_add(1);
        if self.now.len == 0 && matches!(byte, b'#' | b'-' | b'*' | b'+' | b'>' | b'|' | b'=' | b'~' | b'_') {
            self.now.heading |= byte == b'#';
            self.now.item |= matches!(byte, b'-' | b'*' | b'+');
            return;
        }
        if self.stop && (byte >= 0x80 || matches!(byte, b'"' | b'\'' | b')' | b']' | b'*' | b'_' | b'`')) {
            self.closed = true;
        } else {
            self.stop = matches!(byte, b'.' | b'!' | b'?');
            self.closed = false;
        }
        self.now.push(byte);
        self.now.end = self.position;
    }

    /// Whether the sentence so far is only the bullet of a list item or its number: `12.`, `3)`, `b)`.
    fn is_number(&self) -> bool {
        match self.now.text() {
            // •
            [0xe2, 0x80, 0xa2] => true,
            [b'a'..=b'z', b')'] => true,
            [number @ .., b'.' | b')'] => (1..=3).contains(&number.len()) && number.iter().all(u8::is_ascii_digit),
            _ => false,
        }
    }

    /// Whether a sentence ends at this stop, where `next` comes behind the white space.
    fn stops_before(&self, next: u8) -> bool {
        if self.is_number() || matches!(next, b',' | b';' | b')' | b':') {
            return false;
        }
        let text = self.now.text();
        let end = text.iter().rposition(|byte| matches!(byte, b'.' | b'!' | b'?')).unwrap_or(0);
        let (text, stop) = text.split_at_checked(end).unwrap_or((text, &[]));
        let word = text.rsplit(|byte| matches!(byte, b' ' | b'(' | b'"' | b'[')).next().unwrap_or(&[]);
        if next.is_ascii_lowercase() {
            // `println! needs` is one sentence.
            let plain = stop.first() != Some(&b'!') && word.len() >= 3 && word.iter().all(u8::is_ascii_lowercase);
            return !self.closed && plain && !among(word, TITLES) && !among(word, SHORT);
        }
        if stop.first() != Some(&b'.') {
            return true;
        }
        let initial = matches!(word, [b'A'..=b'Z']) && word != b"I";
        let dotted = word.len() <= 7
            && word.contains(&b'.')
            && word.split(|&byte| byte == b'.').all(|part| part.len() == 1)
            && !among(word, &[b"a.m", b"p.m"]);
        !(initial || dotted || among(word, TITLES) || (among(word, SHORT) && next.is_ascii_digit()))
    }

    /// Whether a sentence ends at this end of a line, where `next` begins the next one.
    fn line_ends_before(&self, next: u8) -> bool {
        let Some(&last) = self.now.text().last() else { return false };
        if self.line < SHORT_LINE || self.now.heading {
            return true;
        }
        match next {
            b'-' | b'*' | b'+' | b'#' | b'>' | b'|' | b'=' | 0xe2 => true,
            b'a'..=b'z' => false,
            b'0'..=b'9' if self.initial.is_ascii_digit() => true,
            _ if self.goes_on() => false,
            _ if self.line.abs_diff(self.broken) <= RAGGED => last == b':',
            _ => last == b':' || next == self.initial || !BROKEN_LINE.contains(&self.line),
        }
    }

    /// Whether the last word is one that no sentence ends with, or a comma follows it.
    fn goes_on(&self) -> bool {
        let text = self.now.text();
        let last = text.rsplit(|&byte| byte == b' ').next().unwrap_or(&[]);
        last.ends_with(b",") || among(last, LEADING)
    }

    fn end(&mut self, mut out: impl FnMut(&Sentence)) {
        if !self.is_number() && self.now.text().iter().any(|&byte| is_word(byte)) {
            self.now.stopped = self.stop;
            self.now.opens = !self.opened;
            self.now.paragraph = self.paragraph;
            self.opened = true;
            out(&self.now);
        }
        self.now.clear();
        (self.stop, self.closed) = (false, false);
    }

    fn end_paragraph(&mut self) {
        self.paragraph = self.paragraph.saturating_add(1);
        self.opened = false;
        self.line = 0;
    }
}

/// Words that lead to another one.
const LEADING: &[&[u8]] = &[
    b"a", b"an", b"the", b"and", b"or", b"of", b"to", b"by", b"for", b"from", b"with", b"at", b"where", b"who",
    b"which", b"that", b"than", b"because", b"my", b"our", b"your", b"his", b"her", b"their", b"its", b"every",
    b"between",
];

/// Words that a stop follows within a sentence.
const TITLES: &[&[u8]] = &[
    b"mr", b"mrs", b"ms", b"dr", b"prof", b"sen", b"sens", b"rep", b"reps", b"gov", b"gen", b"lt", b"col", b"sgt",
    b"capt", b"cpt", b"maj", b"st", b"rev", b"hon", b"vs", b"cf", b"fig", b"figs", b"eq", b"approx", b"ca", b"inc",
    b"ltd", b"corp", b"messrs", b"mt", b"dept", b"incl", b"resp", b"esp",
];

/// Words that a stop follows within a sentence if a number or a small letter is next.
const SHORT: &[&[u8]] = &[
    b"no", b"nos", b"vol", b"pp", b"jan", b"feb", b"mar", b"apr", b"jun", b"jul", b"aug", b"sep", b"sept", b"oct",
    b"nov", b"dec", b"sec", b"ch", b"art", b"ed", b"eds", b"etc", b"al", b"jr", b"sr", b"est", b"min", b"max", b"co",
    b"bros", b"ext", b"tel", b"temp",
];
