//! The lines of a summary of several: a line a passage, of which the best are kept in the order of the text.

use super::sentences::SENTENCE;
use super::{Line, Way};

/// The most lines of a summary.
pub const MOST_LINES: usize = 7;
/// A summary of a text of so many bytes has one line, and one more for each as many.
const BYTES_A_LINE: u32 = 1500;

/// One more waits until it is known which one is the worst.
const PLACES: usize = MOST_LINES + 1;

/// Lines that wait for the end of the text.
#[derive(Clone, Debug)]
pub(super) struct Digest {
    lines: [Waiting; PLACES],
    /// In the order of the text; those that were given up leave no gap.
    order: [u8; PLACES],
    len: u8,
}

/// A line of a passage.
#[derive(Clone, Debug)]
struct Waiting {
    text: [u8; SENTENCE],
    len: u16,
    line: Line,
}

impl Waiting {
    const NONE: Self = Self { text: [0; SENTENCE], len: 0, line: Line { way: Way::Quote, confidence: 0.0 } };
}

impl Digest {
    pub const NONE: Self = Self { lines: [Waiting::NONE; PLACES], order: [0; PLACES], len: 0 };

    pub fn reset(&mut self) {
        self.len = 0;
    }

    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Adds the next passage's line, without its text. Where there is no room, the worst line before it goes.
    pub fn add(&mut self, line: Line) {
        self.keep(MOST_LINES);
        let taken = |place: u8| self.order.iter().take(self.len()).any(|&other| other == place);
        let Some(free) = (0..PLACES as u8).find(|&place| !taken(place)) else { return };
        if let Some(place) = self.order.get_mut(usize::from(self.len)) {
            *place = free;
            self.len += 1;
        }
        if let Some(waiting) = self.lines.get_mut(usize::from(free)) {
            (waiting.line, waiting.len) = (line, 0);
        }
    }

    /// Adds to the text of the last line. What is too long is left out.
    pub fn write(&mut self, piece: &str) {
        let last = self.order.get(self.len().wrapping_sub(1)).and_then(|&at| self.lines.get_mut(usize::from(at)));
        let Some(Waiting { text, len, .. }) = last else { return };
        for character in piece.chars() {
            let mut bytes = [0; 4];
            let bytes = character.encode_utf8(&mut bytes).as_bytes();
            let room = text.get_mut(usize::from(*len)..).and_then(|rest| rest.get_mut(..bytes.len()));
            let Some(room) = room else { return };
            room.copy_from_slice(bytes);
            *len += bytes.len() as u16;
        }
    }

    /// Keeps the best `count` lines.
    pub fn keep(&mut self, count: usize) {
        while self.len() > count {
            let mut worst = (f32::INFINITY, 0);
            for at in 0..self.len() {
                let confidence = self.get(at).map_or(0.0, |(line, _)| line.confidence);
                if confidence < worst.0 {
                    worst = (confidence, at);
                }
            }
            // All behind it move up.
            let mut after = 0;
            let end = self.len();
            if let Some(order) = self.order.get_mut(worst.1..end) {
                order.iter_mut().rev().for_each(|place| core::mem::swap(place, &mut after));
            }
            self.len -= 1;
        }
    }

    /// The line at `at`, in the order of the text.
    pub fn get(&self, at: usize) -> Option<(Line, &str)> {
        let place = self.order.get(..self.len())?.get(at)?;
        let Waiting { text, len, line } = self.lines.get(usize::from(*place))?;
        Some((*line, core::str::from_utf8(text.get(..usize::from(*len))?).unwrap_or("")))
    }
}

/// Lines of a summary of a text of so many bytes, where nobody asks for a number.
pub(super) fn usual_lines(bytes: u32) -> usize {
    (1 + bytes.saturating_sub(1) / BYTES_A_LINE).min(MOST_LINES as u32) as usize
}
