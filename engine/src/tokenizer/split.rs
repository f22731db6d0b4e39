//! Cuts characters into words, as the regular expressions of [`Words`] do, a character at a time.
//!
//! The expressions look ahead in three places, and there characters wait: an apostrophe waits for the end of a
//! contraction, the last white space for what follows it, and in [`Words::Tiktoken`] white space after a newline for
//! another newline. Only the last can be long; it waits run-length encoded, and where [`RUNS`] runs of equal characters
//! don't suffice, the word ends at the newline before them.

use super::Words;
use super::class::Class;
use super::utf8::Unit;

/// Runs of equal white space that can wait after a newline.
const RUNS: usize = 16;

/// What a text is cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The next character of a word.
    Unit(Unit),
    /// The word has ended. May come twice.
    End,
}

#[derive(Clone, Debug)]
enum State {
    /// Between words.
    Start,
    /// An apostrophe waits at the beginning of a word.
    Apostrophe,
    /// An apostrophe and `r`, `v` or `l`, in any case, wait.
    Contraction(char),
    /// A character that is no white space waits for a letter after it.
    Lead(Unit),
    /// In letters.
    Letters,
    /// In numbers, after so many.
    Numbers(u8),
    /// In other characters.
    Others,
    /// In newlines after other characters.
    Tail,
    /// In white space without newlines, whose last character waits.
    Spaces(Unit),
    /// In white space, after a newline; what came after it waits.
    Newlines(heapless::Vec<(Unit, u32), RUNS>),
}

/// The state of a text that is being cut.
#[derive(Clone, Debug)]
pub(super) struct Split {
    words: Words,
    /// Most numbers in a word; 0 for any number.
    digits: u8,
    state: State,
}

impl Split {
    pub fn new(words: Words, digits: u8) -> Self {
        Self { words, digits, state: State::Start }
    }

    /// The next character.
    #[inline]
    pub fn push(&mut self, unit: Unit, out: &mut dyn FnMut(Part)) {
        match self.words {
            Words::Whole => out(Part::Unit(unit)),
            Words::Spaces => {
                if unit == Unit::Char(' ') {
                    out(Part::End);
                }
                out(Part::Unit(unit));
            }
            Words::Gpt2 | Words::Tiktoken => self.step(unit, Class::of(unit), out),
        }
    }

    /// The text ends here.
    pub fn finish(&mut self, out: &mut dyn FnMut(Part)) {
        match core::mem::replace(&mut self.state, State::Start) {
            State::Apostrophe => out(Part::Unit(Unit::Char('\''))),
            State::Contraction(letter) => {
                self.plain_apostrophe(out);
                self.step(Unit::Char(letter), Class::Letter, out);
                self.state = State::Start;
            }
            State::Lead(unit) | State::Spaces(unit) => out(Part::Unit(unit)),
            State::Newlines(runs) => {
                out(Part::End);
                for &(unit, count) in &runs {
                    (0..count).for_each(|_| out(Part::Unit(unit)));
                }
            }
            State::Start | State::Letters | State::Numbers(_) | State::Others | State::Tail => {}
        }
        out(Part::End);
    }

    #[inline]
    fn step(&mut self, unit: Unit, class: Class, out: &mut dyn FnMut(Part)) {
        match (&mut self.state, class) {
            (State::Letters, Class::Letter) | (State::Others, Class::Other) | (State::Tail, Class::Newline) => {
                out(Part::Unit(unit));
            }
            (State::Letters | State::Others | State::Tail, _) => self.next_word(unit, class, out),
            _ => self.step_rarer(unit, class, out),
        }
    }

    /// Ends the word before `unit`.
    #[inline]
    fn next_word(&mut self, unit: Unit, class: Class, out: &mut dyn FnMut(Part)) {
        if class == Class::Newline && matches!(self.state, State::Others) && self.words == Words::Tiktoken {
            out(Part::Unit(unit));
            self.state = State::Tail;
            return;
        }
        out(Part::End);
        self.start(unit, class, out);
    }

    fn step_rarer(&mut self, unit: Unit, class: Class, out: &mut dyn FnMut(Part)) {
        match core::mem::replace(&mut self.state, State::Start) {
            State::Apostrophe => self.after_apostrophe(unit, class, out),
            State::Contraction(letter) => self.after_contraction(letter, unit, class, out),
            State::Lead(lead) => {
                out(Part::Unit(lead));
                self.state = State::Others;
                match class {
                    Class::Letter => self.begin(unit, State::Letters, out),
                    _ => self.step(unit, class, out),
                }
            }
            State::Numbers(count) if class == Class::Number && (self.digits == 0 || count < self.digits) => {
                self.begin(unit, State::Numbers(count.saturating_add(1)), out);
            }
            State::Spaces(last) => self.after_space(last, unit, class, out),
            State::Newlines(runs) => self.after_newline(runs, unit, class, out),
            _ => {
                out(Part::End);
                self.start(unit, class, out);
            }
        }
    }

    /// `unit` begins a word.
    fn start(&mut self, unit: Unit, class: Class, out: &mut dyn FnMut(Part)) {
        let tiktoken = self.words == Words::Tiktoken;
        match class {
            Class::Letter => self.begin(unit, State::Letters, out),
            Class::Number => self.begin(unit, State::Numbers(1), out),
            Class::Newline if tiktoken => self.begin(unit, State::Newlines(heapless::Vec::new()), out),
            Class::Newline | Class::Space => self.state = State::Spaces(unit),
            Class::Other if unit == Unit::Char('\'') => self.state = State::Apostrophe,
            Class::Other if tiktoken => self.state = State::Lead(unit),
            Class::Other => self.begin(unit, State::Others, out),
        }
    }

    fn begin(&mut self, unit: Unit, state: State, out: &mut dyn FnMut(Part)) {
        out(Part::Unit(unit));
        self.state = state;
    }

    /// The apostrophe that waited is none of a contraction.
    fn plain_apostrophe(&mut self, out: &mut dyn FnMut(Part)) {
        match self.words {
            Words::Tiktoken => self.state = State::Lead(Unit::Char('\'')),
            _ => self.begin(Unit::Char('\''), State::Others, out),
        }
    }

    /// The letter of a contraction that `unit` stands for.
    fn folded(&self, unit: Unit) -> Option<char> {
        match unit {
            // Case folding knows one more s.
            Unit::Char('ſ') if self.words == Words::Tiktoken => Some('s'),
            Unit::Char(c) if self.words == Words::Tiktoken => Some(c.to_ascii_lowercase()),
            Unit::Char(c) => Some(c),
            Unit::Byte(_) => None,
        }
    }

    fn after_apostrophe(&mut self, unit: Unit, class: Class, out: &mut dyn FnMut(Part)) {
        match (self.folded(unit), unit) {
            (Some('s' | 't' | 'm' | 'd'), _) => {
                out(Part::Unit(Unit::Char('\'')));
                out(Part::Unit(unit));
                out(Part::End);
            }
            (Some('r' | 'v' | 'l'), Unit::Char(letter)) => self.state = State::Contraction(letter),
            _ => {
                self.plain_apostrophe(out);
                self.step(unit, class, out);
            }
        }
    }

    fn after_contraction(&mut self, letter: char, unit: Unit, class: Class, out: &mut dyn FnMut(Part)) {
        match (self.folded(Unit::Char(letter)), self.folded(unit)) {
            (Some('r' | 'v'), Some('e')) | (Some('l'), Some('l')) => {
                out(Part::Unit(Unit::Char('\'')));
                out(Part::Unit(Unit::Char(letter)));
                out(Part::Unit(unit));
                out(Part::End);
            }
            _ => {
                self.plain_apostrophe(out);
                self.step(Unit::Char(letter), Class::Letter, out);
                self.step(unit, class, out);
            }
        }
    }

    /// `last` is white space without a newline (in [`Words::Tiktoken`]), and what came before it in its word is out.
    fn after_space(&mut self, last: Unit, unit: Unit, class: Class, out: &mut dyn FnMut(Part)) {
        let (tiktoken, blank) = (self.words == Words::Tiktoken, last == Unit::Char(' '));
        match class {
            Class::Newline if tiktoken => {
                out(Part::Unit(last));
                self.begin(unit, State::Newlines(heapless::Vec::new()), out);
            }
            Class::Newline | Class::Space => self.begin(last, State::Spaces(unit), out),
            // All white space but the last is a word of its own, if there is any.
            _ => {
                out(Part::End);
                let state = match class {
                    Class::Letter if tiktoken || blank => Some(State::Letters),
                    Class::Number if !tiktoken && blank => Some(State::Numbers(1)),
                    Class::Other if blank => Some(State::Others),
                    _ => None,
                };
                out(Part::Unit(last));
                match state {
                    Some(state) => self.begin(unit, state, out),
                    None => {
                        out(Part::End);
                        self.start(unit, class, out);
                    }
                }
            }
        }
    }

    fn after_newline(
        &mut self,
        mut runs: heapless::Vec<(Unit, u32), RUNS>,
        unit: Unit,
        class: Class,
        out: &mut dyn FnMut(Part),
    ) {
        if class == Class::Newline {
            for &(space, count) in &runs {
                (0..count).for_each(|_| out(Part::Unit(space)));
            }
            return self.begin(unit, State::Newlines(heapless::Vec::new()), out);
        }
        if class == Class::Space {
            let kept = match runs.last_mut() {
                Some((space, count)) if *space == unit && *count < u32::MAX => {
                    *count += 1;
                    true
                }
                _ => runs.push((unit, 1)).is_ok(),
            };
            if kept {
                self.state = State::Newlines(runs);
                return;
            }
        }
        out(Part::End);
        for &(space, count) in &runs {
            (0..count).for_each(|_| self.space(space, out));
        }
        match self.state {
            State::Start => self.start(unit, class, out),
            _ => self.step(unit, class, out),
        }
    }

    /// White space that is no newline, between words or in white space.
    fn space(&mut self, unit: Unit, out: &mut dyn FnMut(Part)) {
        if let State::Spaces(last) = core::mem::replace(&mut self.state, State::Spaces(unit)) {
            out(Part::Unit(last));
        }
    }
}
