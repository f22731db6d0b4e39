// Talks to a board over its serial port, as a person at a terminal would: types the text, ends it with Ctrl-D, reads the summary.

const XON = 0x11;
const XOFF = 0x13;
const INTERRUPT = 0x03;
const END = 0x04;
/** Bytes on their way to a board that asks to wait: it has room for as many. */
const PIECE = 32;
/** Milliseconds for a board to answer a command. */
const PATIENCE = 5000;
const READ = /\r\n\[(\d+) tokens read, ([\d.]+)\/s\]\r\n/;
const WRITTEN = /(\^C)?\r\n\[(\d+) tokens written, ([\d.]+)\/s; ((?:[^[\]]*; )?)workspace (\d+) bytes(?:, stack (\d+))?\]\r\n> /;
/** What may be the beginning of what follows a summary. */
const MAYBE_END = /(\^C?)?(\r(\n(\[[^\]]*(\](\r(\n>?)?)?)?)?)?)?$/;

/** A text as it is typed: nothing in it is a key, or a command. */
export const typed = (text) =>
  text
    .replace(/\r\n?/g, "\n")
    .replace(/[^\t\n\P{Cc}]/gu, "")
    .replace(/^\//gm, " /")
    .replaceAll("\n", "\r");

export class Board {
  #port;
  #writer;
  #reader;
  #open = true;
  #waiting = "";
  #changed = () => {};
  #go = Promise.resolve();
  #release = () => {};
  #reading;

  /** `onSaid` hears all that the board says, `onClosed` when it is gone. */
  constructor(port, { onSaid, onClosed }) {
    this.#port = port;
    this.#writer = port.writable.getWriter();
    this.#reader = port.readable.getReader();
    this.#reading = this.#read(onSaid).then(onClosed);
  }

  static async connect(port, baudRate, listener) {
    await port.open({ baudRate });
    const board = new Board(port, listener);
    try {
      await board.#drop();
    } catch (error) {
      await board.close();
      throw error;
    }
    return board;
  }

  async close() {
    this.#open = false;
    this.#changed();
    await this.#reader.cancel().catch(() => {});
    await this.#reading;
    this.#writer.releaseLock();
    await this.#port.close().catch(() => {});
  }

  async #read(onSaid) {
    const decoder = new TextDecoder();
    try {
      for (;;) {
        const { done, value } = await this.#reader.read();
        if (done) break;
        for (const byte of value) {
          if (byte === XOFF) this.#hold();
          else if (byte === XON) this.#release();
        }
        const text = decoder.decode(value.filter((byte) => byte !== XON && byte !== XOFF), { stream: true });
        this.#waiting += text;
        onSaid(text);
        this.#changed();
      }
    } catch {
      // The board was unplugged.
    } finally {
      this.#reader.releaseLock();
      this.#open = false;
      this.#release();
      this.#changed();
    }
  }

  #hold() {
    this.#release();
    this.#go = new Promise((resolve) => (this.#release = resolve));
  }

  async #send(bytes, onSent, signal) {
    for (let at = 0; at < bytes.length; at += PIECE) {
      await this.#go;
      if (signal?.aborted || !this.#open) return;
      await this.#writer.write(bytes.subarray(at, at + PIECE));
      onSent?.(Math.min(1, (at + PIECE) / bytes.length));
    }
  }

  /** Resolves when what the board has said, and nobody has taken, matches; that much is taken. */
  async #wait(pattern, { patience, onMore, signal } = {}) {
    const late = patience && performance.now() + patience;
    for (;;) {
      const match = this.#waiting.match(pattern);
      if (match) {
        const before = this.#waiting.slice(0, match.index);
        this.#waiting = this.#waiting.slice(match.index + match[0].length);
        return { before, match };
      }
      const refusal = this.#waiting.match(/\r\n\[(the model's image is damaged|the model's image has no tokenizer|the workspace is too small for the model|no text yet)\]\r\n/);
      if (refusal) throw new Error(`The board says: ${refusal[1]}.`);
      onMore?.(this.#waiting);
      if (!this.#open) throw new Error("The board was disconnected.");
      if (signal?.aborted) throw signal.reason;
      if (late && performance.now() > late) throw new Error("The board doesn't answer. Does it run jamlet's firmware, at this baud rate?");
      await new Promise((resolve) => {
        this.#changed = resolve;
        if (late) setTimeout(resolve, late - performance.now() + 1);
        signal?.addEventListener("abort", resolve, { once: true });
      });
    }
  }

  /** Drops what was typed, and waits until the board asks for a text. */
  async #drop() {
    this.#waiting = "";
    await this.#writer.write(Uint8Array.of(INTERRUPT));
    await this.#wait(/> $/, { patience: PATIENCE });
  }

  async #command(line) {
    await this.#send(new TextEncoder().encode(`${line}\r`));
    await this.#wait(/> $/, { patience: PATIENCE });
  }

  /** The board's summary of a text. */
  async summarize(text, { style, lines, signal, onSent, onRead, onText }) {
    await this.#command(`/style ${style}`);
    await this.#command(`/lines ${lines}`);
    try {
      await this.#send(new TextEncoder().encode(typed(text)), onSent, signal);
      signal?.throwIfAborted();
      await this.#writer.write(Uint8Array.of(END));
      const { match: read } = await this.#wait(READ, { signal });
      onRead?.({ read: Number(read[1]), readSpeed: Number(read[2]) });
      let shown = 0;
      const show = (said) => {
        const certain = said.slice(0, said.match(MAYBE_END).index);
        if (certain.length > shown) onText?.(certain.slice(shown).replaceAll("\r", ""));
        shown = Math.max(shown, certain.length);
      };
      const { before, match } = await this.#wait(WRITTEN, { signal, onMore: show });
      if (before.length > shown) onText?.(before.slice(shown).replaceAll("\r", ""));
      return {
        text: before.replaceAll("\r", ""),
        read: Number(read[1]),
        readSpeed: Number(read[2]),
        written: Number(match[2]),
        writeSpeed: Number(match[3]),
        note: match[4].replace(/; $/, ""),
        workspace: Number(match[5]),
        stack: match[6] && Number(match[6]),
      };
    } catch (error) {
      if (this.#open) await this.#drop().catch(() => {});
      throw error;
    }
  }
}
