// Runs in the operator's page before the page itself, and notes what passes between it and the network. It changes
// nothing but this: it sends pings of its own, and the page does not hear their answers.
// Times are milliseconds: Unix time where they say when, of any clock where they say how long.
'use strict';
{
  const CELL = 16;
  const SYNC = [1, 0, 1, 0];
  const CELLS = SYNC.length + 22;
  /** Milliseconds between two looks at the page, and how many of them a key may be held in vain. */
  const EVERY = 100;
  const VAIN = 10;
  const say = RTCDataChannel.prototype.send;
  const make = RTCPeerConnection.prototype.createDataChannel;
  const canvas = new OffscreenCanvas(CELLS * CELL, 1).getContext('2d', { willReadFrequently: true });
  const channels = {};
  const asked = new Map();
  let connection = null;
  let watched = null;
  let held = false;
  let vain = 0;
  let from = null;
  /** Nonces of the stops since the button was pressed, and who waits for one of them. */
  let stops = null;
  let onStopped = null;

  const world = (window.world = {
    driving: false,
    sent: 0,
    trips: [],
    waits: [],
    pictures: [],
    unreadable: 0,
  });

  RTCPeerConnection.prototype.createDataChannel = function (label, options) {
    const channel = make.call(this, label, options);
    connection = this;
    channels[label] = channel;
    channel.addEventListener('message', event => hear(label, event));
    return channel;
  };

  RTCDataChannel.prototype.send = function (data) {
    say.call(this, data);
    if (this.label === 'cmd_unreliable') world.sent += 1;
    if (stops && typeof data === 'string') {
      const { type, nonce } = JSON.parse(data);
      if (type === 'estop') stops.push(nonce);
    }
  };

  function hear(label, event) {
    if (label !== 'state_reliable_back') return;
    const text = typeof event.data === 'string' ? event.data : new TextDecoder().decode(event.data);
    const message = JSON.parse(text);
    if (message.type === 'pong' && asked.has(message.client_ts)) {
      world.trips.push(performance.now() - asked.get(message.client_ts));
      asked.delete(message.client_ts);
      event.stopImmediatePropagation();
    }
    if (message.type === 'cmd_ack' && stops?.includes(message.nonce)) {
      stops = null;
      onStopped(Date.now());
    }
  }

  /** When the picture on the screen was taken; null if it does not say. */
  function captured(video) {
    const { videoWidth, videoHeight } = video;
    if (videoWidth < CELLS * CELL || videoHeight <= CELL) return null;
    const wide = CELLS * CELL;
    canvas.drawImage(video, 0, videoHeight - CELL / 2, wide, 1, 0, 0, wide, 1);
    const { data } = canvas.getImageData(0, 0, wide, 1);
    const bits = Array.from({ length: CELLS }, (_, cell) => {
      const [red, green, blue] = data.subarray(4 * (cell * CELL + CELL / 2));
      return 0.299 * red + 0.587 * green + 0.114 * blue >= 128 ? 1 : 0;
    });
    if (SYNC.some((bit, cell) => bit !== bits[cell])) return null;
    const stamp = bits.slice(SYNC.length).reduce((all, bit) => all * 2 + bit, 0);
    const now = Date.now();
    const around = 2 ** (CELLS - SYNC.length);
    // A picture is at most a minute old, and no more than the two clocks' rounding from the future.
    const age = (((now - stamp) % around) + around + 5) % around - 5;
    return age < 60_000 ? now - age : null;
  }

  function look(video) {
    video.requestVideoFrameCallback(() => {
      if (watched !== video) return;
      const taken = captured(video);
      if (taken === null) world.unreadable += 1;
      else world.pictures.push({ at: Date.now(), taken });
      look(video);
    });
  }

  function key(down) {
    held = down;
    tell(down ? 'keydown' : 'keyup', false);
  }

  function tell(type, repeat) {
    window.dispatchEvent(new KeyboardEvent(type, { code: 'KeyW', cancelable: true, repeat }));
  }

  // How long whatever comes waits for the page's one thread, which draws the picture as well.
  const own = new MessageChannel();
  own.port1.onmessage = ({ data }) => world.waits.push(performance.now() - data);

  setInterval(() => {
    const video = document.querySelector('video');
    if (video && video !== watched) look((watched = video));
    const channel = channels.state_reliable;
    if (channel?.readyState === 'open') {
      // As a page stamps them, a little aside so that no two are alike.
      const at = Date.now() / 1000 + Math.random() / 1e4;
      if (asked.size > 1000) asked.clear();
      asked.set(at, performance.now());
      say.call(channel, JSON.stringify({ type: 'ping', client_ts: at }));
    }
    setTimeout(() => own.port2.postMessage(performance.now()), Math.random() * EVERY);
    if (world.driving === null) {
      // As keyboards do.
      if (held) tell('keydown', true);
      return;
    }
    const { way, blocked, twist } = document.body.dataset;
    const counts = /[1-9]/.test(twist);
    vain = held && !counts ? vain + 1 : 0;
    // Whoever is blocked, or presses in vain, lets go and presses again.
    const wanted = world.driving && way === 'Live' && blocked === 'false' && vain < VAIN;
    if (wanted !== held) key(wanted);
  }, EVERY);

  /** What the channels to the robot are like, for whoever waits in vain. */
  world.channels = () =>
    Object.values(channels).map(
      ({ label, id, readyState, bufferedAmount }) => `${label} ${id} ${readyState} ${bufferedAmount} B wait`,
    );

  async function counters() {
    const all = [...(await connection.getStats()).values()];
    const { freezeCount, totalFreezesDuration, framesDecoded, bytesReceived } = all.find(
      report => report.type === 'inbound-rtp' && report.kind === 'video',
    );
    return { freezeCount, totalFreezesDuration, framesDecoded, bytesReceived, at: performance.now() };
  }

  /** Holds the key as long as it may be held, or nothing. */
  world.drive = wanted => {
    // Also the key that was kept so far.
    if (held && (!wanted || world.driving === null)) key(false);
    world.driving = wanted;
    return true;
  };

  /** From now on the key stays as it is, whatever the page thinks of it. */
  world.keep = () => {
    world.driving = null;
    return true;
  };

  /** Presses the red button; when, and when its acknowledgement came. */
  world.stop = () =>
    new Promise(resolve => {
      stops = [];
      const pressed = Date.now();
      onStopped = acked => resolve({ pressed, acked });
      document.querySelector('#estop').click();
    });

  /** How the page reaches the SFU. */
  world.path = async () => {
    const all = await connection.getStats();
    const transport = [...all.values()].find(report => report.type === 'transport');
    const pair = all.get(transport.selectedCandidatePairId);
    const { candidateType, relayProtocol } = all.get(pair.localCandidateId);
    return { kind: candidateType, relay: relayProtocol ?? null };
  };

  world.begin = async () => {
    from = await counters();
    Object.assign(world, { trips: [], waits: [], pictures: [], unreadable: 0 });
    return true;
  };

  world.end = async () => {
    const to = await counters();
    const seconds = (to.at - from.at) / 1000;
    const { trips, waits, pictures, unreadable } = world;
    return {
      trips,
      waits,
      pictures,
      unreadable,
      fps: (to.framesDecoded - from.framesDecoded) / seconds,
      kbps: ((to.bytesReceived - from.bytesReceived) * 8) / seconds / 1000,
      freezes: to.freezeCount - from.freezeCount,
      frozen_ms: (to.totalFreezesDuration - from.totalFreezesDuration) * 1000,
    };
  };
}
