//! Unicode's normalization form C, a character at a time, by tables that lie in the image.
//!
//! A character is taken apart, its marks are sorted by their class, and what can be put together is. The last starter
//! waits with its marks for what follows; more than [`MARKS`] marks on one character, which no language has, are normalized
//! in parts.

use super::TokenizerError;
use super::front::drop_front;
use super::stage::{Context, Item, Stage};
use super::utf8::Unit;
use crate::slot::Slot;

/// Characters that can wait: a starter and its marks.
const MARKS: usize = 32;

/// Hangul syllables, which are put together by arithmetic (Unicode, section 3.12).
mod hangul {
    pub const SYLLABLES: u32 = 0xac00;
    pub const LEADS: u32 = 0x1100;
    pub const VOWELS: u32 = 0x1161;
    /// One before the first.
    pub const TAILS: u32 = 0x11a7;
    pub const LEAD_COUNT: u32 = 19;
    pub const VOWEL_COUNT: u32 = 21;
    pub const TAIL_COUNT: u32 = 28;
    pub const COUNT: u32 = LEAD_COUNT * VOWEL_COUNT * TAIL_COUNT;
}

/// The checked view of the tables.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tables<'m> {
    /// Sorted: a character, and the one or two that it is made of, 3 bytes each.
    parts: &'m [[u8; 9]],
    /// Those in `parts` that are put together again, sorted by their parts.
    wholes: &'m [[u8; 2]],
    /// Where runs of characters of the same combining class begin, and the class in the high byte.
    classes: &'m [[u8; 4]],
}

fn u24([a, b, c]: [u8; 3]) -> u32 {
    u32::from_le_bytes([a, b, c, 0])
}

/// What a character is made of; the second is 0 where there is one.
fn entry(&[c0, c1, c2, a0, a1, a2, b0, b1, b2]: &[u8; 9]) -> (u32, u32, u32) {
    (u24([c0, c1, c2]), u24([a0, a1, a2]), u24([b0, b1, b2]))
}

impl<'m> Tables<'m> {
    /// Cuts the bytes into tables. `None` where they are too short or too long.
    pub fn view(bytes: &'m [u8]) -> Option<Self> {
        let (counts, rest) = bytes.split_first_chunk::<8>()?;
        let [a, b, c, d, ..] = *counts;
        let (parts, wholes) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
        let (parts, rest) = rest.split_at_checked(9 * usize::from(parts))?;
        let (wholes, classes) = rest.split_at_checked(2 * usize::from(wholes))?;
        let tables = Self { parts: parts.as_chunks().0, wholes: wholes.as_chunks().0, classes: classes.as_chunks().0 };
        let [.., e, f, _, _] = *counts;
        (classes.len() == 4 * usize::from(u16::from_le_bytes([e, f]))).then_some(tables)
    }

    /// Checks that taking apart ends, and that the tables are sorted.
    pub fn check(&self) -> Result<(), TokenizerError> {
        let wrong = |index: usize| Err(TokenizerError::Entry { table: "normal forms", index: index as u32 });
        let character = |code: u32| char::from_u32(code).is_some();
        for (index, part) in self.parts.iter().enumerate() {
            let (whole, first, second) = entry(part);
            // A canonical decomposition has at most 4 characters, so it ends after 4 steps.
            let mut left = Some(first);
            (0..4).for_each(|_| left = left.and_then(|code| self.find(code)).map(|(first, _)| first));
            if !(character(whole) && character(first) && character(second)) || left.is_some() {
                return wrong(index);
            }
        }
        let known = |at: &[u8; 2]| usize::from(u16::from_le_bytes(*at)) < self.parts.len();
        if let Some(index) = self.wholes.iter().position(|at| !known(at)) {
            return wrong(index);
        }
        Ok(())
    }

    fn find(&self, code: u32) -> Option<(u32, u32)> {
        let at = self.parts.partition_point(|part| entry(part).0 < code);
        let (whole, first, second) = entry(self.parts.get(at)?);
        (whole == code).then_some((first, second))
    }

    /// The combining class; 0 for a starter.
    fn class(&self, c: char) -> u8 {
        let code = u32::from(c);
        let after = self.classes.partition_point(|&[a, b, c, _]| u24([a, b, c]) <= code);
        after.checked_sub(1).and_then(|at| self.classes.get(at)).map_or(0, |&[.., class]| class)
    }

    /// What two characters are together.
    fn whole(&self, first: char, second: char) -> Option<char> {
        let (a, b) = (u32::from(first), u32::from(second));
        let (lead, vowel) = (a.wrapping_sub(hangul::LEADS), b.wrapping_sub(hangul::VOWELS));
        if lead < hangul::LEAD_COUNT && vowel < hangul::VOWEL_COUNT {
            let syllable = (lead * hangul::VOWEL_COUNT + vowel) * hangul::TAIL_COUNT;
            return char::from_u32(hangul::SYLLABLES + syllable);
        }
        let (syllable, tail) = (a.wrapping_sub(hangul::SYLLABLES), b.wrapping_sub(hangul::TAILS));
        if syllable < hangul::COUNT
            && syllable.is_multiple_of(hangul::TAIL_COUNT)
            && (1..hangul::TAIL_COUNT).contains(&tail)
        {
            return char::from_u32(a + tail);
        }
        let part = |at: &[u8; 2]| self.parts.get(usize::from(u16::from_le_bytes(*at))).map_or((0, 0, 0), entry);
        let at = self.wholes.partition_point(|at| (part(at).1, part(at).2) < (a, b));
        let (whole, first, second) = self.wholes.get(at).map(part)?;
        ((first, second) == (a, b)).then(|| char::from_u32(whole))?
    }
}

/// Characters that one is made of.
const PARTS: usize = 5;

/// A text that is being normalized.
#[derive(Clone, Debug)]
pub(super) struct Nfc {
    /// The last starter and the marks after it, taken apart and sorted, with their classes.
    held: heapless::Vec<(char, u8), { MARKS + 1 }>,
    /// So many of `held` are normalized, and so many of those are out.
    ready: usize,
    out: usize,
    /// Characters that come next, the last one first; they are made of no others.
    coming: heapless::Vec<char, PARTS>,
    /// What comes behind them: no character, and so the end of what is normalized together.
    then: Slot<Item>,
}

impl Nfc {
    pub const NEW: Self =
        Self { held: heapless::Vec::new(), ready: 0, out: 0, coming: heapless::Vec::new(), then: Slot::Empty };

    /// The next character, taken apart.
    fn take_apart(&mut self, tables: &Tables<'_>, c: char) {
        let code = u32::from(c);
        let syllable = code.wrapping_sub(hangul::SYLLABLES);
        if syllable < hangul::COUNT {
            let (lead, tail) = (syllable / hangul::TAIL_COUNT, syllable % hangul::TAIL_COUNT);
            let vowel_and_lead =
                [hangul::VOWELS + lead % hangul::VOWEL_COUNT, hangul::LEADS + lead / hangul::VOWEL_COUNT];
            let tail = (tail > 0).then_some(hangul::TAILS + tail);
            for c in tail.into_iter().chain(vowel_and_lead).filter_map(char::from_u32) {
                let _ = self.coming.push(c);
            }
            return;
        }
        let mut first = code;
        // Ends: `check` saw that there are at most 4 steps.
        while first >= 0xc0
            && self.coming.len() < PARTS - 1
            && let Some((next, second)) = tables.find(first)
        {
            if let Some(second) = char::from_u32(second).filter(|&c| c != '\0') {
                let _ = self.coming.push(second);
            }
            first = next;
        }
        let _ = self.coming.push(char::from_u32(first).unwrap_or(c));
    }

    /// The next character, which isn't made of others. All that was ready is out.
    fn take(&mut self, tables: &Tables<'_>, c: char) {
        let class = if u32::from(c) < 0x300 { 0 } else { tables.class(c) };
        if class == 0 {
            self.compose(tables);
            if let [(starter, 0)] = self.held.as_mut_slice()
                && let Some(whole) = tables.whole(*starter, c)
            {
                *starter = whole;
                return;
            }
            self.ready = self.held.len();
        } else if self.held.len() >= MARKS {
            self.compose(tables);
            self.ready = self.held.len();
        }
        // Never full: there is room for one more than is kept.
        let _ = self.held.push((c, class));
        // Marks are sorted by class, those of one class as they came.
        for at in (self.ready..self.held.len().saturating_sub(1)).rev() {
            match self.held.get_mut(at..at + 2) {
                Some([a, b]) if a.1 > b.1 => core::mem::swap(a, b),
                _ => break,
            }
        }
    }

    /// Puts the starter and those of its marks together that nothing parts from it.
    fn compose(&mut self, tables: &Tables<'_>) {
        let Some(&(mut starter, 0)) = self.held.first() else { return };
        let (mut kept, mut last) = (1, 0);
        for at in 1..self.held.len() {
            let Some(&(mark, class)) = self.held.get(at) else { break };
            match tables.whole(starter, mark).filter(|_| last < class) {
                Some(whole) => starter = whole,
                None => {
                    last = class;
                    if let Some(place) = self.held.get_mut(kept) {
                        *place = (mark, class);
                    }
                    kept += 1;
                }
            }
        }
        self.held.truncate(kept);
        if let Some(first) = self.held.first_mut() {
            *first = (starter, 0);
        }
    }

    /// The next character that is normalized.
    fn take_ready(&mut self) -> Option<Item> {
        let c = self.held.get(..self.ready)?.get(self.out)?.0;
        self.out += 1;
        if self.out == self.ready {
            drop_front(&mut self.held, self.ready);
            (self.ready, self.out) = (0, 0);
        }
        Some(Item::Unit(Unit::Char(c)))
    }
}

impl Stage for Nfc {
    type In = Item;
    type Out = Item;

    #[inline]
    fn put(&mut self, context: &Context<'_>, item: Item) {
        match (item, &context.normal_forms) {
            (Item::Unit(Unit::Char(c)), Some(tables)) => self.take_apart(tables, c),
            _ => self.then = Slot::Full(item),
        }
    }

    #[inline]
    fn next(&mut self, context: &Context<'_>) -> Option<Item> {
        let Some(tables) = &context.normal_forms else { return self.then.take() };
        loop {
            if let Some(item) = self.take_ready() {
                return Some(item);
            }
            if let Some(c) = self.coming.pop() {
                self.take(tables, c);
            } else if !self.then.is_empty() && !self.held.is_empty() {
                self.compose(tables);
                self.ready = self.held.len();
            } else {
                return self.then.take();
            }
        }
    }
}
