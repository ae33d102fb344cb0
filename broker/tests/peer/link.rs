//! One connection and its socket, driven by whoever has it.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::format::{Codec, FormatParams};
use str0m::media::{Direction, Frequency, KeyframeRequestKind, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};

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
}

pub struct Link {
    rtc: Rtc,
    socket: UdpSocket,
    local: SocketAddr,
    pending: Option<SdpPendingOffer>,
    channels: Vec<(String, ChannelId)>,
    media: Vec<(MediaKind, Mid)>,
    sequence: u64,
    deaf: bool,
}

impl Link {
    /// A connection from this address that has made an offer.
    pub fn offering(wanted: &Wanted, address: IpAddr) -> (Self, String) {
        let socket = UdpSocket::bind(SocketAddr::new(address, 0)).unwrap();
        let local = socket.local_addr().unwrap();
        let mut config = Rtc::builder().set_rtp_mode(true).clear_codecs().enable_opus(true, false);
        let codecs = config.codec_config();
        if !wanted.vp8 {
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
        rtc.add_local_candidate(Candidate::host(local, "udp").unwrap());
        let mut api = rtc.sdp_api();
        let media: Vec<_> = wanted
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
        let link = Self {
            rtc,
            socket,
            local,
            pending: Some(pending),
            channels: vec![("_sctp_init".to_owned(), init)],
            media,
            sequence: 1000,
            deaf: false,
        };
        (link, offer.to_sdp_string())
    }

    pub fn register(&mut self, registry: &Registry, token: Token) {
        registry.register(&mut self.socket, token, Interest::READABLE).unwrap();
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

    pub fn open(&mut self, label: &str, id: u16, lossy: bool) {
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

    /// From now on nothing is heard, and so nothing is said: the network is gone.
    pub fn cut(&mut self) {
        self.deaf = true;
    }

    /// The network is back.
    pub fn mend(&mut self) {
        self.deaf = false;
    }

    /// Reads, sends and tells what there is, and when to come again at the latest.
    pub fn poll(&mut self, now: Instant, tell: &mut impl FnMut(Happening)) -> Instant {
        let mut deadline = self.drain(now, tell);
        let mut buffer = [0; 2048];
        loop {
            match self.socket.recv_from(&mut buffer) {
                Ok((size, source)) if !self.deaf => {
                    if let Ok(received) = Receive::new(Protocol::Udp, source, self.local, &buffer[..size]) {
                        let _ = self.rtc.handle_input(Input::Receive(Instant::now(), received));
                        deadline = self.drain(now, tell);
                    }
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return deadline,
                // Answers of ports that nobody listens on.
                Err(_) => {}
            }
        }
    }

    fn drain(&mut self, _now: Instant, tell: &mut impl FnMut(Happening)) -> Instant {
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
                        let _ = self.socket.send_to(&transmit.contents, transmit.destination);
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
