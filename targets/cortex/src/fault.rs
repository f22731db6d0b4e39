//! Nothing hangs silently: in QEMU a fault or panic prints where and ends the run with an error; on hardware it resets.

use core::panic::PanicInfo;
use cortex_m_rt::{ExceptionFrame, exception};

#[cfg(feature = "emulated")]
fn end() -> ! {
    loop {
        cortex_m_semihosting::debug::exit(cortex_m_semihosting::debug::EXIT_FAILURE);
    }
}

#[cfg(feature = "emulated")]
#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    cortex_m_semihosting::hprintln!("error hard fault at {:#010x}, called from {:#010x}", frame.pc(), frame.lr());
    end()
}

#[cfg(feature = "emulated")]
#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    cortex_m_semihosting::hprintln!("error {}", info);
    end()
}

#[cfg(not(feature = "emulated"))]
#[exception]
unsafe fn HardFault(_: &ExceptionFrame) -> ! {
    cortex_m::peripheral::SCB::sys_reset()
}

// The message is not formatted, so that formatting is not linked.
#[cfg(not(feature = "emulated"))]
#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    cortex_m::peripheral::SCB::sys_reset()
}
