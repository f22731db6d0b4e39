// Summarizes what arrives over the serial port: send a text, and an empty line after it.
#include <jamlet.hpp>

// The model `nano`, as `jamlet plan nano --beams 1 --c-array > model.h` writes it; any image does.
#include "model.h"

// All memory of a run, for a text of any length. If it links, it fits.
static jamlet::Workspace<JAMLET_SUMMARIZER_WORKSPACE> workspace;
static jamlet::Summarizer summarizer;

static void check(jamlet_error error) {
  if (error != JAMLET_ERROR_OK) {
    Serial.println(jamlet::text(error));
  }
}

void setup() {
  Serial.begin(115200);
  while (!Serial) {
  }
  check(summarizer.begin(workspace, jamlet_image, JAMLET_IMAGE_BYTES, JAMLET_PLAN_OPTIONS));
  Serial.println("Ready.");
}

void loop() {
  static char last = '\n';
  static bool text = false;
  while (Serial.available() > 0) {
    const char byte = static_cast<char>(Serial.read());
    if (byte == '\r') {
      continue;
    }
    if (text && byte == '\n' && last == '\n') {
      jamlet_answer answer;
      check(summarizer.finish([](const char *piece, std::size_t bytes) { Serial.write(piece, bytes); }, &answer));
      Serial.println();
      text = false;
    } else if (byte != '\n' || text) {
      check(summarizer.feed(&byte, 1));
      text = true;
    }
    last = byte;
  }
}
