// Computes what a golden of tests/goldens holds, through the C interface: prints the tokens that are decoded and the hash of all
// logits. case.h has IMAGE_BYTES and PROMPT.
#include <string.h>

#include "board.h"
#include "case.h"
#include "jamlet.h"

enum { DECODE = 32 };

extern const unsigned char jamlet_image[IMAGE_BYTES];
JAMLET_WORKSPACE(workspace, WORKSPACE_BYTES);
JAMLET_WORKSPACE(snapshot, SNAPSHOT_BYTES);
static const uint32_t prompt[] = {PROMPT};

static void print_text(const char *text) { board_write(text, strlen(text)); }

static void print_number(uint64_t number, unsigned base, size_t least) {
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number > 0 || sizeof digits - at < least);
    board_write(digits + at, sizeof digits - at);
}

// FNV-1a, 64 bits, of the logits' bits.
static void hash(void *context, uint32_t first, const float *logits, size_t count) {
    uint64_t *sum = context;
    (void)first;
    for (size_t at = 0; at < count; ++at) {
        uint32_t bits;
        memcpy(&bits, &logits[at], sizeof bits);
        for (int byte = 0; byte < 4; ++byte) *sum = (*sum ^ (bits >> 8 * byte & 0xff)) * 0x100000001b3u;
    }
}

static jamlet_error run(void) {
    const jamlet_options options = {.window = 48, .sinks = 4, .chunk = CHUNK, .beams = 1};
    jamlet_session *session;
    uint64_t sum = 0xcbf29ce484222325u;
    size_t saved = 0;
    jamlet_error error = jamlet_session_new(workspace, sizeof workspace, jamlet_image, IMAGE_BYTES, &options, &session);
    if (error == JAMLET_ERROR_OK) error = jamlet_session_feed(session, prompt, sizeof prompt / sizeof *prompt);
    // What was read goes through a saved state and an empty session.
    if (error == JAMLET_ERROR_OK) error = jamlet_session_save(session, snapshot, sizeof snapshot, &saved);
    if (error == JAMLET_ERROR_OK) error = jamlet_session_reset(session);
    if (error == JAMLET_ERROR_OK) error = jamlet_session_restore(session, snapshot, saved);
    if (error == JAMLET_ERROR_OK) print_text("ids");
    for (int at = 0; at < DECODE && error == JAMLET_ERROR_OK; ++at) {
        uint32_t token = 0;
        error = jamlet_session_logits(session, hash, &sum);
        if (error == JAMLET_ERROR_OK) error = jamlet_session_next(session, &token, NULL);
        print_text(" ");
        print_number(token, 10, 1);
    }
    print_text("\nhash ");
    print_number(sum, 16, 16);
    print_text("\n");
    return error;
}

int main(void) {
    const jamlet_error error = run();
    if (error != JAMLET_ERROR_OK) {
        print_text("error ");
        print_text(jamlet_error_text(error));
    } else {
        print_text("end\n");
    }
    return error;
}
