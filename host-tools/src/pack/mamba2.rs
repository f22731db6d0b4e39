//! The sections of a Mamba-2 layer: in_proj and the convolution in parts, what belongs to a head repeated for its channels, and
//! the channels of every group padded to a multiple of 8.

use crate::hf::{JambaConfig, WeightId, Weights};
use anyhow::Result;
use jamlet::image::Role;
use jamlet::image::layout::SectionSpec;
use std::f64::consts::LOG2_E;
use std::ops::Range;

/// Channels of the checkpoint and of the image.
#[derive(Clone, Copy)]
struct Channels {
    /// Channels of a group.
    group: usize,
    /// The same in the image.
    padded: usize,
    /// Channels of a head.
    head: usize,
}

/// Channels of an image's Mamba-2 layer.
pub(super) fn padded_channels(c: &JambaConfig) -> usize {
    let groups = c.mamba2.map_or(1, |mamba2| mamba2.groups);
    groups * (c.mamba_d_inner / groups).next_multiple_of(8)
}

/// What the epsilon of the norm of a group becomes, where padding takes part in the mean.
pub(super) fn padded_eps(c: &JambaConfig) -> f32 {
    (f64::from(c.mixer_rms_eps) * c.mamba_d_inner as f64 / padded_channels(c) as f64) as f32
}

/// The tensor of a section, if it is one of a Mamba-2 layer's that differ from those of the tensor.
pub(super) fn tensor(role: Role, layer: usize) -> Option<WeightId> {
    Some(match role {
        Role::MambaInX | Role::MambaInZ | Role::Mamba2InBc | Role::Mamba2InDt => WeightId::InProj(layer),
        Role::MambaInBias | Role::Mamba2BcBias => WeightId::InProjBias(layer),
        // A checkpoint without a bias has the convolution all the same.
        Role::MambaConv | Role::Mamba2BcConv | Role::MambaConvBias | Role::Mamba2BcConvBias => WeightId::Conv(layer),
        Role::Mamba2DtBias => WeightId::DtBias(layer),
        Role::Mamba2A => WeightId::ALog(layer),
        Role::MambaD => WeightId::D(layer),
        Role::Mamba2Norm => WeightId::GatedNorm(layer),
        Role::MambaOut => WeightId::OutProj(layer),
        _ => return None,
    })
}

/// Appends `rows` of a section that [`tensor`] knows.
pub(super) fn rows(weights: &Weights, section: &SectionSpec, rows: Range<usize>, out: &mut Vec<f32>) -> Result<()> {
    let (c, l) = (weights.config(), usize::from(section.layer));
    let Some((mamba2, id)) = c.mamba2.zip(tensor(section.role, l)) else { return Ok(()) };
    let (e, bc) = (c.mamba_d_inner, 2 * mamba2.groups * c.mamba_d_state);
    let channels =
        Channels { group: e / mamba2.groups, padded: (e / mamba2.groups).next_multiple_of(8), head: e / mamba2.heads };
    let cols = section.shape.map_or(0, |(_, cols)| cols as usize);
    let matrix = weights.matrix(id);
    let conv_bias = || match weights.get(WeightId::ConvBias(l)) {
        Some(bias) => bias.read(),
        None => Ok(vec![0.0; e + bc]),
    };
    match section.role {
        Role::MambaInZ => channels.rows(0, rows, cols, &mut |rows, out| matrix.read_rows(rows, out), out)?,
        Role::MambaInX => channels.rows(e, rows, cols, &mut |rows, out| matrix.read_rows(rows, out), out)?,
        Role::Mamba2InBc | Role::Mamba2InDt => {
            let (first, count) =
                if section.role == Role::Mamba2InBc { (2 * e, bc) } else { (2 * e + bc, mamba2.heads) };
            let mut there = Vec::new();
            matrix.read_rows(first + rows.start.min(count)..first + rows.end.min(count), &mut there)?;
            let end = out.len() + rows.len() * cols;
            out.append(&mut there);
            out.resize(end, 0.0);
        }
        Role::MambaInBias => {
            let bias = matrix.read()?;
            for row in rows {
                // x, then z, which comes first in the checkpoint.
                channels.spread(&bias[if row == 0 { e..2 * e } else { 0..e }], out);
            }
        }
        Role::Mamba2BcBias => pad(&matrix.read()?[2 * e..2 * e + bc], cols, out),
        Role::MambaConv | Role::Mamba2BcConv => {
            let taps = matrix.read()?;
            for tap in rows {
                let row: Vec<f32> = taps.chunks_exact(matrix.cols()).map(|taps| taps[tap]).collect();
                match section.role {
                    Role::MambaConv => channels.spread(&row[..e], out),
                    _ => pad(&row[e..], cols, out),
                }
            }
        }
        Role::MambaConvBias => channels.spread(&conv_bias()?[..e], out),
        Role::Mamba2BcConvBias => pad(&conv_bias()?[e..], cols, out),
        Role::Mamba2DtBias => {
            let bias = matrix.read()?;
            match weights.get(WeightId::InProjBias(l)) {
                Some(input) => out.extend(bias.iter().zip(&input.read()?[2 * e + bc..]).map(|(a, b)| a + b)),
                None => out.extend(bias),
            }
        }
        Role::Mamba2A => {
            // In powers of two; see `decay` beside this file.
            let a = |log: &f32| -(f64::from(*log).exp() * LOG2_E).min(f64::from(f32::MAX)) as f32;
            channels.of_heads(&matrix.read()?, a, out);
        }
        Role::MambaD => channels.of_heads(&matrix.read()?, |d| *d, out),
        Role::Mamba2Norm => {
            let factor = (channels.group as f64 / channels.padded as f64).sqrt();
            let weight: Vec<f32> = matrix.read()?.iter().map(|w| (f64::from(*w) * factor) as f32).collect();
            channels.spread(&weight, out);
        }
        _ => {
            let mut there = Vec::new();
            matrix.read_rows(rows, &mut there)?;
            there.chunks_exact(matrix.cols()).for_each(|row| channels.spread(row, out));
        }
    }
    Ok(())
}

/// Appends the values of these rows.
type ReadRows<'a> = dyn FnMut(Range<usize>, &mut Vec<f32>) -> Result<(), crate::hf::ImportError> + 'a;

impl Channels {
    /// A row of numbers, one a channel, as the image has it.
    fn spread(self, row: &[f32], out: &mut Vec<f32>) {
        row.chunks_exact(self.group).for_each(|group| pad(group, self.padded, out));
    }

    /// What belongs to heads, given to each of their channels.
    fn of_heads(self, heads: &[f32], f: impl Fn(&f32) -> f32, out: &mut Vec<f32>) {
        let channels: Vec<f32> = heads.iter().flat_map(|head| std::iter::repeat_n(f(head), self.head)).collect();
        self.spread(&channels, out);
    }

    /// Appends `rows` of the image's channels of `cols` numbers; those of the checkpoint begin at `first` and are read by `read`.
    fn rows(
        self,
        first: usize,
        rows: Range<usize>,
        cols: usize,
        read: &mut ReadRows<'_>,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        let (mut at, mut there) = (rows.start, Vec::new());
        while at < rows.end {
            let (group, within) = (at / self.padded, at % self.padded);
            // A group's channels, then its padding.
            let end = if within < self.group { self.group } else { self.padded };
            let count = (end - within).min(rows.end - at);
            if within < self.group {
                let from = first + group * self.group + within;
                read(from..from + count, &mut there)?;
                out.append(&mut there);
            } else {
                out.resize(out.len() + count * cols, 0.0);
            }
            at += count;
        }
        Ok(())
    }
}

/// Appends `row`, padded with zeros to `width`.
fn pad(row: &[f32], width: usize, out: &mut Vec<f32>) {
    let end = out.len() + width;
    out.extend_from_slice(row);
    out.resize(end, 0.0);
}
