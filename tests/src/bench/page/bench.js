// The receiving end of `bench video`: a page that shows the robot's cameras as the app does, and reads the latency stamp
// of each frame twice: as it leaves the decoder, and as it is presented.
'use strict';

/** One camera. */
class Track {
  constructor(receiver) {
    this.receiver = receiver;
    this.decoded = [];
    this.presented = [];
    this.received = [];
    this.unreadable = 0;
    this.video = document.body.appendChild(document.createElement('video'));
    this.video.muted = true;
    this.video.srcObject = new MediaStream([receiver.track]);
    this.shown = new Promise(resolve => this.video.requestVideoFrameCallback(resolve));
    this.output = new Promise(resolve => (this.onOutput = resolve));
    this.firstSecond = this.output.then(() => new Promise(resolve => setTimeout(resolve, 1000))).then(() => this.counters());
    this.video.play();
    watchDecoder(receiver.track, (frame, at) => {
      this.onOutput();
      return this.note(frame, [this.decoded, at]);
    });
    watchScreen(this.video, (frame, at, came) => this.note(frame, [this.presented, at], [this.received, came]));
  }

  async note(frame, ...events) {
    // Nothing makes pictures smaller on this machine.
    const stamp = await readStamp(frame, frame.visibleRect.width);
    if (stamp === null) this.unreadable += 1;
    else for (const [ages, at] of events) ages.push(age(stamp, at));
  }

  async counters() {
    const all = [...(await this.receiver.getStats()).values()];
    const { framesDecoded, bytesReceived, freezeCount, qpSum } = all.find(s => s.type === 'inbound-rtp');
    return { framesDecoded, bytesReceived, freezeCount, qpSum, at: performance.now() };
  }

  /** MIME type of what is received. */
  async codec() {
    const all = [...(await this.receiver.getStats()).values()];
    const { codecId } = all.find(s => s.type === 'inbound-rtp');
    return all.find(s => s.id === codecId).mimeType;
  }

  async begin() {
    this.start = await this.counters();
    this.decoded = [];
    this.presented = [];
    this.received = [];
    this.unreadable = 0;
  }

  async end() {
    const [end, first] = [await this.counters(), await this.firstSecond];
    const { decoded, presented, received, unreadable, start } = this;
    const seconds = (end.at - start.at) / 1000;
    const frames = end.framesDecoded - start.framesDecoded;
    return {
      decoded,
      presented,
      received,
      unreadable,
      freezes: end.freezeCount - start.freezeCount,
      fps: frames / seconds,
      presented_fps: presented.length / seconds,
      kbps: ((end.bytesReceived - start.bytesReceived) * 8) / seconds / 1000,
      first_quantiser: first.qpSum / first.framesDecoded,
      quantiser: (end.qpSum - start.qpSum) / frames,
    };
  }
}

let socket;
let peer;
let tracks = [];
let withoutUdp = false;
/** MIME type of the only codec to take; null takes what the robot prefers. */
let codec = null;

/** A new socket to the robot; resolves when it is open. */
function open() {
  socket = new WebSocket(`wss://${location.host}/ws`);
  return new Promise((resolve, reject) => {
    socket.onopen = () => resolve(true);
    socket.onerror = () => reject(new Error('the socket does not open'));
  });
}

window.ready = open();

/** Answers with this codec and its retransmissions alone. */
function takeAlone(mimeType) {
  const { codecs } = RTCRtpReceiver.getCapabilities('video');
  const taken = codecs.filter(known => [mimeType, 'video/rtx'].includes(known.mimeType));
  for (const transceiver of peer.getTransceivers()) transceiver.setCodecPreferences(taken);
}

/**
 * Asks for the cameras; milliseconds until the offer came, the connection stood, this many pictures came out of the decoder,
 * and this many were shown.
 */
async function request(count) {
  const begin = performance.now();
  const times = {};
  const mark = what => (times[what] ??= performance.now() - begin);
  peer = new RTCPeerConnection();
  peer.onconnectionstatechange = () => peer.connectionState === 'connected' && mark('connected');
  const complete = new Promise((resolve, reject) => {
    peer.ontrack = ({ receiver }) => {
      receiver.jitterBufferTarget = 0;
      tracks.push(new Track(receiver));
      if (tracks.length === count) resolve();
    };
    socket.onmessage = async ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === 'webrtc-unavailable') reject(new Error('the server has no video'));
      if (message.type !== 'webrtc-offer') return;
      mark('offer');
      const sdp = withoutUdp ? message.sdp.replace(/a=candidate:\S+ \d+ udp .*\r\n/g, '') : message.sdp;
      await peer.setRemoteDescription({ type: 'offer', sdp });
      if (codec) takeAlone(codec);
      await peer.setLocalDescription();
      socket.send(JSON.stringify({ type: 'webrtc-answer', sdp: peer.localDescription.sdp }));
    };
  });
  socket.send(JSON.stringify({ type: 'webrtc-request' }));
  await complete;
  await Promise.all(tracks.map(track => track.output));
  mark('connected');
  mark('decoded');
  await Promise.all(tracks.map(track => track.shown));
  mark('shown');
  return times;
}

/** Loses the connection and comes back; times as of a request, from the moment on when the new socket is open. */
async function reopen(count) {
  socket.close();
  peer.close();
  for (const track of tracks) track.video.remove();
  tracks = [];
  await open();
  return request(count);
}

/** Starts counting anew. */
async function begin() {
  await Promise.all(tracks.map(track => track.begin()));
  return true;
}

/** What happened since. */
function end() {
  return Promise.all(tracks.map(track => track.end()));
}
