//! ROUGE-1, ROUGE-2 and ROUGE-L (Lin 2004) as Google's `rouge_score` computes them with stemming: F1 of n-grams, and of
//! the longest common subsequence.

use super::stem::stem;
use serde::Serialize;
use std::collections::HashMap;
use std::ops::AddAssign;

/// The three scores, 0 to 100.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rouge {
    /// Single words.
    pub rouge1: f64,
    /// Pairs of words.
    pub rouge2: f64,
    /// Longest common subsequence.
    pub rouge_l: f64,
}

impl AddAssign for Rouge {
    fn add_assign(&mut self, other: Self) {
        self.rouge1 += other.rouge1;
        self.rouge2 += other.rouge2;
        self.rouge_l += other.rouge_l;
    }
}

impl Rouge {
    /// A sum over `count` texts as their mean.
    #[must_use]
    pub fn over(self, count: usize) -> Self {
        let n = count.max(1) as f64;
        Self { rouge1: self.rouge1 / n, rouge2: self.rouge2 / n, rouge_l: self.rouge_l / n }
    }
}

/// A summary beside several right ones: each score is the best over these.
pub fn score(summary: &str, references: &[String]) -> Rouge {
    let ours = words(summary);
    references.iter().map(|reference| pair(&ours, &words(reference))).fold(Rouge::default(), |best, rouge| Rouge {
        rouge1: best.rouge1.max(rouge.rouge1),
        rouge2: best.rouge2.max(rouge.rouge2),
        rouge_l: best.rouge_l.max(rouge.rouge_l),
    })
}

/// Runs of ASCII letters and digits, in lower case, those of more than three letters stemmed.
fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit()).filter(|word| !word.is_empty());
    words.map(|word| if word.len() > 3 { stem(word) } else { word.to_owned() }).collect()
}

fn pair(ours: &[String], theirs: &[String]) -> Rouge {
    Rouge {
        rouge1: grams(ours, theirs, 1),
        rouge2: grams(ours, theirs, 2),
        rouge_l: f1(common_subsequence(ours, theirs), ours.len(), theirs.len()),
    }
}

fn grams(ours: &[String], theirs: &[String], n: usize) -> f64 {
    let mut counts: HashMap<&[String], usize> = HashMap::new();
    for gram in theirs.windows(n) {
        *counts.entry(gram).or_default() += 1;
    }
    let mut common = 0;
    for gram in ours.windows(n) {
        if let Some(count) = counts.get_mut(gram).filter(|count| **count > 0) {
            *count -= 1;
            common += 1;
        }
    }
    let count = |words: &[String]| words.len().saturating_sub(n - 1);
    f1(common, count(ours), count(theirs))
}

fn common_subsequence(a: &[String], b: &[String]) -> usize {
    let mut row = vec![0; b.len() + 1];
    for a in a {
        let mut diagonal = 0;
        for (j, b) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if a == b { diagonal + 1 } else { above.max(row[j]) };
            diagonal = above;
        }
    }
    row[b.len()]
}

fn f1(common: usize, ours: usize, theirs: usize) -> f64 {
    if common == 0 { 0.0 } else { 200.0 * common as f64 / (ours + theirs) as f64 }
}
