//! The operator's voice, as it comes (Opus packets) and as it sounds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opus_decoder::OpusDecoder;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::rtc::Voice;

/// Packets that wait for one listener, 20 ms each as a rule; of one that lags further behind the oldest are lost.
const WAITING: usize = 100;

/// The same of decoded packets: what is heard later than this is of no use.
const SOUNDS_WAITING: usize = 15;

/// Samples per second of what can be heard, for each of [`CHANNELS`].
pub const SAMPLE_RATE: u32 = 48_000;

/// Left and right, one after the other.
pub const CHANNELS: usize = 2;

/// Lost packets in a row that are made up; a longer gap is a pause.
const MADE_UP: u16 = 5;

/// Where the operator's voice can be heard. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Hearing(Voices);

#[derive(Clone, Debug)]
pub(super) struct Voices {
    packets: Arc<AtomicU64>,
    heard: broadcast::Sender<Voice>,
    sound: broadcast::Sender<Arc<[i16]>>,
}

impl Default for Hearing {
    fn default() -> Self {
        let (heard, sound) = (broadcast::Sender::new(WAITING), broadcast::Sender::new(SOUNDS_WAITING));
        Self(Voices { packets: Arc::default(), heard, sound })
    }
}

impl Hearing {
    /// The packets from now on, as they come: Opus.
    pub fn subscribe(&self) -> broadcast::Receiver<Voice> {
        self.0.heard.subscribe()
    }

    /// What they sound like: [`SAMPLE_RATE`] samples per second of [`CHANNELS`] channels, interleaved, a few milliseconds at
    /// a time, as soon as they come. Short gaps are filled, longer ones are silent: then there is nothing.
    pub fn sound(&self) -> broadcast::Receiver<Arc<[i16]>> {
        self.0.sound.subscribe()
    }

    /// Packets so far.
    pub fn packets(&self) -> u64 {
        self.0.packets.load(Ordering::Relaxed)
    }

    pub(super) fn voices(&self) -> Voices {
        self.0.clone()
    }
}

impl Voices {
    pub(super) fn hear(&self, voice: Voice) {
        self.packets.fetch_add(1, Ordering::Relaxed);
        // Fails only while nobody listens.
        let _ = self.heard.send(voice);
    }

    /// Decodes what comes, while anybody listens to how it sounds.
    pub(super) async fn decode(self) {
        let mut packets = self.heard.subscribe();
        let mut ear = Ear::default();
        loop {
            match packets.recv().await {
                Ok(_) if self.sound.receiver_count() == 0 => ear = Ear::default(),
                Ok(voice) => {
                    let samples = ear.hear(&voice);
                    if !samples.is_empty() {
                        let _ = self.sound.send(samples.into());
                    }
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }
}

/// Turns packets into samples.
#[derive(Default)]
struct Ear {
    decoder: Option<OpusDecoder>,
    last: Option<u16>,
}

impl Ear {
    /// The samples of a packet, after those of lost ones before it; none for one that is late or makes no sense.
    fn hear(&mut self, voice: &Voice) -> Vec<i16> {
        let ahead = self.last.map_or(1, |last| voice.sequence.wrapping_sub(last));
        if ahead == 0 || ahead > u16::MAX / 2 {
            return Vec::new();
        }
        self.last = Some(voice.sequence);
        let mut samples = Vec::new();
        if (2..=MADE_UP + 1).contains(&ahead) {
            for _ in 1..ahead {
                self.decode(&[], &mut samples);
            }
        }
        // An empty packet would be taken for a lost one.
        if !voice.payload.is_empty() {
            self.decode(&voice.payload, &mut samples);
        }
        samples
    }

    fn decode(&mut self, packet: &[u8], samples: &mut Vec<i16>) {
        let Some(mut decoder) = self.decoder.take().or_else(|| OpusDecoder::new(SAMPLE_RATE, CHANNELS).ok()) else {
            return;
        };
        let mut room = vec![0; decoder.max_frame_size_per_channel() * CHANNELS];
        // A packet is whatever somebody far away sent: should it show a defect of the decoder, only that is lost.
        let decoded = catch_unwind(AssertUnwindSafe(|| decoder.decode(packet, &mut room, false).map(|n| (n, decoder))));
        match decoded {
            Ok(Ok((frames, decoder))) => {
                samples.extend_from_slice(&room[..(frames * CHANNELS).min(room.len())]);
                self.decoder = Some(decoder);
            }
            Ok(Err(error)) => tracing::debug!(%error, "a packet of the operator's voice makes no sense"),
            Err(_) => tracing::debug!("a packet of the operator's voice cannot be decoded"),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    /// A tone of 440 Hz for half a second, encoded by libopus: one channel for speech, and two for music.
    const SPEECH: &[u8] = include_bytes!("voice/speech.opus");
    const MUSIC: &[u8] = include_bytes!("voice/music.opus");

    fn packets(mut file: &[u8]) -> Vec<Bytes> {
        let mut packets = Vec::new();
        while let Some((length, rest)) = file.split_first_chunk() {
            let (packet, rest) = rest.split_at(u16::from_be_bytes(*length).into());
            packets.push(Bytes::copy_from_slice(packet));
            file = rest;
        }
        packets
    }

    fn voice(sequence: u16, payload: &Bytes) -> Voice {
        Voice { timestamp: u32::from(sequence) * 960, sequence, payload: payload.clone() }
    }

    /// How loud a channel is at a frequency, and altogether: amplitudes of a sine.
    fn loudness(samples: &[i16], channel: usize, frequency: f64) -> (f64, f64) {
        let of: Vec<f64> = samples.iter().skip(channel).step_by(CHANNELS).map(|sample| f64::from(*sample)).collect();
        let (mut re, mut im, mut all) = (0.0, 0.0, 0.0);
        for (at, sample) in of.iter().enumerate() {
            let turn = std::f64::consts::TAU * frequency * at as f64 / f64::from(SAMPLE_RATE);
            (re, im, all) = (re + sample * turn.cos(), im + sample * turn.sin(), all + sample * sample);
        }
        let n = of.len() as f64;
        (2.0 * (re * re + im * im).sqrt() / n, (2.0 * all / n).sqrt())
    }

    #[test]
    fn what_libopus_encoded_sounds_as_it_did() {
        for file in [SPEECH, MUSIC] {
            let (mut ear, packets) = (Ear::default(), packets(file));
            let samples: Vec<i16> =
                packets.iter().zip(65_530..).flat_map(|(p, n)| ear.hear(&voice((n % 65_536) as u16, p))).collect();
            assert_eq!(samples.len(), packets.len() * 960 * CHANNELS, "20 ms each, numbers wrap around");
            for channel in 0..CHANNELS {
                let (tone, all) = loudness(&samples[8 * 960 * CHANNELS..], channel, 440.0);
                assert!((9_000.0..15_000.0).contains(&tone) && tone > 0.9 * all, "{tone} of {all}");
            }
        }
    }

    #[test]
    fn lost_packets_are_made_up_late_ones_left_out_and_pauses_are_none() {
        let (mut ear, packets) = (Ear::default(), packets(MUSIC));
        let mut hear = |n: u16, at: usize| ear.hear(&voice(n, &packets[at])).len() / CHANNELS;
        assert_eq!(hear(10, 0), 960);
        assert_eq!(hear(11, 1), 960);
        assert_eq!(hear(14, 4), 3 * 960);
        assert_eq!(hear(12, 2), 0);
        assert_eq!(hear(14, 4), 0);
        assert_eq!(hear(500, 5), 960);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn whatever_comes_the_next_voice_is_heard(garbage in prop::collection::vec(any::<u8>(), 0..400), at in 0_usize..15) {
            let (mut ear, packets) = (Ear::default(), packets(MUSIC));
            ear.hear(&voice(1, &packets[0]));
            let mut cut = packets[at].to_vec();
            cut.truncate(garbage.len());
            for (sequence, payload) in [(2, garbage), (3, cut)] {
                let samples = ear.hear(&voice(sequence, &payload.into()));
                prop_assert!(samples.len() <= 2 * OpusDecoder::MAX_FRAME_SIZE_48K * CHANNELS);
            }
            prop_assert_eq!(ear.hear(&voice(4, &packets[1])).len(), 960 * CHANNELS);
        }
    }
}
