//! When packets may leave, so that a picture does not flood the network, and when it is time to leave pictures out. Reads
//! no clock.

use std::time::Duration;

use waldo_protocol::time::MonoTime;

/// Packets leave no faster than this, measured in what the network carries. A large picture takes a third of its time at
/// least; the rest is the network's to smooth.
const HASTE: f64 = 3.0;

/// This much leaves at once: the packets of what the network carries in so much time, and of a small picture in any case,
/// in bits.
const BURST: Duration = Duration::from_millis(40);
const SMALL_PICTURE: f64 = 12_000.0 * 8.0;

/// More than the network carries in this time is under way: whatever is sent now comes too late.
const TOO_LATE: Duration = Duration::from_millis(600);

/// Packets that are sent again may take this part of what the network carries, and so much at once.
const AGAIN: f64 = 0.25;
const AGAIN_AT_ONCE: Duration = Duration::from_millis(150);

/// Times and amounts of what one connection sends. Rates are bits per second that its network carries.
#[derive(Debug)]
pub(super) struct Pace {
    /// When everything before has left, at the allowed haste.
    free_at: MonoTime,
    /// Bits that were sent and the network cannot have carried yet, at that time.
    under_way: f64,
    at: MonoTime,
    /// Bits that were sent again and are not made up for yet, at that time.
    resent: f64,
    resent_at: MonoTime,
}

impl Pace {
    pub(super) fn new(now: MonoTime) -> Self {
        Self { free_at: now, under_way: 0.0, at: now, resent: 0.0, resent_at: now }
    }

    /// When a packet of so many bytes may leave; it is taken to do so.
    pub(super) fn reserve(&mut self, now: MonoTime, rate: f64, bytes: usize) -> MonoTime {
        #[expect(clippy::cast_precision_loss, reason = "the size of a packet")]
        let bits = bytes as f64 * 8.0;
        self.carry(now, rate);
        self.under_way += bits;
        let burst = (rate * BURST.as_secs_f64()).max(SMALL_PICTURE);
        let at_once = Duration::from_secs_f64(burst / (HASTE * rate));
        let ahead = self.free_at.since(now);
        self.free_at = self.free_at.max(now) + Duration::from_secs_f64(bits / (HASTE * rate));
        now + ahead.saturating_sub(at_once)
    }

    /// Whether a packet of so many bytes may be sent again; it is taken to be, then.
    pub(super) fn may_resend(&mut self, now: MonoTime, rate: f64, bytes: usize) -> bool {
        self.resent = (self.resent - now.since(self.resent_at).as_secs_f64() * rate * AGAIN).max(0.0);
        self.resent_at = now;
        #[expect(clippy::cast_precision_loss, reason = "the size of a packet")]
        let resent = self.resent + bytes as f64 * 8.0;
        let may = resent <= (rate * AGAIN_AT_ONCE.as_secs_f64()).max(SMALL_PICTURE);
        if may {
            self.resent = resent;
        }
        may
    }

    /// Whether pictures have to be left out.
    pub(super) fn is_behind(&mut self, now: MonoTime, rate: f64) -> bool {
        self.carry(now, rate);
        self.under_way > rate * TOO_LATE.as_secs_f64()
    }

    /// How long it takes until everything has arrived.
    pub(super) fn arrival(&mut self, now: MonoTime, rate: f64) -> Duration {
        self.carry(now, rate);
        Duration::from_secs_f64(self.under_way / rate)
    }

    fn carry(&mut self, now: MonoTime, rate: f64) {
        self.under_way = (self.under_way - now.since(self.at).as_secs_f64() * rate).max(0.0);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: usize = 1200;

    fn ms(ms: u64) -> MonoTime {
        MonoTime::from_nanos(5_000_000_000) + Duration::from_millis(ms)
    }

    /// When the last packet of a picture leaves, in milliseconds after the first.
    fn takes(pace: &mut Pace, now: u64, rate: f64, packets: usize) -> u128 {
        let last = (0..packets).map(|_| pace.reserve(ms(now), rate, PACKET)).last().unwrap();
        last.since(ms(now)).as_millis()
    }

    #[test]
    fn an_ordinary_picture_leaves_at_once() {
        let mut pace = Pace::new(ms(0));
        for picture in 0..300 {
            // 3.2 Mbit/s on a network that carries 4.
            assert_eq!(takes(&mut pace, picture * 33, 4e6, 11), 0);
        }
        assert!(!pace.is_behind(ms(10_000), 4e6));
    }

    #[test]
    fn a_keyframe_is_spread_on_a_narrow_network() {
        let took = takes(&mut Pace::new(ms(0)), 0, 2e6, 50);
        // 480 kbit less a burst of 96 at 6 Mbit/s.
        assert!((60..=66).contains(&took), "{took} ms");
        assert!(takes(&mut Pace::new(ms(0)), 0, 50e6, 50) < 1, "and not on a wide one");
    }

    #[test]
    fn packets_are_sent_again_within_their_part_of_the_network() {
        let mut pace = Pace::new(ms(0));
        let mut sent = |from: u64, to: u64, each: usize| -> usize {
            let asked = (from..to).step_by(10).flat_map(|now| vec![now; each]);
            asked.filter(|now| pace.may_resend(ms(*now), 1e6, PACKET)).count()
        };
        // Of 1 Mbit/s a quarter are 26 packets per second.
        let all = sent(0, 10_000, 5);
        assert!((260..300).contains(&all), "{all}");
        assert_eq!(sent(20_000, 20_020, 1), 2, "few at a time are always sent");
    }

    #[test]
    fn what_was_not_used_does_not_add_up() {
        let mut pace = Pace::new(ms(0));
        takes(&mut pace, 0, 2e6, 1);
        let after_a_rest = takes(&mut pace, 60_000, 2e6, 50);
        assert_eq!(after_a_rest, takes(&mut Pace::new(ms(0)), 0, 2e6, 50));
    }

    #[test]
    fn who_gets_more_than_the_network_carries_falls_behind_and_catches_up() {
        let mut pace = Pace::new(ms(0));
        let late = (0..100).find(|picture| {
            takes(&mut pace, picture * 33, 1e6, 11);
            pace.is_behind(ms(picture * 33), 1e6)
        });
        let late = late.expect("3.2 Mbit/s do not fit through 1") * 33;
        assert!((200..300).contains(&late), "after {late} ms");
        let rest = pace.arrival(ms(late), 1e6);
        assert!(rest > Duration::from_millis(600) && rest < Duration::from_millis(720), "{rest:?}");
        assert!(!pace.is_behind(ms(late) + rest, 1e6));
        assert_eq!(pace.arrival(ms(late) + rest, 1e6), Duration::ZERO);
    }
}
