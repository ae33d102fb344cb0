//! How a connection's datagrams travel: over a UDP socket, or over TCP with their lengths before them.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};

use mio::net::{TcpStream, UdpSocket};
use mio::{Interest, Registry, Token};
use str0m::Candidate;
use str0m::net::{Protocol, TcpType};

pub(super) enum Way {
    Udp(UdpSocket),
    Tcp { stream: TcpStream, other: SocketAddr, input: Vec<u8>, output: Vec<u8> },
}

impl Way {
    pub(super) fn udp(address: IpAddr) -> Self {
        Self::Udp(UdpSocket::bind(SocketAddr::new(address, 0)).unwrap())
    }

    pub(super) fn tcp(other: SocketAddr) -> Self {
        let stream = std::net::TcpStream::connect(other).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::Tcp { stream: TcpStream::from_std(stream), other, input: Vec::new(), output: Vec::new() }
    }

    pub(super) fn protocol(&self) -> Protocol {
        match self {
            Self::Udp(_) => Protocol::Udp,
            Self::Tcp { .. } => Protocol::Tcp,
        }
    }

    pub(super) fn local(&self) -> SocketAddr {
        match self {
            Self::Udp(socket) => socket.local_addr().unwrap(),
            Self::Tcp { stream, .. } => stream.local_addr().unwrap(),
        }
    }

    pub(super) fn candidate(&self) -> Candidate {
        match self {
            Self::Udp(_) => Candidate::host(self.local(), "udp").unwrap(),
            Self::Tcp { .. } => Candidate::builder().tcp().host(self.local()).tcptype(TcpType::Active).build().unwrap(),
        }
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) {
        match self {
            Self::Udp(socket) => registry.register(socket, token, Interest::READABLE).unwrap(),
            Self::Tcp { stream, .. } => {
                registry.register(stream, token, Interest::READABLE | Interest::WRITABLE).unwrap();
            }
        }
    }

    /// What cannot be sent is lost.
    pub(super) fn send(&mut self, datagram: &[u8], to: SocketAddr) {
        match self {
            Self::Udp(socket) => drop(socket.send_to(datagram, to)),
            Self::Tcp { other, output, .. } if *other == to => {
                output.extend(u16::try_from(datagram.len()).unwrap().to_be_bytes());
                output.extend_from_slice(datagram);
                self.write();
            }
            Self::Tcp { .. } => {}
        }
    }

    /// The next datagram and where it came from. `WouldBlock` is its only error.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.write();
        match self {
            Self::Udp(socket) => loop {
                match socket.recv_from(buffer) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(error),
                    // Answers of ports that nobody listens on.
                    Err(_) => {}
                    received => return received,
                }
            },
            Self::Tcp { stream, other, input, .. } => loop {
                if let Some((head, body)) = input.split_first_chunk::<2>()
                    && let Some((datagram, _)) = body.split_at_checked(usize::from(u16::from_be_bytes(*head)))
                {
                    let length = datagram.len();
                    buffer[..length].copy_from_slice(datagram);
                    input.drain(..2 + length);
                    return Ok((length, *other));
                }
                match stream.read(buffer) {
                    Ok(read) if read > 0 => input.extend_from_slice(&buffer[..read]),
                    _ => return Err(ErrorKind::WouldBlock.into()),
                }
            },
        }
    }

    fn write(&mut self) {
        let Self::Tcp { stream, output, .. } = self else { return };
        while !output.is_empty()
            && let Ok(written) = stream.write(output)
            && written > 0
        {
            output.drain(..written);
        }
    }
}
