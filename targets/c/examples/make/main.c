// Summarizes a text on a Cortex-M: a complete program to copy. `make run` runs it in QEMU.
#include <string.h>

#include "board.h"
#include "plan.h"

// The model, read where it lies in flash: image.S embeds it.
extern const unsigned char jamlet_image[JAMLET_IMAGE_BYTES];
// All memory of a run, for a text of any length. If it links, it fits.
JAMLET_WORKSPACE(workspace, JAMLET_SUMMARIZER_WORKSPACE);

static const char TEXT[] =
    "This package contains a tool that reads the log files of web servers and writes a report about them. "
    "It runs on machines with little memory.";

static bool print(void *context, const char *text, size_t bytes) {
    (void)context;
    board_write(text, bytes);
    return true; // false would interrupt
}

static void print_text(const char *text) { print(NULL, text, strlen(text)); }

static void print_number(uint64_t number) {
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    print(NULL, digits + at, sizeof digits - at);
}

static jamlet_error summarize(const char *text, jamlet_answer *answer) {
    const jamlet_options options = JAMLET_PLAN_OPTIONS;
    const jamlet_listener listener = {.text = print};
    jamlet_summarizer *summarizer;
    jamlet_error error = jamlet_summarizer_new(workspace, sizeof workspace, jamlet_image, JAMLET_IMAGE_BYTES, &options,
                                               &summarizer);
    // A text may come in pieces, from a serial port say.
    if (error == JAMLET_ERROR_OK) error = jamlet_summarizer_feed(summarizer, text, strlen(text), &listener);
    if (error == JAMLET_ERROR_OK) error = jamlet_summarizer_finish(summarizer, &listener, answer);
    return error;
}

int main(void) {
    jamlet_answer answer;
    const jamlet_error error = summarize(TEXT, &answer);
    if (error != JAMLET_ERROR_OK) {
        print_text(jamlet_error_text(error));
        return 1;
    }
    print_text("\n[");
    print_number(answer.read);
    print_text(" tokens read, ");
    print_number(answer.written);
    print_text(" written]\n");
    return 0;
}
