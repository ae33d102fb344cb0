//! One connection and its socket, driven by whoever has it.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use mio::{Registry, Token};
use str0m::bwe::BweKind;
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::format::{Codec, FormatParams};
use str0m::media::{Direction, Frequency, KeyframeRequestKind, MediaKind, Mid};
use str0m::net::Receive;
use str0m::rtp::{RtpPacket, RtpWrite};
use str0m::{Event, Input, Output, Rtc};

use super::way::Way;

/// What a peer offers.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Its m-sections for media, in order.
    pub media: Vec<(MediaKind, Direction)>,
    /// How `_sctp_init` is made: with id 0, agreed, as robots do; or in band, as browsers do.
    pub in_band: bool,
    /// VP8 only, instead of H.264 and VP8.
    pub vp8: bool,
}

impl Wanted {
    /// A camera, and a speaker.
    pub fn robot() -> Self {
        let media = vec![(MediaKind::Video, Direction::SendOnly), (MediaKind::Audio, Direction::RecvOnly)];
        Self { media, ..Self::default() }
    }

    /// A picture, and a microphone.
    pub fn operator() -> Self {
        let media = vec![(MediaKind::Video, Direction::RecvOnly), (MediaKind::Audio, Direction::SendOnly)];
        Self { media, ..Self::default() }
    }
}

/// What comes from the other side.
#[derive(Debug)]
pub enum Happening {
    /// The connection is there.
    Connected,
    /// The other side closed it.
    Closed,
    /// A message came.
    Message { label: String, binary: bool, data: Vec<u8> },
    /// A channel was closed.
    ChannelClosed(String),
    /// A packet came.
    Packet { mid: Mid, packet: Box<RtpPacket> },
    /// A key frame is asked for.
    KeyFrame,
    /// The other side says how many bits a second it takes.
    Bitrate(u64),
}

pub struct Link {
    rtc: Rtc,
    way: Way,
    local: SocketAddr,
    pending: Option<SdpPendingOffer>,
    channels: Vec<(String, ChannelId)>,
    media: Vec<(MediaKind, Mid)>,
    sequence: u64,
    deaf: bool,
    only_checks: bool,
}

impl Link {
    /// A connection from this address that has made an offer.
    pub fn offering(wanted: &Wanted, address: IpAddr) -> (Self, String) {
        Self::new(wanted.vp8, Way::udp(address)).offer(wanted)
    }

    /// The same over TCP, to this address and to no other.
    pub fn offering_by_tcp(wanted: &Wanted, to: SocketAddr) -> (Self, String) {
        Self::new(wanted.vp8, Way::tcp(to)).offer(wanted)
    }

    /// A connection from this address that takes an offer, and its answer.
    pub fn answering(offer: &str, address: IpAddr) -> (Self, String) {
        let mut link = Self::new(false, Way::udp(address));
        let answer = link.answer(offer);
        (link, answer)
    }

    fn new(vp8: bool, way: Way) -> Self {
        let mut config = Rtc::builder().set_rtp_mode(true).clear_codecs().enable_opus(true, false);
        let codecs = config.codec_config();
        if !vp8 {
            codecs.add_h264(102.into(), Some(103.into()), true, 0x0042_e01f);
        }
        codecs.add_config(
            99.into(),
            Some(100.into()),
            Codec::Vp8,
            Frequency::NINETY_KHZ,
            None,
            FormatParams::default(),
        );
        let mut rtc = config.build(Instant::now());
        rtc.add_local_candidate(way.candidate());
        let local = way.local();
        let (channels, media) = (Vec::new(), Vec::new());
        Self { rtc, way, local, pending: None, channels, media, sequence: 1000, deaf: false, only_checks: false }
    }

    fn offer(mut self, wanted: &Wanted) -> (Self, String) {
        let mut api = self.rtc.sdp_api();
        self.media = wanted
            .media
            .iter()
            .map(|&(kind, direction)| (kind, api.add_media(kind, direction, None, None, None)))
            .collect();
        let init = api.add_channel_with_config(ChannelConfig {
            label: "_sctp_init".to_owned(),
            negotiated: (!wanted.in_band).then_some(0),
            ..ChannelConfig::default()
        });
        let (offer, pending) = api.apply().unwrap();
        self.pending = Some(pending);
        self.channels.push(("_sctp_init".to_owned(), init));
        (self, offer.to_sdp_string())
    }

    pub fn register(&mut self, registry: &Registry, token: Token) {
        self.way.register(registry, token);
    }

    pub fn rtc(&mut self) -> &mut Rtc {
        &mut self.rtc
    }

    pub fn accept(&mut self, answer: &str) {
        let pending = self.pending.take().expect("an offer");
        self.rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(answer).unwrap()).unwrap();
    }

    pub fn answer(&mut self, offer: &str) -> String {
        let answer = self.rtc.sdp_api().accept_offer(SdpOffer::from_sdp_string(offer).unwrap()).unwrap();
        answer.to_sdp_string()
    }

    /// Opens a channel; false while one from before has its id, which the other side has not closed to the end yet.
    pub fn open(&mut self, label: &str, id: u16, lossy: bool) -> bool {
        if self.rtc.direct_api().channel_id_by_sctp_stream_id(id).is_some() {
            return false;
        }
        let reliability = if lossy { Reliability::MaxRetransmits { retransmits: 0 } } else { Reliability::Reliable };
        let channel = self.rtc.direct_api().create_data_channel(ChannelConfig {
            label: label.to_owned(),
            ordered: !lossy,
            reliability,
            negotiated: Some(id),
            protocol: String::new(),
        });
        self.channels.retain(|(name, _)| name != label);
        self.channels.push((label.to_owned(), channel));
        true
    }

    pub fn close_channel(&mut self, label: &str) {
        if let Some((_, channel)) = self.channels.iter().find(|(name, _)| name == label) {
            self.rtc.direct_api().close_data_channel(*channel);
        }
    }

    /// Sends a message; false if the channel is not open or full.
    pub fn send(&mut self, label: &str, binary: bool, data: &[u8]) -> bool {
        let Some((_, channel)) = self.channels.iter().find(|(name, _)| name == label) else { return false };
        let Some(mut channel) = self.rtc.channel(*channel) else { return false };
        channel.write(binary, data).unwrap_or(false)
    }

    /// The m-section of this kind that came first.
    pub fn mid(&self, kind: MediaKind) -> Option<Mid> {
        self.media.iter().find(|(one, _)| *one == kind).map(|(_, mid)| *mid)
    }

    /// Sends one packet on the track of this kind, with the codec that was agreed on first.
    pub fn send_packet(&mut self, kind: MediaKind, stamp: u32, marker: bool, payload: &[u8]) -> bool {
        let Some(mid) = self.mid(kind) else { return false };
        let Some(media) = self.rtc.media(mid) else { return false };
        let Some(pt) = media.remote_pts().first().copied() else { return false };
        self.sequence += 1;
        let write = RtpWrite::new(pt, self.sequence.into(), stamp, Instant::now(), payload).marker(marker);
        let mut direct = self.rtc.direct_api();
        let Some(stream) = direct.stream_tx_by_mid(mid, None) else { return false };
        stream.write_rtp(write.nackable(kind == MediaKind::Video));
        true
    }

    /// Asks for a key frame of the picture that is received.
    pub fn ask_for_key_frame(&mut self) {
        let Some(mid) = self.mid(MediaKind::Video) else { return };
        if let Some(stream) = self.rtc.direct_api().stream_rx_by_mid(mid, None) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
    }

    /// Says how many bits a second of the picture it takes.
    pub fn take_at_most(&mut self, bitrate: u64) {
        let Some(mid) = self.mid(MediaKind::Video) else { return };
        if let Some(stream) = self.rtc.direct_api().stream_rx_by_mid(mid, None) {
            stream.request_remb(bitrate.into());
        }
    }

    /// From now on nothing is heard, and so nothing is said: the network is gone.
    pub fn cut(&mut self) {
        self.deaf = true;
    }

    /// The network is back.
    pub fn mend(&mut self) {
        self.deaf = false;
    }

    /// Whether only connectivity checks are heard from now on: present, and taking nothing.
    pub fn take_only_checks(&mut self, only: bool) {
        self.only_checks = only;
    }

    /// Reads, sends and tells what there is, and when to come again at the latest.
    pub fn poll(&mut self, tell: &mut impl FnMut(Happening)) -> Instant {
        let mut deadline = self.flush(tell);
        let mut buffer = [0; 2048];
        while let Ok((size, source)) = self.way.receive(&mut buffer) {
            if self.deaf || (self.only_checks && buffer[0] > 1) {
                continue;
            }
            if let Ok(received) = Receive::new(self.way.protocol(), source, self.local, &buffer[..size]) {
                let _ = self.rtc.handle_input(Input::Receive(Instant::now(), received));
                deadline = self.flush(tell);
            }
        }
        deadline
    }

    /// The same without reading.
    pub fn flush(&mut self, tell: &mut impl FnMut(Happening)) -> Instant {
        let mut turned = false;
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    let now = Instant::now();
                    if at > now || turned {
                        return at
                            .max(now + Duration::from_micros(if turned { 200 } else { 0 }))
                            .min(now + Duration::from_secs(1));
                    }
                    turned = true;
                    let _ = self.rtc.handle_input(Input::Timeout(now));
                }
                Ok(Output::Transmit(transmit)) => {
                    if !self.deaf {
                        self.way.send(&transmit.contents, transmit.destination);
                    }
                }
                Ok(Output::Event(event)) => self.tell(event, tell),
                Err(_) => return Instant::now() + Duration::from_secs(1),
            }
        }
    }

    fn tell(&mut self, event: Event, tell: &mut impl FnMut(Happening)) {
        let label = |channels: &[(String, ChannelId)], id: ChannelId| {
            channels.iter().find(|(_, channel)| *channel == id).map_or("?".to_owned(), |(label, _)| label.clone())
        };
        match event {
            Event::Connected => tell(Happening::Connected),
            Event::Closed => tell(Happening::Closed),
            Event::ChannelData(data) => {
                tell(Happening::Message { label: label(&self.channels, data.id), binary: data.binary, data: data.data })
            }
            Event::ChannelClose(id) => tell(Happening::ChannelClosed(label(&self.channels, id))),
            Event::MediaAdded(added) => self.media.push((added.kind, added.mid)),
            Event::KeyframeRequest(_) => tell(Happening::KeyFrame),
            Event::EgressBitrateEstimate(BweKind::Remb { estimate, .. }) => {
                tell(Happening::Bitrate(estimate.as_u64()));
            }
            Event::RtpPacket(packet) => {
                let mid = self.rtc.direct_api().stream_rx(&packet.header.ssrc).map(|stream| stream.mid());
                if let Some(mid) = mid {
                    tell(Happening::Packet { mid, packet: Box::new(packet) });
                }
            }
            _ => {}
        }
    }
}
