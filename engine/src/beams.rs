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
//! The states lie in the session's workspace ([`Options::beams`](crate::Options::beams)), one of them where the session
//! computes. A step feeds one token to each beam. In between a state is copied where a beam goes on in two ways, and two are
//! exchanged to bring the next one to where it can be computed: six instructions for four bytes on a Cortex-M4, for `pico` 3 % of
//! what the step's tokens take. There are never more states than beams: a beam that goes on in two ways means that another one
//! was given up.

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
    /// Tokens that the session had seen when the summaries began.
    start: Option<u64>,
    /// Beginnings of summaries. The state of the first one is the session's, that of number `n` in place `n − 1`.
    beams: [Beam; B],
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
            start: None,
            beams: [Beam::NEW; B],
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
        self.start = None;
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
        let mut found = Found::new();
        match self.start {
            None => {
                // Feeds a sampled token that waits.
                let start = session.position_after_sampled();
                if let Some(first) = self.beams.first_mut() {
                    *first = Beam::NEW;
                }
                self.look(session, grounding, &mut found)?;
                self.start = Some(start);
            }
            Some(start) => self.advance(session, grounding, start, &mut found)?,
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

    /// Feeds the chosen tokens, each to its beam, and gathers the best next tokens in `found`.
    fn advance(
        &mut self,
        session: &mut Session<'_, '_>,
        grounding: Option<&Grounding>,
        start: u64,
        found: &mut Found<B>,
    ) -> Result<(), SessionError> {
        let mut round = Round { waiting: core::mem::take(&mut self.choices), done: [false; B] };
        while let Some(choice) = round.waiting.pop() {
            self.bring(session, start, choice.beam, &mut round, found);
            self.append(session, grounding, choice);
            // Can't be an unknown token: it is a row of the head.
            session.feed(&[choice.token])?;
            self.look(session, grounding, found)?;
        }
        Ok(())
    }

    /// Brings a beam's state to where the session computes, by an exchange with the first beam's.
    #[inline(never)]
    fn bring(
        &mut self,
        session: &mut Session<'_, '_>,
        start: u64,
        beam: usize,
        Round { waiting, done }: &mut Round<B>,
        found: &mut Found<B>,
    ) {
        if beam != 0 {
            let length = self.beams.get(beam).map_or(0, |beam| beam.tokens.len());
            session.exchange(beam - 1, start + length as u64);
            self.beams.swap_places(beam);
            done.swap_places(beam);
            let choices = waiting.iter_mut().chain(&mut found.choices).chain(&mut found.ends);
            choices.for_each(|choice| choice.follow(beam));
        }
        // Other choices may continue from the same state: copy it to a place that no choice needs.
        if waiting.iter().any(|choice| choice.beam == 0) {
            let taken = |place: usize| done.get(place) != Some(&false) || waiting.iter().any(|c| c.beam == place);
            if let Some(free) = (1..width::<B>(session)).find(|&place| !taken(place)) {
                session.copy_to(free - 1);
                if let Some((first, other)) = self.beams.pair(free) {
                    *other = *first;
                }
                waiting.iter_mut().filter(|choice| choice.beam == 0).for_each(|choice| choice.beam = free);
            }
        }
        if let Some(done) = done.first_mut() {
            *done = true;
        }
    }

    /// Appends a chosen token to the first beam.
    #[inline(never)]
    fn append(&mut self, session: &Session<'_, '_>, grounding: Option<&Grounding>, choice: Choice) {
        let Some(first) = self.beams.first_mut() else { return };
        (first.score, first.cost) = (choice.score, choice.cost);
        first.tokens.write(choice.token);
        if let (Some(grounding), Some(tokenizer)) = (grounding, session.model().tokenizer()) {
            grounding.push_behind(&mut first.writer, &tokenizer, choice.token);
        }
    }

    /// Adds the best next tokens of the first beam to `found`.
    fn look(
        &self,
        session: &mut Session<'_, '_>,
        grounding: Option<&Grounding>,
        found: &mut Found<B>,
    ) -> Result<(), SessionError> {
        let Some(beam) = self.beams.first() else { return Ok(()) };
        let (tokenizer, prompt) = (session.model().tokenizer(), session.model().prompt());
        let cost = |token| match (grounding, &tokenizer) {
            (Some(grounding), Some(tokenizer)) => grounding.cost_behind(&beam.writer, tokenizer, token),
            _ => 0.0,
        };
        let mut best = Found::<B>::new();
        let mut total = LogSum::NEW;
        session.logits_of_last(|first, logits| {
            total.add(logits);
            penalize_repeats(NO_REPEAT, &beam.tokens, first, logits);
            for (token, &logit) in (first as u32..).zip(&*logits) {
                // NaN is never better.
                if logit > best.worst() {
                    let cost = cost(token);
                    let choice = Choice { beam: 0, token, score: logit - cost, cost };
                    if choice.score > best.worst() {
                        best.add(choice, prompt.is_stop(token));
                    }
                }
            }
        })?;
        let total = total.get();
        for (choices, ends) in [(best.choices, false), (best.ends, true)] {
            for choice in choices {
                let (score, cost) = (beam.score + (choice.score - total), beam.cost + choice.cost);
                found.add(Choice { score, cost, ..choice }, ends);
            }
        }
        Ok(())
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

impl Choice {
    /// Renumbers the beam after the first one and number `other` changed places.
    fn follow(&mut self, other: usize) {
        if self.beam == 0 {
            self.beam = other;
        } else if self.beam == other {
            self.beam = 0;
        }
    }
}

/// A token of each beam.
struct Round<const B: usize> {
    /// Those that aren't fed yet.
    waiting: Vec<Choice, B>,
    /// Beams that have theirs, by place.
    done: [bool; B],
}

/// Ways to go on, and ways to end, the best of each first; among equals the first that was found.
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

/// Exchange of an array's first element with another one; nothing happens where there is no such element.
trait Places<T> {
    /// The first element and number `other`, which must not be the first.
    fn pair(&mut self, other: usize) -> Option<(&mut T, &mut T)>;

    fn swap_places(&mut self, other: usize) {
        if let Some((first, other)) = self.pair(other) {
            core::mem::swap(first, other);
        }
    }
}

impl<T, const N: usize> Places<T> for [T; N] {
    fn pair(&mut self, other: usize) -> Option<(&mut T, &mut T)> {
        let (first, rest) = self.split_first_mut()?;
        Some((first, rest.get_mut(other.checked_sub(1)?)?))
    }
}
