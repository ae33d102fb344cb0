//! LCM over UDP multicast: what is published here, every LCM program of the network group hears by its channel's name.
//!
//! Only publishing. A message is one datagram, or fragments if it is larger than one; whatever cannot be sent at once is
//! left out, since nobody would be told of it anyway.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::str::FromStr;
use std::sync::Mutex;

use socket2::{Domain, Protocol, Socket, Type};

/// Begins a message of one datagram: `LC02`.
const SHORT: u32 = 0x4c43_3032;
/// Begins a fragment of a larger one: `LC03`.
const FRAGMENT: u32 = 0x4c43_3033;
/// Channel, its NUL and payload of a message of one datagram, bytes.
const MAX_SHORT: usize = 65_499;
/// The same of one fragment.
const MAX_FRAGMENT: usize = 65_487;
/// The longest name of a channel, bytes.
pub const MAX_CHANNEL: usize = 63;
/// The largest message that is published, bytes.
pub const MAX_MESSAGE: usize = 16 << 20;

/// Where LCM programs meet: `udpm://239.255.76.67:7667?ttl=0`.
///
/// With a time to live of 0 (the default) messages stay on this computer, with 1 in its network. `interface`, an address
/// of this computer, chooses the network; LCM itself does not know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LcmUrl {
    /// Multicast group and port.
    pub group: SocketAddrV4,
    /// How far messages go.
    pub ttl: u8,
    /// The network they leave through; `None` as the routes say.
    pub interface: Option<Ipv4Addr>,
}

impl Default for LcmUrl {
    fn default() -> Self {
        Self { group: SocketAddrV4::new(Ipv4Addr::new(239, 255, 76, 67), 7667), ttl: 0, interface: None }
    }
}

/// Why an address is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LcmUrlError {
    /// Another kind of address.
    #[error("no LCM over UDP multicast; write it as udpm://239.255.76.67:7667?ttl=0")]
    Scheme,
    /// Host and port are none, or no multicast group.
    #[error("`{0}` is no multicast group with a port, such as 239.255.76.67:7667")]
    Group(String),
    /// A part after the question mark.
    #[error("`{0}` is none of ttl=0…255 and interface=ADDRESS")]
    Option(String),
}

impl FromStr for LcmUrl {
    type Err = LcmUrlError;

    fn from_str(text: &str) -> Result<Self, LcmUrlError> {
        let rest = text.strip_prefix("udpm://").ok_or(LcmUrlError::Scheme)?;
        let (group, options) = rest.split_once('?').unwrap_or((rest, ""));
        let mut url = Self::default();
        if !group.is_empty() {
            url.group = group
                .parse()
                .ok()
                .filter(|group: &SocketAddrV4| group.ip().is_multicast() && group.port() != 0)
                .ok_or_else(|| LcmUrlError::Group(group.to_owned()))?;
        }
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let wrong = || LcmUrlError::Option(option.to_owned());
            match option.split_once('=') {
                Some(("ttl", ttl)) => url.ttl = ttl.parse().map_err(|_| wrong())?,
                Some(("interface", address)) => url.interface = Some(address.parse().map_err(|_| wrong())?),
                // Receivers' business.
                Some(("recv_buf_size", _)) => {}
                _ => return Err(wrong()),
            }
        }
        Ok(url)
    }
}

impl fmt::Display for LcmUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "udpm://{}?ttl={}", self.group, self.ttl)?;
        self.interface.map_or(Ok(()), |address| write!(f, "&interface={address}"))
    }
}

/// Publishes. Shared by all who do, so that its messages are numbered in one row.
#[derive(Debug)]
pub struct LcmPublisher {
    socket: UdpSocket,
    group: SocketAddrV4,
    sequence: Mutex<u32>,
}

impl LcmPublisher {
    /// A publisher to this group.
    ///
    /// # Errors
    /// If the system has no such socket or interface.
    pub fn open(url: &LcmUrl) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_multicast_ttl_v4(url.ttl.into())?;
        socket.set_multicast_loop_v4(true)?;
        socket.set_nonblocking(true)?;
        // Fragments of a large message leave together.
        socket.set_send_buffer_size(4 << 20)?;
        if let Some(address) = url.interface {
            socket.set_multicast_if_v4(&address)?;
        }
        Ok(Self { socket: socket.into(), group: url.group, sequence: Mutex::new(0) })
    }

    /// Publishes a message, fingerprint first, on a channel.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a name longer than [`MAX_CHANNEL`], with a NUL or empty, or a message larger than
    /// [`MAX_MESSAGE`]; otherwise what the system says, [`io::ErrorKind::WouldBlock`] if too much waits already.
    pub fn publish(&self, channel: &str, message: &[u8]) -> io::Result<()> {
        let refuse = |text| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        if channel.is_empty() || channel.len() > MAX_CHANNEL || channel.contains('\0') {
            return refuse("the name of an LCM channel has 1 to 63 bytes and no NUL");
        }
        if message.len() > MAX_MESSAGE {
            return refuse("an LCM message has at most 16 MiB");
        }
        // Also held while sending: fragments of two messages do not mix, and numbers leave in order.
        let mut sequence = self.sequence.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let number = *sequence;
        *sequence = number.wrapping_add(1);
        let mut sent = Ok(());
        datagrams(number, channel, message, |datagram| {
            if sent.is_ok() {
                sent = self.socket.send_to(datagram, self.group).map(drop);
            }
        });
        sent
    }
}

/// The datagrams of a message, one after the other.
fn datagrams(number: u32, channel: &str, message: &[u8], mut send: impl FnMut(&[u8])) {
    let name = channel.len() + 1;
    let mut datagram = Vec::with_capacity((name + message.len()).min(MAX_SHORT) + 20);
    if name + message.len() <= MAX_SHORT {
        datagram.extend_from_slice(&SHORT.to_be_bytes());
        datagram.extend_from_slice(&number.to_be_bytes());
        datagram.extend_from_slice(channel.as_bytes());
        datagram.push(0);
        datagram.extend_from_slice(message);
        return send(&datagram);
    }
    let count = (name + message.len()).div_ceil(MAX_FRAGMENT);
    let (mut offset, mut room) = (0, MAX_FRAGMENT - name);
    for fragment in 0..count {
        let part = &message[offset..message.len().min(offset + room)];
        datagram.clear();
        for word in [FRAGMENT, number, message.len() as u32, offset as u32] {
            datagram.extend_from_slice(&word.to_be_bytes());
        }
        for half in [fragment as u16, count as u16] {
            datagram.extend_from_slice(&half.to_be_bytes());
        }
        if fragment == 0 {
            datagram.extend_from_slice(channel.as_bytes());
            datagram.push(0);
        }
        datagram.extend_from_slice(part);
        send(&datagram);
        offset += part.len();
        room = MAX_FRAGMENT;
    }
}

#[cfg(test)]
mod tests;
