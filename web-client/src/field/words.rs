//! What the field says in words: one line of state and one of reasons, for the page and for the headset.

use crate::hud::{HudText, Tone};
use crate::link::Status;

/// What the words depend on.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// Somebody wants to take part.
    pub joined: bool,
    /// The link.
    pub link: Status,
    /// The user has arms, of which there are so many; a spectator has none.
    pub arms: Option<usize>,
    /// Under this id; empty before the server answered.
    pub user: &'a str,
    /// The user whom a spectator watches.
    pub followed: Option<&'a str>,
    /// What the server said last.
    pub error: Option<&'a str>,
    /// Presenting in a headset, where these controllers have a pose.
    pub controllers: Option<[bool; 2]>,
    /// Of others, users with arms or people with a head.
    pub others: usize,
}

fn text(title: &str, detail: &str, tone: Tone) -> HudText {
    HudText { title: title.to_owned(), detail: detail.to_owned(), tone }
}

impl Situation<'_> {
    /// The first thing that matters hides the rest.
    pub fn text(&self) -> HudText {
        self.link().or_else(|| self.trouble()).unwrap_or_else(|| self.calm())
    }

    fn link(&self) -> Option<HudText> {
        match self.link {
            _ if !self.joined => Some(text("Not in the field", "Choose how to take part", Tone::Idle)),
            Status::Connected if self.user.is_empty() => Some(
                self.error
                    .map_or_else(|| text("Joining…", "", Tone::Caution), |why| text("Not let in", why, Tone::Alarm)),
            ),
            Status::Connected => None,
            Status::NotConnected | Status::Connecting => Some(text("Connecting to the field…", "", Tone::Caution)),
            Status::Failed => {
                Some(text("The field does not answer", "Leave it and join again once it is there", Tone::Alarm))
            }
            Status::Reconnecting | Status::Lost => {
                Some(text("Connection lost", "Your hands move nothing. Trying again…", Tone::Alarm))
            }
        }
    }

    fn trouble(&self) -> Option<HudText> {
        if let Some(error) = self.error {
            return Some(text("The field says", error, Tone::Alarm));
        }
        let (title, detail) = match self.controllers.filter(|_| self.arms.is_some())? {
            [true, true] => return None,
            [false, true] => ("Left controller missing", "Wake it up by moving it"),
            [true, false] => ("Right controller missing", "Wake it up by moving it"),
            [false, false] => ("Controllers missing", "Take both into your hands"),
        };
        Some(text(title, detail, Tone::Caution))
    }

    fn calm(&self) -> HudText {
        let others = match self.others {
            0 => "nobody else here".to_owned(),
            1 => "1 other here".to_owned(),
            others => format!("{others} others here"),
        };
        match (self.arms, self.followed) {
            (Some(arms), _) => {
                let title = if self.controllers.is_some() { "Your hands drive" } else { "In the field" };
                let plural = if arms == 1 { "arm" } else { "arms" };
                text(title, &format!("{} · {arms} {plural} · {others}", self.user), Tone::Driving)
            }
            (None, Some(followed)) => text(&format!("Watching {followed}"), &others, Tone::Idle),
            (None, None) => text("Watching", "Nobody has arms yet", Tone::Idle),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn driving() -> Situation<'static> {
        Situation {
            joined: true,
            link: Status::Connected,
            arms: Some(2),
            user: "user_1",
            followed: None,
            error: None,
            controllers: Some([true, true]),
            others: 0,
        }
    }

    #[test]
    fn a_driver_is_told_who_it_is_and_how_many_arms_it_has() {
        let text = driving().text();
        assert_eq!((text.title.as_str(), text.tone), ("Your hands drive", Tone::Driving));
        assert_eq!(text.detail, "user_1 · 2 arms · nobody else here");
    }

    #[test]
    fn a_lost_link_hides_errors_and_errors_hide_the_rest() {
        let lost = Situation { link: Status::Reconnecting, error: Some("input timeout"), ..driving() };
        assert_eq!(lost.text().title, "Connection lost");
        assert_eq!(Situation { link: Status::Connected, ..lost }.text().detail, "input timeout");
    }

    #[test]
    fn who_is_not_let_in_is_told_why() {
        let refused = Situation { user: "", error: Some("user_id already in use"), ..driving() };
        assert_eq!(
            (refused.text().title.as_str(), refused.text().detail.as_str()),
            ("Not let in", "user_id already in use")
        );
    }

    #[test]
    fn missing_controllers_matter_to_drivers_only() {
        let blind = Situation { controllers: Some([true, false]), ..driving() };
        assert_eq!(blind.text().title, "Right controller missing");
        let watching = Situation { arms: None, followed: Some("bob"), others: 2, ..blind };
        assert_eq!(
            (watching.text().title.as_str(), watching.text().detail.as_str()),
            ("Watching bob", "2 others here")
        );
    }

    #[test]
    fn a_field_that_never_answered_is_not_waited_for() {
        let failed = Situation { link: Status::Failed, user: "", ..driving() };
        assert_eq!(failed.text().title, "The field does not answer");
    }

    #[test]
    fn before_joining_nothing_is_alarming() {
        let out = Situation { joined: false, link: Status::NotConnected, user: "", ..driving() };
        assert_eq!(out.text().tone, Tone::Idle);
    }
}
