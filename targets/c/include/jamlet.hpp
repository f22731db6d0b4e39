// jamlet for C++17: jamlet.h with functions as callbacks. Nothing is allocated or thrown.
#ifndef JAMLET_HPP
#define JAMLET_HPP

#include <cstring>
#include <type_traits>

#include "jamlet.h"

namespace jamlet {

// A sentence about an error.
inline const char *text(jamlet_error error) { return jamlet_error_text(error); }

// Memory for a Summarizer or a Session; a static one, since it is large.
template <std::size_t Bytes>
struct Workspace {
    alignas(JAMLET_ALIGN) unsigned char bytes[Bytes];
};

// Reads texts and writes their summaries, as jamlet_summarizer_... do. `print` is anything that can be called with a piece of the
// summary and its number of bytes; it may return false to end it.
class Summarizer {
public:
    template <std::size_t Bytes>
    jamlet_error begin(Workspace<Bytes> &workspace, const void *image, std::size_t image_bytes,
                       const jamlet_options &options = JAMLET_OPTIONS) {
        return jamlet_summarizer_new(workspace.bytes, Bytes, image, image_bytes, &options, &summarizer);
    }

    jamlet_error set(const jamlet_summary_options &options) { return jamlet_summarizer_set_options(summarizer, &options); }

    // The next piece of a text.
    jamlet_error feed(const char *text, std::size_t bytes, const jamlet_listener *listener = nullptr) {
        return jamlet_summarizer_feed(summarizer, text, bytes, listener);
    }
    jamlet_error feed(const char *text) { return feed(text, std::strlen(text)); }

    // Ends the text and writes its summary.
    template <typename Print>
    jamlet_error finish(Print &&print, jamlet_answer *answer = nullptr) {
        const jamlet_listener listener = hear(print);
        return jamlet_summarizer_finish(summarizer, &listener, answer);
    }

    // A text at once.
    template <typename Print>
    jamlet_error summarize(const char *text, std::size_t bytes, Print &&print, jamlet_answer *answer = nullptr) {
        const jamlet_error error = feed(text, bytes);
        return error == JAMLET_ERROR_OK ? finish(print, answer) : error;
    }

    jamlet_error reset() { return jamlet_summarizer_reset(summarizer); }

    // For functions of jamlet.h.
    jamlet_summarizer *get() { return summarizer; }

private:
    template <typename Print>
    static jamlet_listener hear(Print &print) {
        jamlet_listener listener{};
        listener.context = const_cast<void *>(static_cast<const void *>(&print));
        listener.text = [](void *context, const char *piece, std::size_t bytes) {
            auto &call = *static_cast<std::remove_reference_t<Print> *>(context);
            if constexpr (std::is_void_v<decltype(call(piece, bytes))>) {
                call(piece, bytes);
                return true;
            } else {
                return static_cast<bool>(call(piece, bytes));
            }
        };
        return listener;
    }

    jamlet_summarizer *summarizer = nullptr;
};

} // namespace jamlet

#endif
