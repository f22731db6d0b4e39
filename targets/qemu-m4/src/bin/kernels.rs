//! Tests and measures the engine's kernels.
#![no_std]
#![no_main]

use core::mem::MaybeUninit;
use cortex_m_rt::entry;
use jamlet_cortex::kernels::{self, HEAP};

#[entry]
fn main() -> ! {
    static mut MEMORY: [MaybeUninit<u8>; HEAP] = [const { MaybeUninit::uninit() }; HEAP];
    kernels::main(MEMORY)
}
