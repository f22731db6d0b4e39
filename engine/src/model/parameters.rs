//! How summaries are chosen: weights and thresholds that were fitted to a model, on texts whose right summaries are known.
//!
//! # The section, version 2
//!
//! All numbers are little-endian; floats are finite.
//!
//! | offset | type | field |
//! |---|---|---|
//! | 0 | u32 | version, 2 |
//! | 4 | u32 | token that marks important sentences: its logit at a sentence's end says how important; or `FFFFFFFF` |
//! | 8 | u32 | N: signals of a sentence, 1 to 96 |
//! | 12 | u32 | H: hidden units of the ranking, 0 to 256 |
//! | 16 | u32 | P: 0, or the hidden size |
//! | 20 | u32 | first words of a text that a rewrite prefers, 0 to 255 |
//! | 24 | u32 | of how many sentences the likelihood as the summary is computed, 0 to 24 |
//! | 28 | u32 | flags: 1 a quote is compressed |
//! | 32 | f32 × 6 | what tokens cost in a rewrite, see [`Costs`] |
//! | 56 | f32 × 2 | weights of a sentence's likelihood: of the mean of its tokens, of its end |
//! | 64 | f32 × 2 | confidence in a quote: `1 / (1 + e^−(a + b · score))` |
//! | 72 | f32 × 12 | [`Gate`]: weights of what tells whether a rewrite is better than a quote |
//! | 120 | u32 | W: weights of words, 0 or a power of two from 4 to 65536 |
//! | 124 | f32 | scale of these weights |
//! | 128 | f32 × N | mean of each signal |
//! | | f32 × N | 1 / its standard deviation, above 0 |
//! | | f32 × N | its weight |
//! | | f32 × H × N | weights of the hidden units |
//! | | f32 × H | their biases |
//! | | f32 × H | their weights |
//! | | f32 × P | probe: weights of the hidden state behind the prompt |
//! | | i8 × W | weights of words |
//!
//! With `z = clamp((signal − mean) / deviation, −5, 5)`, the score of a sentence is `Σ weight·z + Σ weight·max(0, bias + Σ
//! weight·z)`, added in the order of the section, `+ scale · S / √(n + 2)`: S is the sum of the weights of its n words, those left
//! out that begin with a digit. Words share weights: a word has the one at the remainder by W of its key, which is FNV-1a (Fowler,
//! Noll, Vo) of its first six bytes as small letters, the upper half XORed into the lower 16 bits.
//!
//! What an image has that carries no such section is [`Parameters::USUAL`]: sentences are quoted by a few signals that need no
//! model.

use crate::image::{Header, NONE_U32};
use crate::sampler::grounding::Costs;

/// The section's version that this crate reads and writes.
pub const VERSION: u32 = 2;
/// What a gate looks at, and its bias.
pub const GATE: usize = 12;
/// Bytes before the arrays.
pub const FIXED_BYTES: usize = 128;
/// Flag: a quote is compressed.
pub const COMPRESS: u32 = 1;

/// How summaries of a model are chosen: see the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct Parameters<'m> {
    /// The token that marks important sentences.
    pub mark: Option<u32>,
    /// Of how many sentences the likelihood as the summary is computed.
    pub likelihoods: usize,
    /// Whether quotes are compressed where nobody asks for something else.
    pub compress: bool,
    /// What tokens cost in a rewrite.
    pub costs: Costs,
    /// Weights of a sentence's likelihood: of the mean of its tokens, of its end.
    pub likelihood: [f32; 2],
    /// From a quote's score to the confidence in it: bias and slope.
    pub confidence: [f32; 2],
    /// When a rewrite is better than a quote.
    pub gate: Gate,
    /// How sentences are ranked.
    pub ranking: Ranking<'m>,
    /// Weights of the hidden state behind the prompt, or none.
    pub probe: &'m [f32],
}

/// When a rewrite is better than a quote: where the weighted sum of [`Gate::FEATURES`] is above 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gate(pub [f32; GATE]);

impl Gate {
    /// What the weights are of, in their order.
    pub const FEATURES: [&'static str; GATE] = [
        "1",
        "mean log-probability of the rewrite's tokens",
        "mean cost of the rewrite's tokens",
        "tokens of the rewrite / 16",
        "score of the quote",
        "score of the quote above that of the second-best",
        "probe of the hidden state behind the prompt",
        "mark of the quote",
        "words of the quote / 20",
        "sentences of prose / (8 + sentences of prose)",
        "whether there is a sentence of prose",
        "bytes of the text / (2000 + bytes of the text)",
    ];

    /// How much better a rewrite is than a quote; its sign decides.
    pub fn margin(&self, features: &[f32; GATE]) -> f32 {
        sum(&self.0, features)
    }
}

/// A linear function of a sentence's signals, a small network beside it, and weights of words.
#[derive(Clone, Copy, Debug)]
pub struct Ranking<'m> {
    /// `(N)`.
    pub mean: &'m [f32],
    /// 1 / standard deviation, `(N)`.
    pub inverse: &'m [f32],
    /// `(N)`.
    pub linear: &'m [f32],
    /// Of the hidden units, `(H, N)`.
    pub weights: &'m [f32],
    /// `(H)`.
    pub bias: &'m [f32],
    /// `(H)`.
    pub out: &'m [f32],
    /// `(W)`, to be multiplied by `word_scale`.
    pub words: &'m [i8],
    /// What a weight of 1 in `words` is.
    pub word_scale: f32,
}

/// Signals that a ranking can look at.
pub const MAX_SIGNALS: usize = 96;

impl Ranking<'_> {
    /// How much a sentence says that has these signals, and words with these keys: all but those that begin with a digit.
    pub fn score(&self, signals: &[f32], keys: impl Iterator<Item = u16>) -> f32 {
        self.of_signals(signals) + self.of_words(keys)
    }

    fn of_words(&self, keys: impl Iterator<Item = u16>) -> f32 {
        let Some(mask) = self.words.len().checked_sub(1) else { return 0.0 };
        let (mut sum, mut count) = (0i32, 0u32);
        for key in keys {
            sum += self.words.get(usize::from(key) & mask).map_or(0, |&weight| i32::from(weight));
            count += 1;
        }
        self.word_scale * sum as f32 / libm::sqrtf((count + 2) as f32)
    }

    #[expect(clippy::manual_clamp, reason = "a NaN becomes -5 everywhere")]
    fn of_signals(&self, signals: &[f32]) -> f32 {
        let mut z = [0.0; MAX_SIGNALS];
        let scales = self.mean.iter().zip(self.inverse);
        for ((z, signal), (mean, inverse)) in z.iter_mut().zip(signals).zip(scales) {
            *z = ((signal - mean) * inverse).max(-5.0).min(5.0);
        }
        let mut score = sum(self.linear, &z);
        let rows = self.weights.chunks_exact(self.mean.len().max(1));
        for ((row, bias), out) in rows.zip(self.bias).zip(self.out) {
            let mut unit = *bias;
            for (weight, z) in row.iter().zip(&z) {
                unit += weight * z;
            }
            if unit > 0.0 {
                score += out * unit;
            }
        }
        score
    }
}

fn sum(weights: &[f32], values: &[f32]) -> f32 {
    let mut sum = 0.0;
    for (weight, value) in weights.iter().zip(values) {
        sum += weight * value;
    }
    sum
}

impl<'m> Parameters<'m> {
    /// Without a section: by position, recurring words, length and form, and never rewritten.
    pub const USUAL: Parameters<'static> = Parameters {
        mark: None,
        likelihoods: 0,
        compress: false,
        costs: Costs::USUAL,
        likelihood: [0.0; 2],
        confidence: [-1.0, 1.0],
        gate: Gate([-1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
        ranking: Ranking {
            mean: &[0.0; 42],
            inverse: &[1.0; 42],
            linear: &USUAL_WEIGHTS,
            weights: &[],
            bias: &[],
            out: &[],
            words: &[],
            word_scale: 0.0,
        },
        probe: &[],
    };

    /// Reads a section; the error is the name of a field that is wrong.
    pub(crate) fn parse(bytes: &'m [u8], header: &Header) -> Result<Self, &'static str> {
        let (fixed, arrays) = bytes.split_at_checked(FIXED_BYTES).ok_or("length")?;
        let (words, _) = fixed.as_chunks::<4>();
        let Some(([version, mark, signals, hidden, probe, lead_words, likelihoods, flags], floats)) =
            words.split_first_chunk::<8>()
        else {
            return Err("length");
        };
        let [version, mark, signals, hidden, probe, lead_words, likelihoods, flags] =
            [version, mark, signals, hidden, probe, lead_words, likelihoods, flags]
                .map(|word| u32::from_le_bytes(*word));
        for (field, right) in [
            ("version", version == VERSION),
            ("mark", mark == NONE_U32 || mark < header.vocab),
            ("number of signals", (1..=MAX_SIGNALS as u32).contains(&signals)),
            ("number of hidden units", hidden <= 256),
            ("length of the probe", probe == 0 || probe == header.hidden),
            ("number of first words", lead_words <= 255),
            ("number of likelihoods", likelihoods <= 24),
            ("flags", flags & !COMPRESS == 0),
        ] {
            if !right {
                return Err(field);
            }
        }
        let (floats, [weights, scale]) = floats.split_last_chunk::<2>().ok_or("length")?;
        let (weights, word_scale) = (u32::from_le_bytes(*weights), f32::from_le_bytes(*scale));
        if weights != 0 && !(weights.is_power_of_two() && (4..=1 << 16).contains(&weights)) {
            return Err("number of weights of words");
        }
        let floats_end = arrays.len().checked_sub(weights as usize).ok_or("length")?;
        let (arrays, weights) = arrays.split_at_checked(floats_end).ok_or("length")?;
        let numbers: &[f32] = bytemuck::try_cast_slice(arrays).map_err(|_| "length")?;
        let (n, h) = (signals as usize, hidden as usize);
        let mut numbers_left = numbers;
        let mut take = |count: usize| {
            let (taken, rest) = numbers_left.split_at_checked(count).ok_or("length")?;
            numbers_left = rest;
            Ok(taken)
        };
        let ranking = Ranking {
            mean: take(n)?,
            inverse: take(n)?,
            linear: take(n)?,
            weights: take(h * n)?,
            bias: take(h)?,
            out: take(h)?,
            words: bytemuck::cast_slice(weights),
            word_scale,
        };
        let probe = take(probe as usize)?;
        if !numbers_left.is_empty() {
            return Err("length");
        }
        let mut fixed = [0.0; (FIXED_BYTES - 40) / 4];
        for (number, word) in fixed.iter_mut().zip(floats) {
            *number = f32::from_le_bytes(*word);
        }
        let sane = |numbers: &[f32]| numbers.iter().all(|number| number.abs() <= LARGEST);
        if !sane(&fixed) || !sane(numbers) || !sane(&[word_scale]) {
            return Err("a number");
        }
        if ranking.inverse.iter().any(|&inverse| inverse <= 0.0) {
            return Err("a deviation");
        }
        let [word, cut, follow, again, lead, end, mean_weight, end_weight, bias, slope, ref gate @ ..] = fixed;
        Ok(Self {
            mark: (mark != NONE_U32).then_some(mark),
            likelihoods: likelihoods as usize,
            compress: flags & COMPRESS != 0,
            costs: Costs { word, cut, follow, again, lead, end, lead_words: lead_words as u8 },
            likelihood: [mean_weight, end_weight],
            confidence: [bias, slope],
            gate: Gate(*gate),
            ranking,
            probe,
        })
    }
}

/// The largest number that a section may have.
const LARGEST: f32 = 1e6;

/// See [`Parameters::USUAL`], by signal.
const USUAL_WEIGHTS: [f32; 42] = {
    let mut weights = [0.0; 42];
    weights[1] = 0.5;
    weights[4] = -0.5;
    weights[6] = 1.0;
    weights[11] = 0.5;
    weights[21] = -0.5;
    weights[41] = 0.3;
    weights
};

#[cfg(test)]
mod tests {
    use super::*;

    /// `scale · S / √(n + 2)`, by hand; keys share weights by their lower bits.
    #[test]
    fn words_count_by_their_weights_and_number() {
        let words = [10, -20, 0, 127];
        let ranking = Ranking { words: &words, word_scale: 0.5, ..Parameters::USUAL.ranking };
        assert_eq!(ranking.of_words([].into_iter()), 0.0);
        assert_eq!(ranking.of_words([4, 0xFFFF].into_iter()), 0.5 * 137.0 / 2.0);
        assert_eq!(ranking.of_words([1, 1, 2, 2, 2, 2, 2].into_iter()), -20.0 / 3.0);
        assert_eq!(Parameters::USUAL.ranking.of_words([7].into_iter()), 0.0);
    }
}
