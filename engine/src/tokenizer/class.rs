//! The classes of characters that words are made of.

use super::unicode::{LETTERS, NUMBERS};
use super::utf8::Unit;

/// A class; every character has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// `\p{L}`
    Letter,
    /// `\p{N}`
    Number,
    /// `[\r\n]`
    Newline,
    /// `\s` but for newlines.
    Space,
    /// Everything else, and bytes that are no character.
    Other,
}

impl Class {
    #[inline]
    pub fn of(unit: Unit) -> Self {
        match unit {
            Unit::Char(c) if c.is_ascii() => match c {
                'a'..='z' | 'A'..='Z' => Self::Letter,
                '0'..='9' => Self::Number,
                '\r' | '\n' => Self::Newline,
                ' ' | '\t' | '\x0b' | '\x0c' => Self::Space,
                _ => Self::Other,
            },
            Unit::Char(c) if contains(&LETTERS, c) => Self::Letter,
            Unit::Char(c) if contains(&NUMBERS, c) => Self::Number,
            Unit::Char(c) if is_space(c) => Self::Space,
            _ => Self::Other,
        }
    }

    /// `\s`
    #[inline]
    pub fn is_space(self) -> bool {
        matches!(self, Self::Space | Self::Newline)
    }
}

/// `White_Space` beyond ASCII.
fn is_space(c: char) -> bool {
    matches!(
        c,
        '\u{85}' | '\u{a0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200a}' | '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

/// `planes` hold, per plane of 65,536 code points, where membership begins and ends in turn.
fn contains(planes: &[&[u16]], c: char) -> bool {
    let (plane, low) = (u32::from(c) >> 16, u32::from(c) as u16);
    planes.get(plane as usize).is_some_and(|edges| edges.partition_point(|&edge| edge <= low) % 2 == 1)
}
