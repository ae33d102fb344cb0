//! Peers whose network lets no UDP through, and strangers at the port for them.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use str0m::media::MediaKind;
use waldo_broker::sfu::embedded::{Embedded, Settings};
use waldo_broker::sfu::{Engine, PeerKind};

use crate::media::{attach, expect_picture, stream};
use crate::peer::{PATIENCE, Peer, Wanted};
use crate::{Pair, engine, join};

fn by(tcp: bool, wanted: &Wanted, engine: &Embedded) -> (Peer, String) {
    if tcp { Peer::offering_by_tcp(wanted, engine.addresses()[0]) } else { Peer::offering(wanted) }
}

async fn pair(engine: &Embedded, robot: bool, operator: bool) -> Pair {
    let (robot, robot_id) = join(engine, PeerKind::Robot, "a", by(robot, &Wanted::robot(), engine)).await;
    let (operator, operator_id) =
        join(engine, PeerKind::Operator, "a", by(operator, &Wanted::operator(), engine)).await;
    Pair { robot, robot_id, operator, operator_id }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_and_pictures_go_by_tcp_where_there_is_nothing_else() {
    for (robot, operator) in [(true, true), (false, true), (true, false)] {
        let engine = engine();
        let mut pair = pair(&engine, robot, operator).await;
        pair.bridge(&engine, 1).await;
        pair.flows().await;
        for index in 0..50 {
            pair.operator.send("cmd_unreliable", true, format!("{index}")).await;
            assert_eq!(pair.robot.message().await.2, format!("{index}").into_bytes());
        }
        let map = vec![0x42; 60_000];
        pair.robot.send("map_unreliable", true, map.clone()).await;
        assert_eq!(pair.operator.message().await.2, map);
        assert_eq!(attach(&engine, &pair).await, None);
        let ((), ()) = tokio::join!(stream(&pair.robot, MediaKind::Video, 100), expect_picture(&mut pair.operator, 80));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_section_of_an_answer_names_the_tcp_port_too() {
    let with = engine();
    let (_peer, offer) = Peer::robot();
    let (_, answer) = with.create_peer(crate::new(PeerKind::Robot, "a", offer.clone())).await.unwrap();
    let port = with.addresses()[0].port();
    let sections: Vec<&str> = answer.split("m=").skip(1).collect();
    assert_eq!(sections.len(), 3);
    for section in sections {
        let candidate = section.lines().find(|line| line.starts_with("a=candidate:") && line.contains(" tcp "));
        let candidate = candidate.unwrap_or_else(|| panic!("{section}"));
        assert!(candidate.contains(&format!("127.0.0.1 {port} typ host tcptype passive")), "{candidate}");
    }
    let without = Embedded::start(&Settings { tcp: false, ..settings() }).unwrap();
    let (_, answer) = without.create_peer(crate::new(PeerKind::Robot, "a", offer)).await.unwrap();
    assert!(!answer.contains(" tcp "), "{answer}");
    assert!(TcpStream::connect(without.addresses()[0]).is_err());
}

fn settings() -> Settings {
    Settings { bind: (Ipv4Addr::LOCALHOST, 0).into(), ..Settings::default() }
}

/// A connection from another address of this machine.
fn stranger(to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

/// Waits until the other side has closed it.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    match stream.read(&mut [0; 64]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_at_the_tcp_port_keep_nobody_out() {
    let engine = Embedded::start(&Settings { most_peers: 8, most_peers_of_a_tenant: Some(8), ..settings() }).unwrap();
    let to = engine.addresses()[0];
    let mut silent: Vec<TcpStream> = (0..40).map(|_| stranger(to)).collect();
    let mut pair = pair(&engine, true, true).await;
    pair.bridge(&engine, 1).await;
    pair.flows().await;

    // Those who came first made room; and whoever comes now takes no place of a peer.
    assert!(is_closed(&mut silent[0]));
    silent.extend((0..40).map(|_| stranger(to)));
    pair.operator.send("cmd_unreliable", true, "drive").await;
    assert_eq!(pair.robot.message().await.2, b"drive");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_something_else_than_a_check_of_a_peer_is_hung_up_on() {
    let engine = engine();
    let mut pair = pair(&engine, true, false).await;
    pair.bridge(&engine, 1).await;
    let mut check = vec![0, 1, 0, 16, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    check.extend(b"\x00\x06\x00\x0cnobody:other");
    let framed = |data: &[u8]| [&u16::try_from(data.len()).unwrap().to_be_bytes()[..], data].concat();
    for nonsense in
        [b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0xff; 4], framed(&check), framed(&[22, 254, 253, 0]), framed(&[])]
    {
        let mut stream = TcpStream::connect(engine.addresses()[0]).unwrap();
        stream.write_all(&nonsense).unwrap();
        assert!(is_closed(&mut stream), "{nonsense:?}");
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    pair.flows().await;
}
