//! The selective scan: eight channels at a time.

use super::activations::silu_times;
use super::{constants, cpu, enter, exp, leave};
use crate::kernels::math::{EXP2, LOG_SCALE, LOG2_E};
use crate::kernels::{Scan, StateScalar, portable};
use core::arch::naked_asm;
use core::mem::MaybeUninit;

/// States for which a token's B and C have room side by side.
const STATES: usize = 64;

/// Numbers of A that are worked on at once: 8 KiB, half of the RP2350's cache of its flash.
const SLAB: usize = 2048;

/// A state in f16, or one of an unusual size, takes the portable way.
pub(in crate::kernels) fn scan<S: StateScalar>(scan: Scan<'_, S>) {
    if S::HALF || scan.d_state > STATES || !scan.d_state.is_multiple_of(2) {
        return portable::scan(scan);
    }
    let Scan { mut u, first, dt, z, stride, bc, row, a, d, state, d_state: n } = scan;
    let state: &mut [f32] = bytemuck::try_cast_slice_mut(state).unwrap_or(&mut []);
    // Some channels for all tokens, then the next ones: so a chunk fetches A once.
    let several = bc.len() > row;
    let slab = if several { SLAB.checked_div(8 * n).unwrap_or(0) * 8 } else { d.len() }.max(8);
    let mut both = [const { MaybeUninit::uninit() }; STATES];
    // At least 1, as the compiler sees.
    let (numbers, row) = ((slab * n).max(1), row.max(1));
    let slabs = state.chunks_mut(numbers).zip(a.chunks(numbers)).zip(d.chunks(slab));
    for (index, ((state, a), d)) in slabs.enumerate() {
        let channels = d.len() / 8 * 8;
        if channels == 0 || n == 0 || state.len() < channels * n || a.len() < channels * n {
            return;
        }
        for (token, bc) in bc.chunks_exact(row).enumerate() {
            let at = token * stride + first + index * slab;
            let u = u.row(token, index * slab, channels);
            let (Some(dt), Some(z), Some((b, c)), true) = (
                dt.get(at..at + channels),
                z.get(at..at + channels),
                bc.get(row.wrapping_sub(2 * n)..).and_then(|bc| bc.split_at_checked(n)),
                u.len() == channels,
            ) else {
                return;
            };
            for (both, (b, c)) in both.iter_mut().zip(b.iter().zip(c)) {
                both.write([*b, *c]);
            }
            let mut args = Blocks {
                y: u.as_mut_ptr(),
                d: d.as_ptr(),
                bc: both.as_ptr().cast(),
                pairs: n / 2,
                dt: dt.as_ptr(),
                u: u.as_ptr(),
                end: a.as_ptr().wrapping_add(channels * n),
                a: a.as_ptr(),
                h: state.as_mut_ptr(),
            };
            // SAFETY: that many channels and states are there.
            unsafe {
                eight_channels(&mut args);
                let u = u.as_mut_ptr().cast();
                silu_times(u, z.as_ptr().cast(), u, channels / 4, -LOG2_E, 1.0);
            }
        }
    }
}

/// What [`eight_channels`] needs, in the order in which it loads it.
#[repr(C)]
struct Blocks {
    /// `(blocks, 8)`: where results go, and the skip connection.
    y: *mut f32,
    d: *const f32,
    /// `(n)`: B and C side by side.
    bc: *const [f32; 2],
    /// n / 2
    pairs: usize,
    /// `(blocks, 8)`; u is also y.
    dt: *const f32,
    u: *const f32,
    /// `(blocks, n, 8)`: up to where, and from where.
    end: *const f32,
    a: *const f32,
    /// `(blocks, n, 8)`
    h: *mut f32,
}

/// One token's `h = e·h + dx·B; y += h·C` for blocks of eight channels, where −e is [`crate::kernels::math::negative_exp2`]; then
/// `u = y + d·u`. VMLA rounds the product before it adds, as the contract wants it.
///
/// # Safety
/// The pointers must be right, and there must be a block and two states.
#[unsafe(naked)]
unsafe extern "C" fn eight_channels(args: &mut Blocks) {
    // s0 to s7 are a, then the exponentials, then the new h; s8 to s15 y; s16 to s23 dt·2²³, which waits on the stack, then the
    // old h, then B and C; s24 to s31 dt·u. r0 is h, r1 a, r2 B and C, r3 counts states by twos, r12 and lr are on their way
    // from FPU to FPU.
    naked_asm!(
        cpu!(),
        exp!(),
        ".macro EXPS from, to",
        "vmov r12, lr, s\\from, s\\to",
        "EXP r12",
        "EXP lr",
        "vmov s\\from, s\\to, r12, lr",
        ".endm",
        // For eight channels: the first registers of three, and how far the last one's are apart.
        ".altmacro",
        ".macro EACH op, to, a, b, apart=1",
        ".irp i, 0, 1, 2, 3, 4, 5, 6, 7",
        "ONE \\op, %(\\to + \\i), %(\\a + \\i), %(\\b + \\apart * \\i)",
        ".endr",
        ".endm",
        ".macro ONE op, to, a, b",
        "\\op s\\to, s\\a, s\\b",
        ".endm",
        enter!(),
        "sub sp, #32",
        constants!(),
        "add r12, r0, #8",
        "str r12, [sp, #96]",
        "ldrd r1, r0, [r12, #20]",
        "1:", // a block
        "adr r10, 3f",
        "vldmia r10, {{s7-s15}}",
        "ldm r12, {{r2, r3, r10, lr}}",
        "vldmia r10!, {{s16-s23}}",
        "vldmia lr!, {{s24-s31}}",
        "strd r10, lr, [r12, #8]",
        "EACH vmul.f32, 24, 16, 24",
        "EACH vmul.f32, 16, 16, 7, 0",
        "vstmia sp, {{s16-s23}}",
        "2:", // two states
        ".rept 2",
        "vldmia r1!, {{s0-s7}}",
        "vldmia sp, {{s16-s23}}",
        "EACH vmul.f32, 0, 0, 16",
        ".irp t, 0, 1, 2, 3, 4, 5, 6, 7",
        "vcvt.s32.f32 s\\t, s\\t",
        ".endr",
        "EXPS 0, 1",
        "EXPS 2, 3",
        "EXPS 4, 5",
        "EXPS 6, 7",
        "vldmia r0, {{s16-s23}}",
        "EACH vnmul.f32, 0, 0, 16",
        "vldmia r2!, {{s16, s17}}",
        "EACH vmla.f32, 0, 24, 16, 0",
        "EACH vmla.f32, 8, 0, 17, 0",
        "vstmia r0!, {{s0-s7}}",
        ".endr",
        "subs r3, #1",
        "bne 2b",
        "ldr r12, [sp, #96]",
        "ldrd r2, r3, [r12, #-8]",
        "vldmia r3!, {{s0-s7}}",
        "vldmia r2, {{s16-s23}}",
        "EACH vmla.f32, 8, 0, 16",
        "vstmia r2!, {{s8-s15}}",
        "strd r2, r3, [r12, #-8]",
        "ldr lr, [r12, #16]",
        "cmp r1, lr",
        "bne 1b",
        "add sp, #32",
        leave!(),
        ".p2align 2",
        "3:", // 2²³, and what sums begin with
        ".long {scale}, 0, 0, 0, 0, 0, 0, 0, 0",
        ".noaltmacro",
        ".purgem EXP",
        ".purgem EXPS",
        ".purgem EACH",
        ".purgem ONE",
        scale = const LOG_SCALE.to_bits(),
        c0 = const EXP2[0],
        c1 = const EXP2[1],
        c2 = const EXP2[2],
    )
}
