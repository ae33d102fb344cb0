//! The operator's voice, as it comes: Opus packets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::broadcast;

use crate::rtc::Voice;

/// Packets that wait for one listener, 20 ms each as a rule; of one that lags further behind the oldest are lost.
const WAITING: usize = 100;

/// Where the operator's voice can be heard. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Hearing(Voices);

#[derive(Clone, Debug)]
pub(super) struct Voices {
    packets: Arc<AtomicU64>,
    heard: broadcast::Sender<Voice>,
}

impl Default for Hearing {
    fn default() -> Self {
        Self(Voices { packets: Arc::default(), heard: broadcast::Sender::new(WAITING) })
    }
}

impl Hearing {
    /// The packets from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Voice> {
        self.0.heard.subscribe()
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
}
