//! What summaries are chosen by, text by text: for fitting the parameters of an image.

use super::{Pair, baselines, each, rouge};
use crate::summary::{self, How};
use crate::text;
use anyhow::Result;
use jamlet::summary::{Examined, Listener, SummaryOptions};
use jamlet::{Model, Options};
use serde::Serialize;
use std::ops::ControlFlow;

/// All that was looked at for one text.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Signals {
    /// Sentences that may be quoted.
    pub quotes: Vec<Quote>,
    /// What the model writes.
    pub rewrite: Rewrite,
    /// The last hidden state behind the prompt, after the final norm.
    pub hidden: Vec<f32>,
    /// What the gate looks at.
    pub gate: Vec<f32>,
    /// ROUGE-L of the first sentence.
    pub first: f64,
    /// Tokens that were read, the prompt's among them.
    pub tokens_read: u64,
}

/// A sentence that may be quoted.
#[derive(Clone, Debug, Serialize)]
pub struct Quote {
    /// Its text.
    pub text: String,
    /// See [`jamlet::summary::SIGNALS`].
    pub signals: Vec<f32>,
    /// What the image's ranking makes of them.
    pub score: f32,
    /// The mean log-probability of its tokens and its end as the summary, and its end's.
    pub likelihood: Option<[f32; 2]>,
    /// Its score as the summary.
    pub rouge_l: f64,
}

/// What the model writes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Rewrite {
    /// Its text.
    pub text: String,
    /// Mean log-probability of its tokens and its end.
    pub log_prob: f32,
    /// Mean cost of its tokens and its end.
    pub cost: f32,
    /// Tokens.
    pub tokens: usize,
    /// Its score as the summary.
    pub rouge_l: f64,
}

/// Looks at every text. `tick` is called after each.
///
/// # Errors
/// When the model can't be run or has no tokenizer.
pub fn examine(
    model: &Model<'_>,
    options: Options,
    how: SummaryOptions,
    pairs: &[Pair],
    tick: impl Fn() + Sync,
) -> Result<Vec<Signals>> {
    let how = How { options: how.examine(true), sampler: None };
    each(model, options, pairs, |session, memory, _, pair| {
        let mut examiner = Examiner { signals: Signals::default(), tokens: Vec::new() };
        let answer = summary::summarize_to(session, memory, &how, &pair.text, &mut examiner)?;
        tick();
        let Examiner { mut signals, tokens } = examiner;
        let score = |text: &str| rouge::score(text, &pair.summaries).rouge_l;
        for quote in &mut signals.quotes {
            quote.rouge_l = score(&quote.text);
        }
        signals.rewrite.tokens = tokens.len();
        signals.rewrite.text = text::decode(model, &tokens)?.trim().to_owned();
        signals.rewrite.rouge_l = score(&signals.rewrite.text);
        signals.first = score(&baselines::first_sentence(&pair.text));
        signals.tokens_read = answer.read;
        Ok(signals)
    })
}

/// Looks at every text without the model: only at what sentences tell by themselves.
pub fn examine_sentences(pairs: &[Pair]) -> Vec<Signals> {
    use rayon::prelude::*;
    let one = |pair: &Pair| {
        let score = |text: &str| rouge::score(text, &pair.summaries).rouge_l;
        let mut quotes = Vec::new();
        jamlet::summary::examine(pair.text.as_bytes(), |text, signals| {
            let text = String::from_utf8_lossy(text).into_owned();
            let (signals, rouge_l) = (signals.to_vec(), score(&text));
            quotes.push(Quote { text, signals, score: 0.0, likelihood: None, rouge_l });
        });
        Signals { quotes, first: score(&baselines::first_sentence(&pair.text)), ..Signals::default() }
    };
    pairs.par_iter().map(one).collect()
}

struct Examiner {
    signals: Signals,
    tokens: Vec<u32>,
}

impl Listener for Examiner {
    fn text(&mut self, _: &str) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn examined(&mut self, what: &Examined<'_>) {
        match *what {
            Examined::Sentence { text, signals, score, likelihood } => self.signals.quotes.push(Quote {
                text: String::from_utf8_lossy(text).into_owned(),
                signals: signals.to_vec(),
                score,
                likelihood,
                rouge_l: 0.0,
            }),
            Examined::Hidden(state) => self.signals.hidden = state.to_vec(),
            Examined::Token(token) => self.tokens.push(token),
            Examined::Rewrite { log_probability, cost } => {
                (self.signals.rewrite.log_prob, self.signals.rewrite.cost) = (log_probability, cost);
            }
            Examined::Gate(features) => self.signals.gate = features.to_vec(),
            _ => {}
        }
    }
}
