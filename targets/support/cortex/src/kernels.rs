//! Tests and measures the engine's kernels in QEMU.

use crate::marks::Dbg;
use core::fmt::Write;
use core::mem::MaybeUninit;
use cortex_m_semihosting::{debug, hio};
use jamlet_kernels::{bench, equal, heap};

/// Bytes that the tests take.
pub const HEAP: usize = 3 << 20;

/// Measures every kernel and tests it, and ends QEMU. A test that fails panics.
pub fn main(memory: &'static mut [MaybeUninit<u8>; HEAP]) -> ! {
    heap::start(memory);
    let status = match report() {
        Ok(()) => debug::EXIT_SUCCESS,
        Err(_) => debug::EXIT_FAILURE,
    };
    loop {
        debug::exit(status);
    }
}

fn report() -> core::fmt::Result {
    let mut out = hio::hstdout().map_err(|()| core::fmt::Error)?;
    bench::run(&mut Dbg, &mut out)?;
    // What only measures stops here.
    writeln!(out, "measured")?;
    for (name, test) in equal::ALL {
        test();
        writeln!(out, "equal {name}")?;
    }
    writeln!(out, "end")
}
