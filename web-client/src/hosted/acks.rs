//! Commands that the robot has to acknowledge, and how each of their buttons shows it. Sans-I/O; times are milliseconds of
//! any monotonic clock.

use waldo_protocol::hosted::Nonce;

/// The robot answers within this, or it did not hear the command.
pub const ACK_LIMIT_MS: f64 = 3000.0;
/// Standing up takes the robot this long.
pub const STAND_LIMIT_MS: f64 = 9000.0;
/// How long a button shows what became of its command.
pub const SHOWN_MS: f64 = 700.0;
/// Commands that wait for their answer; the oldest gives way.
const MOST: usize = 32;

/// What a button shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// Nothing is under way.
    #[default]
    Idle,
    /// Sent, without an answer yet.
    Pending,
    /// The robot did it.
    Done,
    /// The robot refused, or did not answer.
    Failed,
}

#[derive(Clone, Debug)]
struct Command {
    control: &'static str,
    nonce: Nonce,
    until: f64,
}

/// The commands under way; a control is named by the id of its button.
#[derive(Clone, Debug, Default)]
pub struct Acks {
    pending: Vec<Command>,
    shown: Vec<(&'static str, Progress, f64)>,
}

impl Acks {
    /// A command was sent. `limit`: how long the robot may take, milliseconds.
    pub fn sent(&mut self, control: &'static str, nonce: Nonce, limit: f64, now: f64) {
        self.shown.retain(|(shown, ..)| *shown != control);
        self.pending.retain(|command| command.control != control);
        if self.pending.len() == MOST {
            self.pending.remove(0);
        }
        self.pending.push(Command { control, nonce, until: now + limit });
    }

    /// What the answer that this control waits for will carry.
    pub fn nonce_of(&self, control: &str) -> Option<&Nonce> {
        self.pending.iter().find(|command| command.control == control).map(|command| &command.nonce)
    }

    /// Nobody waits for the answer to this one any more.
    pub fn forget(&mut self, control: &str) {
        self.pending.retain(|command| command.control != control);
    }

    /// A command could not even be sent.
    pub fn failed(&mut self, control: &'static str, now: f64) {
        self.show(control, Progress::Failed, now);
    }

    /// The robot answered; tells which control asked. `None` for an answer that nobody waits for.
    pub fn on_ack(&mut self, nonce: &Nonce, ok: bool, now: f64) -> Option<&'static str> {
        let index = self.pending.iter().position(|command| command.nonce == *nonce)?;
        let control = self.pending.remove(index).control;
        self.show(control, if ok { Progress::Done } else { Progress::Failed }, now);
        Some(control)
    }

    /// To be called a few times a second: gives up commands that the robot did not answer.
    pub fn poll(&mut self, now: f64) {
        let (late, pending) = std::mem::take(&mut self.pending).into_iter().partition(|command| now >= command.until);
        self.pending = pending;
        let late: Vec<Command> = late;
        for command in late {
            self.show(command.control, Progress::Failed, now);
        }
        self.shown.retain(|(.., until)| now < *until);
    }

    /// What the control shows.
    pub fn progress(&self, control: &str) -> Progress {
        if self.pending.iter().any(|command| command.control == control) {
            return Progress::Pending;
        }
        self.shown.iter().find(|(shown, ..)| *shown == control).map_or(Progress::Idle, |(_, progress, _)| *progress)
    }

    /// What every control shows that is not idle.
    pub fn all(&self) -> Vec<(&'static str, Progress)> {
        let pending = self.pending.iter().map(|command| (command.control, Progress::Pending));
        pending.chain(self.shown.iter().map(|(control, progress, _)| (*control, *progress))).collect()
    }

    /// Whether telemetry may overwrite what the page shows: not while the robot is changing it.
    pub fn settled(&self) -> bool {
        self.pending.is_empty()
    }

    fn show(&mut self, control: &'static str, progress: Progress, now: f64) {
        self.shown.retain(|(shown, ..)| *shown != control);
        self.shown.push((control, progress, now + SHOWN_MS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonce(number: u64) -> Nonce {
        Nonce::from(number)
    }

    #[test]
    fn an_answer_settles_its_command_and_the_button_goes_back_to_idle() {
        let mut acks = Acks::default();
        acks.sent("sit", nonce(7), ACK_LIMIT_MS, 0.0);
        assert_eq!((acks.progress("sit"), acks.settled()), (Progress::Pending, false));
        assert_eq!(acks.on_ack(&nonce(8), true, 10.0), None, "not ours");
        assert_eq!(acks.on_ack(&nonce(7), true, 10.0), Some("sit"));
        assert_eq!((acks.progress("sit"), acks.settled()), (Progress::Done, true));
        acks.poll(10.0 + SHOWN_MS);
        assert_eq!(acks.progress("sit"), Progress::Idle);
    }

    #[test]
    fn a_command_without_an_answer_fails_after_three_seconds_and_standing_up_after_nine() {
        let mut acks = Acks::default();
        acks.sent("sit", nonce(1), ACK_LIMIT_MS, 0.0);
        acks.sent("stand", nonce(2), STAND_LIMIT_MS, 0.0);
        acks.poll(2999.0);
        assert_eq!(acks.progress("sit"), Progress::Pending);
        acks.poll(3000.0);
        assert_eq!((acks.progress("sit"), acks.progress("stand")), (Progress::Failed, Progress::Pending));
        acks.poll(8999.0);
        assert_eq!(acks.progress("stand"), Progress::Pending);
        acks.poll(9000.0);
        assert_eq!(acks.progress("stand"), Progress::Failed);
        assert_eq!(acks.on_ack(&nonce(2), true, 9100.0), None, "an answer that comes late changes nothing");
    }

    #[test]
    fn the_newest_command_of_a_button_counts() {
        let mut acks = Acks::default();
        acks.sent("light", nonce(1), ACK_LIMIT_MS, 0.0);
        acks.sent("light", nonce(2), ACK_LIMIT_MS, 10.0);
        assert_eq!(acks.nonce_of("light"), Some(&nonce(2)));
        assert_eq!(acks.on_ack(&nonce(1), false, 20.0), None);
        assert_eq!(acks.on_ack(&nonce(2), true, 20.0), Some("light"));
        assert_eq!(acks.nonce_of("light"), None);
        acks.sent("light", nonce(3), ACK_LIMIT_MS, 30.0);
        acks.forget("light");
        assert_eq!(acks.on_ack(&nonce(3), true, 40.0), None);
    }
}
