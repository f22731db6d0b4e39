//! The sections of an image from the tensors of a checkpoint: which tensor, and in which shape.

use super::Options;
use super::quantize::Fit;
use super::writer::Source;
use super::{mamba2, multipliers};
use crate::hf::config::Family;
use crate::hf::{Matrix, Projection, WeightId, Weights};
use anyhow::Result;
use jamlet::image::layout::SectionSpec;
use jamlet::image::{NONE_U16, Role};
use jamlet::matrix::Bits;
use std::f64::consts::LOG2_E;
use std::ops::Range;

/// A checked Hugging Face folder as the image wants it: channels padded to a multiple of 8, convolution and A transposed.
pub struct Folder<'a> {
    weights: &'a Weights,
    /// Mamba channels of the image.
    d_inner: usize,
    options: &'a Options,
    /// Read here before it is rearranged.
    scratch: Vec<f32>,
}

/// How a section is made of its tensor.
enum Shape {
    /// Rows of the tensor from `first`, of which there are `count`; what is missing of rows and columns is zero.
    Rows { first: usize, count: usize },
    /// The whole tensor, transposed: one row of the tensor is one column.
    Transposed,
    /// `f(dt, x)` of every number x of the tensor, in blocks of 8 rows; dt is the row's number in another tensor, of which the
    /// exponential is taken, or 1.
    Blocks { log_dt: Option<WeightId>, f: fn(f64, f64) -> f64 },
    /// All ones: a norm without weights.
    Ones,
    /// All zeros: the checkpoint has no such tensor.
    Zeros,
    /// As [`mamba2`] says.
    Mamba2,
}

impl<'a> Folder<'a> {
    pub fn new(weights: &'a Weights, d_inner: usize, options: &'a Options) -> Self {
        Self { weights, d_inner, options, scratch: Vec::new() }
    }

    /// The tensor of a section, and how it is rearranged; `None` for one that isn't made of a tensor.
    fn origin(&self, section: &SectionSpec) -> Option<(WeightId, Shape)> {
        use WeightId as W;
        let l = usize::from(section.layer);
        let c = self.weights.config();
        let e = c.mamba_d_inner;
        if c.mamba2.is_some()
            && let Some(id) = mamba2::tensor(section.role, l)
        {
            return Some((id, Shape::Mamba2));
        }
        let id = match section.role {
            Role::Tokenizer
            | Role::Prompt
            | Role::Template
            | Role::Sampling
            | Role::Provenance
            | Role::Baked
            | Role::Summary
            | Role::Signature => return None,
            Role::Embedding => W::Embedding,
            Role::FinalNorm => W::FinalNorm,
            Role::Head => W::Head,
            Role::MixerNorm => W::MixerNorm(l),
            Role::MambaInX => return Some((W::InProj(l), Shape::Rows { first: 0, count: e })),
            Role::MambaInZ => return Some((W::InProj(l), Shape::Rows { first: e, count: e })),
            Role::MambaInBias => W::InProjBias(l),
            Role::MambaConv => return Some((W::Conv(l), Shape::Transposed)),
            Role::MambaConvBias if !c.mamba_conv_bias => return Some((W::Conv(l), Shape::Zeros)),
            Role::MambaConvBias => W::ConvBias(l),
            Role::MambaXProj => W::XProj(l),
            // Any tensor of the layer names a section that has none.
            Role::MambaDtNorm | Role::MambaBNorm | Role::MambaCNorm if c.family == Family::FalconMamba => {
                return Some((W::XProj(l), Shape::Ones));
            }
            Role::MambaDtNorm => W::DtNorm(l),
            Role::MambaBNorm => W::BNorm(l),
            Role::MambaCNorm => W::CNorm(l),
            Role::MambaDtProj => W::DtProj(l),
            Role::MambaDtBias => W::DtProjBias(l),
            Role::MambaA => return Some((W::ALog(l), Shape::Blocks { log_dt: None, f: decay })),
            Role::S4dDecay => return Some((W::ALog(l), constants(l, |dt, a| (-dt * a.exp()).exp()))),
            Role::S4dB => return Some((W::S4dB(l), constants(l, |dt, b| dt * b))),
            Role::S4dC => return Some((W::S4dC(l), constants(l, |_, c| c))),
            Role::Mamba2InBc
            | Role::Mamba2InDt
            | Role::Mamba2BcBias
            | Role::Mamba2BcConv
            | Role::Mamba2BcConvBias
            | Role::Mamba2DtBias
            | Role::Mamba2A
            | Role::Mamba2Norm => return None,
            Role::MambaD => W::D(l),
            Role::MambaOut => W::OutProj(l),
            Role::MambaOutBias => W::OutProjBias(l),
            Role::AttentionQ => W::Query(l),
            Role::AttentionK => W::Key(l),
            Role::AttentionV => W::Value(l),
            Role::AttentionO => W::Output(l),
            Role::FfnNorm => W::FfnNorm(l),
            Role::Router => W::Router(l),
            Role::Gate => projection(section, Projection::Gate),
            Role::Up => projection(section, Projection::Up),
            Role::Down => projection(section, Projection::Down),
            Role::SharedGate => W::Shared(l, Projection::Gate),
            Role::SharedUp => W::Shared(l, Projection::Up),
            Role::SharedDown => W::Shared(l, Projection::Down),
        };
        // The bias of in_proj is one row in the checkpoint and two in the image.
        let count = if section.role == Role::MambaInBias { 2 } else { self.weights.matrix(id).rows() };
        Some((id, Shape::Rows { first: 0, count }))
    }

    /// Appends `rows`, padded with zeros to `cols`, of the `count` rows of `matrix` that begin at `first`.
    fn copy(
        &mut self,
        matrix: &Matrix,
        (first, count): (usize, usize),
        rows: Range<usize>,
        cols: usize,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        let there = rows.start.min(count)..rows.end.min(count);
        // What the image has as several rows may be a single one in the checkpoint.
        let width = if matrix.rows() < count { matrix.cols() / count } else { matrix.cols() };
        if width == matrix.cols() {
            matrix.read_rows(first + there.start..first + there.end, &mut self.scratch)?;
        } else {
            matrix.read_rows(0..matrix.rows(), &mut self.scratch)?;
            self.scratch.truncate(there.end * width);
            self.scratch.drain(..there.start * width);
        }
        if width == cols {
            out.append(&mut self.scratch);
        } else {
            for row in self.scratch.chunks_exact(width) {
                out.extend_from_slice(row);
                out.resize(out.len() + cols - width, 0.0);
            }
        }
        out.resize(out.len() + (rows.len() - there.len()) * cols, 0.0);
        Ok(())
    }
}

fn projection(section: &SectionSpec, which: Projection) -> WeightId {
    let layer = usize::from(section.layer);
    match section.expert {
        NONE_U16 => WeightId::Mlp(layer, which),
        expert => WeightId::Expert(layer, usize::from(expert), which),
    }
}

impl Source for Folder<'_> {
    fn rows(&mut self, section: &SectionSpec, rows: Range<usize>, out: &mut Vec<f32>) -> Result<()> {
        let Some((id, shape)) = self.origin(section) else { return Ok(()) };
        let matrix = self.weights.matrix(id).clone();
        let cols = section.shape.map_or(0, |(_, cols)| cols as usize);
        let begin = out.len();
        match shape {
            Shape::Mamba2 => mamba2::rows(self.weights, section, rows, out)?,
            Shape::Rows { first, count } => self.copy(&matrix, (first, count), rows, cols, out)?,
            Shape::Zeros => out.resize(out.len() + rows.len() * cols, 0.0),
            Shape::Transposed => {
                matrix.read_rows(0..matrix.rows(), &mut self.scratch)?;
                for tap in rows {
                    out.extend(self.scratch.chunks_exact(matrix.cols()).map(|taps| taps[tap]));
                    out.resize(out.len() + cols - matrix.rows(), 0.0);
                }
            }
            Shape::Ones => out.resize(out.len() + rows.len() * cols, 1.0),
            Shape::Blocks { log_dt, f } => {
                matrix.read_rows(0..matrix.rows(), &mut self.scratch)?;
                let states = matrix.cols();
                let mut steps = match log_dt {
                    Some(id) => self.weights.matrix(id).read()?.iter().map(|log| f64::from(*log).exp()).collect(),
                    None => vec![1.0; matrix.rows()],
                };
                // Channels that pad the last block keep a state of zero, whatever their constants.
                self.scratch.resize(self.d_inner * states, 0.0);
                steps.resize(self.d_inner, 0.0);
                for row in rows {
                    let (block, state) = (row / states, row % states);
                    let channels = self.scratch.chunks_exact(states).zip(&steps).skip(8 * block).take(8);
                    out.extend(channels.map(|(x, dt)| f(*dt, f64::from(x[state])) as f32));
                }
            }
        }
        let factor = multipliers::factor(self.weights.config(), id);
        if factor != 1.0 {
            out[begin..].iter_mut().for_each(|x| *x *= factor);
        }
        Ok(())
    }

    fn bits(&self, section: &SectionSpec) -> Bits {
        self.id(section).map_or(Bits::Eight, |id| self.options.bits.bits(id))
    }

    fn id(&self, section: &SectionSpec) -> Option<WeightId> {
        self.origin(section).map(|(id, _)| id)
    }

    fn fit(&self) -> Fit {
        self.options.fit
    }

    fn name(&self, section: &SectionSpec) -> String {
        let Some((id, shape)) = self.origin(section) else {
            return format!("{:?}", section.role).to_lowercase();
        };
        let name = self.weights.matrix(id).tensor().name();
        match (section.role, shape) {
            (Role::MambaInX, _) => format!("{name} (x)"),
            (Role::MambaInZ, _) => format!("{name} (z)"),
            (Role::Mamba2InBc | Role::Mamba2BcConv, _) => format!("{name} (B and C)"),
            (Role::Mamba2InDt, _) => format!("{name} (dt)"),
            (role, Shape::Ones) => format!("{role:?} (no weights)"),
            (_, Shape::Zeros) => format!("{name} (no bias)"),
            // Fused tensors hold more than one matrix.
            (Role::SharedGate | Role::SharedUp | Role::SharedDown, _) => {
                format!("{name} ({})", format!("{:?}", section.role).trim_start_matches("Shared").to_lowercase())
            }
            (Role::Gate | Role::Up | Role::Down, _)
                if section.expert == NONE_U16 && !name.ends_with("_proj.weight") =>
            {
                format!("{name} ({})", format!("{:?}", section.role).to_lowercase())
            }
            (Role::Gate | Role::Up | Role::Down, _) if !name.ends_with("_proj.weight") => {
                let part = format!("{:?}", section.role).to_lowercase();
                format!("{name} ({part} of expert {})", section.expert)
            }
            _ => name.to_owned(),
        }
    }
}

/// A in powers of two. Where it is too large for f32, the state is gone after a step with the largest f32 as well: a step of 1e-36 takes it
/// below the smallest.
fn decay(_: f64, log: f64) -> f64 {
    -(log.exp() * LOG2_E).min(f64::from(f32::MAX))
}

/// What an S4D layer computes of its tensors once, in f64, rounded at the end.
fn constants(layer: usize, f: fn(f64, f64) -> f64) -> Shape {
    Shape::Blocks { log_dt: Some(WeightId::LogDt(layer)), f }
}
