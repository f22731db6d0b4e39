//! Links only if nothing in the engine can panic. Never run.
#![no_std]
#![no_main]

use jamlet_app::every_call::{Bytes, run};

/// The linker script's entry.
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    run(&mut Bytes { image: &[], workspace: &mut [0; 1024], other: &mut [0; 1024] });
    loop {
        core::hint::spin_loop();
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // SAFETY: nothing defines it, so nothing can go wrong when it is called.
    unsafe extern "C" {
        safe fn a_panic_is_reachable() -> !;
    }
    a_panic_is_reachable()
}
