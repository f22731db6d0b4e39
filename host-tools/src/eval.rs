//! What quantization costs: the int8 engine beside the f32 reference, token by token over the same texts.

use crate::reference::Reference;
use crate::workspace::HostWorkspace;
use anyhow::{Result, ensure};
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
    /// Perplexity of the one, usually the int8 engine.
    pub perplexity: f64,
    /// Perplexity of the other, usually the f32 reference.
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

/// One of the two that are compared.
#[derive(Clone, Copy)]
pub enum Side<'a> {
    /// An image on the int8 engine.
    Engine(&'a Model<'a>, Options),
    /// The reference, rounded or not.
    Reference(&'a Reference),
}

/// Logits of every one of the tokens that go on with a text, (T, V).
type Predict<'p> = dyn FnMut(&[u32]) -> Result<Vec<f32>> + 'p;

impl Side<'_> {
    /// Begins a text, and calls `then` with a function that continues it.
    fn begin<T>(&self, then: impl FnOnce(&mut Predict<'_>) -> Result<T>) -> Result<T> {
        match *self {
            Side::Reference(reference) => {
                let mut state = reference.empty_state();
                then(&mut |tokens| Ok(reference.extend(&mut state, tokens)?))
            }
            Side::Engine(model, options) => {
                let mut workspace = HostWorkspace::new(model, options.chunk(1))?;
                let mut session = workspace.session(model)?;
                then(&mut |tokens| {
                    let mut all = Vec::with_capacity(tokens.len() * model.header().vocab as usize);
                    for &token in tokens {
                        session.feed(&[token])?;
                        session.logits(|_, block| all.extend_from_slice(block))?;
                    }
                    Ok(all)
                })
            }
        }
    }
}

/// Runs both over `documents`. `tick` is called after each.
///
/// # Errors
/// When the two don't fit each other.
pub fn compare(ours: Side<'_>, theirs: Side<'_>, documents: &[Vec<u32>], tick: impl Fn() + Sync) -> Result<Report> {
    let document = |tokens: &Vec<u32>| {
        let points = ours.begin(|ours| theirs.begin(|theirs| points(ours, theirs, tokens)));
        tick();
        points
    };
    let points: Vec<Vec<Point>> = documents.par_iter().map(document).collect::<Result<_>>()?;
    Ok(summarize(documents.len(), points.concat()))
}

/// Tokens that are predicted together, so that the logits of large vocabularies don't pile up.
const PIECE: usize = 32;

fn points(ours: &mut Predict<'_>, theirs: &mut Predict<'_>, tokens: &[u32]) -> Result<Vec<Point>> {
    let mut points = Vec::with_capacity(tokens.len());
    for (piece, inputs) in tokens.chunks(PIECE).enumerate() {
        let (ours, theirs) = (ours(inputs)?, theirs(inputs)?);
        ensure!(
            ours.len() == theirs.len(),
            "one has a vocabulary of {}, the other of {}",
            ours.len() / inputs.len(),
            theirs.len() / inputs.len()
        );
        let vocab = ours.len() / inputs.len();
        let next = tokens[PIECE * piece + 1..].iter();
        for ((ours, theirs), &next) in ours.chunks_exact(vocab).zip(theirs.chunks_exact(vocab)).zip(next) {
            points.push(point(ours, theirs, next as usize));
        }
    }
    Ok(points)
}

/// A window that holds the longest of the documents.
pub fn whole(documents: &[Vec<u32>]) -> u32 {
    documents.iter().map(Vec::len).max().unwrap_or(1).max(1) as u32
}

/// Cuts before every `bos`, and where a document would be longer than `context`. Pieces without a `bos` get one.
pub fn documents(tokens: &[u32], bos: Option<u32>, context: usize) -> Vec<Vec<u32>> {
    let starts = |token: &u32| Some(*token) == bos;
    let mut documents = Vec::new();
    let mut rest = tokens;
    while !rest.is_empty() {
        let own = bos.filter(|_| !starts(&rest[0]));
        let room = context - usize::from(own.is_some());
        let next = rest.iter().skip(1).position(starts).map_or(rest.len(), |at| at + 1).min(room);
        let (document, tail) = rest.split_at(next);
        documents.push(own.into_iter().chain(document.iter().copied()).collect());
        rest = tail;
    }
    documents.retain(|document: &Vec<u32>| document.len() > 1);
    documents
}

fn point(ours: &[f32], theirs: &[f32], next: usize) -> Point {
    let loss = |logits: &[f32]| log_sum_exp(logits) - f64::from(logits[next]);
    Point { loss: [loss(ours), loss(theirs)], divergence: divergence(ours, theirs), same_top: top(ours) == top(theirs) }
}

/// Kullback-Leibler divergence of the distribution of logits `ours` from that of `theirs`, in nat.
pub fn divergence(ours: &[f32], theirs: &[f32]) -> f64 {
    let (our_sum, their_sum) = (log_sum_exp(ours), log_sum_exp(theirs));
    let logs =
        ours.iter().zip(theirs).map(|(ours, theirs)| (f64::from(*ours) - our_sum, f64::from(*theirs) - their_sum));
    logs.map(|(q, p)| p.exp() * (p - q)).sum()
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

    #[test]
    fn a_document_begins_at_its_bos_and_a_long_one_is_cut() {
        let cut = documents(&[1, 5, 6, 1, 7, 8, 9, 10, 11], Some(1), 4);
        assert_eq!(cut, [vec![1, 5, 6], vec![1, 7, 8, 9], vec![1, 10, 11]]);
        assert_eq!(documents(&[5, 6, 7], Some(1), 8), [vec![1, 5, 6, 7]]);
        assert_eq!(documents(&[5, 6, 7], None, 2), [vec![5, 6]]);
    }
}
