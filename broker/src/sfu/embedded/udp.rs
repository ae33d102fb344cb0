//! The one UDP socket of the engine, read and written many datagrams at a time.

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};

use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};
use str0m::net::Transmit;

/// What the kernel keeps for us in each direction while we are busy.
const KERNEL_BUFFER: usize = 4 << 20;

/// Bytes that one system call hands over as several datagrams.
const SEGMENTS: usize = 60_000;

/// Room for what one read may bring as one piece.
const PIECE: usize = 64 << 10;

pub(super) struct Udp {
    socket: mio::net::UdpSocket,
    state: UdpSocketState,
    /// What peers are told; the source of what we send, where an interface has it.
    announced: Vec<SocketAddr>,
    local: Vec<IpAddr>,
    buffers: Vec<u8>,
    packed: Vec<u8>,
    readable: bool,
    /// Datagrams that the system did not take.
    pub(super) lost: u64,
}

impl Udp {
    pub(super) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    pub(super) fn new(socket: UdpSocket, announced: Vec<SocketAddr>, local: Vec<IpAddr>) -> io::Result<Self> {
        let state = UdpSocketState::new((&socket).into())?;
        // Best effort: the system's limits decide.
        let _ = state.set_recv_buffer_size((&socket).into(), KERNEL_BUFFER);
        let _ = state.set_send_buffer_size((&socket).into(), KERNEL_BUFFER);
        let socket = mio::net::UdpSocket::from_std(socket);
        let buffers = vec![0; PIECE * BATCH_SIZE];
        Ok(Self { socket, state, announced, local, buffers, packed: Vec::new(), readable: true, lost: 0 })
    }

    pub(super) fn source(&mut self) -> &mut mio::net::UdpSocket {
        &mut self.socket
    }

    /// Something has come.
    pub(super) fn wake(&mut self) {
        self.readable = true;
    }

    /// Whether there may be more to read.
    pub(super) fn is_readable(&self) -> bool {
        self.readable
    }

    /// Reads once, and hands over each datagram with where it came from and which of the announced addresses it came to.
    pub(super) fn read(&mut self, mut take: impl FnMut(SocketAddr, SocketAddr, &[u8])) {
        let mut meta = [RecvMeta::default(); BATCH_SIZE];
        let mut slices: Vec<IoSliceMut<'_>> = self.buffers.chunks_exact_mut(PIECE).map(IoSliceMut::new).collect();
        let read = self.state.recv((&self.socket).into(), &mut slices, &mut meta);
        drop(slices);
        let count = match read {
            Ok(count) => count,
            Err(error) => {
                self.readable = error.kind() == ErrorKind::Interrupted;
                return;
            }
        };
        for (meta, buffer) in meta.iter().zip(self.buffers.chunks_exact(PIECE)).take(count) {
            let Some(destination) = destination(&self.announced, meta.dst_ip, meta.addr) else { continue };
            for datagram in buffer[..meta.len].chunks(meta.stride.max(1)) {
                take(canonical(meta.addr), destination, datagram);
            }
        }
    }

    /// Sends all, what goes to the same peer in one call. What the system does not take is lost, as on any network.
    pub(super) fn send(&mut self, transmits: &[Transmit]) {
        let most = self.state.max_gso_segments();
        let mut rest = transmits;
        while let Some(first) = rest.first() {
            let size = first.contents.len();
            let mut count = 1;
            let mut total = size;
            while let Some(next) = rest.get(count) {
                let fits = next.destination == first.destination
                    && next.source == first.source
                    && next.contents.len() <= size
                    && count < most
                    && total + next.contents.len() <= SEGMENTS;
                if !fits {
                    break;
                }
                total += next.contents.len();
                count += 1;
                // Only the last may be shorter.
                if next.contents.len() < size {
                    break;
                }
            }
            let (group, later) = rest.split_at(count);
            rest = later;
            let src_ip = Some(first.source.ip()).filter(|ip| self.local.contains(ip));
            let contents = if count == 1 {
                &first.contents[..]
            } else {
                self.packed.clear();
                for transmit in group {
                    self.packed.extend_from_slice(&transmit.contents);
                }
                &self.packed[..]
            };
            let transmit = quinn_udp::Transmit {
                destination: first.destination,
                ecn: None,
                contents,
                segment_size: (count > 1).then_some(size),
                src_ip,
            };
            if self.state.try_send((&self.socket).into(), &transmit).is_err() {
                self.lost += count as u64;
            }
        }
    }
}

/// Which of the announced addresses a datagram came to. Behind address translation it is the first of its family.
pub(super) fn destination(announced: &[SocketAddr], to: Option<IpAddr>, from: SocketAddr) -> Option<SocketAddr> {
    let to = to.map(|ip| ip.to_canonical());
    announced
        .iter()
        .find(|address| Some(address.ip()) == to)
        .or_else(|| announced.iter().find(|address| address.is_ipv4() == canonical(from).is_ipv4()))
        .copied()
}

/// An IPv4 address as such, also where the socket speaks both families.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
