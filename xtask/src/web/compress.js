// Writes a brotli-compressed copy beside each text and wasm file of the folder given as argument; the server sends it to
// browsers that take it. Run by `cargo xtask build-web` because Node's zlib has brotli.
const { readdirSync, readFileSync, writeFileSync } = require('fs');
const { join } = require('path');
const { brotliCompressSync } = require('zlib');

const [, folder] = process.argv;
for (const name of readdirSync(folder)) {
  if (/\.(css|html|js|svg|txt|wasm)$/.test(name)) {
    const file = join(folder, name);
    writeFileSync(`${file}.br`, brotliCompressSync(readFileSync(file)));
  }
}
