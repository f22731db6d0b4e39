//! The log in QEMU: defmt's records over semihosting's console, which QEMU can put into a file. (Its standard output, where
//! defmt-semihosting writes, may be the serial port's.)

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};
use cortex_m_semihosting::{debug, syscall1};

#[defmt::global_logger]
struct Console;

struct State {
    /// A record is being written.
    taken: AtomicBool,
    restore: UnsafeCell<critical_section::RestoreState>,
    encoder: UnsafeCell<defmt::Encoder>,
}

// SAFETY: the cells are used between `acquire` and `release` only, in one critical section.
unsafe impl Sync for State {}

static STATE: State = State {
    taken: AtomicBool::new(false),
    restore: UnsafeCell::new(critical_section::RestoreState::invalid()),
    encoder: UnsafeCell::new(defmt::Encoder::new()),
};

fn put(bytes: &[u8]) {
    for byte in bytes {
        // SAFETY: SYS_WRITEC reads the byte at the address.
        unsafe { syscall1!(WRITEC, &raw const *byte) };
    }
}

// SAFETY: `acquire` gives exclusive access until `release`: interrupts are off, and who logs while a record is being
// written is stopped.
unsafe impl defmt::Logger for Console {
    fn acquire() {
        // SAFETY: `release` ends the section.
        let restore = unsafe { critical_section::acquire() };
        if STATE.taken.load(Ordering::Relaxed) {
            loop {
                debug::exit(debug::EXIT_FAILURE);
            }
        }
        STATE.taken.store(true, Ordering::Relaxed);
        // SAFETY: this context has exclusive access now.
        unsafe {
            *STATE.restore.get() = restore;
            (*STATE.encoder.get()).start_frame(put);
        }
    }

    // SAFETY: nothing is kept back, so there is nothing to do.
    unsafe fn flush() {}

    // SAFETY: only defmt calls this, after `acquire`.
    unsafe fn release() {
        // SAFETY: defmt calls this after `acquire`, from the same context.
        unsafe {
            (*STATE.encoder.get()).end_frame(put);
            STATE.taken.store(false, Ordering::Relaxed);
            critical_section::release(*STATE.restore.get());
        }
    }

    // SAFETY: only defmt calls this, between `acquire` and `release`.
    unsafe fn write(bytes: &[u8]) {
        // SAFETY: defmt calls this between `acquire` and `release`, from the same context.
        unsafe { (*STATE.encoder.get()).write(bytes, put) }
    }
}
