//! Links only if nothing in the engine can panic. Never run.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use jamlet_app::every_call::{Bytes, run};
// For its panic handler.
use jamlet_cortex as _;

#[entry]
fn main() -> ! {
    static mut WORKSPACE: [u8; 1024] = [0; 1024];
    static mut OTHER: [u8; 1024] = [0; 1024];
    run(&mut Bytes { image: &[], workspace: WORKSPACE, other: OTHER });
    jamlet_cortex::board::rest()
}
