//! Settings of the policy wire over Zenoh.

use std::path::PathBuf;

use zenoh::Config;

/// Room for what Zenoh adds to a message, bytes.
const OVERHEAD: usize = 64 << 10;

/// Batches of 64 KiB that may be on their way to one client; the most that Zenoh allows. An observation has a hundred of
/// them, and with the default of two its threads wait for each other fifty times.
const BATCHES: u32 = 16;

/// Settings of the policy wire over Zenoh.
#[derive(Clone, Debug)]
pub struct ZenohConfig {
    /// Locators to listen on. Default: `tcp/0.0.0.0:7447`.
    pub listen: Vec<String>,
    /// Locators of routers or peers to connect to. Default: none. With one, others are found by hearsay too.
    pub connect: Vec<String>,
    /// Whether to look for others by multicast and by hearsay, and to be found. Default: no, so that a robot is alone with
    /// those who know its address.
    pub scouting: bool,
    /// Whether to serve the keys of the original, `chiral/c2s` and `chiral/s2c`, which all clients and robots on a network
    /// share. Default: yes. As soon as another robot is seen there, nothing that comes over them moves this one.
    pub legacy: bool,
    /// Certificate and key of the locators `tls/…`. Default: those of `text`, if it names any.
    pub tls: Option<ZenohTls>,
    /// A configuration of Zenoh (JSON5) to start from, for its access control, interfaces and buffers. What is said above
    /// counts more, except that `scouting: false` leaves the text's discovery as it is. Default: none.
    pub text: Option<String>,
}

/// What encrypts the policy wire over Zenoh: PEM files, which are read when the service starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZenohTls {
    /// The certificate chain, the leaf first. Clients trust it, or the authority that signed it.
    pub certfile: PathBuf,
    /// Its private key.
    pub keyfile: PathBuf,
}

impl Default for ZenohConfig {
    fn default() -> Self {
        Self {
            listen: vec!["tcp/0.0.0.0:7447".to_owned()],
            connect: Vec::new(),
            scouting: false,
            legacy: true,
            tls: None,
            text: None,
        }
    }
}

impl ZenohConfig {
    /// As a configuration of Zenoh; messages from clients may have `max_message` bytes.
    pub(super) fn settings(&self, max_message: usize) -> Result<Config, String> {
        let mut config = match &self.text {
            Some(text) => Config::from_json5(text).map_err(|error| error.to_string())?,
            None => Config::default(),
        };
        let mut set = |key: &str, value: &str| {
            config.insert_json5(key, value).map_err(|error| format!("{key} cannot be {value}: {error}"))
        };
        set("listen/endpoints", &serde_json::json!(self.listen).to_string())?;
        set("connect/endpoints", &serde_json::json!(self.connect).to_string())?;
        set("transport/link/rx/max_message_size", &max_message.saturating_add(OVERHEAD).to_string())?;
        if let Some(ZenohTls { certfile, keyfile }) = &self.tls {
            set("transport/link/tls/listen_certificate", &serde_json::json!(certfile).to_string())?;
            set("transport/link/tls/listen_private_key", &serde_json::json!(keyfile).to_string())?;
        }
        if self.text.is_none() || self.scouting {
            set("scouting/multicast/enabled", &self.scouting.to_string())?;
            // Without hearsay a peer learns nothing of those behind a router.
            set("scouting/gossip/enabled", &(self.scouting || !self.connect.is_empty()).to_string())?;
        }
        if self.text.is_none() {
            set("mode", "\"peer\"")?;
            set("transport/link/tx/queue/size/data", &BATCHES.to_string())?;
            set("transport/shared_memory/enabled", "false")?;
        }
        Ok(config)
    }
}

/// Whether somebody behind a router would not be seen, though others reach both.
pub(super) fn is_blind(config: &Config) -> bool {
    let is = |key, value: &str| config.get_json(key).is_ok_and(|text| text == value);
    is("scouting/gossip/enabled", "false") && is("mode", "\"peer\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(config: &Config, key: &str) -> String {
        config.get_json(key).unwrap()
    }

    #[test]
    fn a_robot_listens_on_the_port_of_the_original_and_looks_for_nobody() {
        let config = ZenohConfig::default().settings(1 << 20).unwrap();
        assert_eq!(value(&config, "listen/endpoints"), r#"["tcp/0.0.0.0:7447"]"#);
        assert_eq!(value(&config, "mode"), r#""peer""#);
        for found_by in ["scouting/multicast/enabled", "scouting/gossip/enabled"] {
            assert_eq!(value(&config, found_by), "false", "{found_by}");
        }
        assert!(is_blind(&config));
        let connect = vec!["tcp/router:7447".to_owned()];
        assert!(!is_blind(&ZenohConfig { connect, ..ZenohConfig::default() }.settings(1).unwrap()));
    }

    #[test]
    fn a_text_is_kept_where_nothing_else_is_said() {
        let text = r#"{ mode: "client", scouting: { multicast: { ttl: 3 } }, listen: { endpoints: ["tcp/[::]:1"] } }"#;
        let config = ZenohConfig { text: Some(text.to_owned()), ..ZenohConfig::default() }.settings(1).unwrap();
        assert_eq!(value(&config, "mode"), r#""client""#);
        assert_eq!(value(&config, "scouting/multicast/ttl"), "3");
        assert_eq!(value(&config, "listen/endpoints"), r#"["tcp/0.0.0.0:7447"]"#);
    }

    #[test]
    fn nonsense_is_refused_with_its_place() {
        let refused = |config: ZenohConfig| config.settings(1).unwrap_err();
        assert!(refused(ZenohConfig { text: Some("{".to_owned()), ..ZenohConfig::default() }).len() > 5);
        let listen = vec!["7447".to_owned()];
        assert!(refused(ZenohConfig { listen, ..ZenohConfig::default() }).contains("listen/endpoints"));
    }
}
