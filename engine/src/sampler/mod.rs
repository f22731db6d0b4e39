//! From logits to a token, without ever holding all logits: the head's blocks stream through a short list of the best.

mod content;
pub mod grounding;
mod hash;
mod log_sum;

pub use grounding::Grounding;
pub(crate) use log_sum::LogSum;

use crate::kernels::math::exp;
use heapless::Vec;

/// The most candidates that a sampler keeps. Where top-p or min-p would take more, the best of them are taken.
pub const MAX_CANDIDATES: usize = 64;
/// The most of its own tokens that a sampler remembers.
pub const MAX_HISTORY: usize = 128;

/// What a repeated sequence costs, in logits: more than a model is sure of most tokens, and less than an invented name. Where
/// a name was begun for a second time, it is finished.
pub const REPEAT: f32 = 10.0;

/// How tokens are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplerOptions {
    /// Logits are divided by it; 0 is greedy: always the most probable token.
    pub temperature: f32,
    /// The most probable tokens that take part, at most [`MAX_CANDIDATES`]; 0 means that many.
    pub top_k: usize,
    /// The fewest tokens whose probabilities sum up to this take part (Holtzman et al. 2019); 1 is off.
    pub top_p: f32,
    /// Tokens with less than this fraction of the best one's probability don't take part; 0 is off.
    pub min_p: f32,
    /// Logits of tokens that this sampler chose before are divided by it, or multiplied where negative (Keskar et al.
    /// 2019); 1 is off. What was fed doesn't count, so a summary may repeat its text.
    pub repetition_penalty: f32,
    /// A token that would complete a sequence of so many tokens for a second time costs [`REPEAT`]; 0 is off.
    pub no_repeat_ngram: usize,
    /// Seed of the random numbers: the same seed and logits give the same tokens on every target.
    pub seed: u64,
}

impl SamplerOptions {
    /// The most probable token, always.
    pub const fn greedy() -> Self {
        Self {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            no_repeat_ngram: 0,
            seed: 0,
        }
    }

    /// For summaries, which are short: the most probable token, and no two tokens twice, because a model that is unsure
    /// otherwise goes round in circles.
    pub const fn summary() -> Self {
        Self { no_repeat_ngram: 2, ..Self::greedy() }
    }
}

impl From<crate::model::Sampling> for SamplerOptions {
    fn from(sampling: crate::model::Sampling) -> Self {
        let crate::model::Sampling { temperature, top_k, top_p, min_p, repetition_penalty } = sampling;
        Self { temperature, top_k: top_k as usize, top_p, min_p, repetition_penalty, ..Self::greedy() }
    }
}

impl Default for SamplerOptions {
    fn default() -> Self {
        Self::greedy()
    }
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    id: u32,
    logit: f32,
}

/// Chooses tokens and remembers which ones it chose.
#[derive(Clone, Debug)]
pub struct Sampler {
    options: SamplerOptions,
    random: u64,
    /// Best first; among equals the lower id first.
    candidates: Vec<Candidate, MAX_CANDIDATES>,
    history: History,
}

impl Sampler {
    /// A sampler without history.
    pub fn new(options: SamplerOptions) -> Self {
        Self { options, random: options.seed, candidates: Vec::new(), history: History::new() }
    }

    /// Always the most probable token.
    pub fn greedy() -> Self {
        Self::new(SamplerOptions::greedy())
    }

    /// Forgets what was chosen, and starts the random numbers again.
    pub fn reset(&mut self) {
        *self = Self::new(self.options);
    }

    /// Begins with a new token.
    pub fn begin(&mut self) {
        self.candidates.clear();
    }

    /// Sees the logits of the tokens `first ..`; blocks come in rising order.
    pub fn see(&mut self, first: usize, logits: &mut [f32]) {
        self.see_at_cost(first, logits, |_| 0.0);
    }

    /// As [`Sampler::see`], where some tokens have a cost, at least 0, that their logits are lowered by. Only those that would
    /// be candidates without it are asked for theirs: few, as the logits go by.
    pub(crate) fn see_at_cost(&mut self, first: usize, logits: &mut [f32], cost: impl Fn(u32) -> f32) {
        self.penalize(first, logits);
        let keep = self.keep();
        let mut worst = self.worst(keep);
        for (id, &logit) in (first as u32..).zip(&*logits) {
            // NaN is never better.
            if logit > worst {
                let logit = logit - cost(id);
                if logit > worst {
                    self.insert(Candidate { id, logit }, keep);
                    worst = self.worst(keep);
                }
            }
        }
    }

    /// Chooses among what was seen; token 0 if that was nothing, or not a number.
    pub fn choose(&mut self) -> u32 {
        let token = match self.options.temperature > 0.0 {
            true => self.draw(),
            false => self.candidates.first().map_or(0, |best| best.id),
        };
        self.history.write(token);
        token
    }

    fn keep(&self) -> usize {
        match (self.options.temperature > 0.0, self.options.top_k) {
            (false, _) => 1,
            (true, 0) => MAX_CANDIDATES,
            (true, k) => k.min(MAX_CANDIDATES),
        }
    }

    /// The logit that a newcomer must exceed.
    fn worst(&self, keep: usize) -> f32 {
        match self.candidates.last() {
            Some(last) if self.candidates.len() >= keep => last.logit,
            _ => f32::NEG_INFINITY,
        }
    }

    fn insert(&mut self, new: Candidate, keep: usize) {
        if self.candidates.len() >= keep {
            self.candidates.pop();
        }
        let at = self.candidates.iter().position(|c| new.logit > c.logit).unwrap_or(self.candidates.len());
        // There is room: one was popped if the list was full.
        let _ = self.candidates.insert(at, new);
    }

    fn penalize(&self, first: usize, logits: &mut [f32]) {
        let place = |id: u32| (id as usize).checked_sub(first);
        let penalty = self.options.repetition_penalty;
        if penalty != 1.0 {
            for (age, id) in self.history.oldest_first().enumerate() {
                // Once a token, at its first place in the history.
                if self.history.oldest_first().take(age).any(|earlier| earlier == id) {
                    continue;
                }
                if let Some(logit) = place(id).and_then(|at| logits.get_mut(at)) {
                    *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
                }
            }
        }
        penalize_repeats(self.options.no_repeat_ngram, &self.history, first, logits);
    }

    /// Draws from the candidates by temperature, min-p and top-p.
    fn draw(&mut self) -> u32 {
        let Some(&best) = self.candidates.first() else { return 0 };
        let temperature = self.options.temperature;
        let mut weights = [0.0f32; MAX_CANDIDATES];
        let mut total = 0.0;
        let mut count = 0;
        for (weight, candidate) in weights.iter_mut().zip(&self.candidates) {
            let w = exp((candidate.logit - best.logit) / temperature);
            if w < self.options.min_p {
                break;
            }
            *weight = w;
            total += w;
            count += 1;
        }
        if self.options.top_p < 1.0 {
            let (mut sum, all) = (0.0, total);
            for (index, weight) in weights.iter().take(count).enumerate() {
                sum += weight;
                if sum >= self.options.top_p * all {
                    (count, total) = (index + 1, sum);
                    break;
                }
            }
        }
        let mut left = self.uniform() * total;
        for (weight, candidate) in weights.iter().zip(&self.candidates).take(count) {
            left -= weight;
            if left < 0.0 {
                return candidate.id;
            }
        }
        best.id
    }

    /// A number in 0 ..= 1 − 2⁻²⁴ by SplitMix64 (Steele et al. 2014).
    fn uniform(&mut self) -> f32 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 40) as f32 * (1.0 / 16_777_216.0)
    }
}

/// Lowers the logits, those of the tokens `first ..`, of tokens that would complete `n` tokens for a second time.
pub(crate) fn penalize_repeats(n: usize, history: &History, first: usize, logits: &mut [f32]) {
    if n == 0 || history.len() < n {
        return;
    }
    // Every place where the last n − 1 tokens stood before, and what followed them there.
    let known = history.len() - (n - 1);
    for start in 0..known {
        let tail = history.oldest_first().skip(known);
        let mut there = history.oldest_first().skip(start);
        if (&mut there).take(n - 1).eq(tail)
            && let Some(at) = there.next().and_then(|id| (id as usize).checked_sub(first))
            && let Some(logit) = logits.get_mut(at)
        {
            *logit -= REPEAT;
        }
    }
}

/// The last [`MAX_HISTORY`] tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct History {
    tokens: [u32; MAX_HISTORY],
    /// Tokens that were ever written.
    written: usize,
}

impl History {
    pub(crate) const fn new() -> Self {
        Self { tokens: [0; MAX_HISTORY], written: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.written.min(MAX_HISTORY)
    }

    pub(crate) fn write(&mut self, token: u32) {
        if let Some(place) = self.tokens.get_mut(self.written % MAX_HISTORY) {
            *place = token;
        }
        // Past the first round only the place in the round matters.
        self.written = if self.written == 2 * MAX_HISTORY - 1 { MAX_HISTORY } else { self.written + 1 };
    }

    pub(crate) fn oldest_first(&self) -> impl Iterator<Item = u32> + '_ {
        let first = self.written - self.len();
        (first..self.written).map(|at| self.tokens.get(at % MAX_HISTORY).copied().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_lowers_a_logit_and_among_equals_the_first_stays() {
        let chosen = |cost_of_1: f32, cost_of_0: f32| {
            let mut sampler = Sampler::greedy();
            let cost = |id| [cost_of_0, cost_of_1].get(id as usize).copied().unwrap_or(0.0);
            sampler.see_at_cost(0, &mut [1.0, 3.0], cost);
            sampler.choose()
        };
        assert_eq!(chosen(0.0, 0.0), 1);
        assert_eq!(chosen(1.9, 0.0), 1);
        assert_eq!(chosen(2.0, 0.0), 0, "as much as the other, which came first");
        assert_eq!(chosen(2.5, 0.0), 0);
        assert_eq!(chosen(2.5, 1.0), 1);
    }
}
