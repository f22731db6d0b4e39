//! How good summaries are: scores beside what a reader would do without a model, and faults.

pub mod baselines;
pub mod faults;
pub mod rouge;
pub mod signals;
mod stem;

pub use faults::Faults;
pub use rouge::Rouge;
pub use stem::stem;

use crate::input;
use crate::summary::{self, HostMemory, How};
use crate::workspace::HostWorkspace;
use anyhow::{Result, anyhow, bail, ensure};
use jamlet::{Model, Options, Session};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// A text and its right summaries.
#[derive(Clone, Debug, Deserialize)]
pub struct Pair {
    /// The text.
    pub text: String,
    /// One or more right summaries.
    #[serde(default)]
    pub summaries: Vec<String>,
}

/// A text's summary, and how good it is.
#[derive(Clone, Debug, Serialize)]
pub struct Scored {
    /// Number of the pair in the file, from 0.
    pub index: usize,
    /// The summary.
    pub summary: String,
    /// How it was made: quote, compress or rewrite; nothing where there is none.
    pub way: Option<&'static str>,
    /// The confidence in it.
    pub confidence: f32,
    /// The first right summary.
    pub reference: String,
    /// Scores over all right summaries.
    #[serde(flatten)]
    pub rouge: Rouge,
    /// What is wrong with it.
    #[serde(flatten)]
    pub faults: Faults,
}

/// Mean scores, 0 to 100.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Texts.
    pub texts: usize,
    /// The model.
    pub model: Rouge,
    /// The first sentence of each text.
    pub first_sentence: Rouge,
    /// The first 12 words.
    pub first_words: Rouge,
    /// The best simple rule found, see [`baselines::heuristic`].
    pub heuristic: Rouge,
    /// The best sentence, chosen by someone who knows the answer.
    pub best_sentence: Rouge,
    /// Share of summaries without a word, in percent.
    pub empty: f64,
    /// Share that repeat themselves, in percent.
    pub repeats: f64,
    /// Share with a name or number that isn't in the text, in percent.
    pub invents: f64,
    /// The same share of the right summaries: people know more than the text says.
    pub reference_invents: f64,
    /// Share with a content word that the text has in no form, in percent.
    pub foreign: f64,
    /// The same share of the right summaries.
    pub reference_foreign: f64,
    /// Share of each way, in percent.
    pub ways: BTreeMap<&'static str, f64>,
    /// Mean ROUGE-L of the 10, 20, .. 100 % of summaries with the most confidence.
    pub coverage: Vec<f64>,
}

/// Reads lines of `{"text": .., "summaries": [..]}`.
///
/// # Errors
/// Names the file and the line.
pub fn read_pairs(path: &Path) -> Result<Vec<Pair>> {
    let lines = input::read(path)?;
    let mut pairs = Vec::new();
    for (number, line) in lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = || format!("{}: line {}", path.display(), number + 1);
        let pair: Pair = serde_json::from_str(line).map_err(|error| {
            anyhow!("{}: {error}; an object as {{\"text\": \"…\", \"summaries\": [\"…\"]}} was expected", place())
        })?;
        if let Err(problem) = input::check_whole(pair.text.as_bytes()) {
            bail!("{}: text is {problem}", place());
        }
        ensure!(!pair.summaries.is_empty(), "{}: summaries is empty; at least one is needed", place());
        pairs.push(pair);
    }
    ensure!(!pairs.is_empty(), "{}: no pairs", path.display());
    Ok(pairs)
}

/// Summarizes every text on the int8 engine. `tick` is called after each.
///
/// # Errors
/// When the model can't be run or has no tokenizer.
pub fn summarize(
    model: &Model<'_>,
    options: Options,
    how: &How,
    pairs: &[Pair],
    tick: impl Fn() + Sync,
) -> Result<Vec<Scored>> {
    each(model, options, pairs, |session, memory, index, pair| {
        let (summary, answer) = summary::summarize(session, memory, how, &pair.text)?;
        tick();
        Ok(Scored {
            index,
            way: answer.first.map(|line| summary::way_name(line.way)),
            confidence: answer.first.map_or(0.0, |line| line.confidence),
            rouge: rouge::score(&summary, &pair.summaries),
            faults: faults::faults(&pair.text, &summary),
            summary,
            reference: pair.summaries.first().cloned().unwrap_or_default(),
        })
    })
}

/// Does the same with every text, on all cores.
pub(crate) fn each<'m, T: Send>(
    model: &Model<'m>,
    options: Options,
    pairs: &[Pair],
    one: impl Fn(Session<'m, '_>, &mut HostMemory<'m>, usize, &Pair) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    pairs
        .par_iter()
        .enumerate()
        .map_init(
            || (HostWorkspace::new(model, options), summary::memory()),
            |(workspace, memory), (index, pair)| {
                let workspace = workspace.as_mut().map_err(|error| anyhow::anyhow!("{error:#}"))?;
                one(workspace.session(model)?, memory, index, pair)
            },
        )
        .collect()
}

/// Means over all texts, and of the baselines.
pub fn report(pairs: &[Pair], scored: &[Scored]) -> Report {
    let mean = |summary: &(dyn Fn(&Pair) -> String + Sync)| {
        let all: Vec<Rouge> = pairs.par_iter().map(|pair| rouge::score(&summary(pair), &pair.summaries)).collect();
        sum(all.into_iter()).over(pairs.len())
    };
    let share = |count: usize| 100.0 * count as f64 / pairs.len().max(1) as f64;
    let faulty = |which: fn(&Faults) -> bool| share(scored.iter().filter(|s| which(&s.faults)).count());
    let references = || pairs.iter().filter_map(|pair| Some(faults::faults(&pair.text, pair.summaries.first()?)));
    Report {
        texts: pairs.len(),
        model: sum(scored.iter().map(|s| s.rouge)).over(scored.len()),
        first_sentence: mean(&|pair| baselines::first_sentence(&pair.text)),
        first_words: mean(&|pair| baselines::first_words(&pair.text)),
        heuristic: mean(&|pair| baselines::heuristic(&pair.text)),
        best_sentence: mean(&|pair| baselines::best_sentence(&pair.text, &pair.summaries)),
        empty: faulty(|f| f.empty),
        repeats: faulty(|f| f.repeats),
        invents: faulty(|f| f.invents),
        reference_invents: share(references().filter(|f| f.invents).count()),
        foreign: faulty(|f| f.foreign),
        reference_foreign: share(references().filter(|f| f.foreign).count()),
        ways: ways(scored),
        coverage: coverage(scored),
    }
}

/// Share of each way, in percent.
fn ways(scored: &[Scored]) -> BTreeMap<&'static str, f64> {
    let mut ways = BTreeMap::new();
    for one in scored {
        *ways.entry(one.way.unwrap_or("nothing")).or_insert(0.0) += 100.0 / scored.len() as f64;
    }
    ways
}

/// Mean ROUGE-L of the summaries with the most confidence, by tenths of all.
fn coverage(scored: &[Scored]) -> Vec<f64> {
    let mut best: Vec<&Scored> = scored.iter().collect();
    best.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    let mean = |tenth: usize| {
        let count = (best.len() * tenth).div_ceil(10);
        sum(best.iter().take(count).map(|one| one.rouge)).over(count).rouge_l
    };
    (1..=10).map(mean).collect()
}

fn sum(scores: impl Iterator<Item = Rouge>) -> Rouge {
    let mut total = Rouge::default();
    scores.for_each(|rouge| total += rouge);
    total
}
