// Every misuse that can be told gives its error: on this machine, with an image and its workspace as files' contents.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jamlet.h"

static unsigned failures;

#define EXPECT(call, wanted)                                                                                             \
    do {                                                                                                                 \
        const jamlet_error found = (call);                                                                               \
        if (found != (wanted)) {                                                                                         \
            printf("line %d: %s: %s; expected: %s\n", __LINE__, #call, jamlet_error_text(found), jamlet_error_text(wanted)); \
            ++failures;                                                                                                  \
        }                                                                                                                \
    } while (0)

static unsigned char *copy(const unsigned char *bytes, size_t length) {
    unsigned char *at = aligned_alloc(64, (length + 127) / 64 * 64);
    memcpy(at, bytes, length);
    return at;
}

static jamlet_summarizer *busy_summarizer;
static jamlet_session *busy_session;

static bool call_again(void *context, const char *text, size_t bytes) {
    (void)text, (void)bytes;
    *(unsigned *)context += 1;
    EXPECT(jamlet_summarizer_reset(busy_summarizer), JAMLET_ERROR_BUSY);
    EXPECT(jamlet_summarizer_feed(busy_summarizer, "x", 1, NULL), JAMLET_ERROR_BUSY);
    return true;
}

static bool stop(void *context, const char *text, size_t bytes) {
    (void)context, (void)text, (void)bytes;
    return false;
}

static bool stop_before(void *context) {
    (void)context;
    return false;
}

static void feed_again(void *context, uint32_t first, const float *logits, size_t count) {
    (void)context, (void)first, (void)logits, (void)count;
    EXPECT(jamlet_session_reset(busy_session), JAMLET_ERROR_BUSY);
}

static void images(const unsigned char *image, size_t length, void *workspace, size_t bytes) {
    jamlet_summarizer *summarizer = (jamlet_summarizer *)workspace;
    EXPECT(jamlet_summarizer_new(workspace, bytes, NULL, length, NULL, &summarizer), JAMLET_ERROR_NULL);
    if (summarizer != NULL) ++failures;
    EXPECT(jamlet_summarizer_new(workspace, bytes, image, length, NULL, NULL), JAMLET_ERROR_NULL);
    EXPECT(jamlet_summarizer_new(NULL, bytes, image, length, NULL, &summarizer), JAMLET_ERROR_NULL);
    EXPECT(jamlet_summarizer_new((char *)workspace + 8, bytes - 8, image, length, NULL, &summarizer),
           JAMLET_ERROR_WORKSPACE_MISALIGNED);
    for (size_t less = 0; less < bytes; less += bytes / 97 + 1)
        EXPECT(jamlet_summarizer_new(workspace, less, image, length, NULL, &summarizer), JAMLET_ERROR_WORKSPACE_TOO_SMALL);
    EXPECT(jamlet_summarizer_new(workspace, bytes - 1, image, length, NULL, &summarizer), JAMLET_ERROR_WORKSPACE_TOO_SMALL);
    EXPECT(jamlet_summarizer_new(workspace, (size_t)-1, image, length, NULL, &summarizer), JAMLET_ERROR_WORKSPACE_TOO_SMALL);
    EXPECT(jamlet_summarizer_new(workspace, bytes, image, (size_t)-1, NULL, &summarizer), JAMLET_ERROR_NULL);
    for (size_t shorter = 0; shorter < length; shorter += length / 61 + 1) {
        unsigned char *cut = copy(image, shorter);
        EXPECT(jamlet_summarizer_new(workspace, bytes, cut, shorter, NULL, &summarizer), JAMLET_ERROR_IMAGE_TRUNCATED);
        free(cut);
    }
    unsigned char *changed = copy(image, length);
    EXPECT(jamlet_summarizer_new(workspace, bytes, changed, length + 1, NULL, &summarizer), JAMLET_ERROR_IMAGE_TOO_LONG);
    changed[length / 2] ^= 1;
    EXPECT(jamlet_summarizer_new(workspace, bytes, changed, length, NULL, &summarizer), JAMLET_ERROR_IMAGE_DAMAGED);
    changed[0] ^= 1;
    EXPECT(jamlet_summarizer_new(workspace, bytes, changed, length, NULL, &summarizer), JAMLET_ERROR_NOT_AN_IMAGE);
    memcpy(changed + 8, image, length);
    EXPECT(jamlet_summarizer_new(workspace, bytes, changed + 8, length, NULL, &summarizer), JAMLET_ERROR_IMAGE_MISALIGNED);
    free(changed);
    const struct {
        jamlet_options options;
        jamlet_error error;
    } wrong[] = {
        {{0, 4, 8, 2}, JAMLET_ERROR_WINDOW},      {{256, 70000, 8, 2}, JAMLET_ERROR_SINKS},
        {{256, 4, 0, 2}, JAMLET_ERROR_CHUNK},     {{256, 4, 8, 0}, JAMLET_ERROR_BEAMS},
        {{256, 4, 8, 3}, JAMLET_ERROR_BEAMS},     {{UINT32_MAX, 4, 8, 2}, JAMLET_ERROR_WINDOW},
    };
    for (size_t at = 0; at < sizeof wrong / sizeof *wrong; ++at) {
        jamlet_sizes sizes;
        EXPECT(jamlet_plan(image, length, &wrong[at].options, &sizes), wrong[at].error);
        EXPECT(jamlet_summarizer_new(workspace, bytes, image, length, &wrong[at].options, &summarizer), wrong[at].error);
    }
}

static void summarizers(const unsigned char *image, size_t length, void *workspace, size_t bytes) {
    static const char text[] = "A tool reads the log files of web servers and writes a report. It runs on small machines.";
    jamlet_summarizer *summarizer;
    jamlet_answer answer;
    unsigned heard = 0;
    memset(workspace, 0xa5, bytes);
    EXPECT(jamlet_summarizer_feed(NULL, text, 1, NULL), JAMLET_ERROR_NULL);
    EXPECT(jamlet_summarizer_feed((jamlet_summarizer *)workspace, text, 1, NULL), JAMLET_ERROR_HANDLE);
    EXPECT(jamlet_summarizer_reset((jamlet_summarizer *)((char *)workspace + 1)), JAMLET_ERROR_HANDLE);
    EXPECT(jamlet_summarizer_new(workspace, bytes, image, length, NULL, &summarizer), JAMLET_ERROR_OK);
    EXPECT(jamlet_summarizer_feed(summarizer, NULL, 0, NULL), JAMLET_ERROR_OK);
    EXPECT(jamlet_summarizer_feed(summarizer, NULL, 1, NULL), JAMLET_ERROR_NULL);
    EXPECT(jamlet_summarizer_feed(summarizer, text, (size_t)-1, NULL), JAMLET_ERROR_NULL);
    const jamlet_summary_options style = {.style = 99};
    EXPECT(jamlet_summarizer_set_options(summarizer, &style), JAMLET_ERROR_STYLE);
    EXPECT(jamlet_summarizer_set_options(summarizer, NULL), JAMLET_ERROR_OK);
    // Callbacks that call again, and that end it.
    busy_summarizer = summarizer;
    const jamlet_listener again = {.context = &heard, .text = call_again};
    EXPECT(jamlet_summarizer_feed(summarizer, text, sizeof text - 1, &again), JAMLET_ERROR_OK);
    EXPECT(jamlet_summarizer_finish(summarizer, &again, &answer), JAMLET_ERROR_OK);
    if (heard == 0 || answer.lines == 0 || answer.way == JAMLET_WAY_NONE || answer.text != JAMLET_TEXT_PROSE) {
        printf("no summary: %u pieces, %u lines\n", heard, answer.lines);
        ++failures;
    }
    const jamlet_listener ends = {.text = stop}, ends_before = {.before = stop_before};
    EXPECT(jamlet_summarizer_feed(summarizer, text, sizeof text - 1, NULL), JAMLET_ERROR_OK);
    EXPECT(jamlet_summarizer_finish(summarizer, &ends, &answer), JAMLET_ERROR_INTERRUPTED);
    EXPECT(jamlet_summarizer_feed(summarizer, text, sizeof text - 1, &ends_before), JAMLET_ERROR_INTERRUPTED);
    EXPECT(jamlet_summarizer_reset(summarizer), JAMLET_ERROR_OK);
    EXPECT(jamlet_summarizer_finish(summarizer, NULL, NULL), JAMLET_ERROR_OK);
    // Another handle in the same workspace.
    jamlet_session *session;
    EXPECT(jamlet_session_new(workspace, bytes, image, length, NULL, &session), JAMLET_ERROR_OK);
    EXPECT(jamlet_summarizer_reset(summarizer), JAMLET_ERROR_HANDLE);
    // One that failed leaves none.
    EXPECT(jamlet_session_new(workspace, bytes / 2, image, length, NULL, &session), JAMLET_ERROR_WORKSPACE_TOO_SMALL);
    EXPECT(jamlet_session_reset((jamlet_session *)workspace), JAMLET_ERROR_HANDLE);
}

static void sessions(const unsigned char *image, size_t length, void *workspace, const jamlet_sizes *sizes) {
    const char *choices[] = {" a report", " a book", NULL};
    const uint32_t unknown[] = {0, UINT32_MAX};
    jamlet_session *session;
    uint32_t token;
    size_t saved, chosen;
    float probability;
    EXPECT(jamlet_session_new(workspace, sizes->session - 1, image, length, NULL, &session), JAMLET_ERROR_WORKSPACE_TOO_SMALL);
    EXPECT(jamlet_session_new(workspace, sizes->session, image, length, NULL, &session), JAMLET_ERROR_OK);
    EXPECT(jamlet_session_next(session, &token, NULL), JAMLET_ERROR_NOTHING_FED);
    EXPECT(jamlet_session_logits(session, feed_again, NULL), JAMLET_ERROR_NOTHING_FED);
    EXPECT(jamlet_session_choose(session, choices, 2, &chosen, NULL), JAMLET_ERROR_NOTHING_FED);
    EXPECT(jamlet_session_feed(session, NULL, 2), JAMLET_ERROR_NULL);
    EXPECT(jamlet_session_feed(session, unknown, 2), JAMLET_ERROR_UNKNOWN_TOKEN);
    EXPECT(jamlet_session_start(session), JAMLET_ERROR_OK);
    EXPECT(jamlet_session_feed_text(session, "It writes", 9, true), JAMLET_ERROR_OK);
    EXPECT(jamlet_session_next(session, NULL, NULL), JAMLET_ERROR_NULL);
    EXPECT(jamlet_session_logits(session, NULL, NULL), JAMLET_ERROR_NULL);
    EXPECT(jamlet_session_choose(session, choices, 0, &chosen, NULL), JAMLET_ERROR_CHOICES);
    EXPECT(jamlet_session_choose(session, choices, 33, &chosen, NULL), JAMLET_ERROR_CHOICES);
    EXPECT(jamlet_session_choose(session, choices, 3, &chosen, NULL), JAMLET_ERROR_NULL);
    EXPECT(jamlet_session_choose(session, NULL, 1, &chosen, NULL), JAMLET_ERROR_NULL);
    EXPECT(jamlet_session_choose(session, choices, 2, &chosen, &probability), JAMLET_ERROR_OK);
    if (chosen > 1 || !(probability > 0.0f && probability <= 1.0f)) ++failures;
    busy_session = session;
    EXPECT(jamlet_session_logits(session, feed_again, NULL), JAMLET_ERROR_OK);
    unsigned char *snapshot = malloc(sizes->snapshot);
    EXPECT(jamlet_session_save(session, snapshot, 0, &saved), JAMLET_ERROR_BUFFER_TOO_SMALL);
    EXPECT(jamlet_session_save(session, NULL, sizes->snapshot, &saved), JAMLET_ERROR_NULL);
    EXPECT(jamlet_session_save(session, snapshot, sizes->snapshot, NULL), JAMLET_ERROR_NULL);
    EXPECT(jamlet_session_save(session, snapshot, sizes->snapshot, &saved), JAMLET_ERROR_OK);
    EXPECT(jamlet_session_restore(session, snapshot, saved), JAMLET_ERROR_OK);
    EXPECT(jamlet_session_restore(session, snapshot, saved - 1), JAMLET_ERROR_SNAPSHOT_DAMAGED);
    EXPECT(jamlet_session_restore(session, NULL, saved), JAMLET_ERROR_NULL);
    snapshot[saved / 2] ^= 1;
    EXPECT(jamlet_session_restore(session, snapshot, saved), JAMLET_ERROR_SNAPSHOT_DAMAGED);
    snapshot[0] ^= 1;
    EXPECT(jamlet_session_restore(session, snapshot, saved), JAMLET_ERROR_NOT_A_SNAPSHOT);
    free(snapshot);
}

int main(int count, char **arguments) {
    static unsigned char file[1 << 20];
    FILE *in = count == 2 ? fopen(arguments[1], "rb") : NULL;
    if (in == NULL) return 2;
    const size_t length = fread(file, 1, sizeof file, in);
    fclose(in);
    unsigned char *image = copy(file, length);
    jamlet_sizes sizes;
    EXPECT(jamlet_plan(image, length, NULL, &sizes), JAMLET_ERROR_OK);
    EXPECT(jamlet_plan(image, length, NULL, NULL), JAMLET_ERROR_NULL);
    void *workspace = aligned_alloc(JAMLET_ALIGN, (sizes.summarizer + 15) / 16 * 16);
    images(image, length, workspace, sizes.summarizer);
    summarizers(image, length, workspace, sizes.summarizer);
    sessions(image, length, workspace, &sizes);
    free(workspace);
    free(image);
    printf("%u failures\n", failures);
    return failures == 0 ? 0 : 1;
}
