// jamlet: summaries on devices that have no operating system, no heap and little memory.
//
// Written by `cargo xtask c-header --write` from targets/c/src. Copyright of jamlet's authors; MIT or Apache-2.0, at your choice.
//
// Memory. Everything lies in a workspace of the caller: JAMLET_ALIGN-aligned bytes, of which `jamlet plan IMAGE --c-header` writes
// the number as a macro, and jamlet_plan says it at run time. Nothing is allocated, and nothing has to be freed: a workspace that is
// done with is memory like any other. The stack needs 8 KiB on a Cortex-M, those of callbacks and interrupts on top.
//
// Errors. Functions return JAMLET_ERROR_OK or why not, and jamlet_error_text has a sentence about each. A null pointer, a workspace that is
// too short or misaligned, and an image, a saved state or a text that is damaged are errors, never undefined. What can't be checked is
// the caller's to get right: a pointer that isn't null points to as many bytes as the call says, workspaces don't overlap anything
// else and are left alone, images stay as they are while they are used.
//
// Threads and interrupts. There is no global state. One handle is used by one thread at a time; any number of handles may be used at
// the same time, also on one image. Callbacks run in the caller's thread and may call anything but functions with the same handle,
// which say JAMLET_ERROR_BUSY. Reading and summarizing compute for seconds on a small core: don't call them from an interrupt. An
// interrupt may call jamlet_error_text, or use a handle of its own if it has the time. Tasks of an RTOS that call jamlet need their
// floating-point registers saved, where the core has any.


#ifndef JAMLET_H
#define JAMLET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#if UINTPTR_MAX > 0xffffffff
#define JAMLET_64_BIT
#else
#define JAMLET_32_BIT
#endif

// The default options, to initialize a jamlet_options with.
#define JAMLET_OPTIONS {256, 4, 8, 2}

// Declares memory for a workspace, of this file.
#if defined(__cplusplus)
#define JAMLET_WORKSPACE(name, bytes) alignas(JAMLET_ALIGN) static unsigned char name[bytes]
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define JAMLET_WORKSPACE(name, bytes) _Alignas(JAMLET_ALIGN) static unsigned char name[bytes]
#elif defined(__GNUC__)
#define JAMLET_WORKSPACE(name, bytes) static unsigned char name[bytes] __attribute__((aligned(JAMLET_ALIGN)))
#endif

// The most summaries that are written side by side.
#define JAMLET_MOST_BEAMS 2

// Workspaces and images lie at a multiple of so many bytes.
#define JAMLET_ALIGN 16

#if defined(JAMLET_32_BIT)
// What a summarizer takes of its workspace, beside what `jamlet plan` says for the image.
#define JAMLET_SUMMARIZER_BYTES 25344
#endif

#if defined(JAMLET_64_BIT)
// What a summarizer takes of its workspace, beside what `jamlet plan` says for the image.
#define JAMLET_SUMMARIZER_BYTES 26624
#endif

#if defined(JAMLET_32_BIT)
// What a session takes of its workspace, beside what `jamlet plan` says for the image.
#define JAMLET_SESSION_BYTES 5632
#endif

#if defined(JAMLET_64_BIT)
// What a session takes of its workspace, beside what `jamlet plan` says for the image.
#define JAMLET_SESSION_BYTES 6656
#endif

// The most texts to choose from.
#define JAMLET_MOST_CHOICES 32

// What a function found. `jamlet_error_text` has a sentence about each.
enum jamlet_error
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // It did what was asked.
    JAMLET_ERROR_OK = 0,
    // A pointer is null that must not be.
    JAMLET_ERROR_NULL = 1,
    // Not a handle of this kind, or its workspace was overwritten.
    JAMLET_ERROR_HANDLE = 2,
    // The handle is in use: a function was called from one of its callbacks.
    JAMLET_ERROR_BUSY = 3,
    // The workspace is smaller than `jamlet_plan` says.
    JAMLET_ERROR_WORKSPACE_TOO_SMALL = 4,
    // The workspace doesn't lie at a multiple of `JAMLET_ALIGN`.
    JAMLET_ERROR_WORKSPACE_MISALIGNED = 5,
    // A buffer for a saved state is too small.
    JAMLET_ERROR_BUFFER_TOO_SMALL = 6,
    // `window` is 0 or too large.
    JAMLET_ERROR_WINDOW = 10,
    // `sinks` is too large.
    JAMLET_ERROR_SINKS = 11,
    // `chunk` is 0 or too large.
    JAMLET_ERROR_CHUNK = 12,
    // `beams` is not from 1 to `JAMLET_MOST_BEAMS`.
    JAMLET_ERROR_BEAMS = 13,
    // `style` is none of the styles.
    JAMLET_ERROR_STYLE = 14,
    // There are no choices, or more than `JAMLET_MOST_CHOICES`.
    JAMLET_ERROR_CHOICES = 15,
    // The workspace would be larger than the address space.
    JAMLET_ERROR_TOO_LARGE = 16,
    // The image is cut off.
    JAMLET_ERROR_IMAGE_TRUNCATED = 20,
    // The image has more bytes than its header says.
    JAMLET_ERROR_IMAGE_TOO_LONG = 21,
    // The bytes are no image.
    JAMLET_ERROR_NOT_AN_IMAGE = 22,
    // The image's version is another one.
    JAMLET_ERROR_IMAGE_VERSION = 23,
    // The image needs what this version of jamlet doesn't have.
    JAMLET_ERROR_IMAGE_FEATURES = 24,
    // The image's checksum is wrong.
    JAMLET_ERROR_IMAGE_DAMAGED = 25,
    // The image doesn't lie at a multiple of `JAMLET_ALIGN`.
    JAMLET_ERROR_IMAGE_MISALIGNED = 26,
    // A field of the image has a value that can't be.
    JAMLET_ERROR_IMAGE_MALFORMED = 27,
    // The image has no tokenizer.
    JAMLET_ERROR_NO_TOKENIZER = 28,
    // A callback ended it.
    JAMLET_ERROR_INTERRUPTED = 30,
    // A token isn't in the vocabulary.
    JAMLET_ERROR_UNKNOWN_TOKEN = 31,
    // There are no logits: nothing was fed yet.
    JAMLET_ERROR_NOTHING_FED = 32,
    // The bytes are no saved state.
    JAMLET_ERROR_NOT_A_SNAPSHOT = 40,
    // The saved state's version is another one.
    JAMLET_ERROR_SNAPSHOT_VERSION = 41,
    // The saved state belongs to another image.
    JAMLET_ERROR_SNAPSHOT_OTHER_IMAGE = 42,
    // The saved state was made with other options.
    JAMLET_ERROR_SNAPSHOT_OTHER_OPTIONS = 43,
    // The saved state's checksum, length or a field is wrong.
    JAMLET_ERROR_SNAPSHOT_DAMAGED = 44,
    // What a newer engine says and this interface has no number for.
    JAMLET_ERROR_OTHER = 99,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum jamlet_error jamlet_error;
#else
typedef int32_t jamlet_error;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What a line of a summary is.
enum jamlet_way
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // There is no line.
    JAMLET_WAY_NONE = 0,
    // A sentence of the text.
    JAMLET_WAY_QUOTE = 1,
    // A sentence of the text, of which parts are left out.
    JAMLET_WAY_COMPRESS = 2,
    // Written by the model, in words of the text.
    JAMLET_WAY_REWRITE = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum jamlet_way jamlet_way;
#else
typedef int32_t jamlet_way;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What kind of text it was.
enum jamlet_text
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // There is no word in it.
    JAMLET_TEXT_NOTHING = 0,
    // It has sentences.
    JAMLET_TEXT_PROSE = 1,
    // It has no sentence: a log, a list.
    JAMLET_TEXT_LINES = 2,
    // It has hardly any English word: it is quoted at most.
    JAMLET_TEXT_OTHER_LANGUAGE = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum jamlet_text jamlet_text;
#else
typedef int32_t jamlet_text;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How a summary is to be made.
enum jamlet_style
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Rewritten where the model is sure, otherwise quoted.
    JAMLET_STYLE_AUTO = 0,
    // Always rewritten.
    JAMLET_STYLE_REWRITE = 1,
    // Quoted, with parts left out where that is safe.
    JAMLET_STYLE_COMPRESS = 2,
    // Always quoted.
    JAMLET_STYLE_QUOTE = 3,
    // In one line without a stop: the text's own heading, a rewrite where the model is sure, otherwise the first clause of the
    // sentence that says most.
    JAMLET_STYLE_TITLE = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum jamlet_style jamlet_style;
#else
typedef int32_t jamlet_style;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Runs a model token by token, in a workspace of the caller. There is nothing to free.
typedef struct jamlet_session jamlet_session;

// Reads texts and writes their summaries, in a workspace of the caller. There is nothing to free.
typedef struct jamlet_summarizer jamlet_summarizer;

// How a model runs. Where a pointer to it is null, `JAMLET_OPTIONS` is meant.
typedef struct jamlet_options {
    // Tokens that attention looks back, at least 1.
    uint32_t window;
    // The first tokens that attention always sees.
    uint32_t sinks;
    // Tokens that are read together: more are faster and take more memory, with the same result.
    uint32_t chunk;
    // Summaries that are written side by side, 1 or 2: each takes memory for its state.
    uint32_t beams;
} jamlet_options;

// Bytes that an image takes with some options.
typedef struct jamlet_sizes {
    // Workspace of a summarizer.
    size_t summarizer;
    // Workspace of a session.
    size_t session;
    // A saved state of either, whatever was read: the most that it takes.
    size_t snapshot;
} jamlet_sizes;

// How summaries are made.
typedef struct jamlet_summary_options {
    // A `jamlet_style`.
    int32_t style;
    // Lines, at most 7; 0 for as many as the length of the text suggests.
    uint32_t lines;
    // The most tokens that the model writes a line; 0 for as many as there is room for.
    uint32_t limit;
} jamlet_summary_options;

// What a caller hears of a summary while it is made. Each of the functions may be null. None may call a function of jamlet with
// the handle that is at work.
typedef struct jamlet_listener {
    // Handed to the functions.
    void *context;
    // The next piece of the summary: `bytes` bytes of UTF-8 without a zero at the end. A line feed stands between lines. False
    // ends it with `JAMLET_ERROR_INTERRUPTED`.
    bool (*text)(void *context, const char *text, size_t bytes);
    // A line begins: what it is, and how probable it is that it says what the text says, 0 to 1.
    void (*line)(void *context, jamlet_way way, float confidence);
    // The model is about to compute, for as long as a few tokens take: the time to look at a port. False ends it with
    // `JAMLET_ERROR_INTERRUPTED`.
    bool (*before)(void *context);
} jamlet_listener;

// What was written, and what it took.
typedef struct jamlet_answer {
    // Its lines.
    uint32_t lines;
    // What the first line is.
    jamlet_way way;
    // How probable it is that the first line says what the text says, 0 to 1.
    float confidence;
    // The text.
    jamlet_text text;
    // Tokens that were read, the prompt's among them.
    uint64_t read;
    // Tokens that the model wrote, those that were not chosen among them.
    uint64_t written;
} jamlet_answer;

// Takes the tokens of a text, one after the other.
typedef void (*jamlet_token_sink)(void *context, uint32_t token);

// Takes a piece of a text: `bytes` bytes of UTF-8 without a zero at the end.
typedef void (*jamlet_text_sink)(void *context, const char *text, size_t bytes);

// How tokens are chosen. Zeros everywhere are the most probable token, always.
typedef struct jamlet_sampling {
    // Logits are divided by it; 0 is always the most probable token.
    float temperature;
    // The most probable tokens that take part; 0 for as many as there is room for.
    uint32_t top_k;
    // The fewest tokens whose probabilities sum up to this take part; 0 and 1 are off.
    float top_p;
    // Tokens with less than this fraction of the best one's probability don't take part; 0 is off.
    float min_p;
    // Logits of tokens that were chosen before are divided by it; 0 and 1 are off.
    float repetition_penalty;
    // A token that would complete a sequence of so many tokens for a second time is avoided; 0 is off.
    uint32_t no_repeat_ngram;
    // Seed of the random numbers: the same seed gives the same tokens on every machine.
    uint64_t seed;
} jamlet_sampling;

// Takes the logits of the tokens `first` to `first + count - 1`.
typedef void (*jamlet_logits_sink)(void *context, uint32_t first, const float *logits, size_t count);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// A sentence about an error, for ever. May be called from anywhere.
const char *jamlet_error_text(int32_t error);

// Says how much memory an image takes. Only the image's header is looked at.
jamlet_error jamlet_plan(const void *image,
                         size_t image_bytes,
                         const struct jamlet_options *options,
                         struct jamlet_sizes *sizes);

// Makes a workspace into a summarizer: checks the whole image, and divides the workspace. Workspace and image stay where they are
// as long as it is used; `options` may be null. A workspace that was a handle before may be made into another one.
jamlet_error jamlet_summarizer_new(void *workspace,
                                   size_t workspace_bytes,
                                   const void *image,
                                   size_t image_bytes,
                                   const struct jamlet_options *options,
                                   struct jamlet_summarizer **summarizer);

// Makes summaries in another way, from the next text on; null for the way of the beginning.
jamlet_error jamlet_summarizer_set_options(struct jamlet_summarizer *summarizer, const struct jamlet_summary_options *options);

// Reads the next piece of a text in UTF-8. Pieces may be cut anywhere, even within a character. `listener` may be null.
jamlet_error jamlet_summarizer_feed(struct jamlet_summarizer *summarizer,
                                    const char *text,
                                    size_t text_bytes,
                                    const struct jamlet_listener *listener);

// Ends the text, writes its summary and is ready for the next text. `listener` and `answer` may be null.
jamlet_error jamlet_summarizer_finish(struct jamlet_summarizer *summarizer,
                                      const struct jamlet_listener *listener,
                                      struct jamlet_answer *answer);

// Forgets the text: needed after an error alone.
jamlet_error jamlet_summarizer_reset(struct jamlet_summarizer *summarizer);

// Ends the text's last word and saves what was read so far into a buffer; `saved` gets the length. The text may go on.
jamlet_error jamlet_summarizer_save(struct jamlet_summarizer *summarizer, void *buffer, size_t buffer_bytes, size_t *saved);

// Goes on from a state that `jamlet_summarizer_save` saved, here or on another machine, with the same image and options. What was
// read before is summarized with what follows, but only what follows can be quoted.
jamlet_error jamlet_summarizer_restore(struct jamlet_summarizer *summarizer,
                                       const void *saved,
                                       size_t saved_bytes);

// Makes a workspace into a session, as `jamlet_summarizer_new` makes one into a summarizer. The options' `beams` is best 1 here.
jamlet_error jamlet_session_new(void *workspace,
                                size_t workspace_bytes,
                                const void *image,
                                size_t image_bytes,
                                const struct jamlet_options *options,
                                struct jamlet_session **session);

// Forgets everything that was fed.
jamlet_error jamlet_session_reset(struct jamlet_session *session);

// Forgets everything that was fed, and feeds what the image begins its prompts with.
jamlet_error jamlet_session_start(struct jamlet_session *session);

// Says how many tokens were fed.
jamlet_error jamlet_session_position(struct jamlet_session *session, uint64_t *position);

// Says how many tokens the vocabulary has.
jamlet_error jamlet_session_vocabulary(struct jamlet_session *session, uint32_t *tokens);

// Reads tokens. Where one isn't in the vocabulary, none is read.
jamlet_error jamlet_session_feed(struct jamlet_session *session, const uint32_t *tokens, size_t count);

// Reads a text in UTF-8, which may come in pieces: what can't be told yet waits until `last` is true.
jamlet_error jamlet_session_feed_text(struct jamlet_session *session, const char *text, size_t text_bytes, bool last);

// Gives the tokens of a text to `sink`, and feeds none. The text may come in pieces, until `last` is true.
jamlet_error jamlet_session_tokenize(struct jamlet_session *session,
                                     const char *text,
                                     size_t text_bytes,
                                     bool last,
                                     jamlet_token_sink sink,
                                     void *context);

// Gives the text of a token to `sink`: the characters that are whole by now. Special tokens have none.
jamlet_error jamlet_session_text(struct jamlet_session *session, uint32_t token, jamlet_text_sink sink, void *context);

// Chooses tokens in another way from now on; null is always the most probable one.
jamlet_error jamlet_session_set_sampling(struct jamlet_session *session, const struct jamlet_sampling *sampling);

// Chooses the next token, which is fed when the next one is asked for. `ends` tells whether it ends an answer; it may be null.
jamlet_error jamlet_session_next(struct jamlet_session *session, uint32_t *token, bool *ends);

// Gives the logits after the last token to `sink`, in blocks, by rising tokens.
jamlet_error jamlet_session_logits(struct jamlet_session *session, jamlet_logits_sink sink, void *context);

// Saves what the session remembers into a buffer, with what the next logits are computed from; `saved` gets the length.
jamlet_error jamlet_session_save(struct jamlet_session *session, void *buffer, size_t buffer_bytes, size_t *saved);

// Goes on from a state that was saved, here or on another machine, with the same image and options. On an error the session is as
// it was.
jamlet_error jamlet_session_restore(struct jamlet_session *session,
                                    const void *saved,
                                    size_t saved_bytes);

// Chooses one of `count` texts, the one that the model would write next if it had to write one of them, and feeds it. `choices`
// are texts with a zero at the end; each is read as a text of its own, so it begins with a space where the model would write
// one. `chosen` gets its index; `probability` its probability among the others, and may be null.
jamlet_error jamlet_session_choose(struct jamlet_session *session,
                                   const char *const *choices,
                                   size_t count,
                                   size_t *chosen,
                                   float *probability);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* JAMLET_H */
