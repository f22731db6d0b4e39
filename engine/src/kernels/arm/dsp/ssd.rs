//! The scan of Mamba-2: eight channels of a head at a time.

use super::activations::silu_times;
use super::cpu;
use crate::kernels::math::{LOG_SCALE, LOG2_E, exp2};
use crate::kernels::ssd::{SsdRows, SsdStep};
use crate::kernels::{SsdScan, StateScalar, portable};
use core::arch::naked_asm;

/// A state in f16, and eight channels of several heads, take the portable way.
pub(in crate::kernels) fn ssd_scan<S: StateScalar>(scan: SsdScan<'_, S>) {
    if S::HALF {
        return portable::ssd_scan(scan);
    }
    let Some((rows, mut u, state)) = SsdRows::new(scan) else { return };
    rows.through_each((0, state), &mut u, block);
}

/// One token and eight channels, whose state is `(N, 8)`.
#[inline(always)]
fn block<S: StateScalar>(state: &mut [[S; 8]], steps: [SsdStep<'_, 1>; 1], all: &mut [[[f32; 8]; 1]; 1]) {
    let [SsdStep { b, c, dt: [dt], z: [z], a: [a], d: [d] }] = steps;
    let alike = |x: &[f32; 8]| x.iter().all(|one| one.to_bits() == x[0].to_bits());
    let h: &mut [[f32; 8]] = match alike(dt) && alike(a) {
        true => bytemuck::try_cast_slice_mut(state).unwrap_or(&mut []),
        false => return portable::ssd_step(state, steps, all),
    };
    let [[u]] = all;
    let decay = exp2(((dt[0] * LOG_SCALE) * a[0]) as i32);
    let dx = u.map(|u| dt[0] * u);
    let mut y = [0.0; 8];
    let (pairs, rest) = h.as_chunks_mut::<2>();
    let ((b, b_rest), (c, c_rest)) = (b.as_chunks::<2>(), c.as_chunks::<2>());
    let count = pairs.len().min(b.len()).min(c.len());
    if count > 0 {
        let (h, b, c) = (pairs.as_mut_ptr(), b.as_ptr(), c.as_ptr());
        // SAFETY: as many pairs are there of each.
        unsafe { numbers(&mut Numbers { h, b, c, pairs: count, dx: &dx, y: &mut y }, decay) };
    }
    for ((h, b), c) in rest.iter_mut().zip(b_rest).zip(c_rest) {
        for lane in 0..8 {
            h[lane] = decay * h[lane] + dx[lane] * b;
            y[lane] += h[lane] * c;
        }
    }
    for lane in 0..8 {
        u[lane] = y[lane] + d[lane] * u[lane];
    }
    let u = u.as_mut_ptr().cast();
    // SAFETY: eight numbers are there of each.
    unsafe { silu_times(u, z.as_ptr().cast(), u, 2, -LOG2_E, 1.0) };
}

/// What [`numbers`] needs, in the order in which it loads it.
#[repr(C)]
struct Numbers<'a> {
    /// `(2·pairs, 8)`: the state.
    h: *mut [[f32; 8]; 2],
    /// `(2·pairs)` each.
    b: *const [f32; 2],
    c: *const [f32; 2],
    pairs: usize,
    dx: &'a [f32; 8],
    y: &'a mut [f32; 8],
}

/// `h = decay·h + dx·B; y += h·C` for eight channels: 28 instructions for each number of the state. VMLA rounds the product before
/// it adds, as the contract wants it.
///
/// # Safety
/// The pointers must be right, and there must be a pair.
#[unsafe(naked)]
unsafe extern "C" fn numbers(args: &mut Numbers<'_>, decay: f32) {
    // s0 to s7 are h, s8 to s15 y, s16 to s23 dx, s24 is the decay, s25 and s26 are B, s27 and s28 C.
    naked_asm!(
        cpu!(),
        // For eight channels: the first registers of three, and how far the last one's are apart.
        ".altmacro",
        ".macro EACH op, to, a, b, apart",
        ".irp i, 0, 1, 2, 3, 4, 5, 6, 7",
        "ONE \\op, %(\\to + \\i), %(\\a + \\i), %(\\b + \\apart * \\i)",
        ".endr",
        ".endm",
        ".macro ONE op, to, a, b",
        "\\op s\\to, s\\a, s\\b",
        ".endm",
        ".macro NUMBER b, c",
        "vldmia r1, {{s0-s7}}",
        "EACH vmul.f32, 0, 0, 24, 0",
        "EACH vmla.f32, 0, 16, \\b, 0",
        "EACH vmla.f32, 8, 0, \\c, 0",
        "vstmia r1!, {{s0-s7}}",
        ".endm",
        "push {{r4-r6, lr}}",
        "vpush {{s16-s28}}",
        "vmov.f32 s24, s0",
        "ldm r0, {{r1-r6}}",
        "vldmia r5, {{s16-s23}}",
        "vldmia r6, {{s8-s15}}",
        "2:",
        "vldmia r2!, {{s25, s26}}",
        "vldmia r3!, {{s27, s28}}",
        "NUMBER 25, 27",
        "NUMBER 26, 28",
        "subs r4, #1",
        "bne 2b",
        "vstmia r6, {{s8-s15}}",
        "vpop {{s16-s28}}",
        "pop {{r4-r6, pc}}",
        ".noaltmacro",
        ".purgem EACH",
        ".purgem ONE",
        ".purgem NUMBER",
    )
}
