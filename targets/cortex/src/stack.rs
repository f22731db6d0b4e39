//! How much stack was used: the free part is painted at the start, and what is still painted later was never touched.

const PAINT: u32 = 0xA5A5_5A5A;
/// The most that is painted: far more than the engine may use, and quickly done on boards with megabytes of RAM.
const MOST: usize = 64 * 1024;
/// Left unpainted below the caller's frame.
const MARGIN: usize = 256;

unsafe extern "C" {
    static mut _stack_start: u32;
    static mut __sheap: u32;
}

/// The painted words' bounds as addresses, with the stack at `top`.
fn lowest(top: usize) -> usize {
    let end_of_statics = (&raw const __sheap).addr();
    end_of_statics.max(top.saturating_sub(MOST)).next_multiple_of(4)
}

/// Paints the free stack. Call it first in `main`.
#[inline(never)]
pub fn paint() {
    let here = cortex_m::register::msp::read() as usize - MARGIN;
    let mut address = lowest((&raw const _stack_start).addr());
    while address < here {
        // SAFETY: between the last static and the stack pointer lies RAM that nothing owns yet.
        unsafe { (address as *mut u32).write_volatile(PAINT) };
        address += 4;
    }
}

/// The most bytes of stack in use since [`paint`].
pub fn high_water() -> usize {
    let top = (&raw const _stack_start).addr();
    let mut address = lowest(top);
    // SAFETY: reads RAM below the stack pointer, as `paint` wrote it.
    while address < top && unsafe { (address as *const u32).read_volatile() } == PAINT {
        address += 4;
    }
    top - address
}
