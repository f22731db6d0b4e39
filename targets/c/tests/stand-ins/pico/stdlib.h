// What the example uses of the Pico SDK, to compile it without.
#include <stdbool.h>
bool stdio_init_all(void);
void tight_loop_contents(void);
