// Reads the latency stamp that cameras draw into their pictures. Loaded before the script of each bench.
'use strict';

const CELL = 16;
const BITS = 40;
const WRAP = 2 ** 32;

/** What to add to performance.now() to get Unix milliseconds, read off at a tick of the wall clock. */
function unixOffset() {
  const before = Date.now();
  for (;;) {
    const now = Date.now();
    if (now !== before) return now - performance.now();
  }
}

const offset = unixOffset();

/** Milliseconds from the stamp to a point of performance.now(). */
function age(stamp, at) {
  return (((at + offset) % WRAP) - stamp + WRAP) % WRAP;
}

/** The stamp of a frame, or null if its check bits are wrong. */
async function readStamp(frame) {
  const rect = { x: 0, y: 0, width: CELL * BITS, height: CELL };
  const pixels = new Uint8Array(frame.allocationSize({ rect }));
  const [{ offset: start, stride }] = await frame.copyTo(pixels, { rect });
  // The first plane is luma in the formats that decoders give; in the others any colour will do for black and white.
  const step = /^(I4|NV)/.test(frame.format) ? 1 : 4;
  const bytes = [0, 0, 0, 0, 0];
  for (let bit = 0; bit < BITS; bit++) {
    const x = bit * CELL + CELL / 2;
    const white = pixels[start + (CELL / 2) * stride + x * step] > 127;
    bytes[bit >> 3] = (bytes[bit >> 3] << 1) | white;
  }
  const [a, b, c, d, check] = bytes;
  return (a ^ b ^ c ^ d ^ 0x5a) === check ? ((a << 24) | (b << 16) | (c << 8) | d) >>> 0 : null;
}
