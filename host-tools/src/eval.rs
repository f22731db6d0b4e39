//! What quantization costs: the int8 engine beside the f32 reference, token by token over the same texts.

use crate::reference::Reference;
use crate::workspace::HostWorkspace;
use anyhow::Result;
use jamlet::{Model, Options};
use rayon::prelude::*;
use serde::Serialize;

/// The comparison over all predicted tokens.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Texts, each from an empty state.
    pub documents: usize,
    /// Tokens that were predicted: all but the first of each text.
    pub predictions: usize,
    /// Perplexity of the int8 engine.
    pub perplexity: f64,
    /// Perplexity of the f32 reference.
    pub reference_perplexity: f64,
    /// The one over the other.
    pub perplexity_ratio: f64,
    /// Mean Kullback-Leibler divergence of the engine from the reference, in nat.
    pub kl_divergence: f64,
    /// The divergence that 1 % of the predictions exceed.
    pub kl_divergence_p99: f64,
    /// Share of the predictions in which both find the same token most probable.
    pub top1_agreement: f64,
}

/// One prediction.
#[derive(Clone, Copy, Debug)]
struct Point {
    /// −ln p of the token that follows: engine, reference.
    loss: [f64; 2],
    divergence: f64,
    same_top: bool,
}

/// Runs both over `documents`, with an attention window that holds the longest. `tick` is called after each.
///
/// # Errors
/// When the two don't fit each other.
pub fn compare(
    model: &Model<'_>,
    reference: &Reference,
    documents: &[Vec<u32>],
    tick: impl Fn() + Sync,
) -> Result<Report> {
    let window = documents.iter().map(Vec::len).max().unwrap_or(1).max(1) as u32;
    let options = Options::window(window).chunk(1);
    let points = documents.par_iter().map_init(
        || HostWorkspace::new(model, options),
        |workspace, tokens| -> Result<Vec<Point>> {
            let workspace = workspace.as_mut().map_err(|error| anyhow::anyhow!("{error:#}"))?;
            let points = document(model, reference, workspace, tokens);
            tick();
            points
        },
    );
    let points: Vec<Vec<Point>> = points.collect::<Result<_>>()?;
    Ok(summarize(documents.len(), points.concat()))
}

fn document(
    model: &Model<'_>,
    reference: &Reference,
    workspace: &mut HostWorkspace,
    tokens: &[u32],
) -> Result<Vec<Point>> {
    let vocab = model.header().vocab as usize;
    let mut session = workspace.session(model)?;
    let mut state = reference.empty_state();
    let mut points = Vec::with_capacity(tokens.len());
    let mut ours = vec![0.0; vocab];
    // Some tokens at a time, so that large vocabularies don't pile up.
    for (piece, inputs) in tokens.chunks(32).enumerate() {
        let theirs = reference.extend(&mut state, inputs)?;
        anyhow::ensure!(theirs.len() == inputs.len() * vocab, "the image has {vocab} tokens, the reference has others");
        for (at, (&token, theirs)) in inputs.iter().zip(theirs.chunks_exact(vocab)).enumerate() {
            session.feed(&[token])?;
            let Some(&next) = tokens.get(32 * piece + at + 1) else { break };
            session.logits(|first, logits| ours[first..first + logits.len()].copy_from_slice(logits))?;
            points.push(point(&ours, theirs, next as usize));
        }
    }
    Ok(points)
}

fn point(ours: &[f32], theirs: &[f32], next: usize) -> Point {
    let (our_sum, their_sum) = (log_sum_exp(ours), log_sum_exp(theirs));
    let log = |logits: &[f32], sum: f64, i: usize| f64::from(logits[i]) - sum;
    let divergence = (0..ours.len())
        .map(|i| {
            let p = log(theirs, their_sum, i);
            p.exp() * (p - log(ours, our_sum, i))
        })
        .sum();
    Point {
        loss: [-log(ours, our_sum, next), -log(theirs, their_sum, next)],
        divergence,
        same_top: top(ours) == top(theirs),
    }
}

fn log_sum_exp(logits: &[f32]) -> f64 {
    let max = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    max + logits.iter().map(|&x| (f64::from(x) - max).exp()).sum::<f64>().ln()
}

fn top(logits: &[f32]) -> usize {
    (0..logits.len()).fold(0, |best, i| if logits[i] > logits[best] { i } else { best })
}

fn summarize(documents: usize, points: Vec<Point>) -> Report {
    let count = points.len().max(1) as f64;
    let mean = |value: &dyn Fn(&Point) -> f64| points.iter().map(value).sum::<f64>() / count;
    let [ours, theirs] = [0, 1].map(|i| mean(&|p| p.loss[i]).exp());
    let mut divergences: Vec<f64> = points.iter().map(|p| p.divergence).collect();
    divergences.sort_by(f64::total_cmp);
    Report {
        documents,
        predictions: points.len(),
        perplexity: ours,
        reference_perplexity: theirs,
        perplexity_ratio: ours / theirs,
        kl_divergence: mean(&|p| p.divergence),
        kl_divergence_p99: divergences.get(divergences.len() * 99 / 100).copied().unwrap_or(0.0),
        top1_agreement: mean(&|p| f64::from(u8::from(p.same_top))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_logits_diverge_by_nothing_and_a_known_pair_by_what_paper_says() {
        let same = point(&[0.5, -1.0, 2.0], &[0.5, -1.0, 2.0], 1);
        assert!(same.divergence.abs() < 1e-12 && same.same_top);
        // p = (3/4, 1/4), q = (1/2, 1/2): KL = 3/4·ln(3/2) + 1/4·ln(1/2).
        let other = point(&[0.0, 0.0], &[3f32.ln(), 0.0], 0);
        let right = 0.75 * 1.5f64.ln() + 0.25 * 0.5f64.ln();
        assert!((other.divergence - right).abs() < 1e-7, "{}", other.divergence);
        assert!((other.loss[0] - 2f64.ln()).abs() < 1e-7 && (other.loss[1] - (4.0f64 / 3.0).ln()).abs() < 1e-7);
    }
}
