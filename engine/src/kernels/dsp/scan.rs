//! The selective scan: eight channels at a time.

use super::activations::silu_times;
use super::{constants, cpu, enter, exp, leave};
use crate::kernels::math::{EXP2, LOG_SCALE, LOG2_E};
use crate::kernels::{Scan, StateScalar, portable};
use core::arch::naked_asm;

/// States for which a token's B and C have room side by side.
const STATES: usize = 64;

/// Numbers of A that are worked on at once: 8 KiB, half of the RP2350's cache of its flash.
const SLAB: usize = 2048;

/// A state in f16, or an unusually large one, takes the portable way.
pub(in crate::kernels) fn scan<S: StateScalar>(scan: Scan<'_, S>) {
    if S::HALF || scan.d_state > STATES {
        return portable::scan(scan);
    }
    let Scan { mut u, first, dt, z, stride, bc, row, a, d, state, d_state: n } = scan;
    let state: &mut [f32] = bytemuck::try_cast_slice_mut(state).unwrap_or(&mut []);
    // Some channels for all tokens, then the next ones: so a chunk fetches A once.
    let several = bc.len() > row;
    let slab = if several { SLAB.checked_div(8 * n).unwrap_or(0) * 8 } else { d.len() }.max(8);
    let mut both = [[0.0f32; 2]; STATES];
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
            let (Some(dt), Some(z), Some((_, bc)), true) = (
                dt.get(at..at + channels),
                z.get(at..at + channels),
                bc.split_at_checked(row.wrapping_sub(2 * n)),
                u.len() == channels,
            ) else {
                return;
            };
            for (both, bc) in both.iter_mut().zip(bc.iter().zip(bc.iter().skip(n))) {
                *both = [*bc.0, *bc.1];
            }
            let mut args = Blocks {
                bc: both.as_ptr(),
                n,
                h: state.as_mut_ptr(),
                a: a.as_ptr(),
                dt: dt.as_ptr(),
                d: d.as_ptr(),
                u: u.as_mut_ptr(),
                blocks: channels / 8,
                scale: LOG_SCALE,
            };
            // SAFETY: that many channels and states are there.
            unsafe {
                eight_channels(&mut args);
                let u = u.as_mut_ptr().cast();
                silu_times(u, z.as_ptr().cast(), u, channels / 2, -LOG2_E, 1.0);
            }
        }
    }
}

/// What [`eight_channels`] needs.
#[repr(C)]
struct Blocks {
    /// `(n)`: B and C side by side.
    bc: *const [f32; 2],
    n: usize,
    /// `(blocks, n, 8)`
    h: *mut f32,
    /// `(blocks, n, 8)`
    a: *const f32,
    /// `(blocks, 8)`; the others likewise.
    dt: *const f32,
    d: *const f32,
    u: *mut f32,
    blocks: usize,
    /// 2²³.
    scale: f32,
}

/// One token's `h = e·h + dx·B; y += h·C` for blocks of eight channels, where −e is [`crate::kernels::math::negative_exp2`]; then
/// `u = y + d·u`. VMLA rounds the product before it adds, as the contract wants it.
///
/// # Safety
/// The pointers must be right, and n and `blocks` not zero.
#[unsafe(naked)]
unsafe extern "C" fn eight_channels(args: &mut Blocks) {
    // s0 to s3 are dt·2²³ of four channels, those of the others lie on the stack; s4 to s7 are these, or h; s8 to s15 are
    // dt·u, s16 to s23 y, s24 and s25 B and C, s26 to s29 the exponentials; r0 is h, r1 a, r2 B and C, r3 counts states,
    // r12 and lr are on their way from FPU to FPU.
    naked_asm!(
        cpu!(),
        exp!(),
        ".macro EXPS from, to",
        "vmov r12, lr, s\\from, s\\to",
        "EXP r12",
        "EXP lr",
        "vmov s\\from, s\\to, r12, lr",
        ".endm",
        // Four channels.
        ".macro STEP dt0, dt1, dt2, dt3, dx0, dx1, dx2, dx3, y0, y1, y2, y3",
        "vldmia r1!, {{s26-s29}}",
        "vmul.f32 s26, s\\dt0, s26",
        "vmul.f32 s27, s\\dt1, s27",
        "vmul.f32 s28, s\\dt2, s28",
        "vmul.f32 s29, s\\dt3, s29",
        "vcvt.s32.f32 s26, s26",
        "vcvt.s32.f32 s27, s27",
        "vcvt.s32.f32 s28, s28",
        "vcvt.s32.f32 s29, s29",
        "EXPS 26, 27",
        "EXPS 28, 29",
        "vldmia r0, {{s4-s7}}",
        "vnmul.f32 s4, s26, s4",
        "vnmul.f32 s5, s27, s5",
        "vnmul.f32 s6, s28, s6",
        "vnmul.f32 s7, s29, s7",
        "vmla.f32 s4, s\\dx0, s24",
        "vmla.f32 s5, s\\dx1, s24",
        "vmla.f32 s6, s\\dx2, s24",
        "vmla.f32 s7, s\\dx3, s24",
        "vmla.f32 s\\y0, s4, s25",
        "vmla.f32 s\\y1, s5, s25",
        "vmla.f32 s\\y2, s6, s25",
        "vmla.f32 s\\y3, s7, s25",
        "vstmia r0!, {{s4-s7}}",
        ".endm",
        enter!(),
        "sub sp, #16",
        constants!(),
        "ldr r1, [r0, #12]",
        "ldr r0, [r0, #8]",
        "1:", // a block
        "ldr r12, [sp, #80]",
        "ldrd r2, r3, [r12]",
        "ldr lr, [r12, #16]",
        "vldmia lr!, {{s0-s7}}",
        "str lr, [r12, #16]",
        "ldr lr, [r12, #24]",
        "vldmia lr, {{s8-s15}}",
        "vldr s24, [r12, #32]",
        "mov r12, #0",
        "vmov s16, s17, r12, r12",
        "vmov s18, s19, r12, r12",
        "vmov s20, s21, r12, r12",
        "vmov s22, s23, r12, r12",
        "vmul.f32 s8, s0, s8",
        "vmul.f32 s9, s1, s9",
        "vmul.f32 s10, s2, s10",
        "vmul.f32 s11, s3, s11",
        "vmul.f32 s12, s4, s12",
        "vmul.f32 s13, s5, s13",
        "vmul.f32 s14, s6, s14",
        "vmul.f32 s15, s7, s15",
        ".irp dt, 0, 1, 2, 3, 4, 5, 6, 7",
        "vmul.f32 s\\dt, s\\dt, s24",
        ".endr",
        "vstmia sp, {{s4-s7}}",
        "2:", // a state
        "vldmia r2!, {{s24, s25}}",
        "STEP 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19",
        "vldmia sp, {{s4-s7}}",
        "STEP 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23",
        "subs r3, #1",
        "bne 2b",
        "ldr r12, [sp, #80]",
        "ldr lr, [r12, #20]",
        "vldmia lr!, {{s8-s15}}",
        "str lr, [r12, #20]",
        "ldr lr, [r12, #24]",
        "vldmia lr, {{s0-s7}}",
        "vmla.f32 s16, s8, s0",
        "vmla.f32 s17, s9, s1",
        "vmla.f32 s18, s10, s2",
        "vmla.f32 s19, s11, s3",
        "vmla.f32 s20, s12, s4",
        "vmla.f32 s21, s13, s5",
        "vmla.f32 s22, s14, s6",
        "vmla.f32 s23, s15, s7",
        "vstmia lr!, {{s16-s23}}",
        "str lr, [r12, #24]",
        "ldr lr, [r12, #28]",
        "subs lr, #1",
        "str lr, [r12, #28]",
        "bne 1b",
        "add sp, #16",
        leave!(),
        ".purgem EXP",
        ".purgem EXPS",
        ".purgem STEP",
        c0 = const EXP2[0],
        c1 = const EXP2[1],
        c2 = const EXP2[2],
    )
}
