// What the example sketch uses of Arduino, to compile it without.
#include <cstddef>

struct Port {
    void begin(long baud);
    explicit operator bool() const;
    int available();
    int read();
    void write(const char *text, std::size_t bytes);
    void println(const char *text = "");
};
extern Port Serial;
void setup();
void loop();
