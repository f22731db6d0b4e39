//! The identity map. Without it all memory counts as device memory: uncached, and unaligned accesses fault.

use core::arch::asm;

#[repr(C, align(4096))]
struct Table([u64; 512]);

const BLOCK: u64 = 0b01 | 1 << 10; // a block, accessed
const NORMAL: u64 = BLOCK | 3 << 8; // attribute 0, inner shareable
const DEVICE: u64 = BLOCK | 1 << 2 | 0b11 << 53; // attribute 1, never executed
const GIB: u64 = 1 << 30;
const BLOCK_BYTES: u64 = 2 << 20;

/// Turns caches and the map on, with everything from `peripherals` on as device memory.
pub fn on(peripherals: usize) {
    static mut GIBIBYTES: Table = Table([0; 512]);
    static mut FIRST: Table = Table([0; 512]);
    let peripherals = peripherals as u64;
    let kind = |address: u64| if address >= peripherals { DEVICE } else { NORMAL };
    // SAFETY: called once, by the one core that is awake, so nothing else sees the tables; and the map shows every
    // address where it was.
    unsafe {
        let (gibibytes, first) = (&raw mut GIBIBYTES, &raw mut FIRST);
        for (address, entry) in (0..).step_by(BLOCK_BYTES as usize).zip(&mut (*first).0) {
            *entry = address | kind(address);
        }
        (*gibibytes).0[0] = first as u64 | 0b11;
        // The last block of a GiB decides: of the fourth, a Pi 4's peripherals lie at the end, and no memory that we use.
        for gib in 1..4 {
            (*gibibytes).0[gib as usize] = (gib * GIB) | kind((gib + 1) * GIB - BLOCK_BYTES);
        }
        asm!(
            "msr mair_el1, {mair}", "msr tcr_el1, {tcr}", "msr ttbr0_el1, {table}",
            "dsb sy", "tlbi vmalle1", "ic iallu", "dsb sy", "isb",
            "mrs {t}, sctlr_el1", "orr {t}, {t}, {bits}", "bic {t}, {t}, #2", "msr sctlr_el1, {t}", "isb",
            mair = in(reg) 0x00FFu64, // 0: normal, write-back; 1: device nGnRnE
            // 39 bits of address, tables write-back and inner shareable, 4 KiB pages, no second table, 36 bits physical
            tcr = in(reg) 25u64 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | 1 << 32,
            table = in(reg) gibibytes,
            bits = in(reg) 0x1005u64, // map, data cache, instruction cache
            t = out(reg) _,
        );
    }
}
