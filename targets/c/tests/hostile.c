// Random calls with random arguments, under AddressSanitizer: nothing may crash, read or write where it must not. Buffers have the
// exact sizes that were said.
#define _POSIX_C_SOURCE 200112L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jamlet.h"

static uint64_t state;

// xorshift64*.
static uint32_t below(uint32_t bound) {
    state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
    return (uint32_t)((state * 0x2545f4914f6cdd1du) >> 32) % bound;
}

struct bytes {
    unsigned char *at;
    size_t length;
};

static struct bytes exact(const unsigned char *from, size_t length) {
    void *at;
    if (posix_memalign(&at, JAMLET_ALIGN, length) != 0) exit(3);
    const struct bytes made = {at, length};
    if (from != NULL) memcpy(made.at, from, length);
    return made;
}

// A byte of sums, so that what callbacks get is read.
static volatile unsigned char seen;
static bool goes_on;

static bool take_text(void *context, const char *text, size_t bytes) {
    (void)context;
    for (size_t at = 0; at < bytes; ++at) seen ^= (unsigned char)text[at];
    return goes_on || below(8) > 0;
}
static void take_line(void *context, jamlet_way way, float confidence) {
    (void)context, (void)way;
    if (!(confidence >= 0.0f && confidence <= 1.0f)) exit(4);
}
static bool take_before(void *context) {
    (void)context;
    return goes_on || below(64) > 0;
}
static void take_piece(void *context, const char *text, size_t bytes) { (void)take_text(context, text, bytes); }
static void take_token(void *context, uint32_t token) {
    (void)context;
    seen ^= (unsigned char)token;
}
static void take_logits(void *context, uint32_t first, const float *logits, size_t count) {
    (void)context, (void)first;
    for (size_t at = 0; at < count; ++at) seen ^= logits[at] > 0.0f;
}

static const char *const WORDS[] = {"the ", "log ", "files. ", "A report\n\n", "\xc3", "\xff\xfe", "<s>", " writes", "1,5", "\t", "é"};

static size_t text(char *out, size_t most) {
    size_t length = 0;
    for (uint32_t words = below(40); words > 0; --words) {
        const char *word = WORDS[below(sizeof WORDS / sizeof *WORDS)];
        const size_t bytes = strlen(word);
        if (length + bytes > most) break;
        memcpy(out + length, word, bytes);
        length += bytes;
    }
    return length;
}

static void summarize(jamlet_summarizer *summarizer, struct bytes snapshot) {
    const jamlet_listener all = {.text = take_text, .line = take_line, .before = take_before}, none = {0};
    const jamlet_listener *listeners[] = {&all, &none, NULL};
    char words[512];
    size_t saved = 0;
    jamlet_answer answer;
    for (uint32_t calls = 1 + below(12); calls > 0; --calls) {
        const jamlet_listener *listener = listeners[below(3)];
        goes_on = below(2) > 0;
        switch (below(8)) {
        case 0:
            jamlet_summarizer_finish(summarizer, listener, below(2) ? &answer : NULL);
            break;
        case 1: {
            const jamlet_summary_options options = {(int32_t)below(6) - 1, below(12), below(20)};
            jamlet_summarizer_set_options(summarizer, below(4) ? &options : NULL);
            break;
        }
        case 2:
            jamlet_summarizer_reset(summarizer);
            break;
        case 3:
            if (jamlet_summarizer_save(summarizer, snapshot.at, snapshot.length - below(2), &saved) != JAMLET_ERROR_OK) saved = 0;
            break;
        case 4:
            if (saved > 0 && below(2)) snapshot.at[below((uint32_t)saved)] ^= (unsigned char)(1u << below(8));
            jamlet_summarizer_restore(summarizer, snapshot.at, below(2) ? saved : below((uint32_t)snapshot.length));
            break;
        default: {
            const size_t length = text(words, sizeof words);
            struct bytes piece = exact((unsigned char *)words, length);
            jamlet_summarizer_feed(summarizer, (char *)piece.at, piece.length, listener);
            free(piece.at);
        }
        }
    }
}

static void run(jamlet_session *session, struct bytes snapshot) {
    const char *const choices[] = {" a", " a report", "", "the log", "\xff", " a"};
    char words[512];
    size_t saved = 0, chosen;
    uint32_t token = 0;
    bool ends;
    uint64_t position;
    float probability;
    for (uint32_t calls = 1 + below(16); calls > 0; --calls) {
        switch (below(13)) {
        case 0:
            jamlet_session_reset(session);
            break;
        case 1:
            jamlet_session_start(session);
            break;
        case 2: {
            const uint32_t tokens[] = {below(300), below(300), below(20) ? 1 : UINT32_MAX};
            jamlet_session_feed(session, tokens, 1 + below(3));
            break;
        }
        case 3:
            jamlet_session_tokenize(session, words, text(words, sizeof words), below(2), take_token, NULL);
            break;
        case 4:
            jamlet_session_text(session, below(300), take_piece, NULL);
            break;
        case 5: {
            const jamlet_sampling sampling = {(float)below(3) * 0.7f, below(80), (float)below(5) * 0.3f, (float)below(3) * 0.4f,
                                              (float)below(4) * 0.6f, below(4), below(9)};
            jamlet_session_set_sampling(session, below(4) ? &sampling : NULL);
            break;
        }
        case 6:
        case 7:
            jamlet_session_next(session, &token, below(2) ? &ends : NULL);
            break;
        case 8:
            jamlet_session_logits(session, take_logits, NULL);
            break;
        case 9:
            if (jamlet_session_choose(session, choices, below(7), &chosen, below(2) ? &probability : NULL) == JAMLET_ERROR_OK &&
                chosen > 5)
                exit(5);
            break;
        case 10:
            if (jamlet_session_save(session, snapshot.at, snapshot.length, &saved) != JAMLET_ERROR_OK) saved = 0;
            break;
        case 11:
            if (saved > 0 && below(2)) snapshot.at[below((uint32_t)saved)] ^= (unsigned char)(1u << below(8));
            jamlet_session_restore(session, snapshot.at, below(2) ? saved : below((uint32_t)snapshot.length));
            break;
        default:
            jamlet_session_feed_text(session, words, text(words, sizeof words), below(2));
            jamlet_session_position(session, &position);
        }
    }
}

// A run of calls on one image, which may be cut off or damaged. The text of what there is must be taken or refused.
static unsigned round_of(const unsigned char *file, size_t length) {
    const size_t kept = below(4) ? length : below((uint32_t)length + 1);
    struct bytes image = exact(file, kept);
    // Mostly in the header and the tables, which are looked at before the checksum is.
    for (uint32_t flips = below(3) ? 0 : 1 + below(3); flips > 0 && kept > 0; --flips)
        image.at[below((uint32_t)(below(2) || kept < 1024 ? kept : 1024))] ^= (unsigned char)(1u << below(8));
    const jamlet_options options = {1 + below(64), below(6), 1 + below(12), below(8) ? 1 + below(2) : below(4)};
    jamlet_sizes sizes;
    unsigned ran = 0;
    if (jamlet_plan(image.at, image.length, &options, &sizes) == JAMLET_ERROR_OK && sizes.summarizer < 1u << 26) {
        const bool summarizes = below(2);
        const size_t needed = summarizes ? sizes.summarizer : sizes.session;
        struct bytes workspace = exact(NULL, below(6) ? needed : below((uint32_t)needed));
        struct bytes snapshot = exact(NULL, sizes.snapshot);
        memset(snapshot.at, 0, snapshot.length);
        jamlet_summarizer *summarizer;
        jamlet_session *session;
        if (summarizes) {
            if (jamlet_summarizer_new(workspace.at, workspace.length, image.at, image.length, &options, &summarizer) ==
                JAMLET_ERROR_OK) {
                summarize(summarizer, snapshot);
                ran = 1;
            }
        } else if (jamlet_session_new(workspace.at, workspace.length, image.at, image.length, &options, &session) ==
                   JAMLET_ERROR_OK) {
            run(session, snapshot);
            ran = 1;
        }
        free(workspace.at);
        free(snapshot.at);
    }
    free(image.at);
    return ran;
}

int main(int count, char **arguments) {
    static unsigned char file[1 << 20];
    FILE *in = count == 4 ? fopen(arguments[1], "rb") : NULL;
    if (in == NULL) return 2;
    const size_t length = fread(file, 1, sizeof file, in);
    fclose(in);
    state = strtoull(arguments[2], NULL, 10) * 2 + 1;
    const unsigned long rounds = strtoul(arguments[3], NULL, 10);
    unsigned long ran = 0;
    for (unsigned long at = 0; at < rounds; ++at) ran += round_of(file, length);
    printf("%lu rounds, %lu on an image that was taken\n", rounds, ran);
    return ran > rounds / 4 ? 0 : 1;
}
