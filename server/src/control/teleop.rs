//! Which stream of pose frames drives, whether it is engaged, and what it asks of the arms.

mod stream;
#[cfg(test)]
mod tests;
mod voice;

use std::time::Duration;

use waldo_protocol::geometry::{LocalFloor, Pose};
use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{Controller, Hand, Hold, HoldReason, VrFrame};

use stream::Stream;
use voice::{Standing, Voice};

/// Pose silence that disengages.
pub const STALE_AFTER: Duration = Duration::from_millis(500);

/// Pose silence that ends the driver role.
pub const DRIVER_LOST_AFTER: Duration = Duration::from_secs(2);

/// Streams remembered at once. Beyond it a newcomer takes the place of one that has been silent for
/// [`DRIVER_LOST_AFTER`]; if there is none, the newcomer only watches.
pub const MAX_STREAMS: usize = 32;

/// How long the operator is told that a jump of the clock disengaged: the jump itself is over within one frame.
const CLOCK_SHOWN: Duration = Duration::from_secs(3);

/// One stream of pose frames: a socket, or several sockets of one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Its stream drives, or nobody does.
    Admitted,
    /// Another stream drives, or there are more than [`MAX_STREAMS`].
    Watching,
}

/// Something that everybody who watches should hear, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The engage toggle changed.
    Tracking(bool),
    /// Another stream drives now, or none.
    Driver(Option<StreamId>),
    /// Motion is held or limited for this reason; `None` when cleared. At most ten per second: a reason that came and
    /// went in between is not told.
    Hold(Option<Hold>),
    /// The reset button's edge: the arms shall go to rest.
    Reset,
}

/// What the driver asks of the arms at this moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Targets {
    /// The left and the right hand.
    pub hands: [HandTarget; 2],
}

impl Targets {
    /// What one hand asks for.
    pub fn hand(&self, hand: Hand) -> &HandTarget {
        &self.hands[side(hand)]
    }
}

/// Where a hand stands in every pair of hands.
pub(super) const fn side(hand: Hand) -> usize {
    match hand {
        Hand::Left => 0,
        Hand::Right => 1,
    }
}

/// What one hand of the driver asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HandTarget {
    /// A new number, always a higher one, means: take a new clutch snapshot of `origin`.
    ///
    /// It rises with each engagement, and when a controller that was lost is tracked again. The hand moved unseen
    /// meanwhile; following that motion, however slowly, would move the arm without anybody asking for it.
    pub engagement: u64,
    /// The controller at the moment of the clutch snapshot.
    pub origin: Pose<LocalFloor>,
    /// The controller now; while it is not tracked, where it was seen last.
    pub controller: Pose<LocalFloor>,
    /// Whether the controller's position is measured, not dead-reckoned.
    pub tracked: bool,
    /// Gripper opening, 0 closed, 1 open; none in the frame that engages, which moves nothing. Goes on while the
    /// controller is not tracked: a trigger needs no cameras.
    pub grip: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
struct FollowedHand {
    target: HandTarget,
    lost_since: Option<MonoTime>,
}

impl FollowedHand {
    fn engage(now: MonoTime, controller: &Controller, engagement: u64) -> Self {
        let target = HandTarget {
            engagement,
            origin: controller.pose,
            controller: controller.pose,
            tracked: controller.tracked,
            grip: None,
        };
        Self { target, lost_since: (!controller.tracked).then_some(now) }
    }

    /// Takes over a frame; `engagement` is the number for a new clutch snapshot. True if it was used.
    fn follow(&mut self, now: MonoTime, controller: &Controller, engagement: u64) -> bool {
        let found = controller.tracked && self.lost_since.is_some();
        if found {
            *self = Self::engage(now, controller, engagement);
        } else if controller.tracked {
            self.target.controller = controller.pose;
        } else {
            self.lost_since.get_or_insert(now);
            self.target.tracked = false;
        }
        self.target.grip = Some(controller.grip);
        found
    }
}

/// The engage logic and the driver rule of all streams. Pure: time comes in as an argument.
///
/// At most one stream drives, and only the driver's frames are ever engaged. Whatever is unclear disengages, and
/// engaging always needs both grips of that stream to have been seen released since.
#[derive(Debug, Default)]
pub struct Teleop {
    streams: Vec<Stream>,
    driver: Option<StreamId>,
    /// Present exactly while engaged.
    hands: Option<[FollowedHand; 2]>,
    /// The last engagement number given out.
    engagements: u64,
    reset: bool,
    resets: u32,
    robot_hold: Option<(HoldReason, MonoTime)>,
    /// Why the last engagement ended, if the operator did not end it.
    lapse: Option<(HoldReason, MonoTime)>,
    clamps: [Option<(HoldReason, MonoTime)>; 2],
    voice: Voice,
}

impl Teleop {
    /// Feeds one frame of a stream, already without duplicates. Events are appended in order.
    pub fn on_frame(&mut self, now: MonoTime, stream: StreamId, frame: &VrFrame, events: &mut Vec<Event>) -> Admission {
        // The watchdogs first, so that a silence counts even if no tick came while it lasted.
        self.watch(now, events);
        let admission = self.ingest(now, stream, frame, events);
        self.speak(now, events);
        admission
    }

    /// The stream's last socket closed.
    pub fn on_closed(&mut self, now: MonoTime, stream: StreamId, events: &mut Vec<Event>) {
        self.watch(now, events);
        if self.driver == Some(stream) {
            if self.disengage(events) {
                self.lapse = Some((HoldReason::LinkStale, now));
            }
            self.set_driver(None, events);
        }
        self.streams.retain(|s| s.id != stream);
        self.speak(now, events);
    }

    /// Runs the watchdogs.
    pub fn on_tick(&mut self, now: MonoTime, events: &mut Vec<Event>) {
        self.watch(now, events);
        self.speak(now, events);
    }

    /// Targets while engaged; none while held.
    pub fn targets(&self) -> Option<Targets> {
        self.hands.map(|hands| Targets { hands: hands.map(|h| h.target) })
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
        }
        self.speak(now, events);
    }

    /// The arm side's word per hand (left, right): why its motion is limited though not held. Disengages nobody.
    pub fn set_clamps(&mut self, now: MonoTime, clamps: [Option<HoldReason>; 2], events: &mut Vec<Event>) {
        for (known, clamp) in self.clamps.iter_mut().zip(clamps) {
            if known.map(|(r, _)| r) != clamp {
                *known = clamp.map(|r| (r, now));
            }
        }
        self.speak(now, events);
    }

    /// The reason why motion is held or limited now.
    pub fn hold(&self, now: MonoTime) -> Option<Hold> {
        self.standing(now, |_| true).map(|s| s.tell(now))
    }

    /// Why this stream's frames move nothing, for its own operator: as [`Teleop::hold`], or that another one drives.
    pub fn hold_for(&self, now: MonoTime, stream: StreamId) -> Option<Hold> {
        let standing = match self.stream(stream) {
            Some(own) if self.driver.is_some_and(|d| d != stream) => {
                let watching = own.squeezed_since(now).map(|since| Standing::hold(HoldReason::NotDriver, since));
                watching.or_else(|| self.robot_standing())
            }
            _ => self.standing(now, |s| s.id == stream),
        };
        standing.map(|s| s.tell(now))
    }

    /// The stream that drives.
    pub fn driver(&self) -> Option<StreamId> {
        self.driver
    }

    /// Whether the toggle is on.
    pub fn engaged(&self) -> bool {
        self.hands.is_some()
    }

    fn watch(&mut self, now: MonoTime, events: &mut Vec<Event>) {
        if let Some((HoldReason::Clock, since)) = self.lapse
            && now.since(since) >= CLOCK_SHOWN
        {
            self.lapse = None;
        }
        let Some(driver) = self.driver else { return };
        let silence = self.stream(driver).map_or(Duration::MAX, |s| s.silence(now));
        if silence >= STALE_AFTER && self.disengage(events) {
            self.lapse = Some((HoldReason::LinkStale, now));
        }
        if silence >= DRIVER_LOST_AFTER {
            self.set_driver(None, events);
        }
    }

    fn ingest(&mut self, now: MonoTime, id: StreamId, frame: &VrFrame, events: &mut Vec<Event>) -> Admission {
        let admitted = self.driver.is_none_or(|d| d == id);
        let may_engage = admitted && self.robot_hold.is_none() && !self.reset;
        let Some(stream) = self.stream_or_new(now, id) else { return Admission::Watching };
        let seen = stream.observe(now, frame, may_engage);
        if !admitted {
            return Admission::Watching;
        }
        if matches!(self.lapse, Some((HoldReason::LinkStale, _))) {
            self.lapse = None;
        }
        if seen.clock_jumped && self.disengage(events) {
            self.lapse = Some((HoldReason::Clock, now));
        }
        if seen.reset {
            self.disengage(events);
            self.lapse = None;
            self.reset = true;
            self.resets = self.resets.wrapping_add(1);
            events.push(Event::Reset);
        }
        match seen.toggled {
            Some(true) => self.engage(now, id, frame, events),
            Some(false) => {
                self.disengage(events);
            }
            None => self.follow(now, frame),
        }
        Admission::Admitted
    }

    fn engage(&mut self, now: MonoTime, id: StreamId, frame: &VrFrame, events: &mut Vec<Event>) {
        self.engagements += 1;
        self.hands = Some([&frame.left, &frame.right].map(|c| FollowedHand::engage(now, c, self.engagements)));
        self.lapse = None;
        self.set_driver(Some(id), events);
        events.push(Event::Tracking(true));
    }

    fn follow(&mut self, now: MonoTime, frame: &VrFrame) {
        let Some(hands) = &mut self.hands else { return };
        for (hand, controller) in hands.iter_mut().zip([&frame.left, &frame.right]) {
            if hand.follow(now, controller, self.engagements + 1) {
                self.engagements += 1;
            }
        }
    }

    /// Ends the engagement; every stream must then show both grips released. True if somebody was engaged.
    fn disengage(&mut self, events: &mut Vec<Event>) -> bool {
        for stream in &mut self.streams {
            stream.disengage();
        }
        let was = self.hands.take().is_some();
        if was {
            events.push(Event::Tracking(false));
        }
        was
    }

    fn set_driver(&mut self, driver: Option<StreamId>, events: &mut Vec<Event>) {
        if self.driver != driver {
            self.driver = driver;
            events.push(Event::Driver(driver));
        }
    }

    fn stream(&self, id: StreamId) -> Option<&Stream> {
        self.streams.iter().find(|s| s.id == id)
    }

    fn stream_or_new(&mut self, now: MonoTime, id: StreamId) -> Option<&mut Stream> {
        let place = match self.streams.iter().position(|s| s.id == id) {
            Some(known) => known,
            None if self.streams.len() < MAX_STREAMS => {
                self.streams.push(Stream::new(id, now));
                self.streams.len() - 1
            }
            None => {
                let gone = self.streams.iter().position(|s| s.silence(now) >= DRIVER_LOST_AFTER)?;
                self.streams[gone] = Stream::new(id, now);
                gone
            }
        };
        self.streams.get_mut(place)
    }

    fn robot_standing(&self) -> Option<Standing> {
        self.robot_hold.map(|(reason, since)| Standing::hold(reason, since))
    }

    /// Both grips of a stream that may drive are held and do not engage.
    fn refused_squeeze(&self, stream: &Stream, now: MonoTime) -> Option<Standing> {
        let waiting = !self.engaged() && self.driver.is_none_or(|d| d == stream.id);
        let since = stream.squeezed_since(now).filter(|_| waiting)?;
        Some(Standing::hold(HoldReason::ReleaseGrips, since))
    }

    /// The one reason that matters most now to those whose squeezes count.
    fn standing(&self, now: MonoTime, whose: impl Fn(&Stream) -> bool) -> Option<Standing> {
        self.robot_standing()
            .or_else(|| self.lapse.map(|(reason, since)| Standing::hold(reason, since)))
            .or_else(|| self.streams.iter().filter(|s| whose(s)).find_map(|s| self.refused_squeeze(s, now)))
            .or_else(|| {
                let lost = self.hands.map(|h| h.map(|h| h.lost_since.map(|t| (HoldReason::TrackingLost, t))));
                lost.and_then(Standing::clamp)
            })
            .or_else(|| {
                Standing::clamp(self.clamps.map(|c| c.filter(|(_, t)| now.since(*t) >= voice::CLAMP_TOLD_AFTER)))
            })
    }

    fn speak(&mut self, now: MonoTime, events: &mut Vec<Event>) {
        let standing = self.standing(now, |_| true);
        if self.voice.changed(now, standing) {
            events.push(Event::Hold(standing.map(|s| s.tell(now))));
        }
    }
}
