//! One WebRTC peer of the engine.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use str0m::change::{SdpOffer, SdpPendingOffer};
use str0m::channel::ChannelId;
use str0m::format::{Codec, FormatParams};
use str0m::media::{Direction, Frequency, MediaKind, Mid};
use str0m::net::{Protocol, TcpType};
use str0m::{Candidate, IceCreds, Rtc, RtcConfig};
use waldo_protocol::hosted::{CONTROL_ID, CONTROL_LABEL};

use super::channels::{self, Leg};
use super::media::{Feed, Sink, Source, Subscription};
use super::sdp;
use crate::sfu::{EngineError, NewPeer, PeerId, PeerKind, PeerState};

/// Connectivity checks to a peer follow one another this quickly, so that a missing answer is noticed.
const CHECKS_OPERATOR: Duration = Duration::from_millis(200);
const CHECKS_OTHERS: Duration = Duration::from_millis(500);

/// So many unanswered checks until the way to a peer is given up: operators may be away for twenty seconds and come back.
/// Not more than str0m can double its pauses.
const CHECKS: usize = 100;

/// Packets kept for those who ask for them again: about three seconds of a picture.
const RESEND: usize = 512;

/// M-sections of one offer. Each costs time whenever the peer is looked at.
const SECTIONS: usize = 16;

/// Where peers reach this engine.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    pub(super) udp: Vec<std::net::SocketAddr>,
    pub(super) tcp: Vec<std::net::SocketAddr>,
}

/// An offer of ours that waits for its answer.
pub(super) struct Pending {
    pub(super) changes: SdpPendingOffer,
    /// The m-section that it adds.
    pub(super) mid: Mid,
    pub(super) kind: MediaKind,
    /// Its m-sections, as an answer has to have them.
    pub(super) mids: Vec<String>,
}

pub(super) struct Peer {
    pub(super) id: PeerId,
    pub(super) kind: PeerKind,
    pub(super) tenant: String,
    pub(super) rtc: Rtc,
    /// The local user fragment, by which its packets are known before their address is.
    pub(super) ufrag: String,
    pub(super) has_channels: bool,
    pub(super) ctl: Option<ChannelId>,
    pub(super) born: Instant,
    pub(super) state: PeerState,
    /// When anything came from it last.
    pub(super) heard: Instant,
    /// When str0m wants to be called.
    pub(super) deadline: Option<Instant>,
    pub(super) addresses: Vec<(Protocol, std::net::SocketAddr)>,
    /// What it sends.
    pub(super) sources: Vec<Source>,
    /// Who receives that.
    pub(super) subscriptions: Vec<Subscription>,
    /// The m-sections it receives in.
    pub(super) sinks: Vec<Sink>,
    /// What feeds them, or did.
    pub(super) feeds: Vec<Feed>,
    pub(super) leg: Option<Leg>,
    /// The number of its last bridge.
    pub(super) generation: u64,
    pub(super) pending: Option<Pending>,
    /// Something was written that waits to be sent.
    pub(super) dirty: bool,
}

impl Peer {
    /// Makes a peer and its answer. Costs about a millisecond, which is why it is not done where packets are forwarded.
    pub(super) fn new(new: NewPeer, addresses: &Addresses, now: Instant) -> Result<(Self, String), EngineError> {
        let made = catch_unwind(AssertUnwindSafe(|| Self::make(new, addresses, now)));
        made.unwrap_or_else(|_| Err(EngineError::Malformed("the offer cannot be used".to_owned())))
    }

    fn make(new: NewPeer, addresses: &Addresses, now: Instant) -> Result<(Self, String), EngineError> {
        let malformed = |error: &dyn std::fmt::Display| EngineError::Malformed(format!("the offer: {error}"));
        let NewPeer { kind, tenant, offer, push } = new;
        if sdp::sections(&offer) > SECTIONS {
            return Err(malformed(&format!("it has more than {SECTIONS} m-sections")));
        }
        let offer = sdp::restricted(&offer, kind);
        let has_channels = sdp::has_channels(&offer);
        let offer = SdpOffer::from_sdp_string(&offer).map_err(|error| malformed(&error))?;
        let credentials = IceCreds::new();
        let ufrag = credentials.ufrag.clone();
        let mut rtc = config(kind).set_local_ice_credentials(credentials).build(now);
        for &address in &addresses.udp {
            if let Ok(candidate) = Candidate::host(address, "udp") {
                rtc.add_local_candidate(candidate);
            }
        }
        for &address in &addresses.tcp {
            if let Ok(candidate) = Candidate::builder().tcp().host(address).tcptype(TcpType::Passive).build() {
                rtc.add_local_candidate(candidate);
            }
        }
        let answer = rtc.sdp_api().accept_offer(offer).map_err(|error| malformed(&error))?;
        let answer = sdp::complete(&answer.to_sdp_string());
        let push = push && has_channels && kind == PeerKind::Robot;
        let ctl =
            push.then(|| rtc.direct_api().create_data_channel(channels::negotiated(CONTROL_LABEL, CONTROL_ID, false)));
        let peer = Self {
            id: PeerId::new(uuid::Uuid::new_v4().to_string()),
            kind,
            tenant,
            rtc,
            ufrag,
            has_channels,
            ctl,
            born: now,
            state: PeerState::Connecting,
            heard: now,
            deadline: Some(now),
            addresses: Vec::new(),
            sources: Vec::new(),
            subscriptions: Vec::new(),
            sinks: Vec::new(),
            feeds: Vec::new(),
            leg: None,
            generation: 0,
            pending: None,
            dirty: false,
        };
        Ok((peer, answer))
    }

    /// Notes an m-section that was agreed on.
    pub(super) fn add_media(&mut self, mid: Mid, kind: MediaKind, direction: Direction) {
        if direction.is_receiving() && !self.sources.iter().any(|source| source.mid == mid) {
            self.sources.push(Source::new(mid));
        }
        if direction.is_sending() && !self.sinks.iter().any(|sink| sink.mid == mid) {
            self.sinks.push(Sink::new(mid, kind));
        }
    }

    /// Takes in what was written and tells what goes out. A panic inside of the library ends this peer and no other.
    pub(super) fn guard<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(|| work(self))) {
            Ok(done) => Some(done),
            Err(_) => {
                tracing::error!(peer = %self.id, "a fault in the WebRTC library; the peer is dropped");
                let _ = catch_unwind(AssertUnwindSafe(|| self.rtc.disconnect()));
                None
            }
        }
    }
}

/// What is agreed on with peers, most wanted first.
fn config(kind: PeerKind) -> RtcConfig {
    let mut config = RtcConfig::new()
        .set_rtp_mode(true)
        .clear_codecs()
        .enable_opus(true, false)
        .set_send_buffer_video(RESEND)
        .set_sctp_max_buffered_amount(channels::ASSOCIATION)
        .set_pause_threshold(Duration::from_secs(2));
    let checks = if kind == PeerKind::Operator { CHECKS_OPERATOR } else { CHECKS_OTHERS };
    config.set_initial_stun_rto(checks.min(Duration::from_millis(250)));
    config.set_max_stun_rto(checks);
    config.set_max_stun_retransmits(CHECKS);
    let codecs = config.codec_config();
    codecs.add_h264(108.into(), Some(109.into()), true, 0x0042_e01f);
    codecs.add_h264(127.into(), Some(121.into()), true, 0x0042_001f);
    codecs.add_h264(123.into(), Some(119.into()), true, 0x004d_001f);
    codecs.add_h264(114.into(), Some(115.into()), true, 0x0064_001f);
    codecs.add_h264(124.into(), Some(120.into()), false, 0x0042_e01f);
    codecs.add_h264(125.into(), Some(107.into()), false, 0x0042_001f);
    codecs.add_config(96.into(), Some(97.into()), Codec::Vp8, Frequency::NINETY_KHZ, None, FormatParams::default());
    config
}
