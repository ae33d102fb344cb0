//! Others who answer on the same keys.

use std::sync::OnceLock;

use waldo_protocol::policy::RobotId;

/// Others who answer on the same keys, so that nobody can know for whom an action is. Once seen they count for as long
/// as the server runs: one that is silent now may listen all the same. Whoever sees one first is given the words for the
/// clients.
#[derive(Debug, Default)]
pub(super) struct Conflict {
    legacy: OnceLock<String>,
    own: OnceLock<String>,
}

impl Conflict {
    /// Another robot shows that it lives; it may serve the keys of the original too.
    pub(super) fn robot_seen(&self, robot: &RobotId) -> Option<&str> {
        report(&self.legacy, || {
            format!("robot {robot} is on this Zenoh network; actions on chiral/c2s, which would move both, are refused")
        })
    }

    /// Somebody else answered on the keys of the original.
    pub(super) fn legacy_reply_seen(&self) -> Option<&str> {
        report(&self.legacy, || {
            "another policy server answers on chiral/s2c; actions on chiral/c2s, which would move both robots, are refused"
                .to_owned()
        })
    }

    /// A router is there, and who is behind it cannot be seen.
    pub(super) fn router_seen(&self) -> Option<&str> {
        report(&self.legacy, || {
            "a router of Zenoh connected to this robot, and without gossip other robots behind it cannot be seen; actions on \
             chiral/c2s are refused"
                .to_owned()
        })
    }

    /// Somebody else answered with this robot's id.
    pub(super) fn own_reply_seen(&self, robot: &RobotId) -> Option<&str> {
        report(&self.own, || {
            format!("another robot on this Zenoh network has the id {robot} too; all actions over Zenoh are refused")
        })
    }

    /// Why nothing that comes over these keys may move the robot.
    pub(super) fn refuses(&self, legacy: bool) -> Option<&str> {
        let legacy = if legacy { self.legacy.get() } else { None };
        self.own.get().or(legacy).map(String::as_str)
    }
}

/// What was seen, the first time.
fn report(seen: &OnceLock<String>, what: impl FnOnce() -> String) -> Option<&str> {
    let mut first = false;
    let what = seen.get_or_init(|| {
        first = true;
        what()
    });
    if !first {
        return None;
    }
    tracing::error!("{what} until this server is restarted");
    Some(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_seen_where_decides_which_keys_are_refused() {
        let robot = RobotId::parse("arm-1").unwrap();
        let conflict = Conflict::default();
        assert_eq!((conflict.refuses(true), conflict.refuses(false)), (None, None));
        assert!(conflict.legacy_reply_seen().unwrap().contains("chiral/s2c"));
        assert_eq!(conflict.robot_seen(&robot), None, "the first sighting is told, once");
        assert!(conflict.refuses(true).unwrap().contains("chiral/s2c"));
        assert_eq!(conflict.refuses(false), None);
        assert!(conflict.own_reply_seen(&robot).is_some());
        assert!(conflict.refuses(false).unwrap().contains("arm-1"));
    }
}
