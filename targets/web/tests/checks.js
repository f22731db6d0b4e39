// The module of targets/checks/wasm, in Node and in browsers.

const decoder = new TextDecoder();

/** Compiles and starts it; `said` hears the pieces of its report. */
async function start(code, said) {
  const { instance } = await WebAssembly.instantiate(code, {
    env: { said: (at, bytes) => said(decoder.decode(new Uint8Array(instance.exports.memory.buffer, at, bytes))) },
  });
  return instance.exports;
}

/** A case of the conformance suite: its report. */
export async function conformance(code, blob) {
  let report = "";
  const { memory, place, run_case } = await start(code, (piece) => (report += piece));
  const at = place(blob.length);
  new Uint8Array(memory.buffer, at, blob.length).set(blob);
  run_case();
  return report;
}

/** The engine's tests of its kernels: their names. Throws where one fails. */
export async function kernels(code) {
  const names = [];
  const { kernels, run_test } = await start(code, (name) => names.push(name));
  kernels();
  try {
    for (let index = 0; run_test(index); index++);
  } catch (error) {
    throw new Error(names.join("\n"), { cause: error });
  }
  return names;
}
