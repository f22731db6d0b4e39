//! The selective scan.

use super::vector::{Eight, load, load_state, map, negative_exp2, silu, splat, store, store_state, zip};
use crate::kernels::math::{EXP2, EXP2_BIAS, LOG_SCALE};
use crate::kernels::{Scan, StateScalar, portable};
use core::arch::aarch64::*;
use core::arch::asm;

/// See [`portable::scan`].
#[target_feature(enable = "neon")]
pub(in crate::kernels) fn scan<S: StateScalar>(mut scan: Scan<'_, S>) {
    let Scan { ref mut u, first, dt, z, stride, bc, row, a, d, ref mut state, d_state: n } = scan;
    let (tokens, blocks) = (u.tokens(), d.len() / 8);
    let end = tokens.saturating_sub(1) * stride + first + 8 * blocks;
    let there = row >= 2 * n && bc.len() >= tokens * row && dt.len() >= end && z.len() >= end;
    if n == 0 || !there || state.len() < 8 * n * blocks || a.len() < 8 * n * blocks {
        return portable::scan(scan);
    }
    for block in 0..blocks {
        for token in 0..tokens {
            let Some(u) = u.block(token, 8 * block) else { return };
            // SAFETY: all of it is there, as was checked.
            unsafe {
                let at = token * stride + first + 8 * block;
                let eight = |x: *const f32| &*x.add(at).cast::<[f32; 8]>();
                let step = Step {
                    a: a.as_ptr().add(8 * n * block),
                    b: bc.as_ptr().add((token + 1) * row - 2 * n),
                    n,
                    dt: eight(dt.as_ptr()),
                    z: eight(z.as_ptr()),
                    d: &*d.as_ptr().add(8 * block).cast(),
                };
                self::step(state.as_mut_ptr().add(8 * n * block), step, u);
            }
        }
    }
}

/// What one token does to eight channels.
struct Step<'a> {
    /// `(N, 8)`.
    a: *const f32,
    /// B (N numbers), then C (N numbers).
    b: *const f32,
    n: usize,
    dt: &'a [f32; 8],
    z: &'a [f32; 8],
    d: &'a [f32; 8],
}

/// One token and eight channels, whose state is `(N, 8)`.
///
/// # Safety
/// State, a, b and c are there.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn step<S: StateScalar>(state: *mut S, step: Step<'_>, u: &mut [f32; 8]) {
    let Step { a, b, n, dt, z, d } = step;
    let (x, dt) = (load(u), load(dt));
    let dx = zip(dt, x, |dt, x| vmulq_f32(dt, x));
    let scaled = map(dt, |dt| vmulq_n_f32(dt, LOG_SCALE));
    let mut y = splat(0.0);
    let fours = if S::HALF { 0 } else { n / 4 };
    if fours > 0 {
        // SAFETY: by the caller's promise; the state is of f32.
        unsafe { numbers(state.cast(), a, b, b.add(n), fours, &dx, &scaled, &mut y) };
    }
    for index in 4 * fours..n {
        // SAFETY: by the caller's promise.
        unsafe {
            let (a, h) = (&*a.add(8 * index).cast(), &mut *state.add(8 * index).cast());
            number::<S>(h, a, *b.add(index), *b.add(n + index), &dx, &scaled, &mut y);
        }
    }
    let skipped = zip(load(d), x, |d, x| vmulq_f32(d, x));
    let sum = zip(y, skipped, |y, skipped| vaddq_f32(y, skipped));
    store(u, zip(sum, load(z), |sum, z| vmulq_f32(sum, silu(z))));
}

/// [`number`] for `4 · fours` numbers of the state: 41 instructions for each of them and eight channels.
///
/// # Safety
/// They are there, and `fours` is not 0.
#[target_feature(enable = "neon")]
#[inline]
#[expect(clippy::too_many_arguments, reason = "what the loop keeps in registers")]
unsafe fn numbers(
    state: *mut f32,
    a: *const f32,
    b: *const f32,
    c: *const f32,
    fours: usize,
    dx: &Eight,
    scaled: &Eight,
    y: &mut Eight,
) {
    // SAFETY: by the caller's promise; the loop ends after as many numbers.
    unsafe {
        asm!(
            // Four and four channels side by side.
            ".macro NUMBER lane",
            "ldp q0, q1, [{a}], #32",
            "ldp q2, q3, [{h}]",
            "fmul v0.4s, v0.4s, v16.4s",
            "fmul v1.4s, v1.4s, v17.4s",
            "fcvtzs v0.4s, v0.4s",
            "fcvtzs v1.4s, v1.4s",
            // As in `negative_exp2`.
            "shl v4.4s, v0.4s, #9",
            "shl v5.4s, v1.4s, #9",
            "eor v4.16b, v4.16b, v24.16b",
            "eor v5.16b, v5.16b, v24.16b",
            "sshr v6.4s, v4.4s, #1",
            "sshr v7.4s, v5.4s, #1",
            "sqdmulh v30.4s, v6.4s, v26.4s",
            "sqdmulh v31.4s, v7.4s, v26.4s",
            "sqdmulh v4.4s, v4.4s, v6.4s",
            "sqdmulh v5.4s, v5.4s, v7.4s",
            "add v30.4s, v30.4s, v27.4s",
            "add v31.4s, v31.4s, v27.4s",
            "add v4.4s, v4.4s, v25.4s",
            "add v5.4s, v5.4s, v25.4s",
            "sqdmulh v30.4s, v6.4s, v30.4s",
            "sqdmulh v31.4s, v7.4s, v31.4s",
            "add v30.4s, v30.4s, v28.4s",
            "add v31.4s, v31.4s, v28.4s",
            "sqdmulh v4.4s, v4.4s, v30.4s",
            "sqdmulh v5.4s, v5.4s, v31.4s",
            "ssra v0.4s, v4.4s, #1",
            "ssra v1.4s, v5.4s, #1",
            "sqsub v0.8h, v0.8h, v29.8h",
            "sqsub v1.8h, v1.8h, v29.8h",
            // h, then y.
            "fmul v4.4s, v18.4s, v22.s[\\lane]",
            "fmul v5.4s, v19.4s, v22.s[\\lane]",
            "fmul v2.4s, v0.4s, v2.4s",
            "fmul v3.4s, v1.4s, v3.4s",
            "fsub v2.4s, v4.4s, v2.4s",
            "fsub v3.4s, v5.4s, v3.4s",
            "fmul v4.4s, v2.4s, v23.s[\\lane]",
            "fmul v5.4s, v3.4s, v23.s[\\lane]",
            "stp q2, q3, [{h}], #32",
            "fadd v20.4s, v20.4s, v4.4s",
            "fadd v21.4s, v21.4s, v5.4s",
            ".endm",
            "2:",
            "ldr q22, [{b}], #16",
            "ldr q23, [{c}], #16",
            "NUMBER 0",
            "NUMBER 1",
            "NUMBER 2",
            "NUMBER 3",
            "subs {fours}, {fours}, #1",
            "b.ne 2b",
            ".purgem NUMBER",
            h = inout(reg) state => _,
            a = inout(reg) a => _,
            b = inout(reg) b => _,
            c = inout(reg) c => _,
            fours = inout(reg) fours => _,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            in("v16") scaled[0], in("v17") scaled[1], in("v18") dx[0], in("v19") dx[1],
            inout("v20") y[0], inout("v21") y[1], out("v22") _, out("v23") _,
            in("v24") vdupq_n_s32(i32::MIN), in("v25") vdupq_n_s32(-(1 << 30)), in("v26") vdupq_n_s32(EXP2[2]),
            in("v27") vdupq_n_s32(EXP2[1]), in("v28") vdupq_n_s32(EXP2[0]),
            in("v29") vdupq_n_s32(i32::from(EXP2_BIAS) << 16), out("v30") _, out("v31") _,
            options(nostack),
        );
    }
}

/// One number of the state of each of eight channels.
#[target_feature(enable = "neon")]
#[inline]
fn number<S: StateScalar>(h: &mut [S; 8], a: &[f32; 8], b: f32, c: f32, dx: &Eight, scaled: &Eight, y: &mut Eight) {
    let log = zip(*scaled, load(a), |scaled, a| vmulq_f32(scaled, a));
    let negative_decay = map(log, |log| negative_exp2(vcvtq_s32_f32(log)));
    let kept = zip(negative_decay, load_state(h), |decay, h| vmulq_f32(decay, h));
    let next = zip(*dx, kept, |dx, kept| vsubq_f32(vmulq_n_f32(dx, b), kept));
    store_state(h, next);
    *y = zip(*y, next, |y, next| vaddq_f32(y, vmulq_n_f32(next, c)));
}
