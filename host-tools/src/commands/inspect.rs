//! `jamlet inspect`.

use super::image::ImageArgs;
use super::{print_json, size};
use anyhow::Result;
use clap::Args;
use jamlet::image::{FeedForward, Header, Mixer, features};
use jamlet::model::Model;
use jamlet::state::snapshot;
use jamlet_tools::image_file::ImageFile;
use jamlet_tools::pack::kind;
use jamlet_tools::text;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;

/// Shows what an image holds
#[derive(Args, Debug)]
pub struct Inspect {
    #[command(flatten)]
    image: ImageArgs,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    image: String,
    bytes: u64,
    checksum: String,
    version: u32,
    sizes: BTreeMap<&'static str, u32>,
    rms_norm_eps: f32,
    tied: bool,
    bos: Option<u32>,
    /// One letter a layer: M Mamba, A attention, S S4D; lower case with a mixture of experts.
    layers: String,
    prompt_prefix: Vec<u32>,
    prompt_suffix: Vec<u32>,
    stop_tokens: Vec<u32>,
    tokenizer: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    baked: Option<BakedPrompt>,
    bytes_by_kind: BTreeMap<&'static str, u64>,
    provenance: serde_json::Value,
}

/// A baked prompt, and the options of the sessions that start from it.
#[derive(Serialize)]
struct BakedPrompt {
    tokens: Vec<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    window: u32,
    sinks: u32,
    state_bytes_per_number: u32,
}

impl Inspect {
    /// Checks the image and prints its parts.
    pub fn run(&self) -> Result<()> {
        let file = self.image.open()?;
        let report = report(&file, &file.model()?);
        if self.json {
            return print_json(&report);
        }
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "{}: {}, format {}, checksum {}",
            report.image,
            size(report.bytes),
            report.version,
            report.checksum
        )?;
        writeln!(out, "\nlayers  {}  (M Mamba, A attention, S S4D; lower case: mixture of experts)", report.layers)?;
        for (name, value) in &report.sizes {
            writeln!(out, "  {name:<20} {value}")?;
        }
        writeln!(out, "  {:<20} {}", "rms_norm_eps", report.rms_norm_eps)?;
        writeln!(out, "  {:<20} {}", "head", if report.tied { "tied to the embedding" } else { "its own" })?;
        writeln!(out, "\ntokenizer  {}", if report.tokenizer { "in the image" } else { "none: token ids only" })?;
        writeln!(
            out,
            "  begins with {:?}, asks with {:?}, stops at {:?}",
            report.prompt_prefix, report.prompt_suffix, report.stop_tokens
        )?;
        if let Some(baked) = &report.baked {
            writeln!(
                out,
                "  {} tokens baked in, for window {}, sinks {}, {} bytes a number of the state: {:?}",
                baked.tokens.len(),
                baked.window,
                baked.sinks,
                baked.state_bytes_per_number,
                baked.text.as_deref().unwrap_or_default()
            )?;
        }
        writeln!(out, "\nbytes")?;
        let mut parts: Vec<(String, u64)> = report.bytes_by_kind.iter().map(|(k, b)| ((*k).into(), *b)).collect();
        parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        super::print_bars(&parts)?;
        writeln!(out, "\nprovenance  {}", report.provenance)?;
        Ok(())
    }
}

fn report(file: &ImageFile, model: &Model<'_>) -> Report {
    let header = model.header();
    let prompt = model.prompt();
    let mut kinds = BTreeMap::new();
    let mut provenance = serde_json::Value::Null;
    for (expected, section) in model.image().sections() {
        *kinds.entry(kind(expected.role)).or_insert(0) += section.bytes.len() as u64;
        if expected.role == jamlet::image::Role::Provenance {
            provenance = serde_json::from_slice(section.bytes)
                .unwrap_or_else(|_| String::from_utf8_lossy(section.bytes).into_owned().into());
        }
    }
    Report {
        image: file.name().into(),
        bytes: header.length,
        checksum: format!("{:08x}", model.image().checksum()),
        version: jamlet::image::VERSION,
        sizes: sizes(header),
        rms_norm_eps: header.eps,
        tied: header.has(features::TIED),
        bos: header.bos,
        layers: (0..header.layers).filter_map(|i| model.image().layer(i)).map(letter).collect(),
        prompt_prefix: prompt.prefix().collect(),
        prompt_suffix: prompt.suffix().collect(),
        stop_tokens: prompt.stops().collect(),
        tokenizer: header.has(features::TOKENIZER),
        baked: model.baked().and_then(|baked| {
            let made_for = snapshot::made_for(baked.snapshot())?;
            let tokens: Vec<u32> = baked.tokens().collect();
            Some(BakedPrompt {
                text: text::decode(model, &tokens).ok(),
                tokens,
                window: made_for.window,
                sinks: made_for.sinks,
                state_bytes_per_number: made_for.state_width,
            })
        }),
        bytes_by_kind: kinds,
        provenance,
    }
}

fn letter(kind: jamlet::image::LayerKind) -> char {
    let letter = match kind.mixer {
        Mixer::Mamba => 'M',
        Mixer::Attention => 'A',
        Mixer::S4d => 'S',
    };
    if kind.ffn == FeedForward::Moe { letter.to_ascii_lowercase() } else { letter }
}

fn sizes(h: &Header) -> BTreeMap<&'static str, u32> {
    BTreeMap::from([
        ("vocab_size", h.vocab),
        ("hidden_size", h.hidden),
        ("intermediate_size", h.intermediate),
        ("num_attention_heads", h.heads),
        ("num_key_value_heads", h.kv_heads),
        ("head_dim", h.head_dim),
        ("d_inner", h.d_inner),
        ("d_state", h.d_state),
        ("d_conv", h.d_conv),
        ("dt_rank", h.dt_rank),
        ("num_experts", h.experts),
        ("num_experts_per_tok", h.top_k),
        ("group_size", h.group),
    ])
}
