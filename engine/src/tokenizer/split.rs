//! Cuts characters into words, as the regular expressions of the model's pre-tokenizer do, a character at a time.
//!
//! Each stage cuts the words of the one before it: matches of its expression are words, and what lies between two matches
//! is one. An expression is a deterministic automaton that the host tool has compiled with the rules of backtracking
//! (of alternatives the first that matches counts): it goes on as long as a preferred match is possible, and characters
//! after the last match wait until it is certain, as in `\s*[\r\n]+` after a newline. Where too many would have to wait,
//! the last match is taken.

use super::MAX_STAGES;
use super::hold::Hold;
use super::program::{Program, Stage};
use super::utf8::Unit;

/// What a text is cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The next character of a word.
    Unit(Unit),
    /// The word has ended. May come twice.
    End,
}

/// State in which an expression begins.
const START: u16 = 1;

/// A stage at work.
#[derive(Clone, Debug)]
struct Cutter {
    state: u16,
    /// What was read and is not out.
    hold: Hold,
    /// So many of `hold` are certain to belong to this word.
    ready: usize,
    /// So many after those were read by the automaton.
    read: usize,
    /// The expression has matched since the word's start.
    matched: bool,
    /// The last that went out lay between matches.
    between: bool,
    /// An end goes out before what is ready.
    end_before: bool,
    /// An end goes out after it.
    end_after: bool,
    /// The word that is being cut has ended.
    closed: bool,
}

impl Cutter {
    const NEW: Self = Self {
        state: START,
        hold: Hold::NEW,
        ready: 0,
        read: 0,
        matched: false,
        between: false,
        end_before: false,
        end_after: false,
        closed: false,
    };

    /// What goes out next; `None` when more has to come in. Then there is room for a character's bytes.
    fn next(&mut self, program: &Program<'_>, stage: Stage<'_>) -> Option<Part> {
        loop {
            if core::mem::take(&mut self.end_before) {
                return Some(Part::End);
            }
            if self.ready > 0 {
                self.ready -= 1;
                return self.hold.pop().map(Part::Unit);
            }
            if core::mem::take(&mut self.end_after) {
                return Some(Part::End);
            }
            let unit = self.hold.get(self.read);
            if unit.is_none() && !self.closed && !self.hold.is_full() {
                return None;
            }
            if self.hold.len() == 0 && self.state == START {
                (self.closed, self.between) = (false, false);
                return Some(Part::End);
            }
            self.step(stage, unit.map(|unit| program.class(unit, stage.bytes)));
        }
    }

    fn step(&mut self, stage: Stage<'_>, class: Option<u8>) {
        let (next, matched) = stage.step(self.state, class);
        if matched && self.read > 0 {
            (self.ready, self.read, self.matched) = (self.read, 0, true);
            self.end_before = core::mem::take(&mut self.between);
        }
        if class.is_some() && next != 0 {
            self.state = next;
            self.read += 1;
            return;
        }
        // Nothing more can match from the word's start.
        if core::mem::take(&mut self.matched) {
            self.end_after = true;
        } else {
            (self.ready, self.between) = (1, true);
        }
        (self.state, self.read) = (START, 0);
    }
}

/// The stages at work.
#[derive(Clone, Debug)]
pub(super) struct Split {
    cutters: heapless::Vec<Cutter, MAX_STAGES>,
}

impl Split {
    pub fn new(stages: u8) -> Self {
        let mut cutters = heapless::Vec::new();
        // Never full: the section was checked.
        (0..stages).for_each(|_| drop(cutters.push(Cutter::NEW)));
        Self { cutters }
    }

    /// The next character, or the end of the text.
    #[inline]
    pub fn push(&mut self, program: &Program<'_>, part: Part, out: &mut dyn FnMut(Part)) {
        if self.cutters.is_empty() {
            return out(part);
        }
        self.give(program, 0, part);
        self.drain(program, out);
    }

    /// Gives a part to a stage that has said that it needs more.
    fn give(&mut self, program: &Program<'_>, index: usize, part: Part) {
        let Some(cutter) = self.cutters.get_mut(index) else { return };
        match part {
            Part::End => cutter.closed = true,
            Part::Unit(Unit::Char(c)) if program.stage(index).bytes => {
                c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| cutter.hold.push(Unit::Byte(byte)));
            }
            Part::Unit(unit) => cutter.hold.push(unit),
        }
    }

    /// Moves parts on, those of later stages first: so there is always room.
    fn drain(&mut self, program: &Program<'_>, out: &mut dyn FnMut(Part)) {
        let last = self.cutters.len().saturating_sub(1);
        let mut index = last;
        loop {
            let part = self.cutters.get_mut(index).and_then(|cutter| cutter.next(program, program.stage(index)));
            match (part, index.checked_sub(1)) {
                (Some(part), _) if index == last => out(part),
                (Some(part), _) => {
                    index += 1;
                    self.give(program, index, part);
                }
                (None, Some(before)) => index = before,
                (None, None) => return,
            }
        }
    }
}
