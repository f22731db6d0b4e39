//! Nothing hangs silently: a fault or panic says where in the log; in QEMU it ends the run with an error, on hardware it
//! resets the board.
//!
//! No message is formatted, so that formatting isn't linked: a panic is told by its place, a fault by its addresses.

use core::panic::PanicInfo;
use cortex_m_rt::{ExceptionFrame, exception};

// SAFETY: only the processor calls this, and it never returns.
#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    defmt::error!("hard fault at {=u32:#010x}, called from {=u32:#010x}", frame.pc(), frame.lr());
    #[cfg(feature = "emulated")]
    say(&[b"error hard fault at 0x", &hex(frame.pc()), b", called from 0x", &hex(frame.lr()), b"\n"]);
    end()
}

/// A program that can't panic needs nothing here: where a panic is reachable all the same, linking fails at this name, and
/// `cargo xtask panics` says where it is.
#[cfg(not(any(feature = "panics", debug_assertions)))]
#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    // SAFETY: nothing defines it, so nothing can go wrong when it is called.
    unsafe extern "C" {
        safe fn a_panic_is_reachable() -> !;
    }
    a_panic_is_reachable()
}

#[cfg(any(feature = "panics", debug_assertions))]
#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    let (file, line) = info.location().map_or(("", 0), |place| (place.file(), place.line()));
    defmt::error!("panic at {=str}:{=u32}", file, line);
    #[cfg(feature = "emulated")]
    say(&[b"error panic at ", file.as_bytes(), b" line 0x", &hex(line), b"\n"]);
    end()
}

#[cfg(feature = "emulated")]
fn end() -> ! {
    loop {
        cortex_m_semihosting::debug::exit(cortex_m_semihosting::debug::EXIT_FAILURE);
    }
}

#[cfg(not(feature = "emulated"))]
fn end() -> ! {
    defmt::flush();
    cortex_m::peripheral::SCB::sys_reset()
}

#[cfg(feature = "emulated")]
fn say(parts: &[&[u8]]) {
    let Ok(mut out) = cortex_m_semihosting::hio::hstderr() else { return };
    for part in parts {
        // Where nothing can be said, the status that follows still says that it failed.
        let _ = out.write_all(part);
    }
}

#[cfg(feature = "emulated")]
fn hex(word: u32) -> [u8; 8] {
    core::array::from_fn(|i| {
        let digit = (word >> (28 - 4 * i) & 15) as u8;
        if digit < 10 { b'0' + digit } else { b'a' - 10 + digit }
    })
}
