/** A file: its bytes, or where it is, relative to this package. */
export type Source = ArrayBuffer | Uint8Array | string | URL;

/** How a line was made: a sentence of the text, one of which parts were left out, or a sentence by the model in the text's words. */
export type Way = "quote" | "compress" | "rewrite" | "other";

/** What kind of text it was: with sentences, without (a log, a list), hardly English, or without a word. */
export type Kind = "prose" | "lines" | "other-language" | "nothing" | "other";

export interface LoadOptions {
  /** The model: an image that `jamlet pack` made, or `pico.jamlet` of this package. */
  image: Source;
  /** The WebAssembly module; by default the fastest build that runs here. */
  module?: Source | WebAssembly.Module;
  /** Tokens that attention looks back, at least 1; 256 by default. */
  window?: number;
}

/** What the engine takes. */
export interface Plan {
  /** The instructions that it computes with: `"simd128"` or `"portable"`. */
  kernels: string;
  /** Tokens. */
  window: number;
  /** Summaries that are written side by side. */
  beams: number;
  /** Tokens that are computed together. */
  chunk: number;
  /** Bytes: the image, which a board has in flash, and the parts of what a board has in RAM. */
  bytes: {
    image: number;
    /** States of the Mamba layers. */
    ssm: number;
    /** Inputs that convolutions remember. */
    conv: number;
    /** Attention's cache. */
    cache: number;
    /** The three before, of every beam but the first. */
    beams: number;
    /** What a few tokens are computed in. */
    scratch: number;
    /** The text's sentences, words and tokens. */
    texts: number;
  };
}

export interface Line {
  way: Way;
  /** How probable it is that the line says what the text says, 0 to 1, by the image's own parameters. */
  confidence: number;
}

export interface Progress {
  /** Bytes of the text that were read, and that there are. */
  bytes: number;
  of: number;
  /** Tokens that were read and written. */
  read: number;
  written: number;
}

export interface SummarizeOptions {
  /** By default the text is rewritten where the model is sure, and quoted elsewhere. */
  style?: "auto" | "quote" | "compress" | "rewrite" | "title";
  /** 1 to 7; 0, the default, for as many as the text's length suggests. */
  lines?: number;
  /** Ends reading with the signal's reason. Once the text was read, its summary is written to the end. */
  signal?: AbortSignal;
  /** Now and then while the text is read. */
  onProgress?(progress: Progress): void;
  /** A line begins. */
  onLine?(line: Line): void;
  /** The next piece of the line. */
  onText?(piece: string): void;
}

export interface Summary {
  lines: (Line & { text: string })[];
  kind: Kind;
  /** Tokens that were read, the prompt's among them. */
  read: number;
  /** Tokens that the model wrote, those that were not chosen among them. */
  written: number;
  milliseconds: { reading: number; all: number };
}

/** A model that was loaded. It takes one text at a time. */
export interface Jamlet {
  readonly plan: Plan;
  /** Bytes that the module has taken of this machine, the image among them. */
  readonly memory: number;
  /**
   * The summary of a text, in UTF-8 where it is bytes. Long texts give others a turn every 30 ms; a worker keeps a page quick.
   *
   * @throws RangeError for options that there aren't; the signal's reason.
   */
  summarize(text: string | Uint8Array, options?: SummarizeOptions): Promise<Summary>;
}

/**
 * Loads a model.
 *
 * @throws Error that says what is wrong with the image: which field, what was found, and what would be right.
 */
export function load(options: LoadOptions): Promise<Jamlet>;

/** Whether this browser or Node has WebAssembly's vectors of 128 bits, with which the engine is several times as fast. */
export function hasSimd(): boolean;

/** Where a build of the module is; without an argument the fastest that runs here. */
export function moduleUrl(build?: "simd128" | "scalar"): URL;
