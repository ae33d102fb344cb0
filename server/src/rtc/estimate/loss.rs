//! Whether what is lost is our doing.

use std::time::Duration;

use super::Report;

/// Loss is judged over this time and so many packets.
const LOSS_PERIOD: Duration = Duration::from_secs(1);
const LOSS_PACKETS: u32 = 100;
/// A trial compares with a loss that was large, and must end soon, also where few packets are sent.
const TRIAL_PACKETS: u32 = 20;
/// Loss that is nobody's fault on a radio link.
const USUAL_LOSS: f64 = 0.08;
/// The most that is ever put down to the weather.
const BAD_WEATHER: f64 = 0.4;
/// Everything is lost for longer than this: the path was gone, which says nothing about how much it carries.
const OUTAGE: Duration = Duration::from_millis(250);

/// Whether packets are lost because of how much is sent.
#[derive(Debug)]
pub(super) struct Loss {
    since: Duration,
    /// Packets that were sent before do not count.
    from: Duration,
    packets: u32,
    lost: u32,
    /// Packets lost in a row, and when the first of them left.
    row: Option<(u32, Duration)>,
    /// The path was gone meanwhile: what was counted before says nothing about the path that there is now.
    outage: bool,
    /// The loss that is there anyway.
    weather: f64,
    trial: Option<Trial>,
}

/// Less is sent, to see whether less is lost.
#[derive(Clone, Copy, Debug)]
struct Trial {
    /// What was lost and what was sent before, and what was thought to fit.
    loss: f64,
    sent: f64,
    target: f64,
    /// The first period still saw what was sent before.
    settled: bool,
}

impl Trial {
    /// Whether this much was lost because of how much was sent: a bottleneck passes as many packets as before, a bad
    /// radio link passes the same share of them.
    fn was_ours(&self, loss: f64, sent: f64) -> bool {
        let at_a_bottleneck = 1.0 - (1.0 - self.loss) * self.sent / sent;
        loss < f64::midpoint(self.loss, at_a_bottleneck.max(0.0))
    }
}

impl Loss {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            since: now,
            from: Duration::ZERO,
            packets: 0,
            lost: 0,
            row: None,
            outage: false,
            weather: USUAL_LOSS,
            trial: None,
        }
    }

    /// Forgets what was lost: it was sent when things were different.
    pub(super) fn begin_anew(&mut self, now: Duration) {
        *self = Self { weather: self.weather, from: now, ..Self::new(now) };
    }

    pub(super) fn count(&mut self, report: &Report) {
        if report.sent < self.from {
            return;
        }
        if report.lost {
            let (lost, first) = self.row.unwrap_or((0, report.sent));
            self.row = Some((lost.saturating_add(1), first));
            return;
        }
        let (lost, first) = self.row.take().unwrap_or((0, report.sent));
        self.packets = self.packets.saturating_add(1);
        if report.sent.saturating_sub(first) < OUTAGE {
            self.packets = self.packets.saturating_add(lost);
            self.lost = self.lost.saturating_add(lost);
        } else {
            self.outage = true;
        }
    }

    /// Whether more is lost than the weather explains, or that is being found out.
    pub(super) fn is_excessive(&self) -> bool {
        self.trial.is_some() || f64::from(self.lost) > self.weather * f64::from(self.packets.max(LOSS_PACKETS))
    }

    /// The new target, where packets that arrived were sent at this rate lately.
    pub(super) fn judge(&mut self, now: Duration, target: f64, offered: Option<f64>) -> f64 {
        if self.outage {
            self.begin_anew(now);
            return target;
        }
        let Some(offered) = offered else { return target };
        let counted = now.saturating_sub(self.since);
        let enough = if self.trial.is_some() { TRIAL_PACKETS } else { LOSS_PACKETS };
        if counted < LOSS_PERIOD || self.packets < enough {
            return target;
        }
        let loss = f64::from(self.lost) / f64::from(self.packets);
        let sent = offered / (1.0 - loss).max(0.01);
        let trial = self.trial.take();
        *self = Self { row: self.row, weather: self.weather, from: self.from, ..Self::new(now) };
        match trial {
            Some(trial) if !trial.settled => {
                self.trial = Some(Trial { settled: true, ..trial });
                target
            }
            Some(trial) if !trial.was_ours(loss, sent) => {
                self.weather = (loss * 1.25 + 0.02).min(BAD_WEATHER);
                target.max(trial.target)
            }
            _ if loss > self.weather => {
                self.trial = Some(Trial { loss, sent, target, settled: false });
                target.min(sent) * (1.0 - loss / 2.0)
            }
            _ => {
                // The weather is taken to clear up, slowly.
                self.weather = USUAL_LOSS.max(self.weather * 0.98);
                target
            }
        }
    }
}
