//! Stems and scores equal those of NLTK and Google's `rouge_score` (fixtures/rouge/make-rouge.py).

use jamlet_tools::score::{rouge, stem};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Expected {
    stems: BTreeMap<String, String>,
    scores: Vec<Scores>,
}

#[derive(Deserialize)]
struct Scores {
    summary: String,
    summaries: Vec<String>,
    scores: [f64; 3],
}

fn expected() -> Expected {
    serde_json::from_str(include_str!("../fixtures/rouge/expected.json")).expect("the fixture")
}

#[test]
fn stems_equal_nltks() {
    let stems = expected().stems;
    assert!(stems.len() > 1000);
    let wrong: Vec<_> = stems.iter().filter(|(word, right)| stem(word) != **right).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn scores_equal_googles() {
    let scores = expected().scores;
    assert!(scores.len() >= 40);
    for case in scores {
        let ours = rouge::score(&case.summary, &case.summaries);
        for (ours, right) in [ours.rouge1, ours.rouge2, ours.rouge_l].iter().zip(case.scores) {
            assert!((ours - right).abs() < 1e-9, "{}: {ours} instead of {right}", case.summary);
        }
    }
}
