// Every kernel computes the portable one's bits: the engine's own tests, in this Node. usage: kernels.mjs MODULE
import { readFile } from "node:fs/promises";

const decoder = new TextDecoder();
let last = "";
const { instance } = await WebAssembly.instantiate(await readFile(process.argv[2]), {
  env: { said: (at, bytes) => (last = decoder.decode(new Uint8Array(instance.exports.memory.buffer, at, bytes))) },
});
const { kernels, run_test } = instance.exports;
kernels();
console.log(`kernels ${last}`);
try {
  for (let index = 0; run_test(index); index++) console.log(`equal ${last}`);
} catch (error) {
  console.error(last);
  throw error;
}
console.log("end");
