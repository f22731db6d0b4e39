// Runs the kernels' tests, or a case of the conformance suite, in Node: node.js MODULE [CASE]
import { readFile } from "node:fs/promises";
import { conformance, kernels } from "./checks.js";

const [module, file] = process.argv.slice(2);
const code = await readFile(module);
if (file) process.stdout.write(await conformance(code, await readFile(file)));
else console.log((await kernels(code)).join("\n"));
