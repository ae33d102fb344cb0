use std::time::Duration;

use waldo_protocol::lcm::{Header, Message, Time, Twist, TwistStamped};

use super::*;

fn parts(channel: &str, message: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    datagrams(7, channel, message, |datagram| all.push(datagram.to_vec()));
    all
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}

/// Puts datagrams together as the protocol describes; independent of how they were made.
fn assembled(datagrams: &[Vec<u8>]) -> (String, Vec<u8>) {
    let name = |bytes: &[u8]| {
        let end = bytes.iter().position(|byte| *byte == 0).unwrap();
        (String::from_utf8(bytes[..end].to_vec()).unwrap(), end + 1)
    };
    let first = &datagrams[0];
    if word(first) == u32::from_be_bytes(*b"LC02") {
        assert_eq!(datagrams.len(), 1);
        let (channel, length) = name(&first[8..]);
        return (channel, first[8 + length..].to_vec());
    }
    let mut channel = String::new();
    let mut message = vec![None; word(&first[8..]) as usize];
    for (at, datagram) in datagrams.iter().enumerate() {
        assert_eq!((word(datagram), word(&datagram[4..])), (u32::from_be_bytes(*b"LC03"), 7));
        assert_eq!(word(&datagram[8..]) as usize, message.len());
        assert_eq!(word(&datagram[16..]), (at << 16 | datagrams.len()) as u32);
        let mut part = &datagram[20..];
        if at == 0 {
            let (named, length) = name(part);
            channel = named;
            part = &part[length..];
        }
        let offset = word(&datagram[12..]) as usize;
        for (slot, byte) in message[offset..].iter_mut().zip(part) {
            assert!(slot.replace(*byte).is_none(), "a byte twice");
        }
        assert!(datagram.len() <= 65_507, "more than UDP carries");
    }
    (channel, message.into_iter().map(|byte| byte.expect("a byte is missing")).collect())
}

#[test]
fn a_small_message_is_one_datagram() {
    assert_eq!(parts("cmd_vel", b"abc"), [b"LC02\0\0\0\x07cmd_vel\0abc".to_vec()]);
}

#[test]
fn messages_of_every_size_arrive_as_they_were() {
    let channel = "left_controller_output";
    let edge = MAX_SHORT - channel.len() - 1;
    let second = MAX_FRAGMENT - channel.len() - 1;
    for length in [0, 1, edge - 1, edge, edge + 1, second, second + MAX_FRAGMENT, second + MAX_FRAGMENT + 1, 1 << 20] {
        let message: Vec<u8> = (0..length).map(|i| (i * 7 + i / 251) as u8).collect();
        let datagrams = parts(channel, &message);
        assert_eq!(datagrams.len() == 1, length <= edge, "{length}");
        assert_eq!(assembled(&datagrams), (channel.to_owned(), message), "{length}");
    }
}

#[test]
fn addresses_are_read_and_refused_with_the_reason() {
    assert_eq!("udpm://239.255.76.67:7667?ttl=0".parse(), Ok(LcmUrl::default()));
    assert_eq!("udpm://".parse(), Ok(LcmUrl::default()));
    let url: LcmUrl = "udpm://224.0.0.9:1?ttl=1&interface=127.0.0.1&recv_buf_size=9".parse().unwrap();
    let expected = LcmUrl { group: "224.0.0.9:1".parse().unwrap(), ttl: 1, interface: Some(Ipv4Addr::LOCALHOST) };
    assert_eq!(url, expected);
    assert_eq!(url.to_string().parse(), Ok(url));
    for wrong in [
        "http://a",
        "udpm://10.0.0.1:7667",
        "udpm://239.255.76.67",
        "udpm://239.255.76.67:0",
        "udpm://?ttl=256",
        "udpm://?a",
    ] {
        assert!(wrong.parse::<LcmUrl>().is_err(), "{wrong}");
    }
}

#[test]
fn names_that_no_receiver_takes_are_refused() {
    let publisher = LcmPublisher::open(&LcmUrl::default()).unwrap();
    for name in [String::new(), "a\0b".to_owned(), "x".repeat(64)] {
        assert_eq!(publisher.publish(&name, b"").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}

#[test]
fn who_has_joined_the_group_hears_what_is_published() {
    let group = Ipv4Addr::new(239, 255, 76, 67);
    // Bound first, so that its port is a free one.
    let receiver = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
    receiver.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0).into()).unwrap();
    receiver.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST).unwrap();
    let receiver: UdpSocket = receiver.into();
    receiver.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let port = receiver.local_addr().unwrap().port();
    let url = LcmUrl { group: SocketAddrV4::new(group, port), ttl: 0, interface: Some(Ipv4Addr::LOCALHOST) };
    let publisher = LcmPublisher::open(&url).unwrap();

    let header = Header { seq: 1, stamp: Time::from_unix_s(1.7e9), frame_id: "keyboard".to_owned() };
    let sent = TwistStamped { header, twist: Twist::default() };
    publisher.publish("cmd_vel_stamped", &sent.encode()).unwrap();
    publisher.publish("robot_map", &vec![3; 100_000]).unwrap();

    let mut buffer = vec![0; 70_000];
    let mut receive = || {
        let length = receiver.recv(&mut buffer).expect("a datagram of the group");
        buffer[..length].to_vec()
    };
    let first = receive();
    assert_eq!(word(&first[4..]), 0);
    let (channel, message) = assembled(&[first]);
    assert_eq!(channel, "cmd_vel_stamped");
    assert_eq!(Message::decode(&message), Ok(Message::TwistStamped(sent)));
    let fragments = [receive(), receive()];
    assert_eq!((word(&fragments[0]), word(&fragments[1][4..])), (FRAGMENT, 1));
    assert_eq!(fragments[0].len() + fragments[1].len(), 100_000 + 40 + "robot_map".len() + 1);
}
