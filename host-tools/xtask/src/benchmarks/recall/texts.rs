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

/// Share of the answers that are the most probable token at their place.
///
/// # Errors
/// When the model can't be run so.
pub fn accuracy(model: &Model<'_>, options: Options, texts: &[Text]) -> Result<f64> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let found = thread::scope(|scope| {
        let parts = texts.chunks(texts.len().div_ceil(cores).max(1));
        let workers: Vec<_> = parts.map(|part| scope.spawn(move || right(model, options, part))).collect();
        let counts = workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| anyhow::bail!("a panic")));
        counts.sum::<Result<usize>>()
    })?;
    let all: usize = texts.iter().map(|text| text.answers.len()).sum();
    Ok(found as f64 / all.max(1) as f64)
}

fn right(model: &Model<'_>, options: Options, texts: &[Text]) -> Result<usize> {
    let mut workspace = HostWorkspace::new(model, options)?;
    let mut session = workspace.session(model)?;
    let mut right = 0;
    for text in texts {
        session.reset();
        let mut fed = 0;
        for &answer in &text.answers {
            session.feed(&text.tokens[fed..answer])?;
            fed = answer;
            let mut best = (0, f32::NEG_INFINITY);
            session.logits(|first, logits| {
                for (token, &logit) in (first..).zip(&*logits) {
                    if logit > best.1 {
                        best = (token, logit);
                    }
                }
            })?;
            right += usize::from(best.0 == text.tokens[answer] as usize);
        }
    }
    Ok(right)
}
