//! A state of the Mamba layers in int8, as in the microscaling format MXINT8 (Rouhani et al. 2023): the N numbers of a channel
//! share an exponent. So a channel takes N + 1 bytes in place of 4·N.
//!
//! A layer's state is `(E / 8, 1 + N, 8)` int8: of every eight channels first the exponents `e`, then the numbers `q`, and
//! `h[n] = q[n] · 2^e`. After every token, in f32, with t the number of tokens before it:
//!
//! ```text
//! e    = ⌊log2(max_n |h[n]|)⌋ − 6                         clamped to −100 ..= 121
//! u    = frac(φ·t + α·channel + β·n) − ½                  23 bits
//! q[n] = round(clamp(h[n] · 2^−e + u, −127, 127))
//! ```
//!
//! The output y of the token uses h before that rounding. The scan itself is that of an f32 state, of whichever instruction set.
//!
//! # Why the dither u
//!
//! A state that decays by 0.1 % a token changes by less than half a step of an 8-bit number: rounded to nearest, it would stand
//! still, and what is added to it would be lost. With a dither that is even over 0..1, it moves by one step as often as it has to.
//! Since multiples of the golden ratio φ fill 0..1 as evenly as anything can, errors of consecutive tokens cancel instead of
//! adding up as those of random numbers would; and since they follow from the position, every target draws the same ones. α and
//! β (of the R₂ sequence, Roberts 2018) spread channels and states, whose errors meet in y. `state/bounded-memory.md` has figures.

use super::operands::{S4dScan, Scan, SsdScan};

/// φ − 1, 1/ρ and 1/ρ² (ρ the plastic number) times 2³².
const GOLDEN: u32 = 0x9E37_79B9;
pub(super) const CHANNEL: u32 = 0xC13F_A9A9;
pub(super) const STATE: u32 = 0x91E1_0DA5;

/// States of a channel that most models have, and for which little stack is taken.
const FEW: usize = 16;
/// The most that an image can have.
const MOST: usize = 256;

/// The scan over a chunk that begins after `position` tokens; `step` is the scan with a state in f32, and `round` is [`round`], as the
/// instruction set has them.
pub(super) fn scan(scan: Scan<'_, i8>, position: u64, step: impl Fn(Scan<'_, f32>), round: impl Round) {
    let Scan { mut u, first, dt, z, stride, bc, row, a, d, state, d_state: n } = scan;
    let chunk = Chunk { blocks: d.len() / 8, tokens: bc.len() / row.max(1), first, position };
    let step = |block: usize, token: usize, state: &mut [f32]| {
        let (Some(a), Some(d)) = (part(a, block, 8 * n), part(d, block, 8)) else { return };
        let (Some(dt), Some(z), Some(bc)) = (dt.get(token * stride..), z.get(token * stride..), part(bc, token, row))
        else {
            return;
        };
        let u = u.eight(token, 8 * block);
        step(Scan { u, first: first + 8 * block, dt, z, stride, bc, row, a, d, state, d_state: n });
    };
    widened(state, n, chunk, step, round);
}

/// The same for a scan with constant dt, B and C.
pub(super) fn s4d_scan(scan: S4dScan<'_, i8>, position: u64, step: impl Fn(S4dScan<'_, f32>), round: impl Round) {
    let S4dScan { mut u, first, z, stride, decay, b, c, d, state, d_state: n } = scan;
    let chunk = Chunk { blocks: d.len() / 8, tokens: u.tokens(), first, position };
    let step = |block: usize, token: usize, state: &mut [f32]| {
        let [decay, b, c] = [decay, b, c].map(|constants| part(constants, block, 8 * n));
        let (Some(decay), Some(b), Some(c), Some(d)) = (decay, b, c, part(d, block, 8)) else { return };
        let Some(z) = z.get(token * stride..) else { return };
        let u = u.eight(token, 8 * block);
        step(S4dScan { u, first: first + 8 * block, z, stride, decay, b, c, d, state, d_state: n });
    };
    widened(state, n, chunk, step, round);
}

/// The same for a scan with one decay a head.
pub(super) fn ssd_scan(scan: SsdScan<'_, i8>, position: u64, step: impl Fn(SsdScan<'_, f32>), round: impl Round) {
    let SsdScan { mut u, first, dt, z, stride, bc, row, shared, a, d, state, d_state: n } = scan;
    let chunk = Chunk { blocks: d.len() / 8, tokens: bc.len() / row.max(1), first, position };
    let step = |block: usize, token: usize, state: &mut [f32]| {
        let (Some(a), Some(d), Some(bc)) = (part(a, block, 8), part(d, block, 8), part(bc, token, row)) else { return };
        let (Some(dt), Some(z)) = (dt.get(token * stride..), z.get(token * stride..)) else { return };
        let (u, first) = (u.eight(token, 8 * block), first + 8 * block);
        step(SsdScan { u, first, dt, z, stride, bc, row, shared, a, d, state, d_state: n });
    };
    widened(state, n, chunk, step, round);
}

/// Rounds a state `(N, 8)` to int8 with the exponents of eight channels, and leaves the rounded numbers in it; the last argument is
/// the dither's phase.
pub(super) trait Round: Fn(&mut [[f32; 8]], &mut [i8; 8], &mut [[i8; 8]], u32) {}

impl<F: Fn(&mut [[f32; 8]], &mut [i8; 8], &mut [[i8; 8]], u32)> Round for F {}

/// Part `index` of `parts (.., length)`.
fn part(parts: &[f32], index: usize, length: usize) -> Option<&[f32]> {
    parts.get(index * length..(index + 1) * length)
}

/// What a scan goes through.
#[derive(Clone, Copy)]
struct Chunk {
    /// Eights of channels.
    blocks: usize,
    tokens: usize,
    /// The first channel.
    first: usize,
    /// Tokens before the chunk.
    position: u64,
}

/// Calls `step(block, token, h)` for all tokens of every eight channels, with their state `h (N, 8)` in f32, and rounds it.
fn widened(state: &mut [i8], n: usize, chunk: Chunk, step: impl FnMut(usize, usize, &mut [f32]), round: impl Round) {
    match n {
        0..=FEW => blocks::<FEW>(state, n, chunk, step, round),
        _ => blocks::<MOST>(state, n, chunk, step, round),
    }
}

/// [`widened`] with room for `N` states.
#[inline(never)]
fn blocks<const N: usize>(
    state: &mut [i8],
    n: usize,
    chunk: Chunk,
    mut step: impl FnMut(usize, usize, &mut [f32]),
    round: impl Round,
) {
    let mut wide = [[0.0f32; 8]; N];
    let Some(h) = wide.get_mut(..n) else { return };
    let mut states = state.as_chunks_mut::<8>().0;
    for block in 0..chunk.blocks {
        let Some((exponents, rest)) = core::mem::take(&mut states).split_first_mut() else { return };
        let Some((q, rest)) = rest.split_at_mut_checked(n) else { return };
        states = rest;
        let steps = exponents.map(power);
        for (h, q) in h.iter_mut().zip(&*q) {
            for ((h, q), step) in h.iter_mut().zip(q).zip(steps) {
                *h = f32::from(*q) * step;
            }
        }
        let channel = CHANNEL.wrapping_mul((chunk.first + 8 * block) as u32);
        for token in 0..chunk.tokens {
            step(block, token, h.as_flattened_mut());
            let t = (chunk.position as u32).wrapping_add(token as u32);
            round(h, exponents, q, GOLDEN.wrapping_mul(t).wrapping_add(channel));
        }
    }
}

/// 2^e.
#[inline(always)]
const fn power(exponent: i8) -> f32 {
    f32::from_bits(((exponent as i32 + 127) as u32) << 23)
}

/// Rounds `h (N, 8)` to `q (N, 8)` and eight exponents, and leaves the rounded numbers in it.
#[inline(always)]
pub(super) fn round(h: &mut [[f32; 8]], exponents: &mut [i8; 8], q: &mut [[i8; 8]], phase: u32) {
    let mut max = [0.0f32; 8];
    for row in &*h {
        for (max, h) in max.iter_mut().zip(row) {
            *max = if h.abs() > *max { h.abs() } else { *max };
        }
    }
    let (mut step, mut inverse, mut phases) = ([0.0f32; 8], [0.0f32; 8], [0u32; 8]);
    for lane in 0..8 {
        let exponent = ((max[lane].to_bits() >> 23) as i32 - (127 + 6)).clamp(-100, 121) as i8;
        exponents[lane] = exponent;
        (step[lane], inverse[lane]) = (power(exponent), power(-exponent));
        phases[lane] = phase.wrapping_add(CHANNEL.wrapping_mul(lane as u32));
    }
    for (h, q) in h.iter_mut().zip(q) {
        for lane in 0..8 {
            let dither = f32::from_bits(0x3F80_0000 | phases[lane] >> 9) - 1.5;
            let x = h[lane] * inverse[lane] + dither;
            // In this order a NaN becomes 127 everywhere.
            let x = if x < 127.0 { x } else { 127.0 };
            let x = if x > -127.0 { x } else { -127.0 };
            let rounded = super::math::round(x);
            q[lane] = rounded as i8;
            h[lane] = rounded as f32 * step[lane];
            phases[lane] = phases[lane].wrapping_add(STATE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A state that forgets `rate` of itself a token and is pulled towards 1, beside one that stands at `largest`: where it
    /// gets to, on average, once it has had the time.
    fn settles(rate: f32, largest: f32, mut round: impl FnMut(&mut [[f32; 8]], u32)) -> f64 {
        let mut h = [[0.0f32; 8]; 2];
        let (mut sum, tokens) = (0.0, (20.0 / rate) as u32);
        for t in 0..2 * tokens {
            h[0] = [largest; 8];
            h[1] = h[1].map(|h| h - rate * h + rate);
            round(&mut h, t);
            sum += if t < tokens { 0.0 } else { h[1].iter().map(|&h| f64::from(h)).sum::<f64>() / 8.0 };
        }
        sum / f64::from(tokens)
    }

    #[test]
    fn slow_states_get_where_they_belong_but_not_without_dither() {
        for rate in [0.1, 0.01, 0.001] {
            for largest in [1.0, 1.9, 5.0] {
                let (mut exponents, mut q) = ([0; 8], [[0; 8]; 2]);
                let found = settles(rate, largest, |h, t| round(h, &mut exponents, &mut q, GOLDEN.wrapping_mul(t)));
                assert!((found - 1.0).abs() < 0.01, "rate {rate}, beside {largest}: {found}");
            }
        }
        // Half a step beside 1.9 is 1/128: what is added at a rate of 0.001 never gets there.
        let nearest = settles(0.001, 1.9, |h, _| {
            h.as_flattened_mut().iter_mut().for_each(|h| *h = libm::rintf(*h * 64.0) / 64.0)
        });
        assert!(nearest < 0.01, "{nearest}");
    }

    #[test]
    fn whatever_comes_in_the_step_is_at_most_a_64th_of_the_largest() {
        for (large, small) in [(1.0, 0.3), (127.9, -3.0), (1e-20, 1e-21), (1e30, -1e30), (-2.0, 0.0)] {
            let mut h = [[large; 8], [small; 8]];
            let (mut exponents, mut q) = ([0; 8], [[0; 8]; 2]);
            round(&mut h, &mut exponents, &mut q, 0x1234_5678);
            let step = f32::abs(large) / 64.0;
            assert!(h[0].iter().all(|&h| (h - large).abs() <= step) && h[1].iter().all(|&h| (h - small).abs() <= step));
            assert!(q.iter().zip(h).all(|(q, h)| (0..8).all(|i| f32::from(q[i]) * power(exponents[i]) == h[i])));
        }
        let mut h = [[0.0; 8], [f32::NAN; 8], [f32::INFINITY; 8], [1e-40; 8]];
        let (mut exponents, mut q) = ([0; 8], [[0; 8]; 4]);
        round(&mut h[..1], &mut exponents, &mut q, 0xFFFF_FFFF);
        assert_eq!(h[0], [0.0; 8]);
        round(&mut h, &mut exponents, &mut q, 0);
        assert!(h.as_flattened().iter().all(|h| h.is_finite()));
    }
}
