//! Runs the case that the test suite loaded into memory.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use jamlet::Workspace;

/// The board's PSRAM.
const CASE: (usize, usize) = (0x6000_0000, 16 << 20);

#[entry]
fn main() -> ! {
    static mut WORKSPACE: Workspace<{ 3 << 20 }> = Workspace::new();
    // SAFETY: this is memory of the board that the linker script leaves alone; the harness filled it before the start.
    let case = unsafe { core::slice::from_raw_parts(core::ptr::without_provenance(CASE.0), CASE.1) };
    jamlet_cortex::conformance::main(case, WORKSPACE.as_mut_bytes())
}
