//! The scan of Mamba-2.

use super::vector::{Eight, load, load_state, map, negative_exp2, silu, splat, store, store_state, zip};
use crate::kernels::math::LOG_SCALE;
use crate::kernels::ssd::{SsdRows, SsdStep};
use crate::kernels::{SsdScan, StateScalar};
use core::arch::aarch64::*;
use core::arch::asm;

/// See [`crate::kernels::portable::ssd_scan`]: two tokens at a time, while a number of the state is in a register.
#[target_feature(enable = "neon")]
pub(in crate::kernels) fn ssd_scan<S: StateScalar>(scan: SsdScan<'_, S>) {
    let Some((rows, mut u, state)) = SsdRows::new(scan) else { return };
    rows.through(
        (0, state),
        &mut u,
        |state, steps, u| block::<S, 2>(state, steps, u),
        |state, steps, u| block::<S, 1>(state, steps, u),
    );
}

/// What a token does to eight channels, and their output so far.
#[derive(Clone, Copy)]
struct Token {
    /// `(N)`.
    b: *const f32,
    /// `(N)`.
    c: *const f32,
    negative_decay: Eight,
    dx: Eight,
    y: Eight,
}

/// `T` tokens, one or two, and eight channels, whose state is `(N, 8)`.
#[target_feature(enable = "neon")]
#[inline]
fn block<S: StateScalar, const T: usize>(state: &mut [[S; 8]], steps: [SsdStep<'_, 1>; T], u: &mut [[[f32; 8]; 1]; T]) {
    let n = steps.iter().map(|step| step.b.len().min(step.c.len())).fold(state.len(), usize::min);
    let token = |(step, [u]): (&SsdStep<'_, 1>, &[[f32; 8]; 1])| {
        let SsdStep { b, c, dt: [dt], a: [a], .. } = step;
        let dt = load(dt);
        let log = zip(map(dt, |dt| vmulq_n_f32(dt, LOG_SCALE)), load(a), |dt, a| vmulq_f32(dt, a));
        let negative_decay = map(log, |log| negative_exp2(vcvtq_s32_f32(log)));
        let dx = zip(dt, load(u), |dt, x| vmulq_f32(dt, x));
        Token { b: b.as_ptr(), c: c.as_ptr(), negative_decay, dx, y: splat(0.0) }
    };
    let nothing =
        Token { b: core::ptr::null(), c: core::ptr::null(), negative_decay: splat(0.0), dx: splat(0.0), y: splat(0.0) };
    let mut tokens = [nothing; T];
    for (place, of_token) in tokens.iter_mut().zip(steps.iter().zip(&*u)) {
        *place = token(of_token);
    }
    let fours = if S::HALF { 0 } else { n / 4 };
    if fours > 0 {
        let h = state.as_mut_ptr().cast();
        // SAFETY: n numbers are there of each, and the state is of f32.
        unsafe {
            match &mut tokens[..] {
                [one] => numbers(h, fours, one),
                [one, two] => numbers_of_two(h, fours, one, two),
                _ => {}
            }
        }
    }
    for (index, h) in state.iter_mut().enumerate().take(n).skip(4 * fours) {
        for token in &mut tokens {
            // SAFETY: n numbers are there of each.
            let (b, c) = unsafe { (*token.b.add(index), *token.c.add(index)) };
            let kept = zip(token.negative_decay, load_state(h), |decay, h| vmulq_f32(decay, h));
            let next = zip(token.dx, kept, |dx, kept| vsubq_f32(vmulq_n_f32(dx, b), kept));
            store_state(h, next);
            token.y = zip(token.y, next, |y, next| vaddq_f32(y, vmulq_n_f32(next, c)));
        }
    }
    for ((token, step), [u]) in tokens.iter().zip(&steps).zip(u) {
        let skipped = zip(load(&step.d[0]), load(u), |d, x| vmulq_f32(d, x));
        let sum = zip(token.y, skipped, |y, skipped| vaddq_f32(y, skipped));
        store(u, zip(sum, load(&step.z[0]), |sum, z| vmulq_f32(sum, silu(z))));
    }
}

/// What both loops are made of. Four numbers of eight channels side by side, so that no instruction waits for the one before, not
/// even on a Cortex-A53: v0 to v7 are the state, v24 to v31 what is computed from it.
macro_rules! pieces {
    () => {
        ".macro LOADS
        ldp q0, q1, [{h}]
        ldp q2, q3, [{h}, #32]
        ldp q4, q5, [{h}, #64]
        ldp q6, q7, [{h}, #96]
        .endm
        .macro STORES
        stp q0, q1, [{h}], #32
        stp q2, q3, [{h}], #32
        stp q4, q5, [{h}], #32
        stp q6, q7, [{h}], #32
        .endm
        .macro INPUTS dx0, dx1, b
        fmul v24.4s, \\dx0\\().4s, \\b\\().s[0]
        fmul v25.4s, \\dx1\\().4s, \\b\\().s[0]
        fmul v26.4s, \\dx0\\().4s, \\b\\().s[1]
        fmul v27.4s, \\dx1\\().4s, \\b\\().s[1]
        fmul v28.4s, \\dx0\\().4s, \\b\\().s[2]
        fmul v29.4s, \\dx1\\().4s, \\b\\().s[2]
        fmul v30.4s, \\dx0\\().4s, \\b\\().s[3]
        fmul v31.4s, \\dx1\\().4s, \\b\\().s[3]
        .endm
        .macro DECAYS decay0, decay1
        fmul v0.4s, v0.4s, \\decay0\\().4s
        fmul v1.4s, v1.4s, \\decay1\\().4s
        fmul v2.4s, v2.4s, \\decay0\\().4s
        fmul v3.4s, v3.4s, \\decay1\\().4s
        fmul v4.4s, v4.4s, \\decay0\\().4s
        fmul v5.4s, v5.4s, \\decay1\\().4s
        fmul v6.4s, v6.4s, \\decay0\\().4s
        fmul v7.4s, v7.4s, \\decay1\\().4s
        .endm
        .macro NEXTS
        fsub v0.4s, v24.4s, v0.4s
        fsub v1.4s, v25.4s, v1.4s
        fsub v2.4s, v26.4s, v2.4s
        fsub v3.4s, v27.4s, v3.4s
        fsub v4.4s, v28.4s, v4.4s
        fsub v5.4s, v29.4s, v5.4s
        fsub v6.4s, v30.4s, v6.4s
        fsub v7.4s, v31.4s, v7.4s
        .endm
        .macro OUTPUTS c
        fmul v24.4s, v0.4s, \\c\\().s[0]
        fmul v25.4s, v1.4s, \\c\\().s[0]
        fmul v26.4s, v2.4s, \\c\\().s[1]
        fmul v27.4s, v3.4s, \\c\\().s[1]
        fmul v28.4s, v4.4s, \\c\\().s[2]
        fmul v29.4s, v5.4s, \\c\\().s[2]
        fmul v30.4s, v6.4s, \\c\\().s[3]
        fmul v31.4s, v7.4s, \\c\\().s[3]
        .endm
        .macro SUMS y0, y1
        fadd \\y0\\().4s, \\y0\\().4s, v24.4s
        fadd \\y1\\().4s, \\y1\\().4s, v25.4s
        fadd \\y0\\().4s, \\y0\\().4s, v26.4s
        fadd \\y1\\().4s, \\y1\\().4s, v27.4s
        fadd \\y0\\().4s, \\y0\\().4s, v28.4s
        fadd \\y1\\().4s, \\y1\\().4s, v29.4s
        fadd \\y0\\().4s, \\y0\\().4s, v30.4s
        fadd \\y1\\().4s, \\y1\\().4s, v31.4s
        .endm"
    };
}

/// Forgets [`pieces`], so that they can be made again.
macro_rules! no_pieces {
    () => {
        ".purgem LOADS
        .purgem STORES
        .purgem INPUTS
        .purgem DECAYS
        .purgem NEXTS
        .purgem OUTPUTS
        .purgem SUMS"
    };
}

/// One token and `4 · fours` numbers of the state: 13 instructions for each of them and eight channels.
///
/// # Safety
/// They are there, and as many of B and C; `fours` is not 0.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn numbers(h: *mut f32, fours: usize, token: &mut Token) {
    // SAFETY: by the caller's promise; the loop ends after as many numbers.
    unsafe {
        asm!(
            pieces!(),
            "2:",
            "ldr q22, [{b}], #16",
            "ldr q23, [{c}], #16",
            "LOADS",
            "INPUTS v18, v19, v22",
            "DECAYS v16, v17",
            "NEXTS",
            "OUTPUTS v23",
            "STORES",
            "SUMS v20, v21",
            "subs {fours}, {fours}, #1",
            "b.ne 2b",
            no_pieces!(),
            h = inout(reg) h => _,
            b = inout(reg) token.b => _,
            c = inout(reg) token.c => _,
            fours = inout(reg) fours => _,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            in("v16") token.negative_decay[0], in("v17") token.negative_decay[1],
            in("v18") token.dx[0], in("v19") token.dx[1],
            inout("v20") token.y[0], inout("v21") token.y[1], out("v22") _, out("v23") _,
            out("v24") _, out("v25") _, out("v26") _, out("v27") _,
            out("v28") _, out("v29") _, out("v30") _, out("v31") _,
            options(nostack),
        );
    }
}

/// Two tokens, one after the other: 23.5 instructions for each number of the state and eight channels.
///
/// # Safety
/// As of [`numbers`].
#[target_feature(enable = "neon")]
#[inline]
unsafe fn numbers_of_two(h: *mut f32, fours: usize, one: &mut Token, two: &mut Token) {
    // SAFETY: by the caller's promise; the loop ends after as many numbers.
    unsafe {
        asm!(
            pieces!(),
            "2:",
            "ldr q22, [{b1}], #16",
            "ldr q23, [{c1}], #16",
            "LOADS",
            "ldr q14, [{b2}], #16",
            "ldr q15, [{c2}], #16",
            "INPUTS v18, v19, v22",
            "DECAYS v16, v17",
            "NEXTS",
            "OUTPUTS v23",
            "DECAYS v8, v9",
            "SUMS v20, v21",
            "INPUTS v10, v11, v14",
            "NEXTS",
            "OUTPUTS v15",
            "STORES",
            "SUMS v12, v13",
            "subs {fours}, {fours}, #1",
            "b.ne 2b",
            no_pieces!(),
            h = inout(reg) h => _,
            b1 = inout(reg) one.b => _,
            c1 = inout(reg) one.c => _,
            b2 = inout(reg) two.b => _,
            c2 = inout(reg) two.c => _,
            fours = inout(reg) fours => _,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            in("v8") two.negative_decay[0], in("v9") two.negative_decay[1],
            in("v10") two.dx[0], in("v11") two.dx[1],
            inout("v12") two.y[0], inout("v13") two.y[1], out("v14") _, out("v15") _,
            in("v16") one.negative_decay[0], in("v17") one.negative_decay[1],
            in("v18") one.dx[0], in("v19") one.dx[1],
            inout("v20") one.y[0], inout("v21") one.y[1], out("v22") _, out("v23") _,
            out("v24") _, out("v25") _, out("v26") _, out("v27") _,
            out("v28") _, out("v29") _, out("v30") _, out("v31") _,
            options(nostack),
        );
    }
}
