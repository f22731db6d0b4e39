//! How much stack was used. cortex-m-rt paints it at the start; what is still painted was never touched.
//!
//! Every board's memory.x puts the stack at the bottom of a memory, below all statics: what overflows it is a fault, not
//! damage that goes unnoticed.

// SAFETY: the linker script defines both; only their addresses are used.
unsafe extern "C" {
    static mut _stack_start: u32;
    static mut _stack_end: u32;
}

/// The most bytes of stack in use since the start.
pub fn high_water() -> usize {
    let top = (&raw const _stack_start).addr();
    let mut address = (&raw const _stack_end).addr();
    // SAFETY: reads the stack, which memory.x placed between these two.
    while address < top && unsafe { (address as *const u32).read_volatile() } == cortex_m_rt::STACK_PAINT_VALUE {
        address += 4;
    }
    top - address
}
