//! The identity map. Without it all memory counts as device memory: uncached, and unaligned accesses fault.

use core::arch::naked_asm;

#[repr(C, align(4096))]
struct Table([u64; 512]);

const BLOCK: u64 = 0b01 | 1 << 10; // a block, accessed
const NORMAL: u64 = BLOCK | 3 << 8; // attribute 0, inner shareable
const DEVICE: u64 = BLOCK | 1 << 2 | 0b11 << 53; // attribute 1, never executed
const GIB: u64 = 1 << 30;
const BLOCK_BYTES: u64 = 2 << 20;

/// 39 bits of address, tables write-back and inner shareable, 4 KiB pages, no second table, 36 bits physical.
const TCR: u64 = 25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | 1 << 32;

/// The first level of the map.
static mut GIBIBYTES: Table = Table([0; 512]);

/// Makes the map, with everything from `peripherals` on as device memory, and turns it and the caches on.
pub fn on(peripherals: usize) {
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
    }
    enable();
}

/// Turns them on for this core. It needs no stack.
#[unsafe(naked)]
#[unsafe(export_name = "mmu_on")]
extern "C" fn enable() {
    naked_asm!(
        "mov x0, #{mair}",
        "msr mair_el1, x0",
        "mov x0, #{tcr0}",
        "movk x0, #{tcr1}, lsl #16",
        "movk x0, #{tcr2}, lsl #32",
        "msr tcr_el1, x0",
        "adrp x0, {table}",
        "add x0, x0, :lo12:{table}",
        "msr ttbr0_el1, x0",
        "dsb sy",
        "tlbi vmalle1",
        "ic iallu",
        "dsb sy",
        "isb",
        "mov x1, #{bits}",
        "mrs x0, sctlr_el1",
        "orr x0, x0, x1",
        "bic x0, x0, #2",
        "msr sctlr_el1, x0",
        "isb",
        "ret",
        mair = const 0xFF, // 0: normal, write-back; 1: device nGnRnE
        tcr0 = const TCR & 0xFFFF,
        tcr1 = const TCR >> 16 & 0xFFFF,
        tcr2 = const TCR >> 32,
        table = sym GIBIBYTES,
        bits = const 0x1005, // map, data cache, instruction cache
    );
}
