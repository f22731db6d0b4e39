//! A bare Raspberry Pi: from the reset of the cores to a serial port, a heap and a model in memory.
#![no_std]

pub mod boot;
pub mod clock;
pub mod cores;
pub mod exit;
#[cfg(feature = "conformance")]
pub mod marks;
pub mod memory;
pub mod mmu;
pub mod serial;
pub mod stack;

/// Which chip this is, by its core: one kernel runs on all.
pub fn peripherals() -> usize {
    const CORTEX_A72: u64 = 0xD08;
    let midr: u64;
    // SAFETY: reads an ID register.
    unsafe { core::arch::asm!("mrs {}, midr_el1", out(reg) midr, options(nomem, nostack, preserves_flags)) };
    match midr >> 4 & 0xFFF {
        CORTEX_A72 => 0xFE00_0000, // BCM2711
        _ => 0x3F00_0000,          // BCM2837, RP3A0
    }
}
