//! What each option of the sampler does, on logits chosen by hand.

use jamlet::{Sampler, SamplerOptions};

/// Samples `count` tokens from the same logits, in blocks of two as a head gives them.
fn sample(options: SamplerOptions, logits: &[f32], count: usize) -> Vec<u32> {
    let mut sampler = Sampler::new(options);
    (0..count)
        .map(|_| {
            sampler.begin();
            for (block, part) in logits.chunks(2).enumerate() {
                sampler.see(2 * block, &mut part.to_vec());
            }
            sampler.choose()
        })
        .collect()
}

const LOGITS: [f32; 5] = [0.0, 3.0, -1.0, 2.5, 2.0];
const WARM: SamplerOptions = SamplerOptions { temperature: 1.0, seed: 5, ..SamplerOptions::greedy() };

#[test]
fn greedy_takes_the_largest_and_among_equals_the_first() {
    assert_eq!(sample(SamplerOptions::default(), &LOGITS, 2), [1, 1]);
    assert_eq!(sample(SamplerOptions::greedy(), &[f32::NAN, 1.0, 1.0], 1), [1]);
    assert_eq!(sample(SamplerOptions::greedy(), &[f32::NAN, f32::NEG_INFINITY], 1), [0], "nothing to choose from");
}

#[test]
fn temperature_draws_by_probability_and_a_seed_repeats_it() {
    let drawn = sample(WARM, &LOGITS, 4000);
    assert_eq!(drawn, sample(WARM, &LOGITS, 4000));
    assert_ne!(drawn, sample(SamplerOptions { seed: 6, ..WARM }, &LOGITS, 4000));
    let total: f64 = LOGITS.iter().map(|&x| f64::from(x).exp()).sum();
    for (id, &logit) in LOGITS.iter().enumerate() {
        let expected = 4000.0 * f64::from(logit).exp() / total;
        let found = drawn.iter().filter(|&&token| token as usize == id).count() as f64;
        // Five standard deviations.
        assert!((found - expected).abs() < 5.0 * expected.sqrt() + 1.0, "token {id}: {found} instead of {expected:.0}");
    }
}

#[test]
fn top_k_top_p_and_min_p_leave_out_what_is_unlikely() {
    let ids = |options| {
        let mut ids = sample(options, &LOGITS, 1000);
        ids.sort_unstable();
        ids.dedup();
        ids
    };
    assert_eq!(ids(SamplerOptions { top_k: 2, ..WARM }), [1, 3]);
    // e^3, e^2.5 and e^2 are 52, 31 and 19 of 102 or so: two of them are 80 % of all.
    assert_eq!(ids(SamplerOptions { top_p: 0.75, ..WARM }), [1, 3]);
    assert_eq!(ids(SamplerOptions { top_p: 0.0, ..WARM }), [1]);
    // A probability of e^-0.5 = 0.61 of the best one's, and of e^-1 = 0.37.
    assert_eq!(ids(SamplerOptions { min_p: 0.5, ..WARM }), [1, 3]);
    assert_eq!(ids(SamplerOptions { min_p: 0.3, ..WARM }), [1, 3, 4]);
}

#[test]
fn repetition_is_penalized_once_a_token_whatever_its_sign() {
    let options = SamplerOptions { repetition_penalty: 2.0, ..SamplerOptions::greedy() };
    // 3, then 2.5 (for 3 is 1.5 now), then 2, then 1.5 again and again.
    assert_eq!(sample(options, &LOGITS, 6), [1, 3, 4, 1, 1, 1]);
    assert_eq!(sample(options, &[-1.0, -1.5], 3), [0, 1, 0], "-1 is -2 and -1.5 is -3");
}

#[test]
fn a_sequence_is_not_completed_twice() {
    let options = |n| SamplerOptions { no_repeat_ngram: n, ..SamplerOptions::greedy() };
    assert_eq!(sample(options(1), &LOGITS, 6), [1, 3, 4, 0, 2, 1], "no token twice, as long as there are others");
    // 1 1 may be there once, then 1 3 and 3 1, ...
    assert_eq!(sample(options(2), &LOGITS, 6), [1, 1, 3, 1, 4, 1]);
    assert_eq!(sample(options(usize::MAX), &LOGITS, 3), [1, 1, 1]);
}

#[test]
fn reset_begins_anew() {
    let options = SamplerOptions { repetition_penalty: 2.0, ..SamplerOptions::greedy() };
    let mut sampler = Sampler::new(options);
    let mut next = |reset: bool| {
        if reset {
            sampler.reset();
        }
        sampler.begin();
        sampler.see(0, &mut LOGITS.to_vec());
        sampler.choose()
    };
    assert_eq!([next(false), next(false), next(true), next(false)], [1, 3, 1, 3]);
}
