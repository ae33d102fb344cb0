// Trunk hook: puts the headset emulator and the licences of what it contains beside the built page. The files' names start with `emulator`,
// so that a size budget or a deployment can tell them from the app; the app loads them only when asked to.
import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.env.TRUNK_STAGING_DIR;
const scripts = {
  "emulator-iwer.js": "node_modules/iwer/build/iwer.min.js",
  "emulator-devui.js": "node_modules/@iwer/devui/build/iwer-devui.min.js",
};

for (const [name, source] of Object.entries(scripts)) {
  const from = join(here, source);
  if (!existsSync(from)) {
    console.error(`${from} is missing: run \`npm ci\` in ${here} first`);
    process.exit(1);
  }
  copyFileSync(from, join(out, name));
}

// The builds contain their dependencies, so every production package of the lock file is shipped.
const { packages } = JSON.parse(readFileSync(join(here, "package-lock.json"), "utf8"));
const notices = Object.entries(packages)
  .filter(([path, entry]) => path !== "" && !entry.dev && existsSync(join(here, path)))
  .map(([path, { version, license }]) => {
    const file = readdirSync(join(here, path)).find((name) => /^licen[cs]e/i.test(name));
    const text = file ? readFileSync(join(here, path, file), "utf8").trim() : `License: ${license}`;
    return `${path.slice(path.lastIndexOf("node_modules/") + 13)} ${version}\n\n${text}\n`;
  });
writeFileSync(join(out, "emulator-licenses.txt"), notices.join(`\n${"-".repeat(80)}\n\n`));
