// The headset's end of `bench video --network`: sends poses over a socket and over a pose channel, each from a client of
// its own, and notes when each picture of one camera leaves the decoder. Times are Unix milliseconds.
'use strict';

const HEADSET_HZ = 90;

/** Bytes that may wait in a socket before poses are left out, as in the app. */
const BACKLOG = 64 * 1024;

/** Milliseconds in which a connection stands, or is given up. */
const CONNECTS = 3000;

const unix = () => performance.now() + offset;

/** A socket of its own, open. */
async function open() {
  const socket = new WebSocket(`wss://${location.host}/ws`);
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error('the socket does not open'));
  });
  return socket;
}

/**
 * Asks on a socket for a connection of this kind, takes what is offered, and asks again when it does not come about.
 * Gives the value of the first event of this name, and how many attempts that took.
 */
async function connect(socket, kind, event) {
  for (let attempts = 1; ; attempts++) {
    const peer = new RTCPeerConnection();
    const answer = async ({ data }) => {
      const message = JSON.parse(data);
      if (message.type !== `${kind}-offer`) return;
      await peer.setRemoteDescription({ type: 'offer', sdp: message.sdp });
      await peer.setLocalDescription();
      socket.send(JSON.stringify({ type: `${kind}-answer`, sdp: peer.localDescription.sdp }));
    };
    const happened = new Promise(resolve => peer.addEventListener(event, resolve));
    const connected = new Promise(resolve => {
      peer.onconnectionstatechange = () => peer.connectionState === 'connected' && resolve(true);
      setTimeout(() => resolve(false), CONNECTS);
    });
    socket.addEventListener('message', answer);
    socket.send(JSON.stringify({ type: `${kind}-request` }));
    if (await connected) return { attempts, value: await happened };
    socket.removeEventListener('message', answer);
    peer.close();
  }
}

let receiver;
let pictures;
let start;

/**
 * Looks at a camera whose pictures are so many pixels wide. Milliseconds from the request until it showed its first one,
 * and attempts to connect.
 */
async function watch(cameraWidth) {
  const socket = await open();
  const began = performance.now();
  const { attempts, value } = await connect(socket, 'webrtc', 'track');
  receiver = value.receiver;
  receiver.jitterBufferTarget = 0;
  const video = document.body.appendChild(document.createElement('video'));
  video.muted = true;
  video.srcObject = new MediaStream([receiver.track]);
  const shown = new Promise(resolve => video.requestVideoFrameCallback(resolve));
  video.play();
  forget();
  watchDecoder(receiver.track, async (frame, at) => {
    pictures.all += 1;
    if (frame.visibleRect.width < cameraWidth) pictures.smaller += 1;
    const stamp = await readStamp(frame, cameraWidth);
    if (stamp === null) pictures.unreadable += 1;
    else pictures.decoded.push({ at: at + offset, age: age(stamp, at) });
  });
  watchScreen(video, async (frame, at) => {
    const stamp = await readStamp(frame, cameraWidth);
    if (stamp !== null) pictures.presented.push(age(stamp, at));
  });
  await shown;
  return [performance.now() - began, attempts];
}

function forget() {
  pictures = { all: 0, smaller: 0, unreadable: 0, decoded: [], presented: [] };
}

/**
 * Sends this frame over and over: on a socket with even numbers, on the pose channel of another with odd ones. Gives the
 * attempts to open the channel.
 */
async function drive(frame) {
  const [direct, signalling] = [await open(), await open()];
  const { attempts, value } = await connect(signalling, 'control', 'datachannel');
  const channel = value.channel;
  if (channel.readyState !== 'open') await new Promise(resolve => (channel.onopen = resolve));
  let number = 0;
  setInterval(() => {
    const text = way => JSON.stringify({ ...frame, seq: 2 * number + way, t: unix() });
    if (direct.readyState === WebSocket.OPEN && direct.bufferedAmount <= BACKLOG) direct.send(text(0));
    if (channel.readyState === 'open' && channel.bufferedAmount <= BACKLOG) channel.send(text(1));
    number += 1;
  }, 1000 / HEADSET_HZ);
  return attempts;
}

async function counters() {
  const all = [...(await receiver.getStats()).values()];
  const { framesDecoded, bytesReceived, freezeCount, totalFreezesDuration } = all.find(s => s.type === 'inbound-rtp');
  return { framesDecoded, bytesReceived, freezeCount, totalFreezesDuration, at: unix() };
}

/** Starts counting anew. */
async function begin() {
  forget();
  start = await counters();
  return true;
}

/** What happened since. */
async function end() {
  const now = await counters();
  const seconds = (now.at - start.at) / 1000;
  return {
    ...pictures,
    fps: (now.framesDecoded - start.framesDecoded) / seconds,
    kbps: ((now.bytesReceived - start.bytesReceived) * 8) / seconds / 1000,
    freezes: now.freezeCount - start.freezeCount,
    frozen_ms: (now.totalFreezesDuration - start.totalFreezesDuration) * 1000,
  };
}

window.ready = true;
