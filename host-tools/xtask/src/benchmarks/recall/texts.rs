//! Texts with questions whose answers are in them, and how many a model finds.

use anyhow::{Context, Result, ensure};
use jamlet::{Model, Options};
use jamlet_tools::workspace::HostWorkspace;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;

/// A text of a task.
#[derive(Clone, Debug, Deserialize)]
pub struct Text {
    /// What has to be recalled.
    pub task: String,
    /// Tokens in which it stands, questions not counted.
    pub length: u32,
    /// The text and its questions.
    pub tokens: Vec<u32>,
    /// Places of tokens that are to be predicted from all before them.
    pub answers: Vec<usize>,
}

/// Texts by task and length.
pub type Texts = BTreeMap<(String, u32), Vec<Text>>;

/// Reads a line of JSON a text.
///
/// # Errors
/// Names the file and the line.
pub fn read(path: &Path) -> Result<Texts> {
    let lines = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut texts = Texts::new();
    for (number, line) in lines.lines().enumerate() {
        let at = || format!("{}: line {}", path.display(), number + 1);
        let text: Text = serde_json::from_str(line).with_context(at)?;
        let right = text.answers.iter().all(|&at| at > 0 && at < text.tokens.len()) && text.answers.is_sorted();
        ensure!(right, "{}: answers must lie in the text, behind its first token, in order", at());
        texts.entry((text.task.clone(), text.length)).or_default().push(text);
    }
    ensure!(!texts.is_empty(), "{}: no texts", path.display());
    Ok(texts)
}

/// What a model says at the places of answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answers {
    count: usize,
    /// Of which the right one is the most probable token.
    right: usize,
    /// Sum of their log-probabilities in nats.
    log_probability: f64,
}

impl Answers {
    /// Share of the answers that are the most probable token at their place.
    pub fn accuracy(self) -> f64 {
        self.right as f64 / self.count.max(1) as f64
    }

    /// exp of the mean of −log p; 1 where every answer is certain.
    pub fn perplexity(self) -> f64 {
        (-self.log_probability / self.count.max(1) as f64).exp()
    }

    fn and(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            right: self.right + other.right,
            log_probability: self.log_probability + other.log_probability,
        }
    }
}

/// Has a model answer all texts.
///
/// # Errors
/// When the model can't be run so.
pub fn answers<'t>(model: &Model<'_>, options: Options, texts: impl IntoIterator<Item = &'t Text>) -> Result<Answers> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let texts: Vec<&Text> = texts.into_iter().collect();
    thread::scope(|scope| {
        let parts = texts.chunks(texts.len().div_ceil(cores).max(1));
        let workers: Vec<_> = parts.map(|part| scope.spawn(move || answered(model, options, part))).collect();
        let mut found = workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| anyhow::bail!("a panic")));
        found.try_fold(Answers::default(), |all, some| Ok(all.and(some?)))
    })
}

fn answered(model: &Model<'_>, options: Options, texts: &[&Text]) -> Result<Answers> {
    let mut workspace = HostWorkspace::new(model, options)?;
    let mut session = workspace.session(model)?;
    let mut found = Answers::default();
    for text in texts {
        session.reset();
        let mut fed = 0;
        for &answer in &text.answers {
            session.feed(&text.tokens[fed..answer])?;
            fed = answer;
            let mut all = Vec::new();
            session.logits(|_, logits| all.extend_from_slice(logits))?;
            let right = *all.get(text.tokens[answer] as usize).context("an answer that is no token of the model")?;
            let most = all.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let total: f64 = all.iter().map(|logit| f64::from(logit - most).exp()).sum();
            found = found.and(Answers {
                count: 1,
                right: usize::from(all.iter().position(|logit| *logit == most) == Some(text.tokens[answer] as usize)),
                log_probability: f64::from(right - most) - total.ln(),
            });
        }
    }
    Ok(found)
}
