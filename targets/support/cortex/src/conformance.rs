//! A conformance run in QEMU: the case lies where the harness loaded it, the report goes to the semihosting console.

use crate::{marks::Dbg, stack};
use core::fmt::{self, Arguments, Write};
use cortex_m_semihosting::{debug, hio};
use jamlet_app::conformance::{Case, UNALIGNED, attacks, run};

/// Runs the case and ends QEMU.
pub fn main(blob: &[u8], workspace: &mut [u8]) -> ! {
    let status = report(blob, workspace);
    loop {
        debug::exit(status);
    }
}

fn report(blob: &[u8], workspace: &mut [u8]) -> debug::ExitStatus {
    let Ok(out) = hio::hstdout() else { return debug::EXIT_FAILURE };
    let mut out = Untrapped(out);
    trap(true);
    let written = match Case::parse(blob) {
        Some(case) => run(&case, workspace, &mut Dbg, &mut out),
        None if blob.starts_with(&UNALIGNED) => writeln!(out, "unaligned {:#010x}", read_unaligned()),
        None => match attacks(blob, workspace, &mut out) {
            Ok(true) => Ok(()),
            Ok(false) => writeln!(out, "error no case in memory"),
            Err(error) => Err(error),
        },
    };
    match written.and_then(|()| writeln!(out, "stack {}\nend", stack::high_water())) {
        Ok(()) => debug::EXIT_SUCCESS,
        Err(_) => debug::EXIT_FAILURE,
    }
}

/// Turns the trap of accesses that aren't aligned on or off, in a program that is compiled for it.
fn trap(on: bool) {
    #[cfg(jamlet_strict_alignment)]
    crate::alignment::trap(on);
    let _ = on;
}

/// A report, written with the trap off: core comes compiled, and `core::fmt::write` reads the options of a number (`{:016x}`)
/// as a word from among bytes.
struct Untrapped<W>(W);

impl<W: Write> Untrapped<W> {
    fn write(&mut self, write: impl FnOnce(&mut W) -> fmt::Result) -> fmt::Result {
        trap(false);
        let written = write(&mut self.0);
        trap(true);
        written
    }
}

impl<W: Write> Write for Untrapped<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(|out| out.write_str(text))
    }

    fn write_fmt(&mut self, arguments: Arguments<'_>) -> fmt::Result {
        self.write(|out| out.write_fmt(arguments))
    }
}

/// Reads a word from an address that isn't aligned, by one instruction.
fn read_unaligned() -> u32 {
    let words = [0x0403_0201, 0x0807_0605u32];
    let word;
    // SAFETY: reads four of the eight bytes, as far as the processor does that.
    unsafe { core::arch::asm!("ldr {}, [{}, #1]", out(reg) word, in(reg) &words, options(nostack, readonly)) };
    word
}
