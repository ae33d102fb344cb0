// Reads the latency stamp that cameras draw into their pictures. Loaded before the script of each bench.
'use strict';

const CELL = 16;
const BITS = 40;
const WRAP = 2 ** 32;

/** Ticks of the wall clock that are looked at to set ours. */
const TICKS = 64;

/**
 * What to add to performance.now() to get Unix milliseconds, read off at ticks of the wall clock. Whoever takes the
 * processor between the two readings makes the sum too small, by milliseconds on a busy machine; nothing makes it too large.
 */
function unixOffset() {
  let offset = -Infinity;
  let before = Date.now();
  for (let ticks = 0; ticks < TICKS; ) {
    const now = Date.now();
    if (now === before) continue;
    offset = Math.max(offset, now - performance.now());
    before = now;
    ticks += 1;
  }
  return offset;
}

const offset = unixOffset();

/** Milliseconds from the stamp to a point of performance.now(); negative if the clocks disagree. */
function age(stamp, at) {
  return ((((at + offset - stamp + WRAP / 2) % WRAP) + WRAP) % WRAP) - WRAP / 2;
}

/**
 * The stamp of a frame, or null if its check bits are wrong. The camera's pictures are `cameraWidth` pixels wide; of a
 * frame that was made smaller on its way, the cells are smaller too. Those of fewer than 4 pixels are not read.
 */
async function readStamp(frame, cameraWidth) {
  const cell = (CELL * frame.visibleRect.width) / cameraWidth;
  if (!Number.isInteger(cell) || cell < 4) return null;
  const rect = { x: 0, y: 0, width: cell * BITS, height: cell };
  const pixels = new Uint8Array(frame.allocationSize({ rect }));
  const [{ offset: start, stride }] = await frame.copyTo(pixels, { rect });
  // The first plane is luma in the formats that decoders give; in the others any colour will do for black and white.
  const step = /^(I4|NV)/.test(frame.format) ? 1 : 4;
  const bytes = [0, 0, 0, 0, 0];
  for (let bit = 0; bit < BITS; bit++) {
    // The four pixels in the middle: compression leaves little of a single one in a small cell.
    const at = start + (cell / 2 - 1) * stride + (bit * cell + cell / 2 - 1) * step;
    const sum = pixels[at] + pixels[at + step] + pixels[at + stride] + pixels[at + stride + step];
    bytes[bit >> 3] = (bytes[bit >> 3] << 1) | (sum > 4 * 127);
  }
  const [a, b, c, d, check] = bytes;
  return (a ^ b ^ c ^ d ^ 0x5a) === check ? ((a << 24) | (b << 16) | (c << 8) | d) >>> 0 : null;
}

/** Calls `note` with each frame of a track that leaves the decoder, and when. */
async function watchDecoder(track, note) {
  const reader = new MediaStreamTrackProcessor({ track: track.clone() }).readable.getReader();
  for (;;) {
    const { value: frame, done } = await reader.read();
    if (done) return;
    await note(frame, performance.now());
    frame.close();
  }
}

/** Calls `note` with each frame that an element presents, when it is on the screen, and when its last packet came. */
function watchScreen(video, note) {
  video.requestVideoFrameCallback(async (_, { expectedDisplayTime, receiveTime }) => {
    watchScreen(video, note);
    const frame = new VideoFrame(video);
    await note(frame, expectedDisplayTime, receiveTime);
    frame.close();
  });
}
