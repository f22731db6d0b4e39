//! From a Hugging Face folder to an image.
//!
//! Tensors stream: at any time only a few MiB of one tensor are in memory, however large the model is. What measures on a text first,
//! [`crate::calibrate`], holds the whole model.

mod bits;
mod blocks;
mod mamba2;
mod multipliers;
mod quantize;
mod rewrite;
mod sizes;
mod source;
mod writer;

use crate::destination::Destination;
use crate::hf::config::{Family, Mamba2Config};
use crate::hf::{JambaConfig, Weights};
use anyhow::{Context, Result, ensure};
pub use bits::{Choice, Widths, bits_of};
pub use blocks::Blocks;
use jamlet::image::{Header, Mixer, Role, features};
use jamlet::matrix::NIBBLE_GROUP;
pub(crate) use multipliers::factor;
pub use quantize::{Fit, Format, Noise, round_trip};
pub(crate) use quantize::{nibble, nibble_scale};
pub use rewrite::rewrite;
pub use sizes::{MatrixSize, Sizes, sizes};
use source::Folder;
use std::io::Write as _;
use std::path::Path;
pub use writer::{Blobs, Source, Written, tables, write};

/// Columns that share a scale where nothing else is asked for; see `quantization.md` beside this file.
pub const DEFAULT_GROUP: u32 = 32;

/// What a caller chooses.
#[derive(Clone, Debug)]
pub struct Options {
    /// Columns that share a scale: a multiple of 8, from 8 to 1,024.
    pub group: u32,
    /// Bits of a weight.
    pub bits: Choice,
    /// How scales are chosen.
    pub fit: Fit,
}

impl Default for Options {
    fn default() -> Self {
        Self { group: DEFAULT_GROUP, bits: Widths::EIGHT.into(), fit: Fit::Search }
    }
}

/// A finished image.
#[derive(Clone, Debug)]
pub struct Packed {
    /// Its bytes.
    pub length: u64,
    /// Its sections in the order of the file.
    pub sections: Vec<Written>,
    /// Numbers in the checkpoint, counting a tied head once.
    pub parameters: u64,
}

/// Packs the weights of a folder, with `text` of its tokenizer, into `out`. `progress` hears of bytes written and bytes in
/// all. An image that was there before is replaced only by a complete new one.
///
/// # Errors
/// What is wrong with the folder, or with writing.
pub fn pack(
    weights: &Weights,
    blobs: &Blobs,
    options: Options,
    out: &Path,
    mut progress: impl FnMut(u64, u64),
) -> Result<Packed> {
    ensure!(
        (8..=1024).contains(&options.group) && options.group.is_multiple_of(8),
        "a group of {} columns; a multiple of 8 from 8 to 1024 would be right",
        options.group
    );
    ensure!(
        options.bits.is_eight() || options.group as usize == NIBBLE_GROUP,
        "a group of {} columns; with 4 bits a weight, {NIBBLE_GROUP} would be right",
        options.group
    );
    ensure!(
        multipliers::eps(weights.config()) <= 1.0,
        "residual_multiplier {}: with rms_norm_eps {} it can't be less than {}",
        weights.config().multipliers.residual,
        weights.config().rms_norm_eps,
        weights.config().rms_norm_eps.sqrt()
    );
    let layers: Vec<_> = weights.config().layers().collect();
    let header = header(weights.config(), options.group, blobs);
    let destination = Destination::new(out, [])?;
    let mut file = destination.draft()?;
    let mut writer = Blocks::new(file.as_file_mut());
    let mut source = Folder::new(weights, header.d_inner as usize, &options);
    let sections = write(header, &layers, &mut source, blobs, &mut writer, &mut progress)
        .with_context(|| out.display().to_string())?;
    writer.flush().with_context(|| out.display().to_string())?;
    drop(writer);
    let length = file.as_file().metadata()?.len();
    destination.publish(file)?;
    Ok(Packed { length, sections, parameters: parameters(weights) })
}

/// The image's sizes for a config.
fn header(c: &JambaConfig, group: u32, blobs: &Blobs) -> Header {
    let mut flags = 0;
    for (blob, feature) in [
        (&blobs.tokenizer, features::TOKENIZER),
        (&blobs.template, features::TEMPLATE),
        (&blobs.sampling, features::SAMPLING),
    ] {
        if !blob.is_empty() {
            flags |= feature;
        }
    }
    if c.tie_word_embeddings {
        flags |= features::TIED;
    }
    if c.mamba_proj_bias {
        flags |= features::PROJ_BIAS;
    }
    if c.family == Family::Mamba {
        flags |= features::PLAIN_MAMBA;
    }
    let unless_pure = |size: usize| if c.family.is_pure_mamba() { 0 } else { size as u32 };
    let mixture = c.has_mixtures();
    let mamba2 = c.mamba2.filter(|_| c.layers().any(|kind| kind.mixer == Mixer::Mamba2));
    let Mamba2Config { heads, groups, step_limit } =
        mamba2.unwrap_or(Mamba2Config { heads: 0, groups: 0, step_limit: Header::EMPTY.step_limit });
    Header {
        features: flags,
        vocab: c.vocab_size as u32,
        hidden: c.hidden_size as u32,
        intermediate: unless_pure(c.intermediate_size),
        heads: unless_pure(c.num_attention_heads),
        kv_heads: unless_pure(c.num_key_value_heads),
        head_dim: unless_pure(c.head_dim),
        d_inner: mamba2::padded_channels(c) as u32,
        d_state: c.mamba_d_state as u32,
        d_conv: c.mamba_d_conv as u32,
        dt_rank: if heads > 0 { 0 } else { c.mamba_dt_rank as u32 },
        experts: if mixture { c.num_experts as u32 } else { 0 },
        top_k: if mixture { c.num_experts_per_tok as u32 } else { 0 },
        group,
        eps: multipliers::eps(c),
        mixer_eps: if heads > 0 { mamba2::padded_eps(c) } else { c.mixer_rms_eps },
        ssm_heads: heads as u32,
        ssm_head_dim: c.mamba_d_inner.checked_div(heads).unwrap_or(0) as u32,
        ssm_groups: groups as u32,
        step_limit,
        shared_intermediate: c.shared_intermediate_size as u32,
        bos: c.bos_token_id,
        ..Header::EMPTY
    }
}

/// Numbers in all weights, a tied head counted once.
pub fn parameters(weights: &Weights) -> u64 {
    let tied = weights.config().tie_word_embeddings;
    let ids = weights.ids().iter().filter(|&&id| !(tied && id == crate::hf::WeightId::Head));
    ids.map(|&id| (weights.matrix(id).rows() * weights.matrix(id).cols()) as u64).sum()
}

/// What a section's bytes count as in a report.
pub fn kind(role: Role) -> &'static str {
    match role {
        Role::Embedding => "embedding",
        Role::Head => "head",
        Role::Tokenizer => "tokenizer",
        Role::Baked => "baked prompt",
        Role::Prompt | Role::Template | Role::Sampling | Role::Provenance | Role::Summary | Role::Signature => {
            "prompt, provenance, summary, signature"
        }
        Role::FinalNorm | Role::MixerNorm | Role::FfnNorm => "norms",
        Role::AttentionQ | Role::AttentionK | Role::AttentionV | Role::AttentionO => "attention",
        Role::Router | Role::Gate | Role::Up | Role::Down | Role::SharedGate | Role::SharedUp | Role::SharedDown => {
            "feed-forward"
        }
        _ => "Mamba",
    }
}
