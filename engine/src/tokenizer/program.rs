//! The checked view of the part of a section that says how texts are cut into words.

use super::utf8::Unit;
use super::{MAX_CLASSES, MAX_STAGES, TokenizerError};

/// Planes of Unicode.
const PLANES: usize = 17;

/// Classes of characters, and the expressions that cut, a stage each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Program<'m> {
    /// Classes that are white space, a bit each.
    spaces: u64,
    /// Classes of which words in the sense of `\w` are made, a bit each.
    words: u64,
    ascii: &'m [u8],
    /// Of a byte that stands for itself in GPT-2's alphabet.
    bytes: &'m [u8],
    /// Where the edges of a plane begin.
    planes: &'m [[u8; 2]],
    /// First characters of a class, without their plane.
    edges: &'m [[u8; 2]],
    /// The class from each edge on.
    classes: &'m [u8],
    expressions: [Expression<'m>; MAX_STAGES],
}

/// A regular expression as a table: the row of a state has for every class, and then for the end of the text, the next
/// state, 0 for none; [`MATCH`] says that the expression matches what came before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Expression<'m> {
    /// It reads bytes.
    pub bytes: bool,
    /// Entries of a row.
    width: usize,
    table: &'m [[u8; 2]],
}

/// Bit of an entry.
const MATCH: u16 = 1 << 15;

impl Expression<'_> {
    /// The next state, and whether what came before `class` is a match. `None` is the class of the text's end.
    #[inline]
    pub fn step(&self, state: u16, class: Option<u8>) -> (u16, bool) {
        let column = class.map_or(self.width.wrapping_sub(1), usize::from);
        let at = usize::from(state).wrapping_sub(1).wrapping_mul(self.width).wrapping_add(column);
        let entry = self.table.get(at).map_or(0, |&entry| u16::from_le_bytes(entry));
        (entry & !MATCH, entry & MATCH != 0)
    }
}

/// Takes bytes from the front.
struct Cut<'m>(&'m [u8]);

impl<'m> Cut<'m> {
    fn take(&mut self, bytes: usize) -> Option<&'m [u8]> {
        let (head, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(head)
    }

    fn number<const N: usize>(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }
}

impl<'m> Program<'m> {
    /// Cuts nothing.
    pub const NOTHING: Self = Self {
        spaces: 0,
        words: 0,
        ascii: &[],
        bytes: &[],
        planes: &[],
        edges: &[],
        classes: &[],
        expressions: [Expression { bytes: false, width: 0, table: &[] }; MAX_STAGES],
    };

    /// Cuts the bytes into tables; no bytes are a program that cuts nothing. `None` where they end too early or too late.
    pub fn view(bytes: &'m [u8], classes: u8, stages: u8) -> Option<Self> {
        let mut program = Self::NOTHING;
        if bytes.is_empty() {
            return (stages == 0).then_some(program);
        }
        let mut cut = Cut(bytes);
        program.spaces = cut.number::<8>()?;
        program.words = cut.number::<8>()?;
        program.ascii = cut.take(128)?;
        program.bytes = cut.take(256)?;
        program.planes = cut.take(2 * (PLANES + 1))?.as_chunks().0;
        let edges = usize::from(u16::from_le_bytes(*program.planes.last()?));
        program.edges = cut.take(2 * edges)?.as_chunks().0;
        program.classes = cut.take(edges)?;
        for expression in program.expressions.iter_mut().take(stages.into()) {
            let (flags, states) = (cut.number::<2>()?, cut.number::<2>()?);
            let width = usize::from(classes) + 1;
            expression.bytes = flags & 1 != 0;
            expression.width = width;
            expression.table = cut.take(2 * width * states as usize)?.as_chunks().0;
            if flags > 1 || states == 0 {
                return None;
            }
        }
        cut.0.is_empty().then_some(program)
    }

    /// Checks every entry. Without, a wrong one is a wrong cut and no more.
    pub fn check(&self, classes: u8, stages: u8) -> Result<(), TokenizerError> {
        let wrong = |table, index: usize| Err(TokenizerError::Entry { table, index: index as u32 });
        for (table, list) in [("classes", self.classes), ("ASCII classes", self.ascii), ("byte classes", self.bytes)] {
            if let Some(index) = list.iter().position(|&class| class >= classes) {
                return wrong(table, index);
            }
        }
        let mut before = 0;
        for (index, &start) in self.planes.iter().enumerate() {
            let start = u16::from_le_bytes(start);
            let edges = self.edges.get(before.into()..start.into());
            let sorted = edges.is_some_and(|edges| edges.is_sorted_by_key(|&edge| u16::from_le_bytes(edge)));
            if !sorted || (index == 0 && start != 0) {
                return wrong("planes", index);
            }
            before = start;
        }
        for (index, expression) in self.expressions.iter().take(stages.into()).enumerate() {
            let states = expression.table.len() / expression.width.max(1);
            let right = |entry: &[u8; 2]| usize::from(u16::from_le_bytes(*entry) & !MATCH) <= states;
            // Bytes can't become characters again.
            let before = index.checked_sub(1).and_then(|at| self.expressions.get(at));
            let back = before.is_some_and(|before| before.bytes && !expression.bytes);
            if back || !expression.table.iter().all(right) {
                return wrong("stages", index);
            }
        }
        Ok(())
    }

    /// The expression of a stage; one that matches nothing past the last.
    #[inline]
    pub fn expression(&self, index: usize) -> Expression<'m> {
        self.expressions.get(index).copied().unwrap_or_default()
    }

    /// The class of a unit. Where a stage reads characters, a byte is none and is what U+FFFD is.
    #[inline]
    pub fn class(&self, unit: Unit, bytes: bool) -> u8 {
        match unit {
            Unit::Char(c) => self.of_char(c),
            Unit::Byte(byte) if bytes => self.bytes.get(usize::from(byte)).copied().unwrap_or(0),
            Unit::Byte(_) => self.of_char(char::REPLACEMENT_CHARACTER),
        }
    }

    #[inline]
    fn of_char(&self, c: char) -> u8 {
        let code = u32::from(c);
        if let Some(&class) = self.ascii.get(code as usize) {
            return class;
        }
        let plane = (code >> 16) as usize;
        let edge = |plane: usize| self.planes.get(plane).map_or(0, |&at| usize::from(u16::from_le_bytes(at)));
        let (start, end) = (edge(plane), edge(plane + 1));
        let edges = self.edges.get(start..end).unwrap_or(&[]);
        let before = edges.partition_point(|&edge| u16::from_le_bytes(edge) <= code as u16);
        self.classes.get((start + before).wrapping_sub(1)).copied().unwrap_or(0)
    }

    /// `\s`
    #[inline]
    pub fn is_space(&self, unit: Unit) -> bool {
        self.has(self.spaces, unit)
    }

    /// `\w`
    pub fn is_word(&self, unit: Unit) -> bool {
        self.has(self.words, unit)
    }

    fn has(&self, set: u64, unit: Unit) -> bool {
        const { assert!(MAX_CLASSES as u32 <= u64::BITS) };
        set.checked_shr(self.class(unit, false).into()).is_some_and(|bits| bits & 1 != 0)
    }
}
