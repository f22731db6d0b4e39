//! Beam search: a few summaries are written side by side, and the most probable one is kept.
//!
//! A greedy search can't take back a word that leads nowhere. Here every step keeps the `B` beginnings of a summary whose
//! tokens are the most probable together (Lowerre 1976), each with its own state; one that was worse for a word may win by
//! the next. A summary that ended counts with the mean of its tokens' log-probabilities, since sums favour short ones. What
//! [`grounding`](crate::sampler::grounding) costs lowers them, and so do two tokens that were written before.
//!
//! ```
//! # use jamlet::{Beams, Grounding, Session, SessionError};
//! /// `session` has read a text and the prompt behind it, and was made with `Options::beams(4)`.
//! fn summary(session: &mut Session<'_, '_>, text: &Grounding, mut print: impl FnMut(u32)) -> Result<(), SessionError> {
//!     let mut beams = Beams::<4>::new(64);
//!     let mut printed = 0;
//!     loop {
//!         let more = beams.step(session, Some(text))?;
//!         // What all beams agree on is settled: long before the end, mostly.
//!         beams.settled().skip(printed).for_each(|token| { print(token); printed += 1; });
//!         if !more {
//!             return Ok(());
//!         }
//!     }
//! }
//! ```
//!
//! # Memory and time
//!
//! The states lie in the session's workspace ([`Options::beams`](crate::Options::beams)), the first one being the session's. A step
//! takes a token of each beam through the layers and the head together, as prefill takes a chunk: weights are read once, however
//! many beams there are, and only what has a state is done beam by beam. On a Cortex-M4 a step of two beams of `pico` takes 1.87
//! times the instructions of one beam's (`cargo xtask bench qemu-m4`), and reads the flash as often.
//!
//! In between, a state is copied where a beam goes on in two ways. There are never more states than beams: a beam that goes on in
//! two ways means that another one was given up.

use crate::sampler::grounding::Writer;
use crate::sampler::{Grounding, History, LogSum, MAX_HISTORY, penalize_repeats};
use crate::session::{Session, SessionError};
use heapless::Vec;

/// How many summaries are written side by side where nobody asks for another number: two bring most of what many do, and a
/// Raspberry Pi Pico 2 has room for `pico`'s states.
pub const DEFAULT_BEAMS: u32 = 2;
/// The most tokens of a summary.
pub const MAX_SUMMARY: usize = MAX_HISTORY;
/// Of so many tokens no sequence comes twice, or it costs [`REPEAT`](crate::sampler::REPEAT), as in
/// [`SamplerOptions::summary`](crate::SamplerOptions::summary).
const NO_REPEAT: usize = 2;

/// Up to `B` summaries of one text, of which one becomes the answer: see the [module](self).
///
/// How many there are is said by [`Options::beams`](crate::Options::beams); `B` is what there is room for.
#[derive(Clone, Debug)]
pub struct Beams<const B: usize> {
    limit: usize,
    /// The summaries began.
    begun: bool,
    /// Beginnings of summaries, in the order of the session's states.
    beams: [Beam; B],
    /// How each of them may go on.
    ways: [Ways<B>; B],
    /// How they go on, the most probable first.
    choices: Vec<Choice, B>,
    /// The best summary that ended, and the mean of its tokens if there is one.
    best: Beam,
    best_mean: Option<f32>,
    /// How many ended.
    ended: usize,
}

/// The beginning of a summary.
#[derive(Clone, Copy, Debug)]
struct Beam {
    tokens: History,
    /// Sum of its tokens' log-probabilities, less what they cost.
    score: f32,
    /// What they cost.
    cost: f32,
    writer: Writer,
}

/// A token behind a beam.
#[derive(Clone, Copy, Debug)]
struct Choice {
    beam: usize,
    token: u32,
    /// The beam's with this token.
    score: f32,
    cost: f32,
}

impl Beam {
    const NEW: Self = Self { tokens: History::new(), score: 0.0, cost: 0.0, writer: Writer::NEW };
}

impl<const B: usize> Beams<B> {
    /// Summaries of a text that is still to be read: of at most `limit` tokens, and no more than [`MAX_SUMMARY`].
    pub const fn new(limit: usize) -> Self {
        const { assert!(B > 0, "no beams") };
        Self {
            limit: if limit < MAX_SUMMARY { limit } else { MAX_SUMMARY },
            begun: false,
            beams: [Beam::NEW; B],
            ways: [const { Ways::NONE }; B],
            choices: Vec::new(),
            best: Beam::NEW,
            best_mean: None,
            ended: 0,
        }
    }

    /// Another limit, for the next text.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit.min(MAX_SUMMARY);
    }

    /// Forgets all summaries, for another text.
    pub fn reset(&mut self) {
        self.begun = false;
        self.choices.clear();
        (self.best_mean, self.ended) = (None, 0);
    }

    /// Writes another token of each summary, and says whether there is more to do. The first call begins where the session
    /// stands, which from then on serves only this search, until it is reset or restored.
    ///
    /// # Errors
    /// [`SessionError::NothingFed`], or [`SessionError::Beams`] where the options ask for more than `B`.
    pub fn step(&mut self, session: &mut Session<'_, '_>, grounding: Option<&Grounding>) -> Result<bool, SessionError> {
        let asked = session.plan().options.beams;
        if asked as usize > B {
            return Err(SessionError::Beams { asked, room: B as u32 });
        }
        session.feed_pending();
        let mut found = Found::new();
        if self.begun {
            let beams = self.advance(session, grounding);
            self.look(session, grounding, beams)?;
            // The order says which of equal ways is the better one.
            while let Some(choice) = self.choices.pop() {
                self.gather(choice.beam, &mut found);
            }
        } else {
            if let Some(first) = self.beams.first_mut() {
                *first = Beam::NEW;
            }
            self.look(session, grounding, 1)?;
            self.gather(0, &mut found);
            self.begun = true;
        }
        Ok(self.choose(found, width::<B>(session)))
    }

    /// The tokens of the answer as it looks now, and when there is no more to do the answer itself.
    pub fn tokens(&self) -> impl Iterator<Item = u32> + '_ {
        let best = self.best_mean.map(|_| &self.best);
        let leads = self.choices.first().and_then(|choice| self.beams.get(choice.beam));
        best.or(leads).into_iter().flat_map(|beam| beam.tokens.oldest_first())
    }

    /// The first tokens of the answer, as far as they can't change any more.
    pub fn settled(&self) -> impl Iterator<Item = u32> + '_ {
        let others = self.choices.iter().filter_map(|choice| self.beams.get(choice.beam));
        let agree = |other: &Beam| self.tokens().zip(other.tokens.oldest_first()).take_while(|(a, b)| a == b).count();
        self.tokens().take(others.map(agree).min().unwrap_or(usize::MAX))
    }

    /// Whether the answer ended, and wasn't cut off.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended > 0
    }

    /// Of the answer, when there is no more to do: the mean log-probability of its tokens and its end, and the mean of what
    /// [`grounding`](crate::sampler::grounding) costs them.
    pub(crate) fn means(&self) -> Option<(f32, f32)> {
        let (beam, mean) = (&self.best, self.best_mean?);
        let cost = beam.cost / (beam.tokens.len() + 1) as f32;
        Some((mean + cost, cost))
    }

    /// Feeds the chosen tokens, each to its beam, and returns how many go on.
    fn advance(&mut self, session: &mut Session<'_, '_>, grounding: Option<&Grounding>) -> usize {
        self.divide(session);
        let mut tokens = [0; B];
        for at in 0..self.choices.len() {
            let Some(&choice) = self.choices.get(at) else { break };
            self.append(session, grounding, choice);
            // Can't be an unknown token: it is a row of the head.
            if let Some(token) = tokens.get_mut(choice.beam) {
                *token = choice.token;
            }
        }
        let tokens = tokens.get(..self.choices.len()).unwrap_or(&[]);
        if !tokens.is_empty() {
            session.feed_beams(tokens);
        }
        tokens.len()
    }

    /// Gives every choice a beam of its own, one of the first. The first that goes on from a beam keeps it; the others get copies, in
    /// place of beams that were given up.
    #[inline(never)]
    fn divide(&mut self, session: &mut Session<'_, '_>) {
        let count = self.choices.len();
        for at in 0..count {
            let Some((before, [choice, ..])) = self.choices.split_at_checked(at) else { break };
            let beam = choice.beam;
            if beam < count && before.iter().all(|other| other.beam != beam) {
                continue;
            }
            // There is one: of all choices, this one and another go on from the same beam, or this one from a later beam.
            let Some(free) = (0..count).find(|&free| self.choices.iter().all(|choice| choice.beam != free)) else {
                break;
            };
            session.copy_beam(beam, free);
            if let Ok([from, to]) = self.beams.get_disjoint_mut([beam, free]) {
                *to = *from;
            }
            if let Some(choice) = self.choices.get_mut(at) {
                choice.beam = free;
            }
        }
    }

    /// Appends a chosen token to its beam.
    #[inline(never)]
    fn append(&mut self, session: &Session<'_, '_>, grounding: Option<&Grounding>, choice: Choice) {
        let Some(beam) = self.beams.get_mut(choice.beam) else { return };
        (beam.score, beam.cost) = (choice.score, choice.cost);
        beam.tokens.write(choice.token);
        if let (Some(grounding), Some(tokenizer)) = (grounding, session.model().tokenizer()) {
            grounding.push_behind(&mut beam.writer, &tokenizer, choice.token);
        }
    }

    /// Finds how the first `count` beams may go on.
    fn look(
        &mut self,
        session: &mut Session<'_, '_>,
        grounding: Option<&Grounding>,
        count: usize,
    ) -> Result<(), SessionError> {
        if count == 0 {
            return Ok(());
        }
        let (tokenizer, prompt) = (session.model().tokenizer(), session.model().prompt());
        let Self { beams, ways, .. } = self;
        ways.iter_mut().for_each(|ways| *ways = Ways { total: LogSum::NEW, best: Found::new() });
        session.logits_of_beams(count, &mut |beam, first, logits| {
            let (Some(Beam { tokens, writer, .. }), Some(Ways { total, best })) = (beams.get(beam), ways.get_mut(beam))
            else {
                return;
            };
            let cost = |token| match (grounding, &tokenizer) {
                (Some(grounding), Some(tokenizer)) => grounding.cost_behind(writer, tokenizer, token),
                _ => 0.0,
            };
            total.add(logits);
            penalize_repeats(NO_REPEAT, tokens, first, logits);
            for (token, &logit) in (first as u32..).zip(&*logits) {
                // NaN is never better.
                if logit > best.worst() {
                    let cost = cost(token);
                    let choice = Choice { beam, token, score: logit - cost, cost };
                    if choice.score > best.worst() {
                        best.add(choice, prompt.is_stop(token));
                    }
                }
            }
        })
    }

    /// Adds the ways in which a beam may go on to `found`.
    fn gather(&self, beam: usize, found: &mut Found<B>) {
        let (Some(beam), Some(Ways { total, best })) = (self.beams.get(beam), self.ways.get(beam)) else { return };
        let total = total.get();
        for (choices, ends) in [(&best.choices, false), (&best.ends, true)] {
            for choice in choices {
                let (score, cost) = (beam.score + (choice.score - total), beam.cost + choice.cost);
                found.add(Choice { score, cost, ..*choice }, ends);
            }
        }
    }

    /// Takes the best of what was found, and says whether there is more to do.
    fn choose(&mut self, found: Found<B>, width: usize) -> bool {
        let Found { mut choices, ends } = found;
        for end in &ends {
            // A summary ends only if that is among the best ways to go on.
            let better = choices.iter().chain(&ends).filter(|other| other.score > end.score).count();
            let Some(beam) = self.beams.get(end.beam).filter(|_| better < width) else { continue };
            self.ended += 1;
            let mean = mean(end.score, beam.tokens.len() + 1);
            if self.best_mean.is_none_or(|best| mean > best) {
                self.best = *beam;
                (self.best.cost, self.best_mean) = (end.cost, Some(mean));
            }
        }
        choices.truncate(width);
        let length = choices.first().and_then(|choice| self.beams.get(choice.beam)).map_or(0, |beam| beam.tokens.len());
        let hope = choices.iter().any(|choice| self.best_mean.is_none_or(|best| mean(choice.score, length + 1) > best));
        let more = hope && self.ended < width && length < self.limit;
        if !more {
            // Cut off: the beam that led, without the token that it would go on with.
            let leads = choices.first().and_then(|choice| self.beams.get(choice.beam));
            if let Some(beam) = leads.filter(|_| self.best_mean.is_none()) {
                self.best = *beam;
                self.best_mean = Some(mean(beam.score, length));
            }
            choices.clear();
        }
        self.choices = choices;
        more
    }
}

/// Beams that the session's options ask for: [`Beams::step`] saw that there is room for them.
fn width<const B: usize>(session: &Session<'_, '_>) -> usize {
    B.min(session.plan().options.beams as usize)
}

fn mean(score: f32, tokens: usize) -> f32 {
    score / tokens as f32
}

/// How a beam may go on.
#[derive(Clone, Debug)]
struct Ways<const B: usize> {
    /// Of all its logits.
    total: LogSum,
    /// By their logits, less what they cost.
    best: Found<B>,
}

impl<const B: usize> Ways<B> {
    /// Zeros, so that a `static` lies in `.bss`.
    const NONE: Self = Self { total: LogSum::ZERO, best: Found::new() };
}

/// Ways to go on, and ways to end, the best of each first; among equals the first that was found.
#[derive(Clone, Debug)]
struct Found<const B: usize> {
    choices: Vec<Choice, B>,
    ends: Vec<Choice, B>,
}

impl<const B: usize> Found<B> {
    const fn new() -> Self {
        Self { choices: Vec::new(), ends: Vec::new() }
    }

    /// The score that a new way to go on must exceed to be kept.
    fn worst(&self) -> f32 {
        match self.choices.last() {
            Some(last) if self.choices.is_full() => last.score,
            _ => f32::NEG_INFINITY,
        }
    }

    fn add(&mut self, mut new: Choice, ends: bool) {
        let list = if ends { &mut self.ends } else { &mut self.choices };
        let mut shift = false;
        for old in list.iter_mut() {
            shift |= new.score > old.score;
            if shift {
                core::mem::swap(old, &mut new);
            }
        }
        // Fails where the list is full, and then `new` is the worst of all.
        let _ = list.push(new);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::kernels::counted;
    use crate::{Model, Options, Plan};
    use std::vec;
    use std::vec::Vec;

    /// Bytes that lie on a multiple of 16.
    fn aligned(length: usize) -> Vec<u128> {
        vec![0; length.div_ceil(16)]
    }

    #[test]
    fn a_step_crosses_the_weights_once_however_many_beams_there_are() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../host-tools/models/nano.jamlet");
        let file = std::fs::read(path).expect("the model");
        let mut image = aligned(file.len());
        let image: &mut [u8] = bytemuck::cast_slice_mut(&mut image);
        image[..file.len()].copy_from_slice(&file);
        let model = Model::parse(&image[..file.len()]).expect("a model");
        let mut once = None;
        for width in [1, 2, 4] {
            let options = Options::window(32).beams(width);
            let plan = Plan::new(model.image().bytes(), options).expect("a plan");
            let mut memory = aligned(plan.bytes());
            let mut session = Session::new(&model, options, bytemuck::cast_slice_mut(&mut memory)).expect("a session");
            session.feed(&[1, 2, 3, 4, 5]).expect("tokens");
            counted::take();
            session.feed(&[6]).expect("a token");
            session.logits(|_, _| ()).expect("logits");
            let token = counted::take();
            let mut beams = Beams::<4>::new(MAX_SUMMARY);
            assert!(beams.step(&mut session, None).expect("tokens"));
            for _ in 0..6 {
                counted::take();
                assert!(beams.step(&mut session, None).expect("tokens"));
                assert_eq!(beams.choices.len(), width as usize);
                assert_eq!((counted::take(), *once.get_or_insert(token)), (token, token), "{width} beams");
            }
        }
    }
}
