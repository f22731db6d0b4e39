//! aarch64 with SDOT (Cortex-A76: Raspberry Pi 5; Neoverse).

use super::neon::{self, Sums};
use super::tile::Fours;
use super::{Columns, Quantized};
use crate::image::TILE_COLS;
use crate::model::QMatrix;
use core::arch::aarch64::*;
use core::arch::asm;

pub(super) use super::neon::{
    conv_silu, dot, quantize, quantize_head, quantize_query, rms_norm, rms_norm_in_place, scan, scores, softmax,
    softplus_bias, swiglu, weighted_values,
};

/// Whether the processor has SDOT: field DP of ID_AA64ISAR0_EL1. Linux lets programs read it (it traps and emulates the
/// access), without an operating system EL1 may; elsewhere what the program was compiled for decides.
pub(super) fn available() -> bool {
    #[cfg(any(target_os = "linux", target_os = "none"))]
    {
        let features: u64;
        // SAFETY: reading an ID register changes nothing, and Linux and EL1 both allow it.
        unsafe {
            asm!("mrs {}, ID_AA64ISAR0_EL1", out(reg) features, options(pure, nomem, nostack, preserves_flags));
        }
        features >> 44 & 0xF == 1
    }
    #[cfg(not(any(target_os = "linux", target_os = "none")))]
    {
        cfg!(target_feature = "dotprod")
    }
}

/// `sum[row] += Σ w[row][i] · x[LANE][i]`, four columns of four rows.
///
/// # Safety
/// The processor must have SDOT.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn sdot<const LANE: i32>(sum: int32x4_t, w: int8x16_t, x: int8x16_t) -> int32x4_t {
    let mut result = sum;
    // SAFETY: registers in, registers out, and the caller promises the instruction.
    unsafe {
        asm!(
            ".arch_extension dotprod",
            "sdot {sum:v}.4s, {w:v}.16b, {x:v}.4b[{lane}]",
            sum = inout(vreg) result,
            w = in(vreg) w,
            x = in(vreg) x,
            lane = const LANE,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    result
}

/// Eight rows' sums for each of `T` tokens. There are as many fours of values as of weights.
#[target_feature(enable = "neon")]
#[inline]
pub(super) fn products<const T: usize>(fours: &[Fours], values: &[&[[i8; TILE_COLS]]; T]) -> [Sums; T] {
    let mut sums = [[vdupq_n_s32(0); 2]; T];
    if values.iter().any(|values| values.len() != fours.len()) {
        return sums;
    }
    let (blocks, rest) = fours.as_chunks::<4>();
    for (at, fours) in blocks.iter().enumerate() {
        let x = values.map(|values| load(values[4 * at..4 * at + 4].as_flattened()));
        four::<0, T>(&mut sums, &fours[0], &x);
        four::<1, T>(&mut sums, &fours[1], &x);
        four::<2, T>(&mut sums, &fours[2], &x);
        four::<3, T>(&mut sums, &fours[3], &x);
    }
    for (four_columns, at) in rest.iter().zip(4 * blocks.len()..) {
        let x = values.map(|values| {
            let x = u32::from_le_bytes(values[at].map(|x| x as u8));
            vreinterpretq_s8_u32(vdupq_n_u32(x))
        });
        four::<0, T>(&mut sums, four_columns, &x);
    }
    sums
}

#[target_feature(enable = "neon")]
#[inline]
fn four<const LANE: i32, const T: usize>(sums: &mut [Sums; T], four: &Fours, x: &[int8x16_t; T]) {
    let halves = four.as_chunks::<16>().0;
    let w = [neon::weights(&halves[0]), neon::weights(&halves[1])];
    for (sums, x) in sums.iter_mut().zip(x) {
        // SAFETY: this is called only where the processor has SDOT.
        *sums = unsafe { [sdot::<LANE>(sums[0], w[0], *x), sdot::<LANE>(sums[1], w[1], *x)] };
    }
}

#[target_feature(enable = "neon")]
#[inline]
fn load(x: &[i8]) -> int8x16_t {
    match x.first_chunk::<16>() {
        // SAFETY: 16 bytes are there.
        Some(x) => unsafe { vld1q_s8(x.as_ptr()) },
        None => vdupq_n_s8(0),
    }
}

#[target_feature(enable = "neon")]
pub(super) fn matmul(w: &QMatrix<'_>, x: &Quantized<'_>, out: Columns<'_>) {
    neon::product::<true>(w, x, out);
}
