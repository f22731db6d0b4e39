//! The kernels in plain Rust. They define the results; every other implementation must equal them bit for bit.
//!
//! Loops run over blocks of eight so that compilers vectorise them without changing any result.

use super::cores::Columns;
use super::math::{LOG_SCALE, LOG2_E, exp2, round, silu, softplus};
use super::operands::{Conv, Quantized, S4dScan, Scan, SsdScan, StateScalar};
use super::ssd::{SsdRows, SsdStep};
use crate::matrix::{Bits, Groups, NIBBLE_COLS, QMatrix, TILE_ROWS, decode, decode_nibbles, half_to_f32};
use crate::planned::planned;

/// Below this a group is taken as zero: its inverse would overflow.
pub const TINY: f32 = 1e-30;

/// Largest magnitude; NaN doesn't count, and the order of elements doesn't matter.
#[inline(always)]
pub fn max_abs(x: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    let (blocks, rest) = x.as_chunks::<8>();
    for block in blocks {
        for (m, v) in lanes.iter_mut().zip(block) {
            *m = if v.abs() > *m { v.abs() } else { *m };
        }
    }
    for (m, v) in lanes.iter_mut().zip(rest) {
        *m = if v.abs() > *m { v.abs() } else { *m };
    }
    lanes.into_iter().fold(0.0, |m, v| if v > m { v } else { m })
}

/// The fixed shape in which eight lanes are summed.
#[inline(always)]
pub fn sum_lanes(l: [f32; 8]) -> f32 {
    ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]))
}

/// Sum of squares in eight lanes.
#[inline(always)]
pub fn sum_squares(x: &[f32]) -> f32 {
    dot(x, x)
}

/// Dot product in eight lanes.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a.iter().zip(b) {
        for ((l, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *l += a * b;
        }
    }
    for ((l, a), b) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
        *l += a * b;
    }
    sum_lanes(lanes)
}

/// Scale and inverse scale that map `max` to `limit`; zeros where the row is all but zero, or not finite.
#[inline(always)]
pub(super) fn scale_for(max: f32, limit: f32) -> (f32, f32) {
    if max > TINY && max <= f32::MAX { (max * (1.0 / limit), limit / max) } else { (0.0, 0.0) }
}

/// Rounds a row to int8, group by group; what is left of `values` is zeroed.
#[inline(always)]
pub fn quantize(x: &[f32], group: usize, values: &mut [i8], scales: &mut [f32]) {
    let mut groups = x.chunks(group.max(1));
    for (q, scale) in values.chunks_mut(group.max(1)).zip(scales) {
        let x = groups.next().unwrap_or(&[]);
        let (s, inverse) = scale_for(max_abs(x), 127.0);
        *scale = s;
        let (head, tail) = q.split_at_mut(x.len().min(q.len()));
        for (q, x) in head.iter_mut().zip(x) {
            *q = to_i8(x * inverse);
        }
        tail.fill(0);
    }
}

/// Rounds to −127 ..= 127, whatever comes in.
#[inline(always)]
pub(super) fn to_i8(x: f32) -> i8 {
    round(x).clamp(-127, 127) as i8
}

/// Rounds to −32767 ..= 32767, whatever comes in.
#[inline(always)]
pub(super) fn to_i16(x: f32) -> i16 {
    round(x).clamp(-32767, 32767) as i16
}

/// Matrix product with an int8 matrix, see [`super::Kernels::matmul`].
#[inline(always)]
pub fn matmul(w: &QMatrix<'_>, x: &Quantized<'_>, out: Columns<'_>) {
    product(w, x, out, Bits::Eight, decode);
}

/// Matrix product with a matrix of 4 bits a weight, see [`super::Kernels::matmul`].
#[inline(always)]
pub fn matmul_q4(w: &QMatrix<'_>, x: &Quantized<'_>, out: Columns<'_>) {
    product::<NIBBLE_COLS>(w, x, out, Bits::Four, decode_nibbles);
}

/// Matrix product with a matrix whose rows have `N` weights in four bytes.
#[inline(always)]
fn product<const N: usize>(
    w: &QMatrix<'_>,
    x: &Quantized<'_>,
    mut out: Columns<'_>,
    bits: Bits,
    decode: impl Fn([u8; 4]) -> [i8; N],
) {
    for (index, tile) in w.tiles().enumerate() {
        for (token, (values, scales)) in x.rows().enumerate() {
            out.write(token, index * TILE_ROWS, &tile_product(tile, values, scales, x, bits, &decode));
        }
    }
}

/// The products of one tile's eight rows with one row of activations.
#[inline(always)]
fn tile_product<const N: usize>(
    tile: &[u8],
    values: &[i8],
    scales: &[f32],
    x: &Quantized<'_>,
    bits: Bits,
    decode: impl Fn([u8; 4]) -> [i8; N],
) -> [f32; TILE_ROWS] {
    let mut y = [0.0f32; TILE_ROWS];
    for (index, (group, x_scale)) in Groups::new(tile, bits, x.cols, x.group).zip(scales).enumerate() {
        let mut sums = [0i32; TILE_ROWS];
        for (w, x) in group.weights.iter().zip(of_group::<N>(values, index * x.group, group.weights.len())) {
            for (sum, w) in sums.iter_mut().zip(w.as_chunks::<4>().0) {
                for (w, &x) in decode(*w).into_iter().zip(x) {
                    *sum += i32::from(w) * i32::from(x);
                }
            }
        }
        for ((y, sum), w_scale) in y.iter_mut().zip(sums).zip(group.scales.as_chunks::<2>().0) {
            *y += sum as f32 * (half_to_f32(*w_scale) * x_scale);
        }
    }
    y
}

/// The activations of a group that begins at column `start`, `N·count` of them; none where the row is shorter.
#[inline(always)]
fn of_group<const N: usize>(row: &[i8], start: usize, count: usize) -> &[[i8; N]] {
    row.get(start..start + N * count).unwrap_or(&[]).as_chunks().0
}

/// `1 / sqrt(mean of squares + ε)`.
#[inline(always)]
fn inverse_rms(x: &[f32], eps: f32) -> f32 {
    1.0 / libm::sqrtf(sum_squares(x) / x.len() as f32 + eps)
}

/// RMS norm of one row: `(x · inverse) · w`.
#[inline(always)]
pub fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let inverse = inverse_rms(x, eps);
    for ((out, x), w) in out.iter_mut().zip(x).zip(weight) {
        *out = (x * inverse) * w;
    }
}

/// The same, in place.
#[inline(always)]
pub fn rms_norm_in_place(x: &mut [f32], weight: &[f32], eps: f32) {
    let inverse = inverse_rms(x, eps);
    for (x, w) in x.iter_mut().zip(weight) {
        *x = (*x * inverse) * w;
    }
}

/// Causal depthwise convolution and SiLU, see [`super::Kernels::conv_silu`]: `((bias + w₀·u₋₃) + w₁·u₋₂) + …`, the
/// oldest input first.
#[inline(always)]
pub fn conv_silu(conv: Conv<'_>) {
    conv_with(conv, |sum| sum.map(silu));
}

/// The convolution, with SiLU of eight numbers as the instruction set has it.
#[inline(always)]
pub(super) fn conv_with(conv: Conv<'_>, silu: impl Fn([f32; 8]) -> [f32; 8]) {
    let Conv { mut u, mut history, weight, stride, first, bias } = conv;
    let past = history.tokens();
    for token in 0..u.tokens() {
        for (block, bias) in bias.as_chunks::<8>().0.iter().enumerate() {
            let at = 8 * block;
            let Some(u) = u.block::<8>(token, at) else { continue };
            let tap = |index: usize| weight.get(index * stride + first + at..).and_then(|tap| tap.first_chunk::<8>());
            let mut sum = *bias;
            for index in 0..past {
                // The input that takes this one's place.
                let newer = if index + 1 < past { history.block::<8>(index + 1, at).copied() } else { Some(*u) };
                let (Some(x), Some(tap), Some(newer)) = (history.block::<8>(index, at), tap(index), newer) else {
                    continue;
                };
                for ((sum, x), tap) in sum.iter_mut().zip(&*x).zip(tap) {
                    *sum += x * tap;
                }
                *x = newer;
            }
            if let Some(tap) = tap(past) {
                for ((sum, x), tap) in sum.iter_mut().zip(&*u).zip(tap) {
                    *sum += x * tap;
                }
            }
            *u = silu(sum);
        }
    }
}

/// `dt = softplus(dt + bias)` for rows of `bias.len()`.
#[inline(always)]
pub fn softplus_bias(dt: &mut [f32], bias: &[f32]) {
    for row in dt.chunks_exact_mut(bias.len().max(1)) {
        for (dt, bias) in row.iter_mut().zip(bias) {
            *dt = softplus(*dt + bias);
        }
    }
}

/// The selective scan with gate, eight channels at a time:
///
/// ```text
/// t    = ⌊(dt·2²³)·a[n]⌋ towards zero, as i32, saturating
/// h[n] = exp2(t) · h[n] + (dt·u) · B[n]
/// y    = Σ_n h[n]·C[n] + D·u        (n = 0, 1, …)
/// out  = y · silu(z)
/// ```
///
/// Narrow states are rounded after every token; y uses h before that rounding.
#[inline(always)]
pub fn scan<S: StateScalar>(scan: Scan<'_, S>) {
    scan_with(scan, |state, step| {
        let Step { a, b, c, dt, z, d, u } = step;
        let mut dx = [0.0f32; 8];
        for ((dx, dt), u) in dx.iter_mut().zip(dt).zip(&*u) {
            *dx = dt * u;
        }
        let dt = dt.map(|dt| dt * LOG_SCALE);
        let mut y = [0.0f32; 8];
        for (((h, a), b), c) in state.iter_mut().zip(a).zip(b).zip(c) {
            for lane in 0..8 {
                let next = exp2((dt[lane] * a[lane]) as i32) * h[lane].load() + dx[lane] * b;
                h[lane] = S::store(next);
                y[lane] += next * c;
            }
        }
        for lane in 0..8 {
            u[lane] = (y[lane] + d[lane] * u[lane]) * silu(z[lane]);
        }
    });
}

/// What one token does to eight channels.
pub(super) struct Step<'a> {
    /// `(N, 8)`.
    pub a: &'a [[f32; 8]],
    /// `(N)`.
    pub b: &'a [f32],
    /// `(N)`.
    pub c: &'a [f32],
    pub dt: &'a [f32; 8],
    pub z: &'a [f32; 8],
    pub d: &'a [f32; 8],
    pub u: &'a mut [f32; 8],
}

/// The scan's loops over channels and tokens; `step` gets the eight channels' state `(N, 8)`.
#[inline(always)]
pub(super) fn scan_with<S: StateScalar>(scan: Scan<'_, S>, step: impl Fn(&mut [[S; 8]], Step<'_>)) {
    let Scan { mut u, first, dt, z, stride, bc, row, a, d, state, d_state: n } = scan;
    let Some(dt_rank) = row.checked_sub(2 * n) else { return };
    let width = (8 * n).max(1);
    let (mut a, mut d) = (a.chunks_exact(width), d.as_chunks::<8>().0.iter());
    for (block, state) in state.chunks_exact_mut(width).enumerate() {
        // Not zipped: out of line, that would divide by a width that the compiler can't know to be positive.
        let (Some(a), Some(d)) = (a.next(), d.next()) else { return };
        let (state, a) = (as_blocks_mut(state), a.as_chunks::<8>().0);
        for (token, bc) in bc.chunks_exact(row.max(1)).enumerate() {
            let at = token * stride + first + 8 * block;
            let (Some(u), Some(dt), Some(z), Some((b, c))) = (
                u.block(token, 8 * block),
                dt.get(at..).and_then(|dt| dt.first_chunk::<8>()),
                z.get(at..).and_then(|z| z.first_chunk::<8>()),
                bc.get(dt_rank..).and_then(|bc| bc.split_at_checked(n)),
            ) else {
                continue;
            };
            step(state, Step { a, b, c, dt, z, d, u });
        }
    }
}

/// The scan with constant dt, B and C, and gate, eight channels at a time:
///
/// ```text
/// h[n] = decay[n]·h[n] + b[n]·u
/// y    = Σ_n h[n]·c[n] + D·u        (n = 0, 1, …)
/// out  = y · silu(z)
/// ```
///
/// Narrow states are rounded after every token; y uses h before that rounding.
#[inline(always)]
pub fn s4d_scan<S: StateScalar>(scan: S4dScan<'_, S>) {
    s4d_with(scan, |state, step| {
        let S4dStep { decay, b, c, z, d, u } = step;
        let mut y = [0.0f32; 8];
        for (((h, decay), b), c) in state.iter_mut().zip(decay).zip(b).zip(c) {
            for lane in 0..8 {
                let next = decay[lane] * h[lane].load() + b[lane] * u[lane];
                h[lane] = S::store(next);
                y[lane] += next * c[lane];
            }
        }
        for lane in 0..8 {
            u[lane] = (y[lane] + d[lane] * u[lane]) * silu(z[lane]);
        }
    });
}

/// What one token does to eight channels whose dt, B and C are constant.
pub(super) struct S4dStep<'a> {
    /// `(N, 8)`.
    pub decay: &'a [[f32; 8]],
    /// `(N, 8)`.
    pub b: &'a [[f32; 8]],
    /// `(N, 8)`.
    pub c: &'a [[f32; 8]],
    pub z: &'a [f32; 8],
    pub d: &'a [f32; 8],
    pub u: &'a mut [f32; 8],
}

/// The loops over channels and tokens of [`s4d_scan`]; `step` gets the eight channels' state `(N, 8)`.
#[inline(always)]
pub(super) fn s4d_with<S: StateScalar>(scan: S4dScan<'_, S>, step: impl Fn(&mut [[S; 8]], S4dStep<'_>)) {
    let S4dScan { mut u, first, z, stride, decay, b, c, d, state, d_state: n } = scan;
    let width = (8 * n).max(1);
    let (mut decay, mut b, mut c) = (decay.chunks_exact(width), b.chunks_exact(width), c.chunks_exact(width));
    let mut d = d.as_chunks::<8>().0.iter();
    for (block, state) in state.chunks_exact_mut(width).enumerate() {
        let (Some(decay), Some(b), Some(c), Some(d)) = (decay.next(), b.next(), c.next(), d.next()) else { return };
        let (decay, b, c) = (decay.as_chunks::<8>().0, b.as_chunks::<8>().0, c.as_chunks::<8>().0);
        for token in 0..u.tokens() {
            let z = z.get(token * stride + first + 8 * block..).and_then(|z| z.first_chunk::<8>());
            let (Some(u), Some(z)) = (u.block::<8>(token, 8 * block), z) else { continue };
            step(as_blocks_mut(state), S4dStep { decay, b, c, z, d, u });
        }
    }
}

/// The scan with one decay a head and gate, eight channels at a time:
///
/// ```text
/// t     = ⌊(dt·2²³)·a⌋ towards zero, as i32, saturating
/// decay = exp2(t)
/// h[n]  = decay·h[n] + (dt·u)·B[n]
/// y     = Σ_n h[n]·C[n] + D·u        (n = 0, 1, …)
/// out   = y · silu(z)
/// ```
///
/// So it is [`scan`] with the same a for all n. Narrow states are rounded after every token; y uses h before that rounding.
#[inline(always)]
pub fn ssd_scan<S: StateScalar>(scan: SsdScan<'_, S>) {
    let Some((rows, mut u, state)) = SsdRows::new(scan) else { return };
    rows.through_each((0, state), &mut u, ssd_step);
}

/// One token of [`ssd_scan`] and eight channels, whose state is `(N, 8)`.
#[inline(always)]
pub(super) fn ssd_step<S: StateScalar>(
    state: &mut [[S; 8]],
    [step]: [SsdStep<'_, 1>; 1],
    [[u]]: &mut [[[f32; 8]; 1]; 1],
) {
    let SsdStep { b, c, dt: [dt], z: [z], a: [a], d: [d] } = step;
    let (mut decay, mut dx, mut y) = ([0.0f32; 8], [0.0f32; 8], [0.0f32; 8]);
    for lane in 0..8 {
        decay[lane] = exp2(((dt[lane] * LOG_SCALE) * a[lane]) as i32);
        dx[lane] = dt[lane] * u[lane];
    }
    for ((h, b), c) in state.iter_mut().zip(b).zip(c) {
        for lane in 0..8 {
            let next = decay[lane] * h[lane].load() + dx[lane] * b;
            h[lane] = S::store(next);
            y[lane] += next * c;
        }
    }
    for lane in 0..8 {
        u[lane] = (y[lane] + d[lane] * u[lane]) * silu(z[lane]);
    }
}

#[inline(always)]
pub(super) fn as_blocks_mut<S>(x: &mut [S]) -> &mut [[S; 8]] {
    x.as_chunks_mut::<8>().0
}

/// `gate = silu(gate) · up`.
#[inline(always)]
pub fn swiglu(gate: &mut [f32], up: &[f32]) {
    for (gate, up) in gate.iter_mut().zip(up) {
        *gate = silu(*gate) * up;
    }
}

/// A query head to ±32767.
#[inline(always)]
pub fn quantize_query(q: &[f32], out: &mut [i16]) -> f32 {
    let (scale, inverse) = scale_for(max_abs(q), 32767.0);
    for (out, q) in out.iter_mut().zip(q) {
        *out = to_i16(q * inverse);
    }
    scale
}

/// A key or value head to ±127.
#[inline(always)]
pub fn quantize_head(x: &[f32], out: &mut [i8]) -> f32 {
    let (scale, inverse) = scale_for(max_abs(x), 127.0);
    for (out, x) in out.iter_mut().zip(x) {
        *out = to_i8(x * inverse);
    }
    scale
}

/// Scores of one query head against cached keys. |Σ| ≤ 512 · 127 · 32767 < 2³¹.
#[inline(always)]
pub fn scores(q: &[i16], scale: f32, keys: &[i8], key_scales: &[f32], scores: &mut [f32]) {
    for ((score, key), key_scale) in scores.iter_mut().zip(keys.chunks_exact(q.len().max(1))).zip(key_scales) {
        let sum: i32 = q.iter().zip(key).map(|(&q, &k)| i32::from(q) * i32::from(k)).sum();
        *score = sum as f32 * (scale * key_scale);
    }
}

/// Exponentials relative to the largest, and their sum in eight lanes.
#[inline(always)]
pub fn softmax(x: &mut [f32]) -> f32 {
    let mut lanes = [f32::MIN; 8];
    for block in x.chunks(8) {
        for (m, &v) in lanes.iter_mut().zip(block) {
            *m = if v > *m { v } else { *m };
        }
    }
    let max = lanes.into_iter().fold(f32::MIN, |m, v| if v > m { v } else { m });
    let mut sums = [0.0f32; 8];
    for block in x.chunks_mut(8) {
        for (sum, v) in sums.iter_mut().zip(block) {
            *v = exp2(((*v - max) * LOG2_E) as i32);
            *sum += *v;
        }
    }
    sum_lanes(sums)
}

/// What a token that gets all attention adds to its count.
#[cfg(feature = "heavy-hitters")]
pub const ATTENTION_UNIT: f32 = 256.0;

/// `counts[t] += ⌊weights[t] · (256 / sum) + dither⌋`; then all counts are halved if one has reached 2¹⁵. So none ever
/// saturates, and the longer ago attention was, the less it counts.
///
/// The dither, frac(φ · position), fills 0..1 evenly, so that over the tokens also what is less than a unit adds up.
#[cfg(feature = "heavy-hitters")]
#[inline(always)]
pub fn count_attention(weights: &[f32], sum: f32, position: u64, counts: &mut [u16]) {
    let scale = ATTENTION_UNIT / sum;
    let dither = f32::from_bits(0x3F80_0000 | (position as u32).wrapping_mul(0x9E37_79B9) >> 9) - 1.0;
    let mut all = 0;
    for (count, weight) in counts.iter_mut().zip(weights) {
        // Also a NaN adds between 0 and 257, so that 2¹⁵ + 257 is the most there can be.
        *count = count.wrapping_add(((weight * scale + dither) as i32).clamp(0, 257) as u16);
        all |= *count;
    }
    if all >= 1 << 15 {
        counts.iter_mut().for_each(|count| *count /= 2);
    }
}

/// Cached tokens whose weights share a scale in [`weighted_values`].
pub const VALUE_BLOCK: usize = 64;

/// Weighted sum of cached values, in blocks of [`VALUE_BLOCK`] tokens from the first to the last:
///
/// ```text
/// w[t]  = weights[t] · value_scales[t]
/// p[t]  = round(w[t] · (32767 / max w))              15-bit weights, exact products in i32: 64·32767·127 < 2³¹
/// out  += f32(Σ_t p[t]·values[t]) · (max w · (1/32767))
/// ```
///
/// and at the end `out · (1 / sum)`.
#[inline(always)]
pub fn weighted_values(weights: &mut [f32], sum: f32, values: &[i8], value_scales: &[f32], out: &mut [f32]) {
    values_with(weights, sum, values, value_scales, out, strip);
}

/// The rounded weights of up to [`VALUE_BLOCK`] tokens, zeros for those that aren't there, and their scale.
#[inline(always)]
pub(super) fn block_weights(weights: &mut [f32], value_scales: &[f32]) -> ([i32; VALUE_BLOCK], f32) {
    for (w, scale) in weights.iter_mut().zip(value_scales) {
        *w *= scale;
    }
    let (scale, inverse) = scale_for(max_abs(weights), 32767.0);
    let mut p = [0i32; VALUE_BLOCK];
    for (p, w) in p.iter_mut().zip(&*weights) {
        *p = round(w * inverse).clamp(-32767, 32767);
    }
    (p, scale)
}

/// `Σ p·value` of up to eight numbers from `first` on of values of `dim` numbers.
#[inline(always)]
pub(super) fn strip(p: &[i32; VALUE_BLOCK], values: &[i8], dim: usize, first: usize) -> [i32; 8] {
    let mut sums = [0i32; 8];
    for (p, value) in p.iter().zip(values.chunks_exact(dim.max(1))) {
        for (sum, &v) in sums.iter_mut().zip(planned(value.get(first..))) {
            *sum += p * i32::from(v);
        }
    }
    sums
}

/// The weighted sum, with eight sums of a block as the instruction set has them: `eight(p, values, dim, first)` is
/// [`strip`] for a `first` from which on a value has at least eight numbers.
#[inline(always)]
pub(super) fn values_with(
    weights: &mut [f32],
    sum: f32,
    values: &[i8],
    value_scales: &[f32],
    out: &mut [f32],
    eight: impl Fn(&[i32; VALUE_BLOCK], &[i8], usize, usize) -> [i32; 8],
) {
    let dim = out.len();
    out.fill(0.0);
    let blocks = weights.chunks_mut(VALUE_BLOCK).zip(value_scales.chunks(VALUE_BLOCK));
    for ((w, scales), values) in blocks.zip(values.chunks((VALUE_BLOCK * dim).max(1))) {
        let (p, scale) = block_weights(w, scales);
        for (index, out) in out.chunks_mut(8).enumerate() {
            let sums = match out.len() {
                8 => eight(&p, values, dim, 8 * index),
                _ => strip(&p, values, dim, 8 * index),
            };
            for (out, sum) in out.iter_mut().zip(sums) {
                *out += sum as f32 * scale;
            }
        }
    }
    let inverse = 1.0 / sum;
    for out in out {
        *out *= inverse;
    }
}
