//! What each part of quantization costs, simulated by the reference: the table by which the group size, the tensors that stay
//! wide, and those that keep 8 bits were chosen.

use anyhow::{Context, Result};
use clap::Args as ClapArgs;
use jamlet::matrix::Bits;
use jamlet_tools::eval::{Side, compare, documents};
use jamlet_tools::hf::{WeightId, Weights};
use jamlet_tools::pack::{Fit, Widths, bits_of};
use jamlet_tools::progress;
use jamlet_tools::reference::{Reference, Rounding};
use std::path::PathBuf;

/// Prints a table of divergence and agreement for group sizes, parts, wide tensors and bits, as Markdown.
#[derive(ClapArgs)]
pub struct Args {
    /// A Hugging Face folder.
    folder: PathBuf,
    /// Documents as token ids, one JSON list a line.
    #[arg(long)]
    tokens: PathBuf,
    /// Only so many documents.
    #[arg(long)]
    limit: Option<usize>,
}

pub fn run(args: &Args) -> Result<()> {
    let weights = Weights::open(&args.folder)?;
    let exact = Reference::from_weights(&weights)?;
    let lines = std::fs::read_to_string(&args.tokens).with_context(|| args.tokens.display().to_string())?;
    let bos = weights.config().bos_token_id;
    let mut texts = Vec::new();
    for line in lines.lines().take(args.limit.unwrap_or(usize::MAX)) {
        texts.extend(documents(&serde_json::from_str::<Vec<u32>>(line)?, bos, 1024));
    }
    println!("| group | what is rounded | KL divergence (nat) | same top token | perplexity ratio |");
    println!("|---|---|---|---|---|");
    for (name, rounding) in variants(&weights) {
        let rounded = Reference::rounded(&weights, rounding)?;
        let bar = progress::count("evaluating", texts.len() as u64);
        let report = compare(Side::Reference(&rounded), Side::Reference(&exact), &texts, || bar.inc(1));
        bar.finish_and_clear();
        let r = report?;
        let group = if rounding.group > 1024 { "row".into() } else { rounding.group.to_string() };
        let (kl, top) = (r.kl_divergence, 100.0 * r.top1_agreement);
        println!("| {group} | {name} | {kl:.5} | {top:.2} % | {:.5} |", r.perplexity_ratio);
    }
    Ok(())
}

fn variants(weights: &Weights) -> Vec<(&'static str, Rounding<'static>)> {
    let row = weights.config().hidden_size.max(weights.config().intermediate_size).max(weights.config().mamba_d_inner);
    let mut all: Vec<_> = [16, 32, 64, 128, row.max(1025)].map(|group| ("everything", Rounding::engine(group))).into();
    let engine = Rounding::engine(32);
    let only = Rounding { weights: false, activations: false, cache: false, ..engine };
    all.extend([
        ("weights", Rounding { weights: true, ..only }),
        ("activations", Rounding { activations: true, ..only }),
        ("attention cache", Rounding { cache: true, ..only }),
        ("all but x_proj and dt_proj", Rounding { wide: selection, ..engine }),
        ("all but the head", Rounding { wide: |id| id == WeightId::Head, ..engine }),
        ("all but out_proj and down_proj", Rounding { wide: outputs, ..engine }),
    ]);
    let four = Rounding { bits: &|_| Bits::Four, ..engine };
    all.extend([
        ("4 bits, largest weight is the last step", Rounding { fit: Fit::Largest, ..four }),
        ("4 bits", four),
        ("4 bits but in embedding and head", Rounding { bits: &|id| eight_if(is_table(id)), ..four }),
        ("4 bits but in x_proj and dt_proj", Rounding { bits: &|id| eight_if(selection(id)), ..four }),
        ("4 bits but in in_proj", Rounding { bits: &|id| eight_if(matches!(id, WeightId::InProj(_))), ..four }),
        ("4 bits but in out_proj and down_proj", Rounding { bits: &|id| eight_if(outputs(id)), ..four }),
        ("4 bits but in attention", Rounding { bits: &|id| eight_if(is_attention(id)), ..four }),
        ("as `pack --bits 4 --head-bits 8`", Rounding { bits: &|id| bits_of(id, WIDE_HEAD), ..four }),
        ("as `pack --bits 4`", Rounding { bits: &|id| bits_of(id, Widths::FOUR), ..four }),
    ]);
    all
}

const WIDE_HEAD: Widths = Widths { head: Bits::Eight, ..Widths::FOUR };

fn eight_if(wide: bool) -> Bits {
    if wide { Bits::Eight } else { Bits::Four }
}

fn is_table(id: WeightId) -> bool {
    matches!(id, WeightId::Embedding | WeightId::Head)
}

fn is_attention(id: WeightId) -> bool {
    matches!(id, WeightId::Query(_) | WeightId::Key(_) | WeightId::Value(_) | WeightId::Output(_))
}

fn selection(id: WeightId) -> bool {
    matches!(id, WeightId::XProj(_) | WeightId::DtProj(_))
}

fn outputs(id: WeightId) -> bool {
    use jamlet_tools::hf::Projection::Down;
    matches!(id, WeightId::OutProj(_) | WeightId::Mlp(_, Down) | WeightId::Expert(_, _, Down))
}
