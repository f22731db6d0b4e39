//! How tokens are chosen: the options of `run`, `chat`, `summarize` and `score`, each refused where it is out of range or does nothing.

use anyhow::{Result, bail, ensure};
use clap::Args;
use jamlet::sampler::{MAX_CANDIDATES, MAX_HISTORY};
use jamlet::{Model, SamplerOptions};
use jamlet_tools::numbers::whole;
use serde::Serialize;
use serde_json::Number;
use std::collections::BTreeMap;

/// How tokens are chosen.
#[derive(Args, Clone, Copy, Debug)]
pub struct SamplerArgs {
    /// 0 always takes the most probable token [default: in run and chat what the image says, else 0]
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    temperature: Option<f32>,
    /// Only the so many most probable tokens, at most 64; 0 for 64 [default: in run and chat what the image says, else 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    top_k: Option<i64>,
    /// Only the most probable tokens that together have this probability [default: in run and chat what the image says, else 1]
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    top_p: Option<f32>,
    /// Only tokens with at least this share of the best one's probability [default: in run and chat what the image says, else 0]
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    min_p: Option<f32>,
    /// Makes tokens that were chosen before less probable; 1 is off [default: in run and chat what the image says, else 1]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    repetition_penalty: Option<f32>,
    /// No sequence of so many tokens twice, at most 128; 0 is off [default: 0 in run and chat, 2 in summarize]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    no_repeat_ngram: Option<i64>,
    /// The same seed gives the same tokens, on every board
    #[arg(long, default_value_t = 0, value_parser = whole::<u64>)]
    seed: u64,
}

impl SamplerArgs {
    /// Whether summaries are written as without any of these.
    pub fn is_default(&self) -> Result<bool> {
        Ok(self.options(&SamplerOptions::summary())? == SamplerOptions::summary())
    }

    /// The values of `run`, and who set each.
    ///
    /// # Errors
    /// As [`SamplerArgs::options`].
    pub fn values(&self, model: &Model<'_>) -> Result<BTreeMap<&'static str, Chosen>> {
        let (chosen, image) = (self.options(&of_image(model))?, model.sampling().is_some());
        let from = |said: bool, in_image: bool| match (said, in_image && image) {
            (true, _) => "option",
            (_, true) => "image",
            _ => "default",
        };
        let float = |value, said| Chosen { value: shortest(value), from: from(said, true) };
        let ngram = (chosen.no_repeat_ngram.into(), self.no_repeat_ngram.is_some());
        Ok(BTreeMap::from([
            ("temperature", float(chosen.temperature, self.temperature.is_some())),
            ("top_k", Chosen { value: chosen.top_k.into(), from: from(self.top_k.is_some(), true) }),
            ("top_p", float(chosen.top_p, self.top_p.is_some())),
            ("min_p", float(chosen.min_p, self.min_p.is_some())),
            ("repetition_penalty", float(chosen.repetition_penalty, self.repetition_penalty.is_some())),
            ("no_repeat_ngram", Chosen { value: ngram.0, from: from(ngram.1, false) }),
        ]))
    }

    /// As the engine has them, with `default` for what wasn't said.
    ///
    /// # Errors
    /// What is out of range, or without effect, and what would be right.
    pub fn options(&self, default: &SamplerOptions) -> Result<SamplerOptions> {
        let options = SamplerOptions {
            temperature: self.temperature.unwrap_or(default.temperature),
            top_k: count("top-k", self.top_k, default.top_k, MAX_CANDIDATES)?,
            top_p: self.top_p.unwrap_or(default.top_p),
            min_p: self.min_p.unwrap_or(default.min_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(default.repetition_penalty),
            no_repeat_ngram: count("no-repeat-ngram", self.no_repeat_ngram, default.no_repeat_ngram, MAX_HISTORY)?,
            seed: self.seed,
        };
        for (name, value, right, what) in [
            ("temperature", options.temperature, options.temperature >= 0.0, "0 for the most probable token, or more"),
            ("top-p", options.top_p, options.top_p > 0.0 && options.top_p <= 1.0, "more than 0, and at most 1"),
            ("min-p", options.min_p, (0.0..=1.0).contains(&options.min_p), "0 to 1"),
            ("repetition-penalty", options.repetition_penalty, options.repetition_penalty > 0.0, "more than 0"),
        ] {
            ensure!(right && value.is_finite(), "{name} is {value}; {what} would be right");
        }
        if options.temperature == 0.0 {
            for (name, said) in [
                ("top-k", self.top_k.is_some_and(|k| k != 0)),
                ("top-p", self.top_p.is_some_and(|p| p != 1.0)),
                ("min-p", self.min_p.is_some_and(|p| p != 0.0)),
            ] {
                if said {
                    bail!(
                        "{name} does nothing at temperature 0, where the most probable token is taken; --temperature 0.8 would be right"
                    );
                }
            }
        }
        Ok(options)
    }
}

/// How the image's model is sampled.
pub fn of_image(model: &Model<'_>) -> SamplerOptions {
    model.sampling().map_or_else(SamplerOptions::greedy, SamplerOptions::from)
}

/// A value of the sampler, for `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct Chosen {
    value: Number,
    /// `option`, `image` or `default`.
    from: &'static str,
}

/// The number with the fewest digits that is this f32: 0.6 rather than 0.6000000238418579.
fn shortest(value: f32) -> Number {
    let shortest = value.to_string().parse().unwrap_or_else(|_| f64::from(value));
    Number::from_f64(shortest).unwrap_or_else(|| 0.into())
}

/// A number from 0 to `most`.
fn count(name: &str, said: Option<i64>, default: usize, most: usize) -> Result<usize> {
    let Some(said) = said else { return Ok(default) };
    match usize::try_from(said) {
        Ok(count) if count <= most => Ok(count),
        _ => bail!("{name} is {said}; 0 to {most} would be right"),
    }
}
