//! Characters that wait until it is known which word they belong to, run-length encoded.

use super::front::drop_front;
use super::utf8::Unit;

/// Runs of equal characters that can wait, beside room for one character's bytes.
const RUNS: usize = 16;
/// The bytes of a character.
const ROOM: usize = 4;
/// Characters that can wait.
const MOST: u16 = 4096;

/// A queue of characters. Callers add at most [`ROOM`] of them while it isn't full.
#[derive(Clone, Debug)]
pub(super) struct Hold {
    /// A packed unit, and how often it comes.
    runs: heapless::Vec<(u32, u16), { RUNS + ROOM }>,
    length: u16,
}

/// Marks a byte in a packed unit.
const BYTE: u32 = 1 << 31;

fn pack(unit: Unit) -> u32 {
    match unit {
        Unit::Char(c) => c.into(),
        Unit::Byte(byte) => BYTE | u32::from(byte),
    }
}

fn unpack(packed: u32) -> Unit {
    match char::from_u32(packed) {
        Some(c) => Unit::Char(c),
        None => Unit::Byte(packed as u8),
    }
}

impl Hold {
    pub const NEW: Self = Self { runs: heapless::Vec::new(), length: 0 };

    pub fn len(&self) -> usize {
        self.length.into()
    }

    pub fn is_full(&self) -> bool {
        self.runs.len() > RUNS || self.length >= MOST
    }

    #[inline]
    pub fn push(&mut self, unit: Unit) {
        let unit = pack(unit);
        match self.runs.last_mut() {
            Some((last, count)) if *last == unit => *count = count.saturating_add(1),
            // Never full: see `is_full`.
            _ => drop(self.runs.push((unit, 1))),
        }
        self.length = self.length.saturating_add(1);
    }

    /// The unit at place `at`, counted from 0.
    #[inline]
    pub fn get(&self, mut at: usize) -> Option<Unit> {
        for &(unit, count) in &self.runs {
            match at.checked_sub(count.into()) {
                None => return Some(unpack(unit)),
                Some(left) => at = left,
            }
        }
        None
    }

    #[inline]
    pub fn pop(&mut self) -> Option<Unit> {
        let (unit, count) = self.runs.first_mut()?;
        let unit = *unit;
        *count = count.saturating_sub(1);
        if *count == 0 {
            drop_front(&mut self.runs, 1);
        }
        self.length = self.length.saturating_sub(1);
        Some(unpack(unit))
    }
}
