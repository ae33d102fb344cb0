//! One registration: a connection to the SFU, and everything that goes over it until it ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use waldo_protocol::hosted::{
    BridgeUpdate, ChannelLabel, Extension, Heartbeat, HeartbeatAck, RegisterRobot, RegisteredRobot, RobotChannelIds,
    Transport, repair_candidates,
};
use waldo_protocol::time::MonoTime;

use super::answering::Answering;
use super::beats::{Beat, Beats, Verdict};
use super::broker::{Broker, CallError};
use super::channels::{OpenChannels, Step};
use super::opened::Opened;
use super::relays::Renewal;
use super::service::{Service, lock};
use crate::clock;
use crate::rtc::{Channel, ChannelSetup, PeerState, RobotPeer};

/// How long the whole way to a connection may take, and its last part.
const REGISTER_LIMIT: Duration = Duration::from_secs(30);
const CONNECT_LIMIT: Duration = Duration::from_secs(15);

/// Without a connection for so long, the robot dials again.
const LONGEST_INTERRUPTION: Duration = Duration::from_secs(15);

/// The same since the broker answers: then it is the SFU that is gone, or has forgotten this robot. A network that comes
/// back gets to both of them one after the other.
const ALONE: Duration = Duration::from_secs(1);

/// Heartbeats that wait for their reply at a time.
const BEATS_UNDER_WAY: usize = 3;

/// The operator's own way is live if something came on it within this time.
const LIVE: Duration = Duration::from_secs(5);

/// How often it is looked whether anything has been silent for too long.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What a broker says whose SFU ends with it.
const SFU_EMBEDDED: &str = "sfu/embedded";

/// The channel on which the broker pushes ids.
const CONTROL: &str = "ctl_reliable";
const CONTROL_ID: u16 = 2;

/// Why a registration ended, or did not come to stand.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    /// The robot stops.
    #[error("the robot stops")]
    Stopped,
    /// The broker does not know the key.
    #[error("the broker refuses the key: {0}")]
    Key(String),
    /// Anything else.
    #[error("{0}")]
    Lost(String),
}

impl From<CallError> for Ended {
    fn from(error: CallError) -> Self {
        match error.status() {
            Some(401) => Self::Key(error.to_string()),
            _ => Self::Lost(format!("the broker: {error}")),
        }
    }
}

/// What a robot is at its broker.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// Registered, and not ended.
    pub(super) now: Option<String>,
    /// The one before, which the next one goes on with.
    pub(super) before: Option<String>,
    /// The broker lets sessions go on.
    pub(super) resumes: bool,
}

/// A registered robot whose connection stands.
pub(super) struct Link {
    service: Arc<Service>,
    broker: Broker,
    peer: Arc<RobotPeer>,
    session: String,
    /// The SFU ends with the broker.
    embedded: bool,
    pushes: bool,
    open: OpenChannels,
    channels: BTreeMap<ChannelLabel, Opened>,
    /// Where questions are answered at once.
    back: Arc<Mutex<Option<Channel>>>,
    control: Option<Channel>,
    answering: Option<Answering>,
    /// When the relays must know this robot under new names, if it uses any.
    renewal: Option<Renewal>,
}

impl Link {
    /// Registers the robot with the offer of this connection and brings it to stand. The session is put into `session` as
    /// soon as there is one; whatever becomes of this, it is to be ended.
    pub(super) async fn dial(
        service: Arc<Service>,
        broker: Broker,
        (peer, offer): (Arc<RobotPeer>, String),
        (session, renewal): (&Mutex<Session>, Option<Renewal>),
    ) -> Result<Self, Ended> {
        let settings = &service.settings;
        let robot = RegisterRobot {
            robot_name: settings.name.clone(),
            robot_id: settings.id.clone(),
            robot_type: settings.robot_type.clone().or_else(|| Some(settings.kind.robot_type().to_owned())),
            transport: Transport::Cloudflare,
            sdp_offer: Some(offer),
            twist_units: Some(settings.drive.units),
            resume_of: lock(session).before.clone(),
            ext: vec![Extension::Push.as_str().to_owned()],
        };
        let registered = broker.register(&robot).await?;
        let RegisteredRobot { session_id, sdp_answer, ext, .. } = registered;
        {
            let mut session = lock(session);
            session.resumes = Extension::Resume.is_in(&ext);
            session.now = Some(session_id.clone());
        }
        let answer = repair_candidates(&sdp_answer).into_owned();
        let refused = |error: crate::rtc::AnswerError| Ended::Lost(format!("the SFU's answer: {error}"));
        peer.answer(answer, CONNECT_LIMIT).await.map_err(refused)?;
        if peer.reached(PeerState::Connected).await != PeerState::Connected {
            return Err(Ended::Lost("the connection to the SFU does not stand".into()));
        }
        peer.arm();
        let pushes = Extension::Push.is_in(&ext);
        let mut link = Self {
            service,
            broker,
            peer,
            session: session_id,
            embedded: ext.iter().any(|name| name == SFU_EMBEDDED),
            pushes,
            open: OpenChannels::default(),
            channels: BTreeMap::new(),
            back: Arc::default(),
            control: None,
            answering: None,
            renewal,
        };
        if link.pushes {
            let setup = ChannelSetup { label: CONTROL.into(), id: CONTROL_ID, ordered: true, max_retransmits: None };
            link.control = link.peer.open(setup).await.ok();
        }
        Ok(link)
    }

    /// How long [`Link::dial`] may take.
    pub(super) const LIMIT: Duration = REGISTER_LIMIT;

    /// Serves operators until something ends it.
    pub(super) async fn run(&mut self, ended: &CancellationToken) -> Ended {
        let period = Duration::from_secs_f64(1.0 / self.service.settings.heartbeat_hz);
        let mut due = interval(period);
        due.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut replies = JoinSet::new();
        let (mut beats, mut sent, mut newest) = (Beats::new(clock::now(), period), 0_u64, 0_u64);
        let mut generation = 0;
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut bytes_before: Option<(MonoTime, u64)> = None;
        let mut interrupted: Option<MonoTime> = None;
        // Since when the broker answers while the SFU does not.
        let mut alone: Option<MonoTime> = None;
        let mut state = self.peer.state();
        let control = self.control.clone();
        loop {
            tokio::select! {
                () = ended.cancelled() => return Ended::Stopped,
                _ = looks.tick() => {
                    self.look(&mut beats, state);
                    if interrupted.is_some_and(|since| clock::now().since(since) >= LONGEST_INTERRUPTION) {
                        return Ended::Lost("the connection to the SFU is interrupted".into());
                    }
                    let operated = self.channels.contains_key(&ChannelLabel::CmdUnreliable);
                    if self.renewal.is_some_and(|renewal| renewal.due(clock::now(), operated)) {
                        if self.peer.quality().await.relayed {
                            return Ended::Lost("the robot's name at the relay ends".into());
                        }
                        self.renewal = None;
                    }
                }
                _ = due.tick() => {
                    if replies.len() < BEATS_UNDER_WAY {
                        sent += 1;
                        let beat = self.beat(&mut bytes_before).await;
                        let (broker, session, number) = (self.broker.clone(), self.session.clone(), sent);
                        replies.spawn(async move { (number, broker.heartbeat(&session, &beat).await) });
                    }
                }
                Some(reply) = replies.join_next() => {
                    let Ok((number, reply)) = reply else { continue };
                    let (beat, told) = match &reply {
                        Ok(_) => (Beat::Good, None),
                        Err(error) => (judge(error), Some(error.to_string())),
                    };
                    match beats.note(clock::now(), beat) {
                        Verdict::GoOn => {}
                        Verdict::Tell => tracing::warn!("heartbeat: {}", told.unwrap_or_default()),
                        Verdict::Over => return match reply {
                            Err(error) if error.status() == Some(401) => Ended::Key(error.to_string()),
                            _ => Ended::Lost("the broker does not know this session any more".into()),
                        },
                    }
                    let Ok(ack) = reply else {
                        alone = None;
                        continue;
                    };
                    self.look(&mut beats, state);
                    if interrupted.is_some() && clock::now().since(*alone.get_or_insert(clock::now())) >= ALONE {
                        return Ended::Lost("the SFU is gone, though the broker is there".into());
                    }
                    // One that was overtaken says how it was before.
                    if number > newest {
                        newest = number;
                        self.follow(&ack).await;
                    }
                }
                Some(update) = pushed(control.as_ref()) => {
                    beats.hear(clock::now());
                    self.look(&mut beats, state);
                    if update.generation >= generation {
                        generation = update.generation;
                        // Replies to heartbeats that were sent before are older than this.
                        newest = sent;
                        self.follow_ids(&update.ids).await;
                    }
                }
                next = self.peer.left(state) => {
                    state = next;
                    match state {
                        PeerState::Connected => (interrupted, alone) = (None, None),
                        PeerState::Connecting => {
                            interrupted.get_or_insert(clock::now());
                            self.service.lost("the robot's own connection is interrupted");
                        }
                        PeerState::Ended => return Ended::Lost("the connection to the SFU has failed".into()),
                    }
                }
            }
        }
    }

    /// Looks whether the robot would still learn that its operator left.
    fn look(&self, beats: &mut Beats, state: PeerState) {
        let live = !self.embedded && state == PeerState::Connected && self.service.heard_within(LIVE);
        if let Some(blind) = beats.look(clock::now(), live) {
            self.service.go_blind(blind);
        }
    }

    /// Ends everything of this link but the session at the broker.
    pub(super) async fn close(mut self) {
        self.service.gone();
        self.answering = None;
        for (_, opened) in std::mem::take(&mut self.channels) {
            opened.close().await;
        }
        self.peer.close().await;
    }

    /// What the next heartbeat says.
    async fn beat(&self, before: &mut Option<(MonoTime, u64)>) -> Heartbeat {
        let quality = self.peer.quality().await;
        let now = clock::now();
        let kbps = before.map(|(then, sent)| {
            let seconds = now.since(then).as_secs_f64().max(1e-3);
            #[expect(clippy::cast_possible_truncation, reason = "no network carries that much")]
            let kbps = (quality.sent.saturating_sub(sent) as f64 * 8.0 / 1000.0 / seconds).round() as i64;
            kbps
        });
        *before = Some((now, quality.sent));
        Heartbeat {
            rtt_ms: self.service.operator_rtt_ms().or(quality.rtt.map(|rtt| rtt.as_secs_f64() * 1e3)),
            packet_loss_pct: quality.loss_pct,
            video_bitrate_kbps: kbps,
            command_rate_hz: self.service.command_rate_hz(),
            safety_state: self.service.safety(),
        }
    }

    async fn follow(&mut self, ack: &HeartbeatAck) {
        self.follow_ids(&ack.ids).await;
        if let Some(offer) = ack.renegotiate_offer.as_ref().filter(|offer| !offer.is_empty()) {
            self.answer(offer);
        }
    }

    /// Answers an offer of the SFU. Without it there is no voice, and nothing else is worse for it.
    fn answer(&mut self, offer: &str) {
        // Brokers say it again until they have the answer.
        if !self.answering.as_ref().is_some_and(|answering| answering.holds(offer)) {
            self.answering = Some(Answering::start(offer, &self.peer, (&self.broker, &self.session)));
        }
    }

    async fn follow_ids(&mut self, ids: &RobotChannelIds) {
        let mut there = self.channels.contains_key(&ChannelLabel::CmdUnreliable);
        let steps = self.open.follow(ids);
        if steps.contains(&Step::Lost) {
            // Before channels are closed, which takes its time.
            self.service.lost("the broker says so");
        }
        for step in steps {
            match step {
                Step::Lost => {}
                Step::Close(label) => {
                    match label {
                        ChannelLabel::StateReliableBack => {
                            *lock(&self.back) = None;
                            self.service.set_back(None);
                        }
                        ChannelLabel::MapUnreliable => self.service.set_map(None),
                        _ => {}
                    }
                    if let Some(opened) = self.channels.remove(&label) {
                        opened.close().await;
                    }
                }
                Step::Open(label, id) => match Opened::open((label, id), (&self.service, &self.peer), &self.back).await
                {
                    Ok(opened) => {
                        self.open.remember(label, id);
                        self.channels.insert(label, opened);
                        self.service.channel_changed();
                        if label == ChannelLabel::CmdUnreliable {
                            self.service.arrived();
                            there = true;
                        }
                    }
                    Err(error) => tracing::warn!(%label, "a channel does not open: {error}"),
                },
            }
        }
        if there && !self.channels.contains_key(&ChannelLabel::CmdUnreliable) {
            self.service.left();
        }
    }
}

fn judge(error: &CallError) -> Beat {
    match error.status() {
        Some(401 | 404) => Beat::Refused,
        _ => Beat::Failed,
    }
}

/// What the broker pushes next; never anything without a channel for it.
async fn pushed(control: Option<&Channel>) -> Option<BridgeUpdate> {
    let Some(control) = control else { return std::future::pending().await };
    loop {
        match control.next().await {
            Some(message) => {
                if let Ok(update) = serde_json::from_slice(&message.data) {
                    return Some(update);
                }
            }
            None => return std::future::pending().await,
        }
    }
}

/// Ends a session at the broker, if that can be reached.
pub(super) async fn leave(broker: &Broker, session: &str) {
    match timeout(Duration::from_secs(3), broker.leave(session)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("the session is not ended: {error}"),
        Err(_) => tracing::debug!("the session is not ended: no answer"),
    }
}
