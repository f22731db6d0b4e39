// What the example uses of the Pico SDK, to compile it without.
#include <stddef.h>
#include <stdint.h>
void multicore_launch_core1_with_stack(void (*entry)(void), uint32_t *stack, size_t bytes);
