//! Matrix products: two 16-bit products an instruction.
//!
//! Four weights of a row are one word: bytes u₀, q₁, u₂, q₃ with u = q + 128, see [`crate::image`]. SMLAD of the word, taken
//! as two 16-bit numbers, with x₁ and x₃ gives `256·q₁x₁ + u₀x₁ + 256·q₃x₃ + u₂x₃`. UXTB16 leaves u₀ and u₂, and their SMLAD
//! with `256·x₀ − x₁` and `256·x₂ − x₃` makes of both together `256·(u₀x₀ + q₁x₁ + u₂x₂ + q₃x₃)`. What u has more than q is
//! taken off at the start: `256·128·(x₀ + x₂)`. So four products take three instructions and half a load, and the sum of a
//! group of up to 512 columns is exact: 256·512·128·127 < 2³¹; what overflows on the way wraps around and comes back.
//!
//! Eight sums are under way at once: of eight rows and one token, of four rows and two tokens, or of two rows and four tokens.
//!
//! | | instructions for 32 products | for a group of 32 columns, 256 products, with scaling |
//! |---|---|---|
//! | [`eight_rows`], one token | 29 | 276 |
//! | [`four_rows`], two tokens | 26 | 251 |
//! | [`two_rows`], four tokens | 23 | 225 |
//!
//! Activations are expanded once a *block*, as many groups as there is room for. All tokens of a chunk, at most eight,
//! go through a tile's block before the next tile's: so the weights are fetched from flash once a chunk, and the other
//! times from the cache.

use super::{cpu, enter, leave};
use crate::kernels::{Columns, Quantized, portable};
use crate::matrix::{Bits, Block, QMatrix, TILE_ROWS};
use core::arch::{asm, naked_asm};
use core::mem::MaybeUninit;
use core::ops::Range;

/// The widest group whose sum is exact.
const WIDEST: usize = 512;
/// Tokens that share a reading of the weights.
const TOKENS: usize = 8;
/// Tokens of [`two_rows`].
const FOUR: usize = 4;
/// Tokens of [`four_rows`].
const TWO: usize = 2;
/// Words for a block's expanded activations, on the stack: three groups of 32 columns of eight tokens, or one of 512 of one.
const WORDS: usize = 462;

/// Words of one group of `tokens` (one, two or four) tokens: their scales, the address of their end, the sums' beginnings, and
/// two words for four activations.
const fn group_words(tokens: usize, width: usize) -> usize {
    tokens + 1 + 8 + tokens * width / 2
}

/// Of so many tokens that are left, how many go through a loop together.
const fn unit(left: usize) -> usize {
    match left {
        FOUR.. => FOUR,
        TWO.. => TWO,
        _ => 1,
    }
}

/// Words of one group of `count` tokens: fours, then two, then one.
const fn pass_words(count: usize, width: usize) -> usize {
    count / FOUR * group_words(FOUR, width)
        + count % FOUR / TWO * group_words(TWO, width)
        + count % TWO * group_words(1, width)
}

/// The loops for weights of so many bits.
pub(super) trait Loops {
    const BITS: Bits;
    /// `y += W·x` for one token: tile after tile, group after group.
    ///
    /// # Safety
    /// The pointers must be right, and the activations be what [`fill`] makes.
    const EIGHT_ROWS: unsafe extern "C" fn(&mut EightRows);
    /// `y += W·x` for two tokens: tile after tile, four rows after four rows, group after group.
    ///
    /// # Safety
    /// As for [`Loops::EIGHT_ROWS`].
    const FOUR_ROWS: unsafe extern "C" fn(&mut TwoRows);
    /// `y += W·x` for four tokens: tile after tile, the fours of tokens one after another, two rows after two rows, group after
    /// group.
    ///
    /// # Safety
    /// As for [`Loops::EIGHT_ROWS`].
    const TWO_ROWS: unsafe extern "C" fn(&mut TwoRows);

    /// Expands one token's group to the words that multiply its weights, two for four activations, `STEP` bytes from one to the
    /// next. Returns what its sums begin with.
    ///
    /// # Safety
    /// There must be room, and as many values as a multiple of 8, not zero.
    unsafe fn expand<const STEP: usize>(values: &[i8], to: *mut u32) -> u32;
}

// A frame of its own, so that those of 8 and 4 bits don't add up.
#[inline(never)]
pub(in crate::kernels) fn matmul(w: &QMatrix<'_>, x: &Quantized<'_>, out: Columns<'_>) {
    match x.group {
        1..=WIDEST => product::<Q8>(w, x, out),
        _ => portable::matmul(w, x, out),
    }
}

/// Matrix product, for groups whose sums are exact.
#[inline(always)]
pub(super) fn product<L: Loops>(w: &QMatrix<'_>, x: &Quantized<'_>, mut out: Columns<'_>) {
    // The most tokens of which a group has room.
    let most = (1..=TOKENS).rev().find(|&count| pass_words(count, x.group) <= WORDS);
    let (Some(most), true) = (most, w.bytes().as_ptr().addr().is_multiple_of(4)) else {
        return match L::BITS {
            Bits::Eight => portable::matmul(w, x, out),
            Bits::Four => portable::matmul_q4(w, x, out),
        };
    };
    let mut words = [const { MaybeUninit::uninit() }; WORDS];
    let mut first = 0;
    while first < x.tokens().min(out.tokens()) {
        let count = (x.tokens() - first).min(most);
        pass::<L>(w, x, first, count, &mut words, &mut out);
        first += count;
    }
}

/// The tokens `first .. first + count` through the whole matrix.
fn pass<L: Loops>(
    w: &QMatrix<'_>,
    x: &Quantized<'_>,
    first: usize,
    count: usize,
    words: &mut [MaybeUninit<u32>; WORDS],
    out: &mut Columns<'_>,
) {
    let tile_size = L::BITS.tile_bytes(x.cols, x.group);
    let tiles = w.tiles().len().min(w.rows().div_ceil(TILE_ROWS));
    let whole = tiles.min(w.rows() / TILE_ROWS);
    // The results of a last tile that isn't whole.
    let mut last = [[0.0f32; TILE_ROWS]; FOUR];
    (first..first + count).for_each(|token| clear(out.row(token, 0, w.rows())));
    let (mut at, mut column) = (0, 0);
    while column < x.cols {
        let width = x.group.min(x.cols - column);
        let groups = ((x.cols - column) / width.max(1)).min(WORDS / pass_words(count, width).max(1));
        let block = groups * (2 * TILE_ROWS + width / L::BITS.block_cols() * size_of::<Block>());
        fill::<L>(x, first..first + count, column / x.group, groups, width, words);
        // How many of the equal parts of a round of 32 columns the first round of a group leaves out.
        let skip = (32 - width % 32) % 32 / L::BITS.block_cols();
        let mut tile = 0;
        while tile < tiles {
            // Tokens of one kind go through all tiles in one call.
            let run = if tile < whole && (count <= TWO || count.is_multiple_of(FOUR)) { whole } else { 1 };
            let Some(weights) = w.bytes().get(tile * tile_size + at..tile * tile_size + at + block) else { return };
            let (mut token, mut activations) = (0, words.as_ptr().cast::<u32>());
            while token < count {
                let unit = unit(count - token);
                let units = if tile < whole && unit == FOUR { (count - token) / FOUR } else { 1 };
                let rows = first + token..first + token + units * unit;
                let (y, stride) = if tile < whole {
                    let Some(y) = out.pointer(rows.clone(), tile * TILE_ROWS, run * TILE_ROWS) else { return };
                    (y, out.stride())
                } else {
                    for (last, token) in last.iter_mut().zip(rows.clone()) {
                        last.iter_mut().zip(out.row(token, tile * TILE_ROWS, TILE_ROWS)).for_each(|(to, y)| *to = *y);
                    }
                    (last.as_mut_ptr().cast(), TILE_ROWS)
                };
                let (w, x) = (weights.as_ptr(), activations);
                // SAFETY: `fill` made the activations of these groups and tokens, the weights of the first tile were cut
                // out, those of the others follow at multiples of the tile's size, and there is room for the results.
                unsafe {
                    // Calls by name: what a computed address takes of the stack is unknown.
                    if unit == 1 {
                        let y_end = y.wrapping_add(run * TILE_ROWS);
                        (L::EIGHT_ROWS)(&mut EightRows { x, skip, y, y_end, gap: tile_size - block, w });
                    } else {
                        let mut rows = TwoRows { w, x, y, stride: 4 * stride, skip, units, tiles: run, tile_size };
                        if unit == FOUR { (L::TWO_ROWS)(&mut rows) } else { (L::FOUR_ROWS)(&mut rows) }
                    }
                }
                if tile >= whole {
                    for (last, token) in last.iter().zip(rows) {
                        out.row(token, tile * TILE_ROWS, TILE_ROWS)
                            .iter_mut()
                            .zip(last)
                            .for_each(|(y, from)| *y = *from);
                    }
                }
                activations = activations.wrapping_add(units * groups * group_words(unit, width));
                token += units * unit;
            }
            tile += run;
        }
        at += block;
        column += groups * width;
    }
}

/// Zeros: the library's `memclr` takes two instructions a word.
fn clear(row: &mut [f32]) {
    let (eights, rest) = row.as_chunks_mut::<8>();
    if !eights.is_empty() {
        // SAFETY: that many eights are there.
        unsafe { clear_eights(eights.as_mut_ptr(), eights.len()) }
    }
    rest.fill(0.0);
}

/// # Safety
/// There must be `eights` > 0 eights.
#[unsafe(naked)]
unsafe extern "C" fn clear_eights(to: *mut [f32; 8], eights: usize) {
    naked_asm!(
        cpu!(),
        "mov r2, #0",
        "vmov s0, s1, r2, r2",
        "vmov s2, s3, r2, r2",
        "vmov s4, s5, r2, r2",
        "vmov s6, s7, r2, r2",
        "2:",
        "vstmia r0!, {{s0-s7}}",
        "subs r1, #1",
        "bne 2b",
        "bx lr",
    )
}

/// Expands the groups `group .. group + groups` of the tokens, all of them of `width` columns: group after group of four
/// tokens, then of the next ones, as [`unit`] divides them.
fn fill<L: Loops>(
    x: &Quantized<'_>,
    tokens: Range<usize>,
    group: usize,
    groups: usize,
    width: usize,
    words: &mut [MaybeUninit<u32>; WORDS],
) {
    let mut place = words.as_mut_ptr().cast::<u32>();
    let mut left = tokens.len();
    let mut rows = x.rows().skip(tokens.start);
    while left > 0 {
        let unit = unit(left);
        let size = group_words(unit, width);
        for (token, (values, scales)) in rows.by_ref().take(unit).enumerate() {
            let mut start = place;
            for index in 0..groups {
                let last = index + 1 == groups;
                let first = (group + index) * x.group;
                let Some(values) = values.get(first..first + width) else { return };
                let end = start.wrapping_add(size).addr() - if last { 4 } else { 0 };
                // SAFETY: `WORDS` has room for all groups of all tokens, as `pass_words` counted them.
                unsafe {
                    let to = start.add(unit + 9 + token);
                    let offset = match unit {
                        FOUR => L::expand::<16>(values, to),
                        TWO => L::expand::<8>(values, to),
                        _ => L::expand::<4>(values, to),
                    };
                    start.add(token).write(scales.get(group + index).copied().unwrap_or(0.0).to_bits());
                    start.add(unit).write(end as u32);
                    (0..8 / unit).for_each(|row| start.add(unit + 1 + token * (8 / unit) + row).write(offset));
                }
                start = start.wrapping_add(size);
            }
        }
        place = place.wrapping_add(groups * size);
        left -= unit;
    }
}

/// What [`Loops::EIGHT_ROWS`] needs: in this order in s26 to s31.
#[repr(C)]
pub(super) struct EightRows {
    x: *const u32,
    /// Blocks of columns that the first round of a group leaves out.
    skip: usize,
    y: *mut f32,
    y_end: *mut f32,
    /// Bytes from the end of a tile's block to the next tile's.
    gap: usize,
    w: *const u8,
}

/// The body of a [`Loops::EIGHT_ROWS`] around `sums`, the code that makes a group's sums: in s8 to s15, as integers with so many
/// bits of `fraction`, the flags being those of lr compared with s25. It finds their beginnings in r0 to r7, the rows' scales in s0 to
/// s3, weights at r12, activations at lr, and at `[sp, #64]` the address behind label 3 at which its first round begins, as a block
/// of columns takes so many `bytes` of code. `begin` is done once.
macro_rules! for_eight_rows {
    (bytes: $bytes:literal, fraction: $fraction:literal, begin: [$($begin:literal),*], sums: [$($sums:literal),* $(,)?]) => {
        naked_asm!(
            cpu!(),
            enter!(),
            "vldmia r0, {{s26-s31}}",
            "vmov r12, s31",
            "adr r1, 3f", // where groups begin
            "vmov r2, s27",
            concat!("mov r3, #", $bytes),
            "mla r1, r2, r3, r1",
            "add r1, #1",
            "str r1, [sp, #64]",
            $($begin,)*
            "1:", // a tile
            "vmov r8, s28",
            "vldmia r8, {{s16-s23}}",
            "vmov lr, s26",
            "2:", // a group
            "vldmia lr!, {{s24, s25}}",
            "ldmia lr!, {{r0-r7}}",
            "vldmia r12!, {{s0-s3}}",
            $($sums,)*
            "vcvtt.f32.f16 s7, s3",
            "vcvtb.f32.f16 s6, s3",
            "vcvtt.f32.f16 s5, s2",
            "vcvtb.f32.f16 s4, s2",
            "vcvtt.f32.f16 s3, s1",
            "vcvtb.f32.f16 s2, s1",
            "vcvtt.f32.f16 s1, s0",
            "vcvtb.f32.f16 s0, s0",
            ".irp row, 0, 1, 2, 3, 4, 5, 6, 7",
            "vmul.f32 s\\row, s\\row, s24",
            ".endr",
            ".irp sum, 8, 9, 10, 11, 12, 13, 14, 15",
            concat!("vcvt.f32.s32 s\\sum, s\\sum, #", $fraction),
            ".endr",
            // VMLA rounds the product before it adds.
            "vmla.f32 s16, s8, s0",
            "vmla.f32 s17, s9, s1",
            "vmla.f32 s18, s10, s2",
            "vmla.f32 s19, s11, s3",
            "vmla.f32 s20, s12, s4",
            "vmla.f32 s21, s13, s5",
            "vmla.f32 s22, s14, s6",
            "vmla.f32 s23, s15, s7",
            "beq 2b",
            "vmov r8, s28",
            "vmov r9, s30",
            "vstmia r8!, {{s16-s23}}",
            "add r12, r9",
            "vmov s28, r8",
            "vmov r9, s29",
            "cmp r8, r9",
            "bne 1b",
            leave!(),
        )
    };
}
pub(super) use for_eight_rows;

/// What [`Loops::TWO_ROWS`] and [`Loops::FOUR_ROWS`] need.
#[repr(C)]
pub(super) struct TwoRows {
    w: *const u8,
    x: *const u32,
    y: *mut f32,
    /// Bytes from a token's results to the next one's.
    stride: usize,
    /// Blocks of columns that the first round of a group leaves out.
    skip: usize,
    /// Fours of tokens; not read where there are two.
    units: usize,
    tiles: usize,
    /// Bytes from a tile to the next one.
    tile_size: usize,
}

/// The body of a [`Loops::TWO_ROWS`] around a `round` of 32 columns, in which a block of columns takes so many `bytes` of code; sums are
/// integers with so many bits of `fraction`. In a round r0, r2, r4, r6 are the first row's sums, r1, r3, r5, r7 the second one's; r8
/// and r9 are for weights, which come from r12, and `TOKENS` multiplies these by the next activations of two tokens, from lr.
macro_rules! for_two_rows {
    (bytes: $bytes:literal, fraction: $fraction:literal, round: [$($round:literal),* $(,)?]) => {
        // Of two rows, s4 is where their results go, s5 the stride, s6 where the activations begin, s31 where the weights
        // do, and s30 the bytes of scales before theirs.
        naked_asm!(
            cpu!(),
            // Two tokens.
            ".macro TOKENS a, b, c, d",
            "ldrd r10, r11, [lr], #8",
            "smlad \\a, r8, r10, \\a",
            "smlad \\b, r9, r10, \\b",
            "smlad \\c, r8, r11, \\c",
            "smlad \\d, r9, r11, \\d",
            ".endm",
            ".macro SCALE token, y0, y1, a, b",
            "vmul.f32 s2, s0, s\\token",
            "vmul.f32 s3, s1, s\\token",
            "vmla.f32 s\\y0, s\\a, s2",
            "vmla.f32 s\\y1, s\\b, s3",
            ".endm",
            enter!(),
            "adr r1, 3f", // where groups begin
            "ldr r2, [r0, #16]",
            concat!("mov r3, #", $bytes),
            "mla r1, r2, r3, r1",
            "add r1, #1",
            "push {{r0, r1}}",
            "1:", // a tile
            "ldr r8, [sp]",
            "ldrd lr, r9, [r8, #4]",
            "ldr r10, [r8, #12]",
            "ldr r11, [r8, #20]",
            "vmov s4, s5, r9, r10",
            "vmov s7, r11", // fours of tokens that are left
            "4:",           // four tokens
            "ldr r8, [sp]",
            "vmov s6, lr",
            "ldr r12, [r8]",
            "mov r9, #0",
            "5:", // two rows
            "vmov s30, s31, r9, r12",
            "vmov r8, r9, s4, s5",
            "vmov lr, s6",
            "vldmia r8, {{s16, s17}}",
            "add r8, r9",
            "vldmia r8, {{s18, s19}}",
            "add r8, r9",
            "vldmia r8, {{s20, s21}}",
            "add r8, r9",
            "vldmia r8, {{s22, s23}}",
            "2:", // a group
            "vldmia lr!, {{s24-s28}}",
            "vmov r8, s30",
            "ldmia lr!, {{r0-r7}}",
            "sub r9, r12, r8", // each two rows' weights lie eight bytes further, their scales four
            "vldr s0, [r9]",
            "add r12, #16",
            "ldr pc, [sp, #4]",
            "3:", // a round
            $($round,)*
            "vmov r8, s28",
            "cmp lr, r8", // lower: the group goes on; equal: another follows; higher: the last one
            "blo 3b",
            "vmov s8, s9, r0, r1",
            "vmov s10, s11, r2, r3",
            "vmov s12, s13, r4, r5",
            "vmov s14, s15, r6, r7",
            "vcvtt.f32.f16 s1, s0",
            "vcvtb.f32.f16 s0, s0",
            ".irp sum, 8, 9, 10, 11, 12, 13, 14, 15",
            concat!("vcvt.f32.s32 s\\sum, s\\sum, #", $fraction),
            ".endr",
            "SCALE 24, 16, 17, 8, 9",
            "SCALE 25, 18, 19, 10, 11",
            "SCALE 26, 20, 21, 12, 13",
            "SCALE 27, 22, 23, 14, 15",
            "beq 2b",
            "vmov r8, r9, s4, s5",
            "vstmia r8!, {{s16, s17}}",
            "vmov s4, r8",
            "add r8, r9",
            "vstmdb r8!, {{s18, s19}}",
            "add r8, r9",
            "vstmia r8, {{s20, s21}}",
            "add r8, r9",
            "vstmia r8, {{s22, s23}}",
            "vmov r9, r12, s30, s31",
            "add r9, #4",
            "add r12, #8",
            "cmp r9, #16",
            "bne 5b",
            // The next four tokens: lr is where their activations begin.
            "vmov r8, r9, s4, s5",
            "sub r8, #32",
            "add r8, r8, r9, lsl #2",
            "vmov s4, r8",
            "vmov r8, s7",
            "subs r8, #1",
            "vmov s7, r8",
            "bne 4b",
            // The next tile.
            "ldr r8, [sp]",
            "ldrd r0, r1, [r8, #24]",
            "ldr r2, [r8]",
            "ldr r3, [r8, #8]",
            "add r2, r1",
            "add r3, #32",
            "str r2, [r8]",
            "str r3, [r8, #8]",
            "subs r0, #1",
            "str r0, [r8, #24]",
            "bne 1b",
            "add sp, #8",
            leave!(),
            ".purgem TOKENS",
            ".purgem SCALE",
        )
    };
}
pub(super) use for_two_rows;

/// The body of a [`Loops::FOUR_ROWS`] around a `round` of 32 columns, in which a block of columns takes so many `bytes` of code; sums are
/// integers with so many bits of `fraction`. In a round r0 to r3 are the first token's sums of four rows, r4 to r7 the second one's;
/// r8 and r9 are for weights of two rows, which come from r12, r10 and r11 for activations of both tokens, from lr, and `PRODUCTS`
/// multiplies them.
macro_rules! for_four_rows {
    (bytes: $bytes:literal, fraction: $fraction:literal, round: [$($round:literal),* $(,)?]) => {
        // Of four rows, s4 is where their results go, s5 the stride, s31 where the weights begin, and s30 the bytes of scales
        // before theirs.
        naked_asm!(
            cpu!(),
            ".macro PRODUCTS a0, a1, b0, b1",
            "smlad \\a0, r8, r10, \\a0",
            "smlad \\a1, r9, r10, \\a1",
            "smlad \\b0, r8, r11, \\b0",
            "smlad \\b1, r9, r11, \\b1",
            ".endm",
            ".macro SCALE token, y0, y1, a, b, row0, row1",
            "vmul.f32 s27, s\\row0, s\\token",
            "vmul.f32 s28, s\\row1, s\\token",
            "vmla.f32 s\\y0, s\\a, s27",
            "vmla.f32 s\\y1, s\\b, s28",
            ".endm",
            enter!(),
            "adr r1, 3f", // where groups begin
            "ldr r2, [r0, #16]",
            concat!("mov r3, #", $bytes),
            "mla r1, r2, r3, r1",
            "add r1, #1",
            "push {{r0, r1}}",
            "ldrd r9, r10, [r0, #8]",
            "vmov s4, s5, r9, r10",
            "1:", // a tile
            "ldr r8, [sp]",
            "ldr r12, [r8]",
            "mov r9, #0",
            "5:", // four rows
            "vmov s30, s31, r9, r12",
            "ldr r8, [sp]",
            "ldr lr, [r8, #4]",
            "vmov r8, r9, s4, s5",
            "vldmia r8, {{s16-s19}}",
            "add r8, r9",
            "vldmia r8, {{s20-s23}}",
            "2:", // a group
            "vldmia lr!, {{s24-s26}}",
            "vmov r8, s30",
            "ldmia lr!, {{r0-r7}}",
            "sub r9, r12, r8", // each four rows' weights lie sixteen bytes further, their scales eight
            "vldmia r9, {{s0, s1}}",
            "add r12, #16",
            "ldr pc, [sp, #4]",
            "3:", // a round
            $($round,)*
            "vmov r8, s26",
            "cmp lr, r8", // lower: the group goes on; equal: another follows; higher: the last one
            "blo 3b",
            "vmov s8, s9, r0, r1",
            "vmov s10, s11, r2, r3",
            "vmov s12, s13, r4, r5",
            "vmov s14, s15, r6, r7",
            "vcvtt.f32.f16 s3, s1",
            "vcvtb.f32.f16 s2, s1",
            "vcvtt.f32.f16 s1, s0",
            "vcvtb.f32.f16 s0, s0",
            ".irp sum, 8, 9, 10, 11, 12, 13, 14, 15",
            concat!("vcvt.f32.s32 s\\sum, s\\sum, #", $fraction),
            ".endr",
            "SCALE 24, 16, 17, 8, 9, 0, 1",
            "SCALE 24, 18, 19, 10, 11, 2, 3",
            "SCALE 25, 20, 21, 12, 13, 0, 1",
            "SCALE 25, 22, 23, 14, 15, 2, 3",
            "beq 2b",
            "vmov r8, r9, s4, s5",
            "vstmia r8, {{s16-s19}}",
            "add r10, r8, #16",
            "vmov s4, r10",
            "add r8, r9",
            "vstmia r8, {{s20-s23}}",
            "vmov r9, r12, s30, s31",
            "add r9, #8",
            "add r12, #16",
            "cmp r9, #16",
            "bne 5b",
            // The next tile.
            "ldr r8, [sp]",
            "ldrd r0, r1, [r8, #24]",
            "ldr r2, [r8]",
            "add r2, r1",
            "str r2, [r8]",
            "subs r0, #1",
            "str r0, [r8, #24]",
            "bne 1b",
            "add sp, #8",
            leave!(),
            ".purgem PRODUCTS",
            ".purgem SCALE",
        )
    };
}
pub(super) use for_four_rows;

/// The loops for int8.
struct Q8;

impl Loops for Q8 {
    const BITS: Bits = Bits::Eight;
    // SAFETY: the trait says what callers promise, here and below.
    const EIGHT_ROWS: unsafe extern "C" fn(&mut EightRows) = eight_rows;
    const FOUR_ROWS: unsafe extern "C" fn(&mut TwoRows) = four_rows;
    const TWO_ROWS: unsafe extern "C" fn(&mut TwoRows) = two_rows;

    /// Of four activations, first the word for the whole halfwords, then that for the low bytes. Returns `−256·128·Σ` of the
    /// even columns.
    #[inline(always)]
    // SAFETY: the trait says what its callers promise.
    unsafe fn expand<const STEP: usize>(values: &[i8], to: *mut u32) -> u32 {
        let offset: u32;
        // SAFETY: by the caller's promise.
        unsafe {
            asm!(
                cpu!(),
                "2:",
                ".rept 2",
                "ldr {low}, [{from}], #4",
                "sxtb16 {whole}, {low}, ror #8", // x₁, x₃
                "and {low}, {mask}, {low}, lsl #8", // 256·x₀, 256·x₂
                "smlad {offset}, {low}, {minus}, {offset}",
                "ssub16 {low}, {low}, {whole}",
                "str {low}, [{to}, #{step}]",
                "str {whole}, [{to}], #2 * {step}",
                ".endr",
                "cmp {from}, {end}",
                "bne 2b",
                from = inout(reg) values.as_ptr() => _,
                end = in(reg) values.as_ptr_range().end,
                to = inout(reg) to => _,
                mask = in(reg) 0xFF00_FF00u32,
                minus = in(reg) 0xFF80_FF80u32, // −128 twice
                offset = inout(reg) 0 => offset,
                low = out(reg) _,
                whole = out(reg) _,
                step = const STEP,
                options(nostack),
            );
        }
        offset
    }
}

/// See [`Loops::EIGHT_ROWS`]: all eight rows' sums are made together.
///
/// # Safety
/// As there.
#[unsafe(naked)]
unsafe extern "C" fn eight_rows(args: &mut EightRows) {
    for_eight_rows!(
        bytes: "116", // for four columns
        fraction: "8",
        begin: [],
        sums: [
            // Two rows: weights to r8 and r9, activations are in r10 and r11.
            ".macro ROWS a, b",
            "ldrd r8, r9, [r12], #8",
            "smlad \\a, r8, r10, \\a",
            "smlad \\b, r9, r10, \\b",
            "uxtb16 r8, r8",
            "uxtb16 r9, r9",
            "smlad \\a, r8, r11, \\a",
            "smlad \\b, r9, r11, \\b",
            ".endm",
            "ldr pc, [sp, #64]",
            "3:", // a round
            ".rept 8",
            "ldrd r10, r11, [lr], #8",
            "ROWS r0, r1",
            "ROWS r2, r3",
            "ROWS r4, r5",
            "ROWS r6, r7",
            ".endr",
            "vmov r8, s25",
            "cmp lr, r8", // lower: the group goes on; equal: another follows; higher: the last one
            "blo 3b",
            "vmov s8, s9, r0, r1",
            "vmov s10, s11, r2, r3",
            "vmov s12, s13, r4, r5",
            "vmov s14, s15, r6, r7",
            ".purgem ROWS",
        ]
    )
}

/// See [`Loops::FOUR_ROWS`].
///
/// # Safety
/// As there.
#[unsafe(naked)]
unsafe extern "C" fn four_rows(args: &mut TwoRows) {
    for_four_rows!(
        bytes: "104", // for four columns
        fraction: "8",
        round: [
            ".rept 8",
            "ldrd r8, r9, [r12, #8]",
            "ldrd r10, r11, [lr]",
            "PRODUCTS r2, r3, r6, r7",
            "uxtb16 r8, r8",
            "uxtb16 r9, r9",
            "ldrd r10, r11, [lr, #8]",
            "PRODUCTS r2, r3, r6, r7",
            "ldrd r8, r9, [r12], #32",
            "ldrd r10, r11, [lr], #8",
            "PRODUCTS r0, r1, r4, r5",
            "uxtb16 r8, r8",
            "uxtb16 r9, r9",
            "ldrd r10, r11, [lr], #8",
            "PRODUCTS r0, r1, r4, r5",
            ".endr",
        ]
    )
}

/// See [`Loops::TWO_ROWS`].
///
/// # Safety
/// As there.
#[unsafe(naked)]
unsafe extern "C" fn two_rows(args: &mut TwoRows) {
    for_two_rows!(
        bytes: "92", // for four columns
        fraction: "8",
        round: [
            ".rept 8",
            "ldrd r8, r9, [r12], #32",
            "TOKENS r0, r1, r2, r3",
            "TOKENS r4, r5, r6, r7",
            "uxtb16 r8, r8",
            "uxtb16 r9, r9",
            "TOKENS r0, r1, r2, r3",
            "TOKENS r4, r5, r6, r7",
            ".endr",
        ]
    )
}
