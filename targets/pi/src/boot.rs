//! The first instructions: core 0 goes on, at EL1 with floating point, a stack and zeroed statics; the others wait until it
//! releases them, here or in the boot firmware, and follow with the MMU on.

use core::arch::global_asm;

global_asm!(
    r#"
.section .text._start, "ax"
.global _start
_start:
    mrs     x1, mpidr_el1
    and     x1, x1, #0xff
    cbz     x1, 1f
0:  wfe                             // cores 1 to 3
    adrp    x0, RELEASED
    ldr     x0, [x0, :lo12:RELEASED]
    cbz     x0, 0b

.global released
released:
1:  mrs     x0, CurrentEL
    cmp     x0, #(3 << 2)
    b.ne    2f
    mov     x0, #0x531              // SCR_EL3: lower levels are non-secure and 64 bits wide, HVC allowed
    msr     scr_el3, x0
    msr     cptr_el3, xzr           // floating point isn't trapped
    mov     x0, #0x3c9              // to EL2h, interrupts masked
    msr     spsr_el3, x0
    adr     x0, 2f
    msr     elr_el3, x0
    eret

2:  mrs     x0, CurrentEL
    cmp     x0, #(2 << 2)
    b.ne    3f
    mov     x0, #(1 << 31)          // HCR_EL2: EL1 is 64 bits wide
    msr     hcr_el2, x0
    mov     x0, #3                  // EL1 may read the counter
    msr     cnthctl_el2, x0
    msr     cntvoff_el2, xzr
    mov     x0, #0x33ff             // CPTR_EL2: floating point isn't trapped
    msr     cptr_el2, x0
    mov     x0, #0x3c5              // to EL1h, interrupts masked
    msr     spsr_el2, x0
    adr     x0, 3f
    msr     elr_el2, x0
    eret

3:  mov     x0, #(3 << 20)          // CPACR_EL1: floating point isn't trapped
    msr     cpacr_el1, x0
    adrp    x0, vectors
    add     x0, x0, :lo12:vectors
    msr     vbar_el1, x0
    isb
    mrs     x19, mpidr_el1
    and     x19, x19, #0xff
    cbnz    x19, 7f
    adrp    x0, __stack_top
    add     x0, x0, :lo12:__stack_top
    mov     sp, x0
    adrp    x0, __bss_start
    add     x0, x0, :lo12:__bss_start
    adrp    x2, __bss_end
    add     x2, x2, :lo12:__bss_end
4:  cmp     x0, x2
    b.hs    5f
    stp     xzr, xzr, [x0], #16
    b       4b
5:  bl      start
0:  wfe
    b       0b

7:  bl      mmu_on                  // before the stack: what core 0 may have of it in its cache is not written
    adrp    x0, __stacks_bottom
    add     x0, x0, :lo12:__stacks_bottom
    add     x0, x0, x19, lsl #14    // 16 KiB a core
    mov     sp, x0
    bl      work
    b       0b

// Every exception is fatal: interrupts stay masked, and there is no user mode.
.section .text.vectors, "ax"
.balign 2048
vectors:
.rept 16
    b       6f
    .balign 128
.endr
6:  mrs     x0, esr_el1
    mrs     x1, elr_el1
    mrs     x2, far_el1
    b       fault
"#
);

/// Where the vectors lead.
#[unsafe(no_mangle)]
extern "C" fn fault(syndrome: u64, address: u64, accessed: u64) -> ! {
    use core::fmt::Write;
    // A port of its own: whatever the program did with its port is over.
    let mut serial = crate::serial::Pl011::new();
    let _ = writeln!(serial, "\r\nerror exception {syndrome:#x} at {address:#x}, accessing {accessed:#x}");
    crate::exit::exit(1)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    use core::fmt::Write;
    let mut serial = crate::serial::Pl011::new();
    let _ = writeln!(serial, "\r\nerror {info}");
    crate::exit::exit(1)
}
