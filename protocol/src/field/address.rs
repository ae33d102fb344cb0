//! What the page's own address says about the field: where its socket is, and how to take part.

use super::CharacterMode;

/// The port of the field's own listener.
pub const FIELD_PORT: u16 = 8765;

/// Where the field is if the page's parameters name neither a socket nor a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldHome {
    /// The path `/field` of the server that served the page.
    SameOrigin,
    /// [`FIELD_PORT`] of the host that served the page.
    OwnPort,
}

/// What the page's address asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldParameters {
    /// The address of the socket.
    pub socket: String,
    /// Where the world's origin lies for this user, m: `ox`, `oy`, `oz`.
    pub offset: [f64; 3],
    /// How many samples per second are sent, 1 to 90: `input_hz`.
    pub input_hz: f64,
    /// The character that is chosen at first: `mode`. One that exists only in a browser is none.
    pub mode: Option<CharacterMode>,
    /// Development features: `dev`.
    pub dev: bool,
}

/// A parameter of the page's address that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidParameter {
    /// `ws` is no address of a socket.
    #[error("the parameter ws must begin with ws:// or wss://")]
    Socket,
    /// `ws_port` is no port.
    #[error("the parameter ws_port must be a number from 1 to 65535")]
    Port,
    /// The parameter is no finite number.
    #[error("the parameter {0} must be a number")]
    Number(&'static str),
}

impl FieldParameters {
    /// Reads what the page's location says.
    ///
    /// `protocol` and `host` are those of the page, `https:` and `lab.example:8443`; `parameter` gives the decoded value of
    /// a parameter. `ws` counts before everything else. `ws_port` and `ws_insecure` mean a listener of its own, whatever
    /// `home` is. The scheme follows the page's, unless `ws_insecure` asks for a plain one.
    ///
    /// # Errors
    /// [`InvalidParameter`] names the one that means nothing.
    pub fn read(
        protocol: &str,
        host: &str,
        home: FieldHome,
        parameter: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, InvalidParameter> {
        let given = |name: &str| parameter(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let flag = |name| given(name).is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"));
        let number = |name| match given(name) {
            None => Ok(None),
            Some(text) => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Some(number)),
                _ => Err(InvalidParameter::Number(name)),
            },
        };

        let port = match given("ws_port") {
            None => None,
            Some(text) => Some(text.parse().ok().filter(|port| *port != 0).ok_or(InvalidParameter::Port)?),
        };
        let plain = flag("ws_insecure");
        let scheme = if protocol == "https:" && !plain { "wss" } else { "ws" };
        let socket = match (given("ws"), port, home) {
            (Some(socket), ..) if socket.starts_with("ws://") || socket.starts_with("wss://") => socket,
            (Some(_), ..) => return Err(InvalidParameter::Socket),
            (None, None, FieldHome::SameOrigin) if !plain => format!("{scheme}://{host}/field"),
            (None, port, _) => format!("{scheme}://{}:{}", without_port(host), port.unwrap_or(FIELD_PORT)),
        };
        Ok(Self {
            socket,
            offset: [number("ox")?.unwrap_or(0.0), number("oy")?.unwrap_or(0.0), number("oz")?.unwrap_or(0.0)],
            input_hz: number("input_hz")?.unwrap_or(30.0).clamp(1.0, 90.0),
            mode: given("mode").and_then(|name| CharacterMode::from_name(&name)),
            dev: flag("dev"),
        })
    }
}

/// The host of `host:port`; an IPv6 address keeps its brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(host: &str, home: FieldHome, query: &str) -> Result<FieldParameters, InvalidParameter> {
        let pairs: Vec<(&str, &str)> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        FieldParameters::read("https:", host, home, |name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_field_is_where_the_page_came_from_unless_a_port_is_asked_for() {
        for (query, socket) in [
            ("", "wss://lab.example:8000/field"),
            ("ws_port=9000", "wss://lab.example:9000"),
            ("ws_insecure=true", "ws://lab.example:8765"),
            ("ws_insecure=1&ws_port=9000", "ws://lab.example:9000"),
            ("ws_insecure=0", "wss://lab.example:8000/field"),
            ("ws=ws://other:1/x&ws_port=9000", "ws://other:1/x"),
        ] {
            let parameters = read("lab.example:8000", FieldHome::SameOrigin, query).unwrap();
            assert_eq!(parameters.socket, socket, "{query}");
        }
    }

    #[test]
    fn every_form_of_a_host_loses_its_port() {
        for (host, socket) in [
            ("lab", "wss://lab:8765"),
            ("10.0.0.7:8443", "wss://10.0.0.7:8765"),
            ("[::1]", "wss://[::1]:8765"),
            ("[::1]:8443", "wss://[::1]:8765"),
        ] {
            assert_eq!(read(host, FieldHome::OwnPort, "").unwrap().socket, socket);
        }
    }

    #[test]
    fn the_other_parameters_have_defaults_and_bounds() {
        let parameters = |query| read("lab", FieldHome::SameOrigin, query).unwrap();
        let none = parameters("");
        assert_eq!((none.offset, none.input_hz, none.mode, none.dev), ([0.0; 3], 30.0, None, false));
        let all = parameters("ox=0.5&oy=-1&oz=2e-1&input_hz=72&mode=spirobs&dev=1");
        assert_eq!((all.offset, all.input_hz, all.dev), ([0.5, -1.0, 0.2], 72.0, true));
        assert_eq!(all.mode, Some(CharacterMode::Spirobs));
        assert_eq!(parameters("input_hz=0").input_hz, 1.0);
        assert_eq!(parameters("input_hz=1000").input_hz, 90.0);
        assert_eq!(parameters("mode=demo-spline").mode, None);
    }

    #[test]
    fn what_means_nothing_is_refused_by_name() {
        for (query, text) in [
            ("ws=http://lab", "the parameter ws must begin with ws:// or wss://"),
            ("ws_port=0", "the parameter ws_port must be a number from 1 to 65535"),
            ("ws_port=65536", "the parameter ws_port must be a number from 1 to 65535"),
            ("oy=high", "the parameter oy must be a number"),
            ("ox=nan", "the parameter ox must be a number"),
            ("input_hz=inf", "the parameter input_hz must be a number"),
        ] {
            assert_eq!(read("lab", FieldHome::SameOrigin, query).unwrap_err().to_string(), text);
        }
    }
}
