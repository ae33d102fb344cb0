//! What a person sees on stdout once the robot can be reached.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::net::{IpAddr, SocketAddr, UdpSocket};

use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

use crate::http::Access;
use crate::serve::PolicyPlaces;
use crate::tls::{Identity, Names};

/// Prints the addresses to open, a QR code of the best one if a person looks on, and the certificate's fingerprint.
///
/// # Errors
/// If stdout cannot be written.
pub fn welcome(
    listening: SocketAddr,
    access: &Access,
    identity: &Identity,
    policies: &PolicyPlaces,
    field: Option<(SocketAddr, &str)>,
) -> io::Result<()> {
    let names = Names::of_this_machine();
    let links = Links::new(listening, &names, preferred(), access.token());
    let mut text = links.to_text();
    text += &policies_in_words(policies, &names, preferred(), access.token());
    text += &field_in_words(field, &names, preferred(), access.token());
    let mut stdout = io::stdout().lock();
    if stdout.is_terminal()
        && let Some(qr) = links.others.first().and_then(|link| qr(link))
    {
        text += &format!("\n{qr}");
    }
    let _ = write!(text, "\nBrowsers ask about the certificate, SHA-256\n  {}\n", identity.fingerprint());
    if access.token().is_none() {
        text += "\nOpen to everybody in the network: no token is asked for.\n";
    }
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Where policies connect to.
fn policies_in_words(places: &PolicyPlaces, names: &Names, preferred: Option<IpAddr>, token: Option<&str>) -> String {
    let mut text = String::new();
    if let Some(listening) = places.websocket {
        let scheme = if places.tls { "wss" } else { "ws" };
        text += &sockets_at(listening, scheme, names, preferred, token);
    }
    if let Some(zenoh) = &places.zenoh {
        let _ = writeln!(text, "  {zenoh}  over Zenoh, which asks for no token");
    }
    if text.is_empty() { text } else { format!("\nPolicies connect to\n\n{text}") }
}

/// Where clients of the field connect to that know no path.
fn field_in_words(
    listening: Option<(SocketAddr, &str)>,
    names: &Names,
    preferred: Option<IpAddr>,
    token: Option<&str>,
) -> String {
    listening.map_or_else(String::new, |(listening, scheme)| {
        format!("\nClients of the field connect to\n\n{}", sockets_at(listening, scheme, names, preferred, token))
    })
}

/// The best address of a port of WebSockets, and the one for this computer.
fn sockets_at(
    listening: SocketAddr,
    scheme: &str,
    names: &Names,
    preferred: Option<IpAddr>,
    token: Option<&str>,
) -> String {
    let mut text = String::new();
    let links = Links::new(listening, names, preferred, None);
    let query = token.map_or_else(String::new, |token| format!("?token={token}"));
    let best = links.others.first().map(|link| format!("{}{query}", link.replacen("https", scheme, 1)));
    let here = links.here.map(|link| format!("{}  on this computer", link.replacen("https", scheme, 1)));
    for link in best.into_iter().chain(here) {
        let _ = writeln!(text, "  {link}");
    }
    text
}

/// Addresses to open, the best one first.
struct Links {
    /// For other machines.
    others: Vec<String>,
    /// For this one.
    here: Option<String>,
}

impl Links {
    fn new(listening: SocketAddr, names: &Names, preferred: Option<IpAddr>, token: Option<&str>) -> Self {
        let (bound, port) = (listening.ip(), listening.port());
        let fragment = token.map_or_else(String::new, |token| format!("#token={token}"));
        let link = |ip: IpAddr| format!("https://{}/{fragment}", SocketAddr::new(ip, port));
        let everywhere = bound.is_unspecified();
        let mut others: Vec<IpAddr> = match bound {
            _ if bound.is_loopback() => Vec::new(),
            _ if everywhere => names.addresses().filter(|ip| bound.is_ipv6() || ip.is_ipv4()).collect(),
            _ => vec![bound],
        };
        others.sort_by_key(|ip| (Some(*ip) != preferred, ip.is_ipv6(), *ip));
        let mut others: Vec<String> = others.into_iter().map(link).collect();
        if everywhere {
            others.extend(names.local_host().map(|host| format!("https://{host}:{port}/{fragment}")));
        }
        let here = match bound {
            _ if everywhere => Some(format!("https://localhost:{port}/")),
            _ if bound.is_loopback() => Some(format!("https://{listening}/")),
            _ => None,
        };
        Self { others, here }
    }

    fn to_text(&self) -> String {
        let mut text = String::from("\nWaldo is ready. ");
        text += if self.others.is_empty() {
            "Only this computer can reach it (--bind chooses the address):\n\n"
        } else {
            "Open in the headset, or in a browser:\n\n"
        };
        for link in &self.others {
            let _ = writeln!(text, "  {link}");
        }
        if let Some(link) = &self.here {
            let _ = writeln!(text, "  {link}  on this computer");
        }
        text
    }
}

/// The address that most of the network knows this machine by. Nothing is sent to find out.
fn preferred() -> Option<IpAddr> {
    // An address for documentation: any that is not local chooses the default route.
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Two modules per character, in black on white whatever the terminal's colours.
fn qr(text: &str) -> Option<String> {
    const BLACK_ON_WHITE: &str = "\x1b[38;5;16;48;5;231m";
    let picture = QrCode::new(text).ok()?.render::<Dense1x2>().build();
    Some(picture.lines().map(|line| format!("  {BLACK_ON_WHITE}{line}\x1b[0m\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(listening: &str, token: Option<&str>) -> Links {
        let addresses = ["10.0.0.7", "192.168.1.5", "fd00::5"].map(|ip| ip.parse().unwrap());
        Links::new(
            listening.parse().unwrap(),
            &Names::new("robot", addresses),
            Some("192.168.1.5".parse().unwrap()),
            token,
        )
    }

    #[test]
    fn the_address_of_the_default_route_comes_first_with_the_token_as_fragment() {
        let links = links("0.0.0.0:8000", Some("T"));
        let expected = [
            "https://192.168.1.5:8000/#token=T",
            "https://10.0.0.7:8000/#token=T",
            "https://robot.local:8000/#token=T",
        ];
        assert_eq!(links.others, expected);
        assert_eq!(links.here.as_deref(), Some("https://localhost:8000/"));
    }

    #[test]
    fn only_addresses_that_are_listened_on_are_shown() {
        assert_eq!(links("10.0.0.7:1", None).others, ["https://10.0.0.7:1/"]);
        assert_eq!(links("10.0.0.7:1", None).here, None);
        assert!(links("[::]:1", None).others.contains(&"https://[fd00::5]:1/".to_owned()));
        let loopback = links("127.0.0.1:1", Some("T"));
        assert!(loopback.others.is_empty());
        assert_eq!(loopback.here.as_deref(), Some("https://127.0.0.1:1/"));
        assert!(loopback.to_text().contains("Only this computer"));
    }

    #[test]
    fn policies_are_told_the_best_address_with_the_token_and_the_one_of_this_computer() {
        let names = Names::new("robot", ["192.168.1.5".parse().unwrap()]);
        let said = |websocket: Option<&str>, tls, zenoh: Option<&str>, token| {
            let websocket = websocket.map(|a| a.parse().unwrap());
            let places = PolicyPlaces { websocket, tls, zenoh: zenoh.map(str::to_owned) };
            policies_in_words(&places, &names, None, token)
        };
        let words = |websocket, zenoh, token| said(websocket, false, zenoh, token);
        let both = words(Some("0.0.0.0:8765"), Some("tcp/127.0.0.1:7447"), Some("T"));
        assert!(both.contains("  ws://192.168.1.5:8765/?token=T\n"), "{both}");
        assert!(both.contains("  ws://localhost:8765/  on this computer\n"), "{both}");
        assert!(both.contains("  tcp/127.0.0.1:7447  over Zenoh"), "{both}");
        assert!(words(Some("0.0.0.0:8765"), None, None).contains("  ws://192.168.1.5:8765/\n"));
        assert_eq!(words(None, None, Some("T")), "");
        let encrypted = said(Some("0.0.0.0:8765"), true, None, Some("T"));
        assert!(encrypted.contains("  wss://192.168.1.5:8765/?token=T\n"), "{encrypted}");
        assert!(encrypted.contains("  wss://localhost:8765/  on this computer\n"), "{encrypted}");
        let field = |place| field_in_words(place, &names, None, Some("T"));
        assert!(field(Some(("0.0.0.0:9".parse().unwrap(), "wss"))).contains("  wss://192.168.1.5:9/?token=T\n"));
        assert_eq!(field(None), "");
    }

    #[test]
    fn the_code_shows_every_module_dark_on_light_with_a_quiet_zone() {
        let text = "https://192.168.100.100:8000/#token=abcdefghijklmnopqrstuvwx";
        let code = QrCode::new(text).unwrap();
        let picture = qr(text).unwrap();
        let mut rows = Vec::new();
        for line in picture.lines() {
            let cells = line.strip_prefix("  \x1b[38;5;16;48;5;231m").unwrap().strip_suffix("\x1b[0m").unwrap();
            rows.push(cells.chars().map(|c| matches!(c, '█' | '▀')).collect::<Vec<_>>());
            rows.push(cells.chars().map(|c| matches!(c, '█' | '▄')).collect());
        }
        let width = code.width();
        let dark: Vec<bool> = code.to_colors().iter().map(|color| *color == qrcode::Color::Dark).collect();
        for (y, row) in rows.iter().enumerate() {
            for (x, shown) in row.iter().enumerate() {
                let inside = (4..width + 4).contains(&x) && (4..width + 4).contains(&y);
                let expected = inside && dark[(y - 4) * width + x - 4];
                assert_eq!(*shown, expected, "module {x}, {y}");
            }
        }
        assert!(rows.len() >= width + 8);
    }
}
