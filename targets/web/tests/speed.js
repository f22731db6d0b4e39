// Both builds side by side in Node, on the same text in turns: speed.js FOLDER TEXT ROUNDS
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, file, rounds] = process.argv.slice(2);
const { load } = await import(pathToFileURL(join(folder, "jamlet.js")));
const text = await readFile(file, "utf8");
const image = await readFile(join(folder, "pico.jamlet"));
const builds = {};
for (const build of ["scalar", "simd128"]) {
  builds[build] = { jamlet: await load({ image, module: await readFile(join(folder, `${build}.wasm`)) }), reading: [], writing: [] };
}
for (let round = -3; round < Number(rounds); round++) {
  for (const times of Object.values(builds)) {
    // Rewritten, so that both reading and writing take long enough.
    const { milliseconds, read, written } = await times.jamlet.summarize(text, { style: "rewrite", lines: 1 });
    // In the first rounds the engine that runs WebAssembly still compiles.
    if (round < 0) continue;
    times.reading.push(milliseconds.reading / read);
    times.writing.push((milliseconds.all - milliseconds.reading) / written);
  }
}
const median = (list) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)];
const speed = {};
for (const [build, times] of Object.entries(builds)) {
  speed[build] = { read: 1000 / median(times.reading), write: 1000 / median(times.writing) };
  console.log(`${build.padEnd(8)} reads ${speed[build].read.toFixed(0)} tokens a second, writes ${speed[build].write.toFixed(0)}`);
}
const ratio = (what) => (speed.simd128[what] / speed.scalar[what]).toFixed(2);
console.log(`simd128 reads ${ratio("read")} times as fast as scalar, and writes ${ratio("write")} times as fast`);
