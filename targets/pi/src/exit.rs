//! The end of a run.

/// Ends QEMU with this status; a board parks.
pub fn exit(status: u64) -> ! {
    #[cfg(feature = "emulated")]
    {
        let block = [0x2_0026, status]; // ADP_Stopped_ApplicationExit
        // SAFETY: semihosting's SYS_EXIT reads the block, which outlives the call.
        unsafe { core::arch::asm!("hlt #0xf000", in("x0") 0x18, in("x1") &block, options(nostack)) };
    }
    let _ = status;
    loop {
        // SAFETY: waits; nothing will wake it for long.
        unsafe { core::arch::asm!("wfe", options(nomem, nostack, preserves_flags)) };
    }
}
