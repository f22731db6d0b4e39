// Summarizes what arrives over USB: send a text, and an empty line after it. Core 1 computes, with a stack that is large enough:
// the SDK's own has 2 to 4 KiB.
#include <stdio.h>

#include "pico/multicore.h"
#include "pico/stdlib.h"
#include "plan.h"

extern const unsigned char jamlet_image[JAMLET_IMAGE_BYTES];
JAMLET_WORKSPACE(workspace, JAMLET_SUMMARIZER_WORKSPACE);
static uint32_t stack[16384 / sizeof(uint32_t)];

static bool print(void *context, const char *text, size_t bytes) {
    (void)context;
    printf("%.*s", (int)bytes, text);
    return true;
}

static void check(jamlet_error error) {
    if (error != JAMLET_ERROR_OK) printf("%s\n", jamlet_error_text(error));
}

static void serve(void) {
    const jamlet_options options = JAMLET_PLAN_OPTIONS;
    const jamlet_listener listener = {.text = print};
    jamlet_summarizer *summarizer;
    check(jamlet_summarizer_new(workspace, sizeof workspace, jamlet_image, JAMLET_IMAGE_BYTES, &options, &summarizer));
    bool text = false;
    for (int byte, last = '\n';; last = byte) {
        while ((byte = getchar()) == '\r') {
        }
        if (text && byte == '\n' && last == '\n') {
            check(jamlet_summarizer_finish(summarizer, &listener, NULL));
            printf("\n");
            text = false;
        } else if (text || byte != '\n') {
            check(jamlet_summarizer_feed(summarizer, &(char){(char)byte}, 1, &listener));
            text = true;
        }
    }
}

int main(void) {
    stdio_init_all();
    multicore_launch_core1_with_stack(serve, stack, sizeof stack);
    for (;;) tight_loop_contents();
}
