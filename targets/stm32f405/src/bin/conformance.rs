//! Runs the case that the test suite loaded into memory.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
// For the interrupt vectors of the chip.
use embassy_stm32 as _;
use jamlet::Workspace;
use jamlet_app::settings;

/// All of flash but the first 192 KB.
const CASE: (usize, usize) =
    (settings::number(env!("JAMLET_CASE")) as usize, settings::number(env!("JAMLET_CASE_BYTES")) as usize);

#[entry]
fn main() -> ! {
    static mut WORKSPACE: Workspace<{ settings::number(env!("JAMLET_WORKSPACE")) as usize }> = Workspace::new();
    // SAFETY: this is memory of the board that the linker script leaves alone; the harness filled it before the start.
    let case = unsafe { core::slice::from_raw_parts(core::ptr::without_provenance(CASE.0), CASE.1) };
    jamlet_cortex::conformance::main(case, WORKSPACE.as_mut_bytes())
}
