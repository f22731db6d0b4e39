//! The sampler beside a model of it in f64 that keeps all logits and sorts them: the same token at every draw.

use std::collections::BTreeSet;

use jamlet::sampler::{MAX_CANDIDATES, MAX_HISTORY, REPEAT};
use jamlet::{Sampler, SamplerOptions};

/// SplitMix64, from its paper (Steele, Lea and Flood 2014).
struct SplitMix64(u64);

impl SplitMix64 {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In 0 .. 1, of 24 bits.
    fn unit(&mut self) -> f64 {
        (self.bits() >> 40) as f64 / f64::from(1 << 24)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }
}

/// What the sampler is, without blocks, bounds of memory or f32.
struct Model {
    options: SamplerOptions,
    random: SplitMix64,
    chosen: Vec<u32>,
}

/// Where one token ends and the next begins, as shares of 1: closer than this, rounding decides.
const CLOSE: f64 = 1e-5;

impl Model {
    fn new(options: SamplerOptions) -> Self {
        Self { options, random: SplitMix64(options.seed), chosen: Vec::new() }
    }

    /// The next token; `None` where it depends on the last bit of a sum.
    fn choose(&mut self, logits: &[f32]) -> Option<u32> {
        let o = self.options;
        let mut logits: Vec<f64> = logits.iter().map(|&x| f64::from(x)).collect();
        let mut changed = BTreeSet::new();
        let history = &self.chosen[self.chosen.len().saturating_sub(MAX_HISTORY)..];
        if o.repetition_penalty != 1.0 {
            let penalty = f64::from(o.repetition_penalty);
            for &id in &history.iter().copied().collect::<BTreeSet<u32>>() {
                let logit = &mut logits[id as usize];
                changed.insert(id as usize);
                *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
            }
        }
        if o.no_repeat_ngram > 0 && history.len() >= o.no_repeat_ngram {
            let tail = &history[history.len() - (o.no_repeat_ngram - 1)..];
            for window in history.windows(o.no_repeat_ngram) {
                let (last, first) = window.split_last().expect("a token");
                if first == tail {
                    logits[*last as usize] -= f64::from(REPEAT);
                    changed.insert(*last as usize);
                }
            }
        }
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
        let keep = match (o.temperature == 0.0, o.top_k) {
            (true, _) => 1,
            (false, 0) => MAX_CANDIDATES,
            (false, k) => k.min(MAX_CANDIDATES),
        };
        // Which of two comes first is certain if they differ by more than f32 rounds, or are equal because nothing was done to them.
        let equal = |a: usize, b: usize| logits[a] == logits[b] && !changed.contains(&a) && !changed.contains(&b);
        let apart = |a: usize, b: usize| equal(a, b) || logits[a] - logits[b] > CLOSE;
        let mut certain = order.windows(2).take(keep).all(|pair| apart(pair[0], pair[1]));
        order.truncate(keep);
        if o.temperature == 0.0 {
            return certain.then_some(order[0] as u32);
        }
        let weight = |id: usize| ((logits[id] - logits[order[0]]) / f64::from(o.temperature)).exp();
        let mut weights: Vec<f64> = order.iter().map(|&id| weight(id)).collect();
        let near = |a: f64, b: f64| (a - b).abs() < CLOSE;
        if o.min_p > 0.0 {
            certain &= !weights.iter().any(|&w| near(w, f64::from(o.min_p)));
            weights.retain(|&w| w >= f64::from(o.min_p));
        }
        let total: f64 = weights.iter().sum();
        if o.top_p < 1.0 {
            let (mut sum, mut count) = (0.0, 0);
            while count < weights.len() && (count == 0 || sum < f64::from(o.top_p) * total) {
                sum += weights[count];
                count += 1;
                certain &= !near(sum / total, f64::from(o.top_p));
            }
            weights.truncate(count);
        }
        let total: f64 = weights.iter().sum();
        let place = self.random.unit();
        let mut sum = 0.0;
        for (&id, w) in order.iter().zip(&weights) {
            sum += w / total;
            certain &= !near(sum, place);
            if place < sum {
                return certain.then_some(id as u32);
            }
        }
        None
    }

    fn chose(&mut self, token: u32) {
        self.chosen.push(token);
    }
}

/// The sampler's next token, from blocks of `block` logits.
fn choose(sampler: &mut Sampler, logits: &[f32], block: usize) -> u32 {
    sampler.begin();
    for (index, part) in logits.chunks(block).enumerate() {
        sampler.see(index * block, &mut part.to_vec());
    }
    sampler.choose()
}

/// Draws tokens with both, and returns how many could be compared.
fn compare(options: SamplerOptions, logits: &mut dyn FnMut() -> Vec<f32>, draws: usize, block: usize) -> usize {
    let (mut sampler, mut model) = (Sampler::new(options), Model::new(options));
    let mut compared = 0;
    for draw in 0..draws {
        let logits = logits();
        let (found, right) = (choose(&mut sampler, &logits, block), model.choose(&logits));
        if let Some(right) = right {
            assert_eq!(found, right, "draw {draw} with {options:?}");
            compared += 1;
        }
        // What the sampler took, so that both have one history.
        model.chose(found);
    }
    compared
}

#[test]
fn every_draw_is_that_of_the_model() {
    let mut random = SplitMix64(1);
    let (mut draws, mut compared) = (0, 0);
    for round in 0..240 {
        let vocab = [2, 5, 40, 64, 65, 300][round % 6];
        let pick = |random: &mut SplitMix64, values: &[f32]| values[random.below(values.len())];
        let options = SamplerOptions {
            temperature: pick(&mut random, &[0.0, 0.3, 1.0, 1.0, 2.5]),
            top_k: [0, 0, 1, 2, 7, 64, 1000][random.below(7)],
            top_p: pick(&mut random, &[1.0, 1.0, 0.95, 0.6, 0.2, 1e-6]),
            min_p: pick(&mut random, &[0.0, 0.0, 0.02, 0.4, 1.0]),
            repetition_penalty: pick(&mut random, &[1.0, 1.0, 1.3, 3.0, 0.7]),
            no_repeat_ngram: [0, 0, 0, 1, 2, 3][random.below(6)],
            seed: random.bits(),
        };
        let spread = pick(&mut random, &[0.5, 3.0, 10.0]);
        let mut numbers = SplitMix64(random.bits());
        // In every fourth round of a grid, so that many are equal and some are 0.
        let mut logit = || match round % 8 < 2 {
            true => (numbers.below(17) as f32 - 8.0) / 8.0,
            false => 2.0 * numbers.unit() as f32 - 1.0,
        };
        let mut logits = || -> Vec<f32> { (0..vocab).map(|_| spread * logit()).collect() };
        // The same logits again and again bring out the history.
        let fixed = logits();
        let block = [1, 2, 16, 1000][random.below(4)];
        draws += 40;
        compared += match round % 2 {
            0 => compare(options, &mut logits, 40, block),
            _ => compare(options, &mut || fixed.clone(), 40, block),
        };
    }
    assert!(compared as f64 > 0.7 * draws as f64, "{compared} of {draws} draws could be compared");
    println!("{compared} of {draws} draws compared");
}

#[test]
fn the_history_is_as_long_as_it_says() {
    // More tokens than the history has, so that it goes round twice and forgets.
    for (penalty, ngram, vocab) in [(1.5, 0, 400), (1.0, 1, 400), (1.0, 2, 24), (1.0, 3, 7), (1.2, 2, 40)] {
        let options =
            SamplerOptions { repetition_penalty: penalty, no_repeat_ngram: ngram, ..SamplerOptions::greedy() };
        // Falling slowly: a token comes again as soon as it is forgotten.
        let logits: Vec<f32> = (0..vocab).map(|id| 5.0 - id as f32 / 512.0).collect();
        assert_eq!(compare(options, &mut || logits.clone(), 700, 64), 700);
    }
}

/// Seeds whose first random number is known: 0, ½, and the largest.
const SEEDS: [(u64, f64); 3] = [(5_618_432, 0.0), (26_849_042, 0.5), (3_747_935, 1.0 - 1.0 / 16_777_216.0)];

#[test]
fn a_draw_at_the_edge_is_the_next_token() {
    for (seed, unit) in SEEDS {
        assert_eq!(SplitMix64(seed).unit(), unit);
    }
    let draw = |seed, logits: &[f32]| {
        let mut sampler = Sampler::new(SamplerOptions { temperature: 1.0, seed, ..SamplerOptions::greedy() });
        choose(&mut sampler, logits, 4)
    };
    let [(first, _), (half, _), (last, _)] = SEEDS;
    // Two of equal weight: the second begins at ½.
    assert_eq!([first, half, last].map(|seed| draw(seed, &[2.0, 2.0])), [0, 1, 1]);
    assert_eq!([first, half, last].map(|seed| draw(seed, &[2.0, 2.0, 2.0, 2.0])), [0, 2, 3]);
    // What has no weight is never drawn, and one token is always.
    assert_eq!([first, half, last].map(|seed| draw(seed, &[2.0, f32::NEG_INFINITY])), [0, 0, 0]);
    assert_eq!([first, half, last].map(|seed| draw(seed, &[-300.0, 2.0])), [1, 1, 1]);
}

#[test]
fn what_rounding_leaves_over_goes_to_the_best() {
    let (last, _) = SEEDS[2];
    let mut random = SplitMix64(9);
    let mut best = 0;
    for _ in 0..2000 {
        // Token 0 is in the middle.
        let logits: Vec<f32> = (0..50).map(|id| if id == 0 { 0.5 } else { random.unit() as f32 }).collect();
        let mut sampler = Sampler::new(SamplerOptions { temperature: 1.0, seed: last, ..SamplerOptions::greedy() });
        let drawn = logits[choose(&mut sampler, &logits, 50) as usize];
        let at = |better: fn(f32, f32) -> f32| logits.iter().copied().reduce(better).expect("logits");
        assert!(drawn == at(f32::max) || drawn == at(f32::min), "{drawn} of the largest random number");
        best += usize::from(drawn == at(f32::max));
    }
    assert!(best > 0, "sums were never rounded down");
}

#[test]
fn options_at_their_edges() {
    let ids = |options: SamplerOptions, logits: &[f32]| -> Vec<u32> {
        let mut sampler = Sampler::new(SamplerOptions { temperature: 1.0, seed: 3, ..options });
        let drawn: BTreeSet<u32> = (0..400).map(|_| choose(&mut sampler, logits, 3)).collect();
        drawn.into_iter().collect()
    };
    let any = SamplerOptions::greedy();
    let equal = [1.0; 6];
    // As much as the best is enough, and so is as much as was asked for together.
    assert_eq!(ids(SamplerOptions { min_p: 1.0, ..any }, &equal), [0, 1, 2, 3, 4, 5]);
    assert_eq!(ids(SamplerOptions { top_p: 0.5, ..any }, &equal), [0, 1, 2]);
    assert_eq!(ids(SamplerOptions { top_p: 0.5, ..any }, &[1.0, 1.0]), [0]);
    // Of equals, those that come first.
    assert_eq!(ids(SamplerOptions { top_k: 2, ..any }, &equal), [0, 1]);
    assert_eq!(ids(SamplerOptions { top_k: 2, ..any }, &[0.0, 1.0, 1.0, 1.0]), [1, 2]);
    let many = vec![0.0; 2 * MAX_CANDIDATES];
    assert_eq!(ids(SamplerOptions { top_k: 1000, ..any }, &many).last(), Some(&(MAX_CANDIDATES as u32 - 1)));
    // A penalty of both signs: 2 is 1 and −1 is −2, so that 1.5 and −1.5 come first once the others were there.
    let mut sampler = Sampler::new(SamplerOptions { repetition_penalty: 2.0, ..any });
    assert_eq!([0; 3].map(|_| choose(&mut sampler, &[2.0, 1.5, -3.0], 2)), [0, 1, 0]);
    let mut sampler = Sampler::new(SamplerOptions { repetition_penalty: 2.0, ..any });
    assert_eq!([0; 4].map(|_| choose(&mut sampler, &[-1.0, -1.5, -1.75], 2)), [0, 1, 2, 0]);
}

#[test]
fn the_values_of_an_image_are_options() {
    let sampling =
        jamlet::model::Sampling { temperature: 0.5, top_k: 20, top_p: 0.75, min_p: 0.125, repetition_penalty: 1.25 };
    let right = SamplerOptions {
        temperature: 0.5,
        top_k: 20,
        top_p: 0.75,
        min_p: 0.125,
        repetition_penalty: 1.25,
        no_repeat_ngram: 0,
        seed: 0,
    };
    assert_eq!(SamplerOptions::from(sampling), right);
}
