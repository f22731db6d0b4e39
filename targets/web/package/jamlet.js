// jamlet for browsers and Node: loads the WebAssembly module and an image, and summarizes texts. `index.d.ts` documents it.

/** A module with one function that needs vectors: whoever accepts it runs the faster build. */
const NEEDS_SIMD = Uint8Array.of(
  0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, // magic and version
  0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7b, // type: () -> v128
  0x03, 0x02, 0x01, 0x00, // one function of it
  0x0a, 0x08, 0x01, 0x06, 0x00, 0x41, 0x00, 0xfd, 0x0f, 0x0b, // i32.const 0, i8x16.splat
);
const STYLES = ["auto", "quote", "compress", "rewrite", "title"];
const WAYS = ["other", "quote", "compress", "rewrite"];
/** Bytes of text between two looks at the clock and at the signal. */
const PIECE = 256;
/** Milliseconds after which others get a turn. */
const TURN = 30;

export const hasSimd = () => WebAssembly.validate(NEEDS_SIMD);

/** The build that runs here. */
export const moduleUrl = (build = hasSimd() ? "simd128" : "scalar") =>
  // In full, so that bundlers see both.
  build === "simd128" ? new URL("./simd128.wasm", import.meta.url) : new URL("./scalar.wasm", import.meta.url);

async function bytes(source) {
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return source;
  const url = new URL(source, import.meta.url);
  if (url.protocol === "file:") return (await import("node:fs/promises")).readFile(url);
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  return response.arrayBuffer();
}

export async function load({ image, module = moduleUrl(), window = 256 }) {
  const [code, model] = await Promise.all([
    module instanceof WebAssembly.Module ? module : bytes(module).then((code) => WebAssembly.compile(code)),
    bytes(image),
  ]);
  const listener = {};
  const decoder = new TextDecoder();
  const instance = await WebAssembly.instantiate(code, {
    env: {
      line: (way, confidence) => listener.line?.({ way: WAYS[way], confidence }),
      text: (at, length) => listener.text?.(decoder.decode(new Uint8Array(instance.exports.memory.buffer, at, length))),
      step: (what, tokens) => listener.step?.(what, tokens),
    },
  });
  return new Jamlet(instance.exports, listener, model, window);
}

class Jamlet {
  #engine;
  #listener;
  #busy = false;

  constructor(engine, listener, image, window) {
    this.#engine = engine;
    this.#listener = listener;
    this.#place(image);
    this.plan = JSON.parse(this.#said(engine.open(window)));
  }

  /** Bytes that the module has taken of this machine. */
  get memory() {
    return this.#engine.memory.buffer.byteLength;
  }

  async summarize(text, { style = "auto", lines = 0, signal, onProgress, onLine, onText } = {}) {
    if (!STYLES.includes(style)) throw new RangeError(`style is "${style}"; ${STYLES.join(", ")} would be right`);
    if (!(Number.isInteger(lines) && lines >= 0 && lines <= 7)) {
      throw new RangeError(`lines is ${lines}; a whole number from 0 to 7 would be right`);
    }
    if (this.#busy) throw new Error("another text is being summarized");
    this.#busy = true;
    try {
      return await this.#summarize(typeof text === "string" ? new TextEncoder().encode(text) : text, {
        style, lines, signal, onProgress, onLine, onText,
      });
    } finally {
      this.#engine.reset();
      Object.assign(this.#listener, { line: undefined, text: undefined, step: undefined });
      this.#busy = false;
    }
  }

  async #summarize(text, { style, lines, signal, onProgress, onLine, onText }) {
    const found = [];
    const progress = { bytes: 0, of: text.length, read: 0, written: 0 };
    this.#listener.step = (what, tokens) => (progress[what === 0 ? "read" : "written"] += what === 1 ? 0 : tokens);
    this.#listener.line = (line) => {
      found.push({ ...line, text: "" });
      onLine?.(line);
    };
    this.#listener.text = (piece) => {
      found.at(-1).text += piece;
      onText?.(piece);
    };
    this.#engine.choose(STYLES.indexOf(style), lines);
    const start = performance.now();
    let turn = start;
    for (let at = 0; at < text.length; at += PIECE) {
      signal?.throwIfAborted();
      this.#place(text.subarray(at, at + PIECE));
      this.#said(this.#engine.feed());
      if (performance.now() - turn > TURN) {
        progress.bytes = at + PIECE;
        onProgress?.({ ...progress });
        await new Promise((resolve) => setTimeout(resolve));
        turn = performance.now();
      }
    }
    signal?.throwIfAborted();
    const reading = performance.now() - start;
    onProgress?.({ ...progress, bytes: text.length });
    const answer = JSON.parse(this.#said(this.#engine.finish()));
    for (const line of found) line.text = line.text.trim();
    return { ...answer, lines: found, milliseconds: { reading, all: performance.now() - start } };
  }

  /** Writes bytes to where the module reads them. */
  #place(bytes) {
    const view = ArrayBuffer.isView(bytes)
      ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      : new Uint8Array(bytes);
    const at = this.#engine.place(view.length);
    if (at === 0) throw new Error(`no memory for ${view.length} bytes`);
    new Uint8Array(this.#engine.memory.buffer, at, view.length).set(view);
  }

  /** What was said, or thrown where it didn't work. */
  #said(worked) {
    const text = new TextDecoder().decode(
      new Uint8Array(this.#engine.memory.buffer, this.#engine.said(), this.#engine.said_bytes()),
    );
    if (!worked) throw new Error(text);
    return text;
  }
}
