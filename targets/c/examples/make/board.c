// Arm's MPS2 in QEMU: vectors, start and output by semihosting. On hardware your vendor's SDK does this.
#include "board.h"

#include <stdint.h>
#include <string.h>

extern uint32_t stack_end[], data_start[], data_end[], data_load[], bss_start[], bss_end[];
int main(void);

enum { SYS_WRITEC = 0x03, SYS_EXIT = 0x18, EXIT_GOOD = 0x20026, EXIT_BAD = 0x20023 };

static void semihost(int operation, uintptr_t argument) {
    register int r0 __asm__("r0") = operation;
    register uintptr_t r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

static void end(uintptr_t reason) {
    for (;;) semihost(SYS_EXIT, reason);
}

static void fault(void) { end(EXIT_BAD); }

void board_write(const char *text, size_t bytes) {
    for (; bytes > 0; --bytes) semihost(SYS_WRITEC, (uintptr_t)text++);
}

void reset(void) {
#ifdef __ARM_FP
    // The FPU is off after a reset.
    *(volatile uint32_t *)0xe000ed88 |= 0xfu << 20;
    __asm__ volatile("dsb\nisb");
#endif
    memcpy(data_start, data_load, (size_t)((char *)data_end - (char *)data_start));
    memset(bss_start, 0, (size_t)((char *)bss_end - (char *)bss_start));
    end(main() == 0 ? EXIT_GOOD : EXIT_BAD);
}

__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    void (*handlers[15])(void);
} vectors = {stack_end, {reset, fault, fault, fault, fault, fault, fault}};
