//! What a user of a field scene asks of the arms: grips that are held while an arm follows, one for each hand.
//!
//! A field user drives like anybody: they have the lease, and the stop latch and the watchdogs hold for them. What differs
//! from a headset on the VR wire is how they engage: not a toggle for both arms, but each arm follows its own hand for as
//! long as that hand's grip is held, and engages anew with each squeeze. Whatever is unclear lets go, and a grip moves
//! something only after it was seen released since.

use waldo_protocol::geometry::{Base, Pose};
use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{HoldReason, MotionScale};

use super::leap::Place;
use super::{Arbiter, CART_KEPT, Event, SourceId};

/// Field users remembered at once. Beyond it a newcomer takes the place of one that has been silent for
/// [`SourceKind::lost_after`](super::SourceKind::lost_after); if there is none, the newcomer only watches.
pub const MAX_FIELD_USERS: usize = 32;

/// One hand of a field user.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FieldHand {
    /// Where the hand is, in the robot's base.
    pub pose: Pose<Base>,
    /// Whether the grip is held. To engage anew it must be seen released, whatever else lets go of the arm.
    pub grips: bool,
    /// Whether the arm shall be led by the grip. What detaches it for a while, with the grip still held, releases nothing.
    pub follows: bool,
    /// How far the gripper shall be open, 0 closed, 1 open; none leaves it as it is.
    pub grip: Option<f64>,
    /// Whether the button is pressed that asks the robot to move to rest.
    pub rests: bool,
}

/// What a field user asks for at one moment: the left and the right hand, as far as they are seen.
pub type FieldHands = [Option<FieldHand>; 2];

/// What the hands of the field user who drives ask of the arms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FieldTargets {
    /// The left and the right hand; none for one whose arms hold.
    pub hands: [Option<FieldTarget>; 2],
    /// How far the grippers move for a motion of the hands; changes only while no arm follows.
    pub scale: MotionScale,
}

/// What one hand asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FieldTarget {
    /// A new number, always a higher one, means: take a new clutch snapshot of `origin`.
    pub engagement: u64,
    /// The hand at the moment of the clutch snapshot.
    pub origin: Pose<Base>,
    /// The hand now.
    pub hand: Pose<Base>,
    /// Gripper opening, 0 closed, 1 open; none in the frame that engages, which moves nothing.
    pub grip: Option<f64>,
}

/// All field users that are known, and what the one who drives asks for.
#[derive(Debug, Default)]
pub(super) struct Field {
    users: Vec<FieldUser>,
    /// Of the one who has the lease; an arm follows exactly while its hand is here.
    pub(super) followed: [Option<FieldTarget>; 2],
}

#[derive(Debug)]
struct FieldUser {
    id: SourceId,
    newest: MonoTime,
    /// Per hand: its grip was seen released since all that demands it, so that it may lead its arm.
    armed: [bool; 2],
    places: [Place; 2],
    /// Per hand: the button for rest was held when it was seen last. At the beginning it counts as held.
    rests: [bool; 2],
    /// Per hand: its grip was held when it was seen last.
    held: [bool; 2],
    /// Since when a grip has been held.
    gripped: Option<MonoTime>,
    /// They were seen to ask nothing of the base since all that demands it.
    rested: bool,
}

/// What one frame of a field user says beside its poses.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Per hand: it may lead its arm, and shall.
    leads: [bool; 2],
    leapt: [bool; 2],
    rests: bool,
}

impl FieldUser {
    fn new(id: SourceId, now: MonoTime) -> Self {
        let (armed, places) = ([false; 2], [Place::default(); 2]);
        Self { id, newest: now, armed, places, rests: [true; 2], held: [false; 2], gripped: None, rested: false }
    }

    fn observe(&mut self, now: MonoTime, hands: &FieldHands, may_engage: bool) -> Seen {
        if now.since(self.newest) >= self.id.kind.stale_after() {
            self.forget();
        }
        self.rested &= now.since(self.newest) < CART_KEPT;
        self.newest = self.newest.max(now);
        let mut seen = Seen { leads: [false; 2], leapt: [false; 2], rests: false };
        for (i, hand) in hands.iter().enumerate() {
            let Some(hand) = hand else {
                (self.armed[i], self.places[i]) = (false, Place::default());
                continue;
            };
            seen.leapt[i] = self.places[i].leaps(now, hand.pose.position());
            self.held[i] = hand.grips;
            self.armed[i] = may_engage && (!hand.grips || (self.armed[i] && !seen.leapt[i]));
            seen.leads[i] = self.armed[i] && hand.grips && hand.follows;
            // A hand that is not seen for a moment has not let go of the button.
            let rested = std::mem::replace(&mut self.rests[i], hand.rests);
            seen.rests |= hand.rests && !rested;
        }
        self.gripped = self.held.contains(&true).then(|| self.gripped.unwrap_or(now));
        seen
    }

    /// Since when a grip is held, if one is that leads nothing until it was released.
    fn refused(&self) -> Option<MonoTime> {
        let waits = self.held.iter().zip(self.armed).any(|(held, armed)| *held && !armed);
        self.gripped.filter(|_| waits)
    }

    /// Nothing that was seen before counts any more. True if a grip was held then.
    fn forget(&mut self) -> bool {
        let held = self.held.contains(&true);
        *self = Self::new(self.id, self.newest);
        held
    }
}

impl Field {
    fn user_or_new(&mut self, now: MonoTime, id: SourceId) -> Option<&mut FieldUser> {
        let place = match self.users.iter().position(|user| user.id == id) {
            Some(known) => known,
            None if self.users.len() < MAX_FIELD_USERS => {
                self.users.push(FieldUser::new(id, now));
                self.users.len() - 1
            }
            None => {
                let lost = |user: &FieldUser| now.since(user.newest) >= user.id.kind.lost_after();
                let gone = self.users.iter().position(lost)?;
                self.users[gone] = FieldUser::new(id, now);
                gone
            }
        };
        self.users.get_mut(place)
    }

    fn user(&self, id: SourceId) -> Option<&FieldUser> {
        self.users.iter().find(|user| user.id == id)
    }

    /// When the newest word of this user came.
    pub(super) fn newest(&self, id: SourceId) -> Option<MonoTime> {
        self.user(id).map(|user| user.newest)
    }

    /// All users with the time since when they have held a grip, as far as somebody is there to hold it.
    pub(super) fn grips(&self, now: MonoTime) -> impl Iterator<Item = (SourceId, Option<MonoTime>)> {
        self.there(now).map(|user| (user.id, user.gripped))
    }

    /// The same for grips that must be released first.
    pub(super) fn refused_grips(&self, now: MonoTime) -> impl Iterator<Item = (SourceId, Option<MonoTime>)> {
        self.there(now).map(|user| (user.id, user.refused()))
    }

    fn there(&self, now: MonoTime) -> impl Iterator<Item = &FieldUser> {
        self.users.iter().filter(move |user| now.since(user.newest) < user.id.kind.stale_after())
    }

    pub(super) fn engaged(&self) -> bool {
        self.followed.iter().any(Option::is_some)
    }

    /// No arm follows; each grip must be seen released again. True if one did.
    pub(super) fn disengage(&mut self) -> bool {
        for user in &mut self.users {
            user.armed = [false; 2];
        }
        let was = self.engaged();
        self.followed = [None; 2];
        was
    }

    /// Nothing that was seen of this user counts any more. True if a grip was held then: nobody saw it let go.
    pub(super) fn forget(&mut self, id: SourceId) -> bool {
        self.users.iter_mut().find(|user| user.id == id).is_some_and(FieldUser::forget)
    }

    /// Whether this user was seen to ask nothing of the base since all that demands it.
    pub(super) fn rested(&mut self, id: SourceId) -> Option<&mut bool> {
        self.users.iter_mut().find(|user| user.id == id).map(|user| &mut user.rested)
    }

    /// Everybody must be seen to ask nothing of the base again.
    pub(super) fn all_moved(&mut self) {
        for user in &mut self.users {
            user.rested = false;
        }
    }

    pub(super) fn leave(&mut self, id: SourceId) {
        self.users.retain(|user| user.id != id);
    }
}

impl Arbiter {
    /// What a field user asks for now. To be called again and again for as long as they ask for it: who is not heard of
    /// lets go. Events are appended in order.
    ///
    /// A grip takes the lease if nobody needs to be asked for it, and the button for rest counts as on the VR wire: both
    /// arms move to rest.
    pub fn on_field(&mut self, now: MonoTime, who: SourceId, hands: &FieldHands, events: &mut Vec<Event>) {
        self.on_field_step(now, &[(who, Some(*hands))], events);
    }

    /// What all field users ask for who are there: as [`on_field`](Self::on_field) for each with hands, and as
    /// [`on_field_silent`](Self::on_field_silent) for the others.
    pub fn on_field_step(&mut self, now: MonoTime, said: &[(SourceId, Option<FieldHands>)], events: &mut Vec<Event>) {
        // The watchdogs first, so that a silence counts even if no tick came while it lasted.
        self.on_tick(now, events);
        for (who, hands) in said {
            match hands {
                Some(hands) => self.hear_field(now, *who, hands, events),
                None => self.field_is_silent(now, *who, events),
            }
        }
    }

    pub(super) fn hear_field(&mut self, now: MonoTime, who: SourceId, hands: &FieldHands, events: &mut Vec<Event>) {
        let admitted = self.lease.would_give(who);
        let may_engage = admitted && self.may_engage();
        let Some(user) = self.field.user_or_new(now, who) else { return };
        let seen = user.observe(now, hands, may_engage);
        if !admitted {
            return;
        }
        if matches!(self.lapse, Some((HoldReason::LinkStale, _))) {
            self.lapse = None;
        }
        let leapt = self.field.followed.iter().zip(seen.leapt).any(|(followed, leapt)| leapt && followed.is_some());
        if leapt && self.disengage(events) {
            self.lapse = Some((HoldReason::Velocity, now));
            return;
        }
        if seen.rests {
            self.press_reset(now, who, events);
            return;
        }
        let drove = self.lease.holder() == Some(who);
        if drove {
            self.follow_hands(hands, events);
        }
        for (i, hand) in hands.iter().enumerate() {
            let follows = drove && self.field.followed[i].is_some();
            if let Some(hand) = hand.filter(|_| seen.leads[i] && !follows) {
                self.engage_hand(now, who, (i, hand.pose), events);
            }
        }
    }

    /// A field user asks for nothing any more, without having left: their input stopped, or shows no hands. Whatever
    /// followed them lets go.
    pub fn on_field_silent(&mut self, now: MonoTime, who: SourceId, events: &mut Vec<Event>) {
        self.on_field_step(now, &[(who, None)], events);
    }

    pub(super) fn field_is_silent(&mut self, now: MonoTime, who: SourceId, events: &mut Vec<Event>) {
        let held = self.field.forget(who);
        if self.lease.holder() == Some(who) && (self.disengage(events) || held) {
            self.lost_while_engaged(now);
        }
    }

    /// What the field user who drives wants of the arms; none while none of them follows.
    pub fn field_targets(&self) -> Option<FieldTargets> {
        let hands = self.field.followed;
        self.field.engaged().then_some(FieldTargets { hands, scale: self.scale })
    }

    fn engage_hand(&mut self, now: MonoTime, who: SourceId, (i, pose): (usize, Pose<Base>), events: &mut Vec<Event>) {
        self.take_over(now, who, events);
        self.lapse = None;
        self.engagements += 1;
        if !self.engaged() {
            events.push(Event::Tracking(true));
        }
        let target = FieldTarget { engagement: self.engagements, origin: pose, hand: pose, grip: None };
        self.field.followed[i] = Some(target);
        // To take the lease disarms everybody, and this grip was seen released.
        if let Some(user) = self.field.users.iter_mut().find(|user| user.id == who) {
            user.armed[i] = true;
        }
    }

    /// Moves on what follows, and lets go what was let go.
    fn follow_hands(&mut self, hands: &FieldHands, events: &mut Vec<Event>) {
        let was = self.field.engaged();
        for (followed, hand) in self.field.followed.iter_mut().zip(hands) {
            *followed = followed
                .zip(hand.filter(|hand| hand.grips && hand.follows))
                .map(|(followed, hand)| FieldTarget { hand: hand.pose, grip: hand.grip, ..followed });
        }
        if was && !self.field.engaged() {
            events.push(Event::Tracking(false));
        }
    }
}
