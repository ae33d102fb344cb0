//! Names of the publications on Zenoh.
//!
//! The original has one pair of keys for everybody. The prefixed ones belong to one robot and one client each.

use super::ids::{ClientId, RobotId};

/// Where the clients of the original publish.
pub const LEGACY_C2S: &str = "chiral/c2s";

/// Where the servers of the original publish.
pub const LEGACY_S2C: &str = "chiral/s2c";

/// Liveliness of every robot.
pub const EVERY_LIVE: &str = "chiral/*/live";

/// The keys of one client and one robot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZenohKeys {
    /// The client publishes here.
    pub c2s: String,
    /// The server publishes here.
    pub s2c: String,
}

impl ZenohKeys {
    /// The keys of the original, shared by everybody.
    pub fn legacy() -> Self {
        Self { c2s: LEGACY_C2S.to_owned(), s2c: LEGACY_S2C.to_owned() }
    }

    /// The keys between that robot and that client.
    pub fn prefixed(robot: &RobotId, client: &ClientId) -> Self {
        Self { c2s: format!("chiral/{robot}/c2s/{client}"), s2c: format!("chiral/{robot}/s2c/{client}") }
    }
}

/// What a robot subscribes to in order to hear all of its clients.
pub fn every_client(robot: &RobotId) -> String {
    format!("chiral/{robot}/c2s/*")
}

/// Where a robot answers its clients; whoever else publishes there has the same id.
pub fn every_reply(robot: &RobotId) -> String {
    format!("chiral/{robot}/s2c/*")
}

/// The liveliness token of a robot.
pub fn live_key(robot: &RobotId) -> String {
    format!("chiral/{robot}/live")
}

/// The client that publishes on a key which a robot hears; `None` if it is no such key.
pub fn client_of(key: &str) -> Option<ClientId> {
    match key.split('/').collect::<Vec<_>>()[..] {
        ["chiral", robot, "c2s", client] if RobotId::parse(robot).is_ok() => ClientId::parse(client),
        _ => None,
    }
}

/// The robot whose liveliness token it is; `None` if it is no such key.
pub fn robot_of(live: &str) -> Option<RobotId> {
    RobotId::parse(live.strip_prefix("chiral/")?.strip_suffix("/live")?).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn who_spoke_is_read_from_the_key() {
        let (robot, client) = (RobotId::parse("arm-1").unwrap(), ClientId::from_bits(0x6f1c));
        assert_eq!(client_of(&ZenohKeys::prefixed(&robot, &client).c2s), Some(client));
        assert_eq!(robot_of(&live_key(&robot)), Some(robot));
        for other in [LEGACY_C2S, "chiral/arm-1/c2s/x", "chiral/arm-1/s2c/0000000000006f1c", "a/b/c2s/0000000000006f1c"]
        {
            assert_eq!(client_of(other), None, "{other}");
        }
        for other in ["chiral/live", "chiral//live", "chiral/a/b/live", "chiral/arm 1/live"] {
            assert_eq!(robot_of(other), None, "{other}");
        }
    }

    #[test]
    fn robot_ids_cannot_change_the_meaning_of_a_key() {
        for id in ["", "a/b", "*", "**", "a$*", "a#", "é", &"x".repeat(65)] {
            assert!(RobotId::parse(id).is_err(), "{id}");
        }
        assert!(RobotId::parse(&"x".repeat(64)).is_ok() && RobotId::parse("A-1_b.c").is_ok());
    }
}
