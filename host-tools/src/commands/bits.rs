//! What `jamlet pack` is told of bits: a width, or to choose one for each matrix.

use super::size;
use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use jamlet::Plan;
use jamlet::matrix::{Bits, NIBBLE_GROUP};
use jamlet::tokenizer::Tokenizer;
use jamlet_tools::boards::{self, Board, room};
use jamlet_tools::calibrate::{self, BUILT_IN, Documents, Exact, Goal, LOSS, Part, candidates, choose};
use jamlet_tools::hf::{WeightId, Weights};
use jamlet_tools::pack::{Blobs, Choice, Fit, Noise, Options, Widths, sizes};
use jamlet_tools::text::encode_with;
use jamlet_tools::{input, numbers, progress};
use serde::Serialize;
use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;

/// How many bits weights get.
#[derive(Args, Debug)]
pub struct BitsArgs {
    /// Bits of a weight, 8 or 4; with 4, an image is little more than half as large, and the few matrices that need them keep 8.
    /// With auto, what 4 bits cost is measured matrix by matrix on a text, and those have 4 that lose less than 0.001 nat
    /// [default: 8, and auto with --bytes or --fit]
    #[arg(long, value_name = "8|4|auto", value_parser = wanted)]
    bits: Option<Wanted>,
    /// Bits of a weight of embedding and head: 8 beside --bits 4 loses much less for a little more [default: those of --bits]
    #[arg(long, value_name = "8|4", value_parser = width)]
    head_bits: Option<Bits>,
    /// Make an image of at most so many bytes (512K and 2M are understood) that loses least: --bits auto
    #[arg(long, value_name = "N", value_parser = numbers::bytes, conflicts_with = "fit")]
    bytes: Option<u64>,
    /// Make an image that fits this board beside its firmware and loses least: --bits auto
    #[arg(long, value_name = "BOARD", value_parser = super::board)]
    fit: Option<&'static Board>,
    /// How weights are rounded to fewer bits
    #[arg(long, value_enum, default_value = "search")]
    rounding: Rounding,
    /// Text on which --bits auto and --rounding gptq measure: its first 4,096 tokens [default: 3 KB of plain English, built in]
    #[arg(long, value_name = "FILE")]
    calibrate: Option<PathBuf>,
    /// Token ids in place of that text: one JSON list a line, each a document
    #[arg(long, value_name = "FILE", conflicts_with = "calibrate")]
    calibrate_tokens: Option<PathBuf>,
}

/// What `--bits` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Same(Bits),
    Auto,
}

/// How weights are rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Rounding {
    /// A group's largest weight is the last step.
    Nearest,
    /// The scale of each group is the one that loses least.
    Search,
    /// As search, and what a column of 4 bits loses is made up for by those after it (GPTQ).
    Gptq,
}

/// What came of it.
pub struct Chosen {
    /// Bits of every matrix.
    pub bits: Choice,
    /// How scales are chosen.
    pub fit: Fit,
    /// What matrices lost that were rounded already.
    pub lost: HashMap<WeightId, Noise>,
    /// How the bits were chosen, where they were.
    pub measured: Option<Measured>,
}

/// A choice, and by what it was made.
struct Found {
    bits: Choice,
    exact: Exact,
    /// Worst first.
    matrices: Vec<Loss>,
}

/// How bits were chosen.
#[derive(Serialize)]
pub struct Measured {
    /// What was measured on.
    text: String,
    /// Tokens of it that were predicted.
    predictions: usize,
    /// Most bytes that the image might have, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    most_bytes: Option<u64>,
    /// Otherwise, what a matrix in 4 bits might cost, in nat.
    #[serde(skip_serializing_if = "Option::is_none")]
    most_loss: Option<f64>,
    /// Mean divergence of the whole as the engine rounds it, in nat.
    kl_divergence: f64,
    /// Worst first.
    matrices: Vec<Loss>,
}

#[derive(Serialize)]
struct Loss {
    matrix: String,
    bits: u8,
    bytes: u64,
    /// What 4 bits cost in this matrix alone, in nat.
    loss: f64,
}

impl BitsArgs {
    /// Files that are read.
    pub fn inputs(&self) -> impl Iterator<Item = &PathBuf> {
        self.calibrate.iter().chain(&self.calibrate_tokens)
    }

    /// The bits of every matrix, and what was measured for it. With GPTQ, `weights` are those that it rounded from then on.
    ///
    /// # Errors
    /// For options that contradict each other, a text that can't be read, and a size that can't be reached.
    pub fn choose(&self, weights: &mut Weights, blobs: &Blobs, group: u32) -> Result<Chosen> {
        let (widths, gptq) = (self.widths()?, self.rounding == Rounding::Gptq);
        let fit = if self.rounding == Rounding::Nearest { Fit::Largest } else { Fit::Search };
        match widths {
            Some(Widths::EIGHT) if gptq => {
                bail!(
                    "--rounding gptq rounds to 4 bits, and does nothing without --bits 4, --bits auto, --bytes or --fit"
                )
            }
            Some(widths) if !gptq => {
                ensure!(
                    self.inputs().next().is_none(),
                    "--calibrate and --calibrate-tokens do nothing without --bits auto, --bytes, --fit or --rounding gptq"
                );
                return Ok(Chosen { bits: widths.into(), fit, lost: HashMap::new(), measured: None });
            }
            _ => {}
        }
        // Before the work of measuring.
        ensure!(
            group as usize == NIBBLE_GROUP,
            "a group of {group} columns; with 4 bits a weight, {NIBBLE_GROUP} would be right"
        );
        let goal = if widths.is_none() { Some(self.goal(weights, blobs)?) } else { None };
        let (text, documents) = self.documents(weights, blobs)?;
        let found = goal.map(|goal| measure(weights, blobs, &documents, goal, fit)).transpose()?;
        let bits = match &found {
            Some(found) => found.bits.clone(),
            None => widths.unwrap_or(Widths::EIGHT).into(),
        };
        let mut lost = HashMap::new();
        if gptq {
            let bar = progress::count("rounding", weights.config().num_hidden_layers as u64);
            let rounded = calibrate::gptq(weights, &documents, &bits, || bar.inc(1));
            bar.finish_and_clear();
            lost = rounded?;
        }
        let (predictions, mut measured) = (documents.predictions(), None);
        if let (Some(Found { exact, matrices, .. }), Some(goal)) = (found, goal) {
            let kl_divergence = exact.of_choice(weights, &documents, &bits, fit)?;
            let (most_bytes, most_loss) = match goal {
                Goal::Bytes(bytes) => (Some(bytes), None),
                Goal::Loss(loss) => (None, Some(loss)),
            };
            measured = Some(Measured { text, predictions, most_bytes, most_loss, kl_divergence, matrices });
        }
        Ok(Chosen { bits, fit, lost, measured })
    }

    /// The widths that were asked for; `None` where they are to be chosen.
    fn widths(&self) -> Result<Option<Widths>> {
        let sized = self.bytes.is_some() || self.fit.is_some();
        let layers = match self.bits {
            Some(Wanted::Same(_)) if sized => {
                bail!("--bytes and --fit choose the bits of every matrix: --bits auto, or none, would be right")
            }
            Some(Wanted::Same(bits)) => bits,
            None if !sized => Bits::Eight,
            _ => {
                ensure!(
                    self.head_bits.is_none(),
                    "--head-bits does nothing with --bits auto, which measures embedding and head, too"
                );
                return Ok(None);
            }
        };
        Ok(Some(Widths { layers, head: self.head_bits.unwrap_or(layers) }))
    }

    /// To which end bits are chosen.
    ///
    /// # Errors
    /// For a size that can't be reached.
    fn goal(&self, weights: &Weights, blobs: &Blobs) -> Result<Goal> {
        let sizes = |widths: Widths| sizes(weights, blobs, &Options { bits: widths.into(), ..Options::default() });
        let (most, asked) = match (self.fit, self.bytes) {
            (Some(board), _) => {
                let workspace = Plan::new(&sizes(Widths::EIGHT)?.head, boards::options(board))?.bytes() as u64;
                let room = room(board, workspace).with_context(|| {
                    format!(
                        "{}: the model needs a workspace of {workspace} bytes, for which the board has no room, whatever \
                         the bits; `jamlet plan` shows which boards have it",
                        board.name
                    )
                })?;
                (room, format!("{} has room for an image of {room} bytes beside its firmware", board.name))
            }
            (None, Some(bytes)) => (bytes, format!("--bytes {bytes}")),
            (None, None) => return Ok(Goal::Loss(LOSS)),
        };
        let least = sizes(Widths::FOUR)?.length;
        ensure!(
            least <= most,
            "{asked}; with 4 bits in every matrix that may have them it has {least} bytes, the least"
        );
        Ok(Goal::Bytes(most))
    }

    /// What to measure on, and its name.
    fn documents(&self, weights: &Weights, blobs: &Blobs) -> Result<(String, Documents)> {
        let (bos, vocab) = (weights.config().bos_token_id, weights.config().vocab_size);
        if let Some(path) = &self.calibrate_tokens {
            let name = path.display().to_string();
            let lists = Documents::lists(&input::read(path)?).with_context(|| name.clone())?;
            return Ok((name.clone(), Documents::new(lists, bos, vocab).context(name)?));
        }
        ensure!(
            !blobs.tokenizer.is_empty(),
            "a text to measure on needs the tokenizer; without, --calibrate-tokens FILE would be right"
        );
        let tokenizer = Tokenizer::parse(&blobs.tokenizer, vocab as u32).map_err(|error| anyhow::anyhow!("{error}"))?;
        let (name, texts) = match &self.calibrate {
            Some(path) => (path.display().to_string(), vec![encode_with(tokenizer, input::read(path)?)]),
            None => {
                let paragraphs = BUILT_IN.split("\n\n").map(|text| encode_with(tokenizer, text));
                ("the built-in text".into(), paragraphs.collect())
            }
        };
        Ok((name.clone(), Documents::new(texts, bos, vocab).context(name)?))
    }
}

/// Measures what 4 bits cost, and chooses.
fn measure(weights: &Weights, blobs: &Blobs, documents: &Documents, goal: Goal, fit: Fit) -> Result<Found> {
    let sizes = |bits: &Choice| sizes(weights, blobs, &Options { bits: bits.clone(), ..Options::default() });
    let mut parts = candidates(weights, &sizes(&Widths::EIGHT.into())?.matrices);
    let bar = progress::count("measuring", parts.len() as u64);
    let exact = calibrate::measure(weights, documents, fit, &mut parts, || bar.inc(1));
    bar.finish_and_clear();
    let exact = exact?;
    let bits = choose(&parts, goal, &|bits| Ok(sizes(bits)?.length))?;
    let sizes = sizes(&bits)?.matrices;
    let loss = |part: Part| Loss {
        bits: part.ids.first().map_or(Bits::Eight, |id| bits.bits(*id)).count(),
        bytes: sizes.iter().filter(|matrix| part.ids.contains(&matrix.id)).map(|matrix| matrix.bytes).sum(),
        matrix: part.name,
        loss: part.loss,
    };
    let mut matrices: Vec<Loss> = parts.into_iter().map(loss).collect();
    matrices.sort_by(|a, b| b.loss.total_cmp(&a.loss));
    Ok(Found { bits, exact, matrices })
}

impl Measured {
    /// Prints the choice and the first `shown` losses.
    ///
    /// # Errors
    /// When that can't be written.
    pub fn print(&self, out: &mut dyn Write, shown: usize) -> Result<()> {
        let Self { text, predictions, most_bytes, most_loss, kl_divergence, matrices } = self;
        let four = matrices.iter().filter(|matrix| matrix.bits == 4).count();
        let asked = match (most_bytes, most_loss) {
            (Some(bytes), _) => format!("for at most {bytes} bytes"),
            (None, loss) => format!("those below {} nat", loss.unwrap_or_default()),
        };
        writeln!(out, "\n4 bits in {four} of {} matrices, {asked}", matrices.len())?;
        writeln!(out, "KL divergence {kl_divergence:.6} nat, over {predictions} tokens of {text}")?;
        writeln!(out, "\nloss of each matrix in 4 bits alone, worst first")?;
        for Loss { matrix, bits, bytes, loss } in matrices.iter().take(shown) {
            writeln!(out, "  {loss:.6} nat  {bits} bits  {:>10}  {matrix}", size(*bytes))?;
        }
        Ok(())
    }
}

fn wanted(argument: &str) -> Result<Wanted, String> {
    match argument {
        "auto" => Ok(Wanted::Auto),
        _ => width(argument).map(Wanted::Same).map_err(|_| "8, 4 or auto would be right".into()),
    }
}

fn width(argument: &str) -> Result<Bits, String> {
    match argument {
        "8" => Ok(Bits::Eight),
        "4" => Ok(Bits::Four),
        _ => Err("8 or 4 would be right".into()),
    }
}
