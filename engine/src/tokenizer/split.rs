//! Cuts characters into words, as the regular expressions of the model's pre-tokenizer do, a character at a time.
//!
//! Each stage cuts the words of the one before it: matches of its expression are words, and what lies between two matches
//! is one. An expression is a deterministic automaton that the host tool has compiled with the rules of backtracking
//! (of alternatives the first that matches counts): it goes on as long as a preferred match is possible, and characters
//! after the last match wait until it is certain, as in `\s*[\r\n]+` after a newline. Where too many would have to wait,
//! the last match is taken.

use super::MAX_STAGES;
use super::hold::Hold;
use super::program::{Expression, Program};
use super::stage::{Context, Part, Stage};
use super::utf8::Unit;
use crate::slot::Slot;

/// State in which an expression begins.
const START: u16 = 1;

/// An expression at work.
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
    fn next(&mut self, program: &Program<'_>, expression: Expression<'_>) -> Option<Part> {
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
            self.step(expression, unit.map(|unit| program.class(unit, expression.bytes)));
        }
    }

    fn step(&mut self, expression: Expression<'_>, class: Option<u8>) {
        let (next, matched) = expression.step(self.state, class);
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

/// The expressions at work.
#[derive(Clone, Debug)]
pub(super) struct Split {
    cutters: heapless::Vec<Cutter, MAX_STAGES>,
    /// What comes behind an end, or all where nothing cuts.
    then: Slot<Part>,
}

impl Split {
    /// Cuts nothing.
    pub const EMPTY: Self = Self { cutters: heapless::Vec::new(), then: Slot::Empty };

    /// Cuts in so many stages.
    pub fn load(&mut self, stages: u8) {
        self.cutters.clear();
        self.then = Slot::Empty;
        // Never full: the section was checked.
        (0..stages).for_each(|_| drop(self.cutters.push(Cutter::NEW)));
    }

    /// Gives a part to a cutter that has said that it needs more.
    fn give(&mut self, program: &Program<'_>, index: usize, part: Part) {
        let Some(cutter) = self.cutters.get_mut(index) else { return };
        match part {
            Part::Unit(Unit::Char(c)) if program.expression(index).bytes => {
                c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| cutter.hold.push(Unit::Byte(byte)));
            }
            Part::Unit(unit) => cutter.hold.push(unit),
            Part::End | Part::Token(_) => cutter.closed = true,
        }
    }

    /// Moves parts on, those of later cutters first: so there is always room.
    fn cut(&mut self, program: &Program<'_>) -> Option<Part> {
        let last = self.cutters.len().checked_sub(1)?;
        let mut index = last;
        loop {
            let part = self.cutters.get_mut(index).and_then(|cutter| cutter.next(program, program.expression(index)));
            match part {
                Some(part) if index == last => return Some(part),
                Some(part) => {
                    index += 1;
                    self.give(program, index, part);
                }
                None => index = index.checked_sub(1)?,
            }
        }
    }
}

impl Stage for Split {
    type In = Part;
    type Out = Part;

    #[inline]
    fn put(&mut self, context: &Context<'_>, part: Part) {
        match part {
            // Between words nothing waits.
            Part::Token(_) => self.then = Slot::Full(part),
            _ if self.cutters.is_empty() => self.then = Slot::Full(part),
            _ => self.give(&context.program, 0, part),
        }
    }

    #[inline]
    fn next(&mut self, context: &Context<'_>) -> Option<Part> {
        self.cut(&context.program).or_else(|| self.then.take())
    }
}
