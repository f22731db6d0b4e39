//! The scan of Mamba-2 but for its arithmetic: its channels in blocks of eight, and what a token brings to them. Instruction sets
//! differ in how many blocks and tokens they take at a time.

use super::cores::Columns;
use super::operands::{SsdScan, StateScalar};
use super::portable::as_blocks_mut;

/// What a scan reads beside u and the state.
#[derive(Clone, Copy)]
pub(super) struct SsdRows<'a> {
    first: usize,
    dt: &'a [f32],
    z: &'a [f32],
    stride: usize,
    bc: &'a [f32],
    row: usize,
    shared: usize,
    /// Where C of the first group begins in a row of `bc`: behind B of the last.
    c_begin: usize,
    a: &'a [f32],
    d: &'a [f32],
    d_state: usize,
}

/// What one token brings to `P` blocks of one group, whose u is beside it.
#[derive(Clone, Copy)]
pub(super) struct SsdStep<'a, const P: usize> {
    /// `(N)`.
    pub b: &'a [f32],
    /// `(N)`.
    pub c: &'a [f32],
    pub dt: &'a [[f32; 8]; P],
    pub z: &'a [[f32; 8]; P],
    pub a: &'a [[f32; 8]; P],
    pub d: &'a [[f32; 8]; P],
}

impl<'a> SsdRows<'a> {
    /// What a scan reads, its u, and its state; `None` without groups.
    #[inline(always)]
    pub(super) fn new<S>(scan: SsdScan<'a, S>) -> Option<(Self, Columns<'a>, &'a mut [S])> {
        let SsdScan { u, first, dt, z, stride, bc, row, shared, a, d, state, d_state } = scan;
        let c_begin = stride.checked_div(shared)? * d_state;
        Some((Self { first, dt, z, stride, bc, row, shared, c_begin, a, d, d_state }, u, state))
    }

    /// Cuts `state`: what can be taken `p` blocks of a group at a time, what lies before it and what behind, each with its first
    /// channel.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) fn cut<'s, S>(&self, p: usize, state: &'s mut [S]) -> [(usize, &'s mut [S]); 3] {
        let channels = self.d.len();
        let begin = match self.shared.is_multiple_of(8 * p) {
            true => (self.first.next_multiple_of(8 * p) - self.first).min(channels),
            false => channels,
        };
        let count = (channels - begin) / (8 * p) * (8 * p);
        let (before, rest) = state.split_at_mut((begin * self.d_state).min(state.len()));
        let (whole, behind) = rest.split_at_mut((count * self.d_state).min(rest.len()));
        [(0, before), (begin, whole), (begin + count, behind)]
    }

    /// What `token` brings to the `P` blocks from `channel` on of these; `None` where not all of it is there.
    #[inline(always)]
    fn step<const P: usize>(&self, token: usize, channel: usize) -> Option<SsdStep<'a, P>> {
        let (of_all, n) = (self.first + channel, self.d_state);
        let b_begin = of_all.checked_div(self.shared)? * n;
        let bc = self.bc.get(token * self.row..(token + 1) * self.row)?;
        let at = token * self.stride + of_all;
        Some(SsdStep {
            b: bc.get(b_begin..b_begin + n)?,
            c: bc.get(self.c_begin + b_begin..self.c_begin + b_begin + n)?,
            dt: blocks(self.dt, at)?,
            z: blocks(self.z, at)?,
            a: blocks(self.a, channel)?,
            d: blocks(self.d, channel)?,
        })
    }

    /// Takes the channels from `channel` on, whose state `state` is, through all tokens: `P` blocks and `T` tokens at a time by
    /// `several`, and what tokens are left by `one`. These get the blocks' state `(P, N, 8)`, what each token brings, and its
    /// u `(P, 8)`, in whose place they put the outputs.
    #[inline(always)]
    pub(super) fn through<S: StateScalar, const P: usize, const T: usize>(
        &self,
        (channel, state): (usize, &mut [S]),
        u: &mut Columns<'_>,
        several: impl Fn(&mut [[S; 8]], [SsdStep<'_, P>; T], &mut [[[f32; 8]; P]; T]),
        one: impl Fn(&mut [[S; 8]], [SsdStep<'_, P>; 1], &mut [[[f32; 8]; P]; 1]),
    ) {
        let tokens = self.bc.len() / self.row.max(1);
        for (index, state) in state.chunks_exact_mut((8 * P * self.d_state).max(1)).enumerate() {
            let (state, channel) = (as_blocks_mut(state), channel + 8 * P * index);
            let mut token = 0;
            while T > 1 && token + T <= tokens {
                self.some(token, channel, u, state, &several);
                token += T;
            }
            for token in token..tokens {
                self.some(token, channel, u, state, &one);
            }
        }
    }

    /// The same, one token after the other.
    #[inline(always)]
    pub(super) fn through_each<S: StateScalar, const P: usize>(
        &self,
        part: (usize, &mut [S]),
        u: &mut Columns<'_>,
        one: impl Fn(&mut [[S; 8]], [SsdStep<'_, P>; 1], &mut [[[f32; 8]; P]; 1]),
    ) {
        self.through(part, u, &one, &one);
    }

    /// `T` tokens from `token` on; none of them if not all is there.
    #[inline(always)]
    fn some<S, const P: usize, const T: usize>(
        &self,
        token: usize,
        channel: usize,
        u: &mut Columns<'_>,
        state: &mut [[S; 8]],
        steps: impl Fn(&mut [[S; 8]], [SsdStep<'_, P>; T], &mut [[[f32; 8]; P]; T]),
    ) {
        let Some(first) = self.step(token, channel) else { return };
        let (mut all, mut x) = ([first; T], [[[0.0; 8]; P]; T]);
        for (index, (step, x)) in all.iter_mut().zip(&mut x).enumerate() {
            if index > 0 {
                let Some(found) = self.step(token + index, channel) else { return };
                *step = found;
            }
            for (block, x) in x.iter_mut().enumerate() {
                let Some(u) = u.block(token + index, channel + 8 * block) else { return };
                *x = *u;
            }
        }
        steps(state, all, &mut x);
        for (index, x) in x.iter().enumerate() {
            for (block, x) in x.iter().enumerate() {
                if let Some(u) = u.block(token + index, channel + 8 * block) {
                    *u = *x;
                }
            }
        }
    }
}

/// `P` blocks of eight numbers from `at` on.
#[inline(always)]
fn blocks<const P: usize>(x: &[f32], at: usize) -> Option<&[[f32; 8]; P]> {
    x.get(at..)?.as_chunks().0.first_chunk()
}
