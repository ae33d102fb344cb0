//! The configuration of the Zenoh session.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zenoh::Config;

use crate::Options;

/// Batches of 64 KiB that a link may have on their way; the most that Zenoh allows. A picture has a hundred of them.
const BATCHES: u32 = 16;

/// Bytes that a link receives before it allocates. With room for a whole observation nothing is allocated for each.
const RECEIVE_BUFFER: u32 = 16 << 20;

/// Room for what Zenoh adds to a message.
const OVERHEAD: usize = 64 << 10;

/// A peer that connects to `locator` and to nobody else, unless the options say so.
pub(super) fn config(locator: &str, options: &Options) -> Result<Config, String> {
    // What is longer is dropped by Zenoh, and the call that waits for it runs into its time-out.
    let limit = options.max_message.saturating_add(OVERHEAD);
    let (mut config, own) = match &options.zenoh_config {
        Some(text) => (Config::from_json5(text).map_err(|error| format!("Zenoh configuration: {error}"))?, true),
        None => (Config::default(), false),
    };
    let mut set = |key: &str, value: &str| {
        config.insert_json5(key, value).map_err(|error| format!("Zenoh configuration, {key}: {error}"))
    };
    set("connect/endpoints", &format!("[{locator:?}]"))?;
    set("transport/link/rx/max_message_size", &limit.to_string())?;
    if let Some(pem) = &options.zenoh_ca {
        set("transport/link/tls/root_ca_certificate_base64", &format!("{:?}", STANDARD.encode(pem)))?;
    }
    if !own {
        set("mode", "\"peer\"")?;
        set("listen/endpoints", "[]")?;
        set("scouting/multicast/enabled", "false")?;
        set("scouting/gossip/enabled", "false")?;
        set("connect/retry", "{ period_init_ms: 100, period_max_ms: 500, period_increase_factor: 2 }")?;
        set("transport/shared_memory/enabled", "false")?;
        set("transport/link/rx/buffer_size", &RECEIVE_BUFFER.to_string())?;
        for priority in ["data", "real_time"] {
            set(&format!("transport/link/tx/queue/size/{priority}"), &BATCHES.to_string())?;
        }
    }
    Ok(config)
}

/// Batches that a link has for requests, but for a few that Zenoh may need itself.
pub(super) fn room(config: &Config) -> u64 {
    let batches = config.get_json("transport/link/tx/queue/size/data").ok().and_then(|text| text.parse().ok());
    batches.map_or(0, |batches: u64| batches - batches.div_ceil(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_what_the_configuration_says_but_for_a_quarter() {
        let own =
            |text: &str| config("tcp/h:1", &Options { zenoh_config: Some(text.to_owned()), ..Options::default() });
        assert_eq!(room(&config("tcp/h:1", &Options::default()).unwrap()), 12);
        assert_eq!(room(&own("{}").unwrap()), 1, "two by default");
        assert_eq!(room(&own("{ transport: { link: { tx: { queue: { size: { data: 1 } } } } } }").unwrap()), 0);
    }

    #[test]
    fn a_client_connects_to_its_robot_and_looks_for_nobody_else() {
        let config = config("tcp/localhost:7447", &Options::default()).unwrap();
        for (key, expected) in [
            ("mode", "\"peer\""),
            ("connect/endpoints", "[\"tcp/localhost:7447\"]"),
            ("listen/endpoints", "[]"),
            ("scouting/multicast/enabled", "false"),
            ("scouting/gossip/enabled", "false"),
        ] {
            assert_eq!(config.get_json(key).unwrap(), expected, "{key}");
        }
    }

    #[test]
    fn a_configuration_of_the_users_own_keeps_its_discovery() {
        let text = "{ mode: \"client\", scouting: { multicast: { enabled: true } } }";
        let own =
            |text: &str| config("tcp/h:1", &Options { zenoh_config: Some(text.to_owned()), ..Options::default() });
        let config = own(text).unwrap();
        assert_eq!(config.get_json("mode").unwrap(), "\"client\"");
        assert_eq!(config.get_json("scouting/multicast/enabled").unwrap(), "true");
        assert_eq!(config.get_json("connect/endpoints").unwrap(), "[\"tcp/h:1\"]");
        assert!(own("{").unwrap_err().starts_with("Zenoh configuration"));
    }
}
