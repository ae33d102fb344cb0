// Trunk hook: replaces the random digits in the names under which the wasm imports from its JavaScript by a number, in both
// files, since nothing compresses random digits. Every name keeps its length, so that nothing in the wasm moves.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const NAME = /(__wbg_\w+_)([0-9a-f]{16})/g;

const out = process.env.TRUNK_STAGING_DIR;
const numbers = new Map();
for (const file of readdirSync(out).filter((name) => /^waldo-.*\.(js|wasm)$/.test(name))) {
  const path = join(out, file);
  // One character for each byte.
  const text = readFileSync(path, "latin1").replace(NAME, (name, start) => {
    if (!numbers.has(name)) {
      numbers.set(name, String(numbers.size).padStart(16, "0"));
    }
    return start + numbers.get(name);
  });
  writeFileSync(path, text, "latin1");
}
