// Summarizes a text on Zephyr.
#include <string.h>
#include <zephyr/sys/printk.h>

#include "plan.h"

extern const unsigned char jamlet_image[JAMLET_IMAGE_BYTES];
JAMLET_WORKSPACE(workspace, JAMLET_SUMMARIZER_WORKSPACE);

static const char TEXT[] =
    "This package contains a tool that reads the log files of web servers and writes a report about them. "
    "It runs on machines with little memory.";

static bool print(void *context, const char *text, size_t bytes) {
    (void)context;
    printk("%.*s", (int)bytes, text);
    return true;
}

int main(void) {
    const jamlet_options options = JAMLET_PLAN_OPTIONS;
    const jamlet_listener listener = {.text = print};
    jamlet_summarizer *summarizer;
    jamlet_error error = jamlet_summarizer_new(workspace, sizeof workspace, jamlet_image, JAMLET_IMAGE_BYTES, &options,
                                               &summarizer);
    if (error == JAMLET_ERROR_OK) error = jamlet_summarizer_feed(summarizer, TEXT, strlen(TEXT), &listener);
    if (error == JAMLET_ERROR_OK) error = jamlet_summarizer_finish(summarizer, &listener, NULL);
    printk("\n%s\n", jamlet_error_text(error));
    return 0;
}
