//! Who drives the robot, whether the arms follow, and why not: leases, the stop latch, watchdogs, holds and clamps.

mod cart;
mod episodes;
mod field;
mod frames;
mod hands;
mod leap;
mod lease;
mod program;
mod remote;
mod source;
mod standing;
mod stop;
mod stream;
mod takeover;
#[cfg(test)]
mod tests;

use std::time::Duration;

use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{
    Cart, CartCommand, Episode, HoldReason, LeaseReason, MotionScale, PlayoutConfig, RecordingEdges, Rendered, Role,
    Stop, VrFrame,
};

use self::field::Field;
pub use self::field::{FieldHand, FieldHands, FieldTarget, FieldTargets, MAX_FIELD_USERS};
use self::hands::FollowedHand;
pub(crate) use self::hands::side;
pub use self::hands::{HandTarget, Targets};
use self::lease::Lease;
pub use self::lease::{LeaseAnswer, LeaseView, TAKEOVER_AFTER};
use self::program::Program;
pub use self::program::{HANDED_BACK_AFTER, JointAction, JointTargets, RAMP, Refused, ResetProgress, Resume};
pub use self::source::{SourceId, SourceKind};
use self::stop::StopLatch;
pub use self::stop::{StopGate, StopView};
use self::stream::Stream;

/// Streams remembered at once. Beyond it a newcomer takes the place of one that has been silent for
/// [`SourceKind::lost_after`]; if there is none, the newcomer only watches.
pub const MAX_STREAMS: usize = 32;

/// How long the operator is told that a jump of the clock, or of a hand, disengaged: the jump itself is over within one
/// frame.
const LAPSE_SHOWN: Duration = Duration::from_secs(3);

/// Silence after which somebody else may move the cart: it has stopped by then.
const CART_KEPT: Duration = Duration::from_millis(300);

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Its stream drives, or nobody does.
    Admitted,
    /// Another stream drives, or there are more than [`MAX_STREAMS`].
    Watching,
}

/// Something to tell, in order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// The engage toggle changed.
    Tracking(bool),
    /// The scale of motion is the usual one again: another person drives.
    Scale,
    /// Another source drives now, or none; [`Arbiter::lease`] tells who asks to.
    Lease,
    /// Answer to a request for the lease, for the one who asked.
    Answer(LeaseAnswer),
    /// The operator decided something about an episode.
    Episode(Episode),
    /// So many decisions about episodes were lost on the way.
    DecisionsLost(u32),
    /// The source that recorded an episode left, is silent, or another one drives. If its last socket closed,
    /// [`Arbiter::take_interrupted`] tells how to go on when it returns.
    Interrupted(SourceId),
    /// It is back, and goes on with its episode.
    Resumed(SourceId),
}

/// Decides what may move the robot. Pure: time comes in as an argument.
///
/// At most one source has the lease, and only its frames are ever engaged. Whatever is unclear disengages, and engaging
/// always needs both grips of that stream to have been seen released since.
#[derive(Debug, Default)]
pub struct Arbiter {
    playout: PlayoutConfig,
    streams: Vec<Stream>,
    lease: Lease,
    /// When the lease was given to whoever has it.
    leased: MonoTime,
    stop: StopLatch,
    /// Present exactly while a headset on the VR wire is engaged.
    hands: Option<[FollowedHand; 2]>,
    /// When the frame came that engaged. It moves nothing itself, so hands are followed from the next one on.
    engaged: MonoTime,
    field: Field,
    scale: MotionScale,
    /// The scale of whoever has set none.
    usual_scale: MotionScale,
    cart: Cart,
    /// Whose sticks move the cart.
    cart_of: Option<SourceId>,
    /// Who set the scale of motion that is in force.
    scaled_by: Option<SourceId>,
    /// Of a source that left in the middle of an episode.
    interrupted: Option<RecordingEdges>,
    /// The last engagement number given out.
    engagements: u64,
    reset: bool,
    resets: u32,
    robot_hold: Option<(HoldReason, MonoTime)>,
    program: Program,
    /// The program from which the present driver took the lease by driving; it gets it back when they let go.
    lent_by: Option<SourceId>,
    /// Since when the present driver has let go of everything.
    let_go: Option<MonoTime>,
    /// Why the last engagement ended, if the operator did not end it.
    lapse: Option<(HoldReason, MonoTime)>,
    clamps: [Option<(HoldReason, MonoTime)>; 2],
    /// Control ticks that nobody has asked for yet.
    control_ticks: u32,
}

impl Arbiter {
    /// An arbiter that plays pose streams out like this.
    pub fn new(playout: PlayoutConfig) -> Self {
        Self { playout, ..Self::default() }
    }

    /// The same, but motion is scaled like this until somebody sets another scale.
    #[must_use]
    pub fn scaled(self, scale: MotionScale) -> Self {
        Self { scale, usual_scale: scale, ..self }
    }

    /// Feeds one frame of a stream, already without duplicates. Events are appended in order.
    pub fn on_frame(&mut self, now: MonoTime, stream: SourceId, frame: &VrFrame, events: &mut Vec<Event>) -> Admission {
        // The watchdogs first, so that a silence counts even if no tick came while it lasted.
        self.on_tick(now, events);
        self.ingest(now, stream, frame, events)
    }

    /// The source is gone: its last socket closed.
    pub fn on_closed(&mut self, now: MonoTime, source: SourceId, events: &mut Vec<Event>) {
        self.on_tick(now, events);
        let held = self.field.forget(source);
        let engaged = (self.engaged() || held) && self.lease.holder() == Some(source);
        self.change_lease(now, events, |lease| lease.leave(source));
        if engaged {
            self.lost_while_engaged(now);
        }
        self.part_with_episode(source, events);
        self.streams.retain(|s| s.id != source);
        self.field.leave(source);
        self.stop.forget(source);
    }

    /// The source agreed to count what its buttons decide.
    pub fn use_counters(&mut self, now: MonoTime, source: SourceId) {
        if let Some(stream) = self.stream_or_new(now, source) {
            stream.edges.use_counters();
        }
    }

    /// What a stream shows at `now`; none before its first frame.
    pub fn render(&self, now: MonoTime, source: SourceId) -> Option<Rendered> {
        self.stream(source)?.playout.render(now)
    }

    /// How a stream is played out: the jitter of its frames, and the delay added against it.
    pub fn playout(&self, source: SourceId) -> Option<(Duration, Duration)> {
        self.stream(source).map(|s| (s.playout.jitter(), s.playout.delay()))
    }

    /// Runs the watchdogs.
    pub fn on_tick(&mut self, now: MonoTime, events: &mut Vec<Event>) {
        if let Some((HoldReason::Clock | HoldReason::Velocity, since)) = self.lapse
            && now.since(since) >= LAPSE_SHOWN
        {
            self.lapse = None;
        }
        self.watch_program(now, events);
        if let Some(driver) = self.lease.holder().filter(|driver| driver.kind.is_human()) {
            let silence = self.silence(now, driver).unwrap_or(Duration::MAX);
            if silence >= driver.kind.stale_after() {
                let held = self.field.forget(driver);
                if self.disengage(events) || held {
                    self.lost_while_engaged(now);
                }
            }
            // Who was just given the lease need not have sent anything yet.
            if silence.min(now.since(self.leased)) >= driver.kind.lost_after() {
                self.change_lease(now, events, |lease| lease.release(driver, Some(LeaseReason::Link)));
            }
        }
        self.change_lease(now, events, |lease| lease.on_tick(now));
        self.hand_back(now, events);
        self.interrupt_silent(now, events);
    }

    /// Sets the stop latch, or clears it. While a person drives only they do that, and whoever watches over the robot
    /// without moving it, not others who would like to drive. Copies of one message count once. True if it counted.
    pub fn on_stop(
        &mut self,
        now: MonoTime,
        (from, role): (SourceId, Role),
        stop: Stop,
        events: &mut Vec<Event>,
    ) -> bool {
        if !self.stop.is_news(from, stop) {
            return false;
        }
        if !stop.clear {
            self.stop.set(now);
            // A press that nobody has heeded yet is not for later.
            self.reset = false;
        } else if role == Role::Viewer || self.lease.would_give(from) {
            self.stop.clear();
        } else {
            return false;
        }
        // After either, engaging needs grips that were seen released, and programs must have seen what it led to.
        self.disengage(events);
        self.program.interrupt(now, Some(HoldReason::Stopped));
        true
    }

    /// Sets how far the grippers move for a motion of the hands: the driver's to set, or anybody's while no person
    /// drives, and only while disengaged. Returns the scale in force.
    pub fn set_scale(&mut self, from: SourceId, scale: MotionScale) -> MotionScale {
        if !self.engaged() && self.lease.would_give(from) {
            self.scale = scale;
            self.scaled_by = Some(from);
        }
        self.scale
    }

    /// The scale of motion in force.
    pub fn scale(&self) -> MotionScale {
        self.scale
    }

    /// What the hands of the driver ask for at `now`, while engaged; none while held.
    pub fn targets(&mut self, now: MonoTime) -> Option<Targets> {
        let driver = self.lease.holder()?;
        let moved = self.stream(driver).filter(|s| self.hands.is_some() && s.newest() > self.engaged);
        let rendered = moved.and_then(|stream| stream.playout.render(now));
        if let (Some(hands), Some(Rendered { frame, .. })) = (&mut self.hands, rendered) {
            for (hand, controller) in hands.iter_mut().zip([&frame.left, &frame.right]) {
                if hand.follow(now, controller, self.engagements + 1) {
                    self.engagements += 1;
                }
            }
        }
        self.hands.map(|hands| Targets { hands: hands.map(|h| h.target), scale: self.scale })
    }

    /// What the sticks of the driver ask of base and lift at `now`, `dt` after the call before. Independent of
    /// engagement, so grips that must be released first do not hold it; whatever else holds the arms does, and then it
    /// starts from rest.
    pub fn cart(&mut self, now: MonoTime, dt: Duration) -> CartCommand {
        if self.reset || self.lapse.is_some() || self.robot_standing().is_some() {
            self.stop_cart();
        }
        self.cart.tick(now, dt)
    }

    /// True once after each reset edge.
    ///
    /// Nobody engages until it was taken. Whoever takes it to move the arms sets the robot's hold before it lets go of
    /// the lock around this value.
    pub fn take_reset(&mut self) -> bool {
        std::mem::take(&mut self.reset)
    }

    /// Reset edges that counted so far; starts again at zero after 2³² − 1.
    pub fn resets(&self) -> u32 {
        self.resets
    }

    /// The arm side's word: while it holds for a reason (rest move, fault), nobody can engage, and whoever was engaged
    /// is disengaged. `None` lifts it; both grips must then be seen released.
    pub fn set_robot_hold(&mut self, now: MonoTime, reason: Option<HoldReason>, events: &mut Vec<Event>) {
        if self.robot_hold.map(|(r, _)| r) != reason {
            self.robot_hold = reason.map(|r| (r, now));
            self.disengage(events);
            self.program.robot_holds(now, reason);
        }
    }

    /// Control ticks since the last call.
    pub fn take_control_ticks(&mut self) -> u32 {
        std::mem::take(&mut self.control_ticks)
    }

    /// The arm side's word per hand (left, right), once per control tick: why its motion is limited though not held.
    /// Disengages nobody.
    pub fn set_clamps(&mut self, now: MonoTime, clamps: [Option<HoldReason>; 2]) {
        self.control_ticks = self.control_ticks.saturating_add(1);
        for (known, clamp) in self.clamps.iter_mut().zip(clamps) {
            if known.map(|(r, _)| r) != clamp {
                *known = clamp.map(|r| (r, now));
            }
        }
    }

    /// Who drives, and who asks to.
    pub fn lease(&self) -> LeaseView {
        self.lease.view()
    }

    /// Whether arms follow a person: the toggle of a headset is on, or a field user holds a grip.
    pub fn engaged(&self) -> bool {
        self.hands.is_some() || self.field.engaged()
    }

    /// Whether the stop latch is set.
    pub fn stopped(&self) -> bool {
        self.stop.since().is_some()
    }

    /// The same for threads that ask often.
    pub fn stop_view(&self) -> StopView {
        self.stop.view()
    }

    /// Whether arms may begin to follow somebody who has the lease.
    fn may_engage(&self) -> bool {
        self.robot_hold.is_none() && !self.reset && !self.stopped()
    }

    /// Somebody who may do so asks the robot to move to rest. Takes the lease from a program.
    fn press_reset(&mut self, now: MonoTime, who: SourceId, events: &mut Vec<Event>) {
        if self.stopped() {
            return;
        }
        self.disengage(events);
        self.lapse = None;
        if self.lease.holder().is_some() {
            self.take_over(now, who, events);
        }
        self.reset = true;
        self.resets = self.resets.wrapping_add(1);
    }

    /// How long nothing came of a person who is known.
    fn silence(&self, now: MonoTime, who: SourceId) -> Option<Duration> {
        let newest = self.stream(who).map(Stream::newest).or_else(|| self.field.newest(who))?;
        Some(now.since(newest))
    }

    /// Ends the engagement; every stream must then show both grips released, and every field user each grip. True if
    /// somebody was engaged.
    fn disengage(&mut self, events: &mut Vec<Event>) -> bool {
        for stream in &mut self.streams {
            stream.disengage();
        }
        let was = self.hands.take().is_some() | self.field.disengage();
        if was {
            events.push(Event::Tracking(false));
        }
        was
    }

    fn stream(&self, id: SourceId) -> Option<&Stream> {
        self.streams.iter().find(|s| s.id == id)
    }

    fn stream_or_new(&mut self, now: MonoTime, id: SourceId) -> Option<&mut Stream> {
        let place = match self.streams.iter().position(|s| s.id == id) {
            Some(known) => known,
            None if self.streams.len() < MAX_STREAMS => {
                self.streams.push(Stream::new(id, now, self.playout));
                self.streams.len() - 1
            }
            None => {
                let gone = self.streams.iter().position(|s| s.silence(now) >= s.id.kind.lost_after())?;
                self.streams[gone] = Stream::new(id, now, self.playout);
                gone
            }
        };
        self.streams.get_mut(place)
    }
}
