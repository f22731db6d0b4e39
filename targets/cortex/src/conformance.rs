//! A conformance run in QEMU: the case lies where the harness loaded it, the report goes to the semihosting console.

use crate::{marks::Dbg, stack};
use core::fmt::Write;
use cortex_m_semihosting::{debug, hio};
use jamlet_app::conformance::{Case, attacks, run};

/// Runs the case and ends QEMU.
pub fn main(blob: &[u8], workspace: &mut [u8]) -> ! {
    let status = report(blob, workspace);
    loop {
        debug::exit(status);
    }
}

fn report(blob: &[u8], workspace: &mut [u8]) -> debug::ExitStatus {
    let Ok(mut out) = hio::hstdout() else { return debug::EXIT_FAILURE };
    let written = match Case::parse(blob) {
        Some(case) => run(&case, workspace, &mut Dbg, &mut out),
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
