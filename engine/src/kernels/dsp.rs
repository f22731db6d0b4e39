//! Cortex-M with DSP instructions and an FPU (M4, M7, M33): two 16-bit products an instruction.
//!
//! Four weights of a row are one word: bytes u₀, q₁, u₂, q₃ with u = q + 128, see [`crate::image`]. SMLAD of the word, taken
//! as two 16-bit numbers, with x₁ and x₃ gives `256·q₁x₁ + u₀x₁ + 256·q₃x₃ + u₂x₃`. UXTB16 leaves u₀ and u₂, and their SMLAD
//! with `256·x₀ − x₁` and `256·x₂ − x₃` makes of both together `256·(u₀x₀ + q₁x₁ + u₂x₂ + q₃x₃)`. What u has more than q is
//! taken off at the start: `256·128·(x₀ + x₂)`. So four products take three instructions and half a load, and the sum of a
//! group of up to 512 columns is exact: 256·512·128·127 < 2³¹; what overflows on the way wraps around and comes back.
//!
//! Activations are expanded once a group for all rows; the loop over groups is therefore the outer one, and the results
//! are summed in the output.

use super::math::{EXP2, EXP2_BIAS, LOG_SCALE, silu};
use super::portable::{self, Step};
use super::tile::Fours;
use super::{Columns, Quantized, Scan, StateScalar};
use crate::image::{TILE_COLS, TILE_ROWS, tile_bytes};
use crate::model::QMatrix;
use core::arch::asm;

pub(super) use super::portable::{
    conv_silu, dot, quantize, quantize_head, quantize_query, rms_norm, rms_norm_in_place, scores, softmax,
    softplus_bias, swiglu, weighted_values,
};

/// Tells the assembler about the DSP instructions, where the target alone doesn't.
#[cfg(not(dsp_optional))]
macro_rules! cpu {
    () => {
        ""
    };
}
#[cfg(dsp_optional)]
macro_rules! cpu {
    () => {
        ".cpu cortex-m33"
    };
}

/// The widest group whose sum is exact.
const WIDEST: usize = 512;
/// Tokens that share a reading of the weights.
const TOKENS: usize = 8;
/// Words for expanded activations: a token's group takes half as many as it has columns.
const WORDS: usize = 512;

/// One group of some tokens, expanded.
struct Expanded {
    words: [u32; WORDS],
    /// What the sums begin with.
    offsets: [i32; TOKENS],
    scales: [f32; TOKENS],
}

impl Expanded {
    /// A token's words.
    fn token(&self, token: usize, length: usize) -> &[u32] {
        self.words.get(token * length..(token + 1) * length).unwrap_or(&[])
    }
}

/// Expands four activations: what multiplies the whole halfwords, and what multiplies the low bytes.
#[inline(always)]
fn expand(x: [i8; TILE_COLS]) -> [u32; 2] {
    let [x0, x1, x2, x3] = x.map(i32::from);
    let pack = |low: i32, high: i32| low as u32 & 0xFFFF | (high as u32) << 16;
    [pack(x1, x3), pack(256 * x0 - x1, 256 * x2 - x3)]
}

/// `−256·128·Σ` of the even columns.
#[inline(always)]
fn offset(x: &[[i8; TILE_COLS]]) -> i32 {
    -256 * 128 * x.iter().map(|x| i32::from(x[0]) + i32::from(x[2])).sum::<i32>()
}

pub(super) fn matmul(w: &QMatrix<'_>, x: &Quantized<'_>, mut out: Columns<'_>) {
    // Words are loaded in pairs, which must be aligned.
    if x.group > WIDEST || x.group == 0 || !w.bytes().as_ptr().addr().is_multiple_of(4) {
        return portable::matmul(w, x, out);
    }
    let most = (2 * WORDS / x.group).min(TOKENS);
    let mut expanded = Expanded { words: [0; WORDS], offsets: [0; TOKENS], scales: [0.0; TOKENS] };
    let mut first = 0;
    while first < x.tokens() {
        let count = (x.tokens() - first).min(most);
        pass(w, x, first, count, &mut expanded, &mut out);
        first += count;
    }
}

/// The tokens `first .. first + count` through the whole matrix.
fn pass(w: &QMatrix<'_>, x: &Quantized<'_>, first: usize, count: usize, e: &mut Expanded, out: &mut Columns<'_>) {
    let tile_size = tile_bytes(x.cols, x.group);
    let whole = w.rows() / TILE_ROWS;
    // The results of a last tile that isn't whole.
    let mut last = [[0.0f32; TILE_ROWS]; TOKENS];
    for token in first..first + count {
        (0..w.rows().div_ceil(TILE_ROWS)).for_each(|tile| out.write(token, tile * TILE_ROWS, &[0.0; TILE_ROWS]));
    }
    let (mut at, mut column) = (0, 0);
    while column < x.cols {
        let width = x.group.min(x.cols - column);
        let length = width / 2;
        fill(x, first, count, column, width, e);
        for (index, tile) in w.bytes().chunks_exact(tile_size.max(1)).enumerate() {
            let group = tile.get(at..).and_then(|group| group.split_first_chunk::<{ 2 * TILE_ROWS }>());
            let Some((scales, weights)) = group else { return };
            let weights = weights.get(..TILE_ROWS * width).unwrap_or(&[]).as_chunks().0;
            for token in (0..count).step_by(2) {
                let mut results = |token: usize| -> Option<*mut [f32; TILE_ROWS]> {
                    if index < whole {
                        out.block(first + token, index * TILE_ROWS).map(|y| &raw mut *y)
                    } else {
                        last.get_mut(token).map(|y| &raw mut *y)
                    }
                };
                if token + 1 < count {
                    let (Some(y0), Some(y1)) = (results(token), results(token + 1)) else { return };
                    let x = e.words.get(token * length..(token + 2) * length).unwrap_or(&[]);
                    let factors = [(e.offsets[token], e.scales[token]), (e.offsets[token + 1], e.scales[token + 1])];
                    // SAFETY: the rows of two tokens don't overlap, and both were borrowed from `out` or `last`.
                    two_tokens(scales, weights, x, factors, unsafe { [&mut *y0, &mut *y1] });
                } else {
                    let Some(y) = results(token) else { return };
                    // SAFETY: as above.
                    one_token(scales, weights, e.token(token, length), (e.offsets[token], e.scales[token]), unsafe {
                        &mut *y
                    });
                }
            }
        }
        at += (2 + width) * TILE_ROWS;
        column += width;
    }
    if whole * TILE_ROWS < w.rows() {
        for (y, token) in last.iter().take(count).zip(first..) {
            out.write(token, whole * TILE_ROWS, y);
        }
    }
}

/// Expands a group of `count` tokens: pairs of tokens interleaved, a last one alone.
fn fill(x: &Quantized<'_>, first: usize, count: usize, column: usize, width: usize, e: &mut Expanded) {
    let length = width / 2;
    for (token, (values, scales)) in x.rows().skip(first).take(count).enumerate() {
        let fours = values.get(column..column + width).unwrap_or(&[]).as_chunks::<TILE_COLS>().0;
        e.offsets[token] = offset(fours);
        e.scales[token] = scales.get(column / x.group).copied().unwrap_or(0.0);
        let paired = token + 1 < count || token % 2 == 1;
        let place = if paired { token / 2 * 2 * length + token % 2 } else { token * length };
        let places = e.words.get_mut(place..).unwrap_or(&mut []);
        let step = if paired { 2 } else { 1 };
        for (words, x) in places.chunks_mut(2 * step).zip(fours) {
            let [whole, low] = expand(*x);
            words[0] = whole;
            if let Some(word) = words.get_mut(step) {
                *word = low;
            }
        }
    }
}

/// One token through a tile's group, four rows at a time.
#[inline(always)]
fn one_token(scales: &[u8; 16], weights: &[Fours], x: &[u32], (offset, scale): (i32, f32), y: &mut [f32; TILE_ROWS]) {
    if x.len() != 2 * weights.len() || weights.is_empty() {
        return;
    }
    for half in 0..2 {
        let mut sums = [offset; 4];
        // SAFETY: there are as many words of x as fours of weights ask for, at least two fours, an even number.
        unsafe { four_rows(weights.as_flattened().as_ptr().wrapping_add(16 * half), x, &mut sums) };
        let (Some(scales), Some(y)) = (scales.as_chunks::<8>().0.get(half), y.as_chunks_mut::<4>().0.get_mut(half))
        else {
            return;
        };
        accumulate(sums, scales, scale, y);
    }
}

/// Sums of four rows for one token.
///
/// # Safety
/// `w` points to four rows' words every 32 bytes, as many as there are pairs of words in `x`: an even number, not zero.
#[inline(always)]
unsafe fn four_rows(w: *const u8, x: &[u32], sums: &mut [i32; 4]) {
    let [mut a, mut b, mut c, mut d] = *sums;
    let bounds = x.as_ptr_range();
    // SAFETY: by the caller's promise; the loop ends where x ends.
    unsafe {
        asm!(
            cpu!(),
            // Four columns of four rows: 16 products in 15 instructions.
            ".macro FOUR at",
            "ldrd {x0}, {x1}, [{x}], #8",
            "ldrd {w0}, {w1}, [{w}, #\\at]",
            "smlad {a}, {w0}, {x0}, {a}",
            "smlad {b}, {w1}, {x0}, {b}",
            "uxtb16 {w0}, {w0}",
            "uxtb16 {w1}, {w1}",
            "smlad {a}, {w0}, {x1}, {a}",
            "smlad {b}, {w1}, {x1}, {b}",
            "ldrd {w0}, {w1}, [{w}, #\\at + 8]",
            "smlad {c}, {w0}, {x0}, {c}",
            "smlad {d}, {w1}, {x0}, {d}",
            "uxtb16 {w0}, {w0}",
            "uxtb16 {w1}, {w1}",
            "smlad {c}, {w0}, {x1}, {c}",
            "smlad {d}, {w1}, {x1}, {d}",
            ".endm",
            "tst {fours}, #7",
            "beq 3f",
            "2:", // eight columns, until the rest is a multiple of 32
            "FOUR 0",
            "FOUR 32",
            "add {w}, #64",
            "subs {fours}, #2",
            "tst {fours}, #7",
            "bne 2b",
            "cmp {x}, {end}",
            "beq 4f",
            "3:", // 32 columns
            "FOUR 0",
            "FOUR 32",
            "FOUR 64",
            "FOUR 96",
            "FOUR 128",
            "FOUR 160",
            "FOUR 192",
            "FOUR 224",
            "add {w}, #256",
            "cmp {x}, {end}",
            "bne 3b",
            "4:",
            ".purgem FOUR",
            x = inout(reg) bounds.start => _,
            end = in(reg) bounds.end,
            fours = inout(reg) x.len() / 2 => _,
            w = inout(reg) w => _,
            a = inout(reg) a,
            b = inout(reg) b,
            c = inout(reg) c,
            d = inout(reg) d,
            x0 = out(reg) _,
            x1 = out(reg) _,
            w0 = out(reg) _,
            w1 = out(reg) _,
            options(readonly, nostack),
        );
    }
    *sums = [a, b, c, d];
}

/// Two tokens through a tile's group, two rows at a time.
#[inline(always)]
fn two_tokens(
    scales: &[u8; 16],
    weights: &[Fours],
    x: &[u32],
    factors: [(i32, f32); 2],
    y: [&mut [f32; TILE_ROWS]; 2],
) {
    if x.len() != 4 * weights.len() || weights.is_empty() {
        return;
    }
    let [(offset0, scale0), (offset1, scale1)] = factors;
    let [y0, y1] = y;
    for half in 0..2 {
        let (mut first, mut second) = ([offset0; 4], [offset1; 4]);
        for pair in 0..2 {
            let mut sums = [offset0, offset0, offset1, offset1];
            let w = weights.as_flattened().as_ptr().wrapping_add(16 * half + 8 * pair);
            // SAFETY: there are as many words of x as fours of weights ask for, at least two fours, an even number.
            unsafe { two_rows(w, x, &mut sums) };
            (first[2 * pair], first[2 * pair + 1]) = (sums[0], sums[1]);
            (second[2 * pair], second[2 * pair + 1]) = (sums[2], sums[3]);
        }
        let (Some(scales), Some(y0), Some(y1)) = (
            scales.as_chunks::<8>().0.get(half),
            y0.as_chunks_mut::<4>().0.get_mut(half),
            y1.as_chunks_mut::<4>().0.get_mut(half),
        ) else {
            return;
        };
        accumulate(first, scales, scale0, y0);
        accumulate(second, scales, scale1, y1);
    }
}

/// Sums of two rows for two tokens: both rows of the first, both rows of the second.
///
/// # Safety
/// `w` points to two rows' words every 32 bytes, as many as there are fours of words in `x`: an even number, not zero.
#[inline(always)]
unsafe fn two_rows(w: *const u8, x: &[u32], sums: &mut [i32; 4]) {
    let [mut a, mut b, mut c, mut d] = *sums;
    let bounds = x.as_ptr_range();
    // SAFETY: by the caller's promise; the loop ends where x ends.
    unsafe {
        asm!(
            cpu!(),
            // Four columns of two rows and two tokens: 16 products in 13 instructions.
            ".macro FOUR at",
            "ldrd {w0}, {w1}, [{w}, #\\at]",
            "ldrd {x0}, {x1}, [{x}], #8",
            "smlad {a}, {w0}, {x0}, {a}",
            "smlad {b}, {w1}, {x0}, {b}",
            "smlad {c}, {w0}, {x1}, {c}",
            "smlad {d}, {w1}, {x1}, {d}",
            "ldrd {x0}, {x1}, [{x}], #8",
            "uxtb16 {w0}, {w0}",
            "uxtb16 {w1}, {w1}",
            "smlad {a}, {w0}, {x0}, {a}",
            "smlad {b}, {w1}, {x0}, {b}",
            "smlad {c}, {w0}, {x1}, {c}",
            "smlad {d}, {w1}, {x1}, {d}",
            ".endm",
            "tst {fours}, #7",
            "beq 3f",
            "2:", // eight columns, until the rest is a multiple of 32
            "FOUR 0",
            "FOUR 32",
            "add {w}, #64",
            "subs {fours}, #2",
            "tst {fours}, #7",
            "bne 2b",
            "cmp {x}, {end}",
            "beq 4f",
            "3:", // 32 columns
            "FOUR 0",
            "FOUR 32",
            "FOUR 64",
            "FOUR 96",
            "FOUR 128",
            "FOUR 160",
            "FOUR 192",
            "FOUR 224",
            "add {w}, #256",
            "cmp {x}, {end}",
            "bne 3b",
            "4:",
            ".purgem FOUR",
            x = inout(reg) bounds.start => _,
            end = in(reg) bounds.end,
            fours = inout(reg) x.len() / 4 => _,
            w = inout(reg) w => _,
            a = inout(reg) a,
            b = inout(reg) b,
            c = inout(reg) c,
            d = inout(reg) d,
            x0 = out(reg) _,
            x1 = out(reg) _,
            w0 = out(reg) _,
            w1 = out(reg) _,
            options(readonly, nostack),
        );
    }
    *sums = [a, b, c, d];
}

/// `y[row] += f32(sums[row] / 256) · (scales[row] · x_scale)`: the division is the conversion's, from fixed point, exact.
#[inline(always)]
fn accumulate(sums: [i32; 4], scales: &[u8; 8], x_scale: f32, y: &mut [f32; 4]) {
    let [a, b, c, d] = sums;
    // SAFETY: reads `scales`, which lie at a multiple of 4 as all of the matrix does, and changes `y`.
    unsafe {
        asm!(
            "vldmia {scales}, {{s0, s1}}",
            "vmov s12, {x_scale}",
            "vmov s4, s5, {a}, {b}",
            "vmov s6, s7, {c}, {d}",
            "vcvtt.f32.f16 s3, s1",
            "vcvtb.f32.f16 s2, s1",
            "vcvtt.f32.f16 s1, s0",
            "vcvtb.f32.f16 s0, s0",
            "vcvt.f32.s32 s4, s4, #8",
            "vcvt.f32.s32 s5, s5, #8",
            "vcvt.f32.s32 s6, s6, #8",
            "vcvt.f32.s32 s7, s7, #8",
            "vmul.f32 s0, s0, s12",
            "vmul.f32 s1, s1, s12",
            "vmul.f32 s2, s2, s12",
            "vmul.f32 s3, s3, s12",
            "vldmia {y}, {{s8, s9, s10, s11}}",
            "vmul.f32 s0, s4, s0",
            "vmul.f32 s1, s5, s1",
            "vmul.f32 s2, s6, s2",
            "vmul.f32 s3, s7, s3",
            "vadd.f32 s8, s8, s0",
            "vadd.f32 s9, s9, s1",
            "vadd.f32 s10, s10, s2",
            "vadd.f32 s11, s11, s3",
            "vstmia {y}, {{s8, s9, s10, s11}}",
            scales = in(reg) scales.as_ptr(),
            y = in(reg) y.as_mut_ptr(),
            a = in(reg) a,
            b = in(reg) b,
            c = in(reg) c,
            d = in(reg) d,
            x_scale = in(reg) x_scale.to_bits(),
            out("s0") _, out("s1") _, out("s2") _, out("s3") _,
            out("s4") _, out("s5") _, out("s6") _, out("s7") _,
            out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s12") _,
            options(nostack, preserves_flags),
        );
    }
}

/// States for which a token's B and C have room side by side.
const STATES: usize = 64;

/// The selective scan; a state in f16 takes the portable way.
pub(super) fn scan<S: StateScalar>(scan: Scan<'_, S>) {
    if S::HALF || scan.d_state > STATES {
        return portable::scan(scan);
    }
    portable::scan_with(scan, |state, step| {
        let Step { a, b, c, dt, z, d, u } = step;
        let state: &mut [[f32; 8]] = bytemuck::try_cast_slice_mut(state).unwrap_or(&mut []);
        let mut both = [[0.0f32; 2]; STATES];
        for ((both, b), c) in both.iter_mut().zip(b).zip(c) {
            *both = [*b, *c];
        }
        let mut lanes = Lanes { dt: dt.map(|dt| dt * LOG_SCALE), dx: [0.0; 8], y: [0.0; 8] };
        for ((dx, dt), u) in lanes.dx.iter_mut().zip(dt).zip(&*u) {
            *dx = dt * u;
        }
        let n = state.len().min(a.len()).min(b.len()).min(c.len());
        if n > 0 {
            // SAFETY: n states, n rows of a and n pairs are there.
            unsafe { eight_channels(state.as_mut_ptr(), a.as_ptr(), both.as_ptr(), n, &mut lanes) };
        }
        for lane in 0..8 {
            u[lane] = (lanes.y[lane] + d[lane] * u[lane]) * silu(z[lane]);
        }
    });
}

/// What the registers of [`eight_channels`] hold: in this order, s0 to s23.
#[repr(C)]
struct Lanes {
    /// dt · 2²³.
    dt: [f32; 8],
    /// dt · u.
    dx: [f32; 8],
    y: [f32; 8],
}

/// One token's `h = e·h + dx·B; y += h·C` for eight channels, where −e is [`super::math::negative_exp2`].
///
/// VMLA rounds the product before it adds, as the contract wants it.
///
/// # Safety
/// `n` > 0 states `(n, 8)`, rows of a `(n, 8)` and pairs of B and C must be there.
#[inline(never)]
unsafe fn eight_channels(h: *mut [f32; 8], a: *const [f32; 8], bc: *const [f32; 2], n: usize, lanes: &mut Lanes) {
    // SAFETY: by the caller's promise; the loop runs n times, and r7, which can't be an operand, is put back.
    unsafe {
        asm!(
            cpu!(),
            // Two numbers: t to −2^(t / 2²³).
            ".macro EXP from, to",
            "vmov {t0}, {t1}, s\\from, s\\to",
            "eor {w}, r7, {t0}, lsl #9",
            "smmla {r}, {w}, {c2}, {c1}",
            "smmla {r}, {w}, {r}, {c0}",
            "smmla {w}, {w}, {w}, {quarter}",
            "smmla {t0}, {w}, {r}, {t0}",
            "qsub16 {t0}, {t0}, {bias}",
            "eor {w}, r7, {t1}, lsl #9",
            "smmla {r}, {w}, {c2}, {c1}",
            "smmla {r}, {w}, {r}, {c0}",
            "smmla {w}, {w}, {w}, {quarter}",
            "smmla {t1}, {w}, {r}, {t1}",
            "qsub16 {t1}, {t1}, {bias}",
            "vmov s\\from, s\\to, {t0}, {t1}",
            ".endm",
            // Two channels: h in s30 and s31.
            ".macro STEP e0, e1, dx0, dx1, y0, y1",
            "vldmia {h}, {{s30, s31}}",
            "vnmul.f32 s30, s\\e0, s30",
            "vnmul.f32 s31, s\\e1, s31",
            "vmla.f32 s30, s\\dx0, s24",
            "vmla.f32 s31, s\\dx1, s24",
            "vmla.f32 s\\y0, s30, s25",
            "vmla.f32 s\\y1, s31, s25",
            "vstmia {h}!, {{s30, s31}}",
            ".endm",
            // Four channels: t in s26 to s29.
            ".macro TIMES dt0, dt1, dt2, dt3",
            "vldmia {a}!, {{s26, s27, s28, s29}}",
            "vmul.f32 s26, s\\dt0, s26",
            "vmul.f32 s27, s\\dt1, s27",
            "vmul.f32 s28, s\\dt2, s28",
            "vmul.f32 s29, s\\dt3, s29",
            "vcvt.s32.f32 s26, s26",
            "vcvt.s32.f32 s27, s27",
            "vcvt.s32.f32 s28, s28",
            "vcvt.s32.f32 s29, s29",
            ".endm",
            "push {{r7}}",
            "push {{{t0}}}",
            "vldmia {t0}, {{s0-s23}}",
            "mov r7, #0x80000000",
            "2:",
            "vldmia {bc}!, {{s24, s25}}",
            "TIMES 0, 1, 2, 3",
            "EXP 26, 27",
            "STEP 26, 27, 8, 9, 16, 17",
            "EXP 28, 29",
            "STEP 28, 29, 10, 11, 18, 19",
            "TIMES 4, 5, 6, 7",
            "EXP 26, 27",
            "STEP 26, 27, 12, 13, 20, 21",
            "EXP 28, 29",
            "STEP 28, 29, 14, 15, 22, 23",
            "subs {n}, #1",
            "bne 2b",
            "pop {{{t0}}}",
            "add {t0}, #64",
            "vstmia {t0}, {{s16-s23}}",
            "pop {{r7}}",
            ".purgem EXP",
            ".purgem STEP",
            ".purgem TIMES",
            h = inout(reg) h => _,
            a = inout(reg) a => _,
            bc = inout(reg) bc => _,
            t0 = inout(reg) &raw mut *lanes => _,
            t1 = out(reg) _,
            n = inout(reg) n => _,
            w = out(reg) _,
            r = out(reg) _,
            c0 = in(reg) EXP2[0],
            c1 = in(reg) EXP2[1],
            c2 = in(reg) EXP2[2],
            quarter = in(reg) -(1 << 30),
            bias = in(reg) i32::from(EXP2_BIAS) << 16,
            out("s0") _, out("s1") _, out("s2") _, out("s3") _, out("s4") _, out("s5") _, out("s6") _, out("s7") _,
            out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s12") _, out("s13") _, out("s14") _,
            out("s15") _, out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _, out("s21") _,
            out("s22") _, out("s23") _, out("s24") _, out("s25") _, out("s26") _, out("s27") _, out("s28") _,
            out("s29") _, out("s30") _, out("s31") _,
        );
    }
}
