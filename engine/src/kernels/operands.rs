//! What kernels read and write.

use super::cores::Columns;
use crate::matrix::QMatrix;
use crate::planned::planned;
use half::f16;

/// Rows of activations, quantized for a matrix product.
#[derive(Clone, Copy, Debug)]
pub struct Quantized<'a> {
    /// `(tokens, cols)`: int8 values, never −128; `cols` is padded with zeros to a multiple of 8.
    pub values: &'a [i8],
    /// `(tokens, groups)`: one scale a group.
    pub scales: &'a [f32],
    /// Padded columns.
    pub cols: usize,
    /// Columns of a group; the last one may be shorter.
    pub group: usize,
}

impl<'a> Quantized<'a> {
    /// Rows that have both values and scales.
    pub fn tokens(&self) -> usize {
        (self.values.len() / self.cols.max(1)).min(self.scales.len() / self.groups())
    }

    /// Groups of a row, at least one.
    fn groups(&self) -> usize {
        self.cols.div_ceil(self.group.max(1)).max(1)
    }

    /// The rows of `count` tokens from `first` on, as far as there are any.
    pub(super) fn slice(&self, first: usize, count: usize) -> Self {
        let rows = |length: usize, of_row: usize| {
            let begin = (first * of_row).min(length);
            begin..(begin + count * of_row).min(length)
        };
        Self {
            values: planned(self.values.get(rows(self.values.len(), self.cols))),
            scales: planned(self.scales.get(rows(self.scales.len(), self.groups()))),
            ..*self
        }
    }

    /// Values and scales of token `token`.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn row(&self, token: usize) -> (&'a [i8], &'a [f32]) {
        let groups = self.groups();
        let values = planned(self.values.get(token * self.cols..(token + 1) * self.cols));
        (values, planned(self.scales.get(token * groups..(token + 1) * groups)))
    }

    /// Values and scales of each token.
    pub fn rows(&self) -> impl Iterator<Item = (&'a [i8], &'a [f32])> + use<'a> {
        self.values.chunks_exact(self.cols.max(1)).zip(self.scales.chunks_exact(self.groups()))
    }
}

/// A product to compute: of [`Quantized`] rows and a matrix, transposed.
pub struct Product<'a> {
    pub(super) w: &'a QMatrix<'a>,
    /// `(tokens, w.rows)`.
    pub(super) out: Columns<'a>,
}

impl<'a> Product<'a> {
    /// The product with `w` into `out (tokens, w.rows)`.
    pub fn new(w: &'a QMatrix<'a>, out: &'a mut [f32]) -> Self {
        Self { w, out: Columns::new(out, w.rows()) }
    }
}

/// What the convolution of one chunk reads and writes, for some of the channels.
pub(super) struct Conv<'a> {
    /// `(tokens, channels)`: the inputs, the activated sums on return.
    pub u: Columns<'a>,
    /// `(K − 1, channels)`: the inputs before, which move on.
    pub history: Columns<'a>,
    /// `(K, stride)`.
    pub weight: &'a [f32],
    /// Numbers in a row of `weight`.
    pub stride: usize,
    /// Where these channels begin in it.
    pub first: usize,
    /// `(channels)`: a multiple of 8.
    pub bias: &'a [f32],
}

/// What the selective scan of one chunk reads and writes, for E channels (a multiple of 8) of N states.
pub struct Scan<'a, S> {
    /// `(tokens, E)`: the convolved input u on entry, the gated output on return.
    pub u: Columns<'a>,
    /// Where these channels begin in a row of `dt` and of `z`.
    pub first: usize,
    /// `(tokens, stride)`: step sizes after softplus.
    pub dt: &'a [f32],
    /// `(tokens, stride)`: the gate.
    pub z: &'a [f32],
    /// Numbers in a row of `dt` and of `z`.
    pub stride: usize,
    /// `(tokens, row)`: a row holds dt_rank numbers, then B (N numbers), then C (N numbers).
    pub bc: &'a [f32],
    /// Numbers in a row of `bc`.
    pub row: usize,
    /// `(E / 8, N, 8)`: −exp(A_log)·log2(e).
    pub a: &'a [f32],
    /// `(E)`: the skip connection.
    pub d: &'a [f32],
    /// `(E / 8, N, 8)`: the state h.
    pub state: &'a mut [S],
    /// N.
    pub d_state: usize,
}

/// What the scan of one chunk reads and writes where dt, B and C are constants of a channel, for E channels (a multiple of 8) of
/// N states.
pub struct S4dScan<'a, S> {
    /// `(tokens, E)`: the convolved input u on entry, the gated output on return.
    pub u: Columns<'a>,
    /// Where these channels begin in a row of `z`.
    pub first: usize,
    /// `(tokens, stride)`: the gate.
    pub z: &'a [f32],
    /// Numbers in a row of `z`.
    pub stride: usize,
    /// `(E / 8, N, 8)`: exp(dt·A).
    pub decay: &'a [f32],
    /// `(E / 8, N, 8)`: dt·B.
    pub b: &'a [f32],
    /// `(E / 8, N, 8)`: C.
    pub c: &'a [f32],
    /// `(E)`: the skip connection.
    pub d: &'a [f32],
    /// `(E / 8, N, 8)`: the state h.
    pub state: &'a mut [S],
    /// N.
    pub d_state: usize,
}

/// What the scan of one chunk reads and writes where a decay belongs to a head, for E channels (a multiple of 8) of N states.
pub struct SsdScan<'a, S> {
    /// `(tokens, E)`: the convolved input u on entry, the gated output on return.
    pub u: Columns<'a>,
    /// Where these channels begin in a row of `dt` and of `z`.
    pub first: usize,
    /// `(tokens, stride)`: step sizes of the channels' heads.
    pub dt: &'a [f32],
    /// `(tokens, stride)`: the gate.
    pub z: &'a [f32],
    /// Numbers in a row of `dt` and of `z`: the channels of all groups.
    pub stride: usize,
    /// `(tokens, row)`: a row holds B (N numbers) of every group, then C (N numbers) of every group.
    pub bc: &'a [f32],
    /// Numbers in a row of `bc`.
    pub row: usize,
    /// Channels of a group, which share B and C: a multiple of 8.
    pub shared: usize,
    /// `(E)`: −exp(A_log)·log2(e) of the channels' heads.
    pub a: &'a [f32],
    /// `(E)`: the skip connection.
    pub d: &'a [f32],
    /// `(E / 8, N, 8)`: the state h.
    pub state: &'a mut [S],
    /// N.
    pub d_state: usize,
}

impl<'a> SsdScan<'a, u8> {
    /// The same with the state as `cast` has it.
    pub(super) fn with_state<S>(self, cast: impl FnOnce(&'a mut [u8]) -> &'a mut [S]) -> SsdScan<'a, S> {
        let SsdScan { u, first, dt, z, stride, bc, row, shared, a, d, state, d_state } = self;
        SsdScan { u, first, dt, z, stride, bc, row, shared, a, d, state: cast(state), d_state }
    }
}

impl<'a> Scan<'a, u8> {
    /// The same with the state as `cast` has it.
    pub(super) fn with_state<S>(self, cast: impl FnOnce(&'a mut [u8]) -> &'a mut [S]) -> Scan<'a, S> {
        let Scan { u, first, dt, z, stride, bc, row, a, d, state, d_state } = self;
        Scan { u, first, dt, z, stride, bc, row, a, d, state: cast(state), d_state }
    }
}

impl<'a> S4dScan<'a, u8> {
    /// The same with the state as `cast` has it.
    pub(super) fn with_state<S>(self, cast: impl FnOnce(&'a mut [u8]) -> &'a mut [S]) -> S4dScan<'a, S> {
        let S4dScan { u, first, z, stride, decay, b, c, d, state, d_state } = self;
        S4dScan { u, first, z, stride, decay, b, c, d, state: cast(state), d_state }
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for u16 {}
}

/// A number of the SSM state as it is stored between tokens: `f32`, or `u16` for the bits of a half.
pub trait StateScalar: Copy + Send + bytemuck::Pod + sealed::Sealed {
    /// Whether it is the half.
    const HALF: bool;
    /// To the f32 in which it is computed.
    fn load(self) -> f32;
    /// Rounded to nearest even.
    fn store(value: f32) -> Self;
}

impl StateScalar for f32 {
    const HALF: bool = false;
    #[inline(always)]
    fn load(self) -> f32 {
        self
    }
    #[inline(always)]
    fn store(value: f32) -> Self {
        value
    }
}

/// IEEE 754 half precision, as its bits: plain integers can be cut from any 2-byte aligned buffer.
impl StateScalar for u16 {
    const HALF: bool = true;
    #[inline(always)]
    fn load(self) -> f32 {
        f16::from_bits(self).to_f32_const()
    }
    #[inline(always)]
    fn store(value: f32) -> Self {
        f16::from_f32_const(value).to_bits()
    }
}

/// How wide the state of the Mamba layers is stored between tokens. It is always computed in f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateWidth {
    /// 4 bytes a number, no loss.
    #[default]
    F32,
    /// 2 bytes a number.
    #[cfg(feature = "narrow-state")]
    F16,
    /// 1 byte a number and 1 a channel: see `kernels/int8_state.rs`.
    #[cfg(feature = "narrow-state")]
    I8,
}

impl StateWidth {
    /// Bytes of a channel's `d_state` numbers.
    pub(crate) const fn channel_bytes(self, d_state: u64) -> u64 {
        match self {
            Self::F32 => 4 * d_state,
            #[cfg(feature = "narrow-state")]
            Self::F16 => 2 * d_state,
            // And the exponent that they share.
            #[cfg(feature = "narrow-state")]
            Self::I8 => d_state + 1,
        }
    }
}

/// One head's softmax weights `(slots)`, which are used up, their sum, and where the weighted values go.
pub struct WeightedHead<'a> {
    /// `(slots)`.
    pub weights: &'a mut [f32],
    /// Sum of the weights.
    pub sum: f32,
    /// `(head_dim)`.
    pub out: &'a mut [f32],
}
