//! Links to servers that are nothing but Zenoh. The clients' runtime is of the kind on which Zenoh cannot block.

use std::future::Future;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, sync_channel};

use tokio::runtime::Runtime;
use tokio::time::timeout;
use waldo_protocol::policy::{every_client, live_key};
use zenoh::liveliness::LivelinessToken;

use super::*;
use crate::Options;
use crate::link::Lane;

const PATIENCE: Duration = Duration::from_secs(10);

/// Listens at a port of its own; nobody finds it otherwise.
fn server() -> (Session, String) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let locator = format!("tcp/{free}");
    let mut config = Config::default();
    config.insert_json5("listen/endpoints", &format!("[\"{locator}\"]")).unwrap();
    config.insert_json5("scouting/multicast/enabled", "false").unwrap();
    (zenoh::open(config).wait().unwrap(), locator)
}

/// What arrives on a key.
fn heard(session: &Session, key: &str) -> Receiver<(String, Vec<u8>, Priority)> {
    let (hear, heard) = sync_channel(100);
    let subscriber = session.declare_subscriber(key.to_owned()).callback(move |sample| {
        let key = sample.key_expr().to_string();
        hear.send((key, sample.payload().to_bytes().into_owned(), sample.priority())).unwrap();
    });
    subscriber.background().wait().unwrap();
    heard
}

fn robot(id: &str) -> RobotId {
    RobotId::parse(id).unwrap()
}

/// Shows that a robot lives, and listens for its clients.
fn live(session: &Session, id: &str) -> (LivelinessToken, Receiver<(String, Vec<u8>, Priority)>) {
    let heard = heard(session, &every_client(&robot(id)));
    (session.liveliness().declare_token(live_key(&robot(id))).wait().unwrap(), heard)
}

struct Policy {
    runtime: Runtime,
    client: ClientId,
}

impl Policy {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, client: ClientId::from_bits(0x5eed) }
    }

    fn dial(&self, uri: &str) -> Result<Link, DialError> {
        self.dial_again(uri, None)
    }

    /// After a link to that robot.
    fn dial_again(&self, uri: &str, robot: Option<&RobotId>) -> Result<Link, DialError> {
        let (address, options) = (Address::parse(uri).unwrap(), Options::default());
        let dialling = dial(Dial { address: &address, options: &options, client: &self.client, robot });
        self.run(dialling)
    }

    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(async { timeout(PATIENCE, future).await.unwrap() })
    }
}

#[test]
fn a_server_without_a_token_is_spoken_to_on_the_keys_of_the_original() {
    let (session, locator) = server();
    let asked = heard(&session, "chiral/c2s");
    let (policy, mut link) = (Policy::new(), Policy::new().dial(&locator).unwrap());
    assert_eq!(link.hello_every, Some(HELLO_EVERY));
    link.sender.send(b"hello".to_vec(), Lane::Other).unwrap();
    link.sender.send(b"move".to_vec(), Lane::Action).unwrap();
    let mut came = [0, 1].map(|_| asked.recv_timeout(PATIENCE).unwrap());
    came.sort_by(|a, b| a.1.cmp(&b.1));
    let expected = |bytes: &[u8], priority| ("chiral/c2s".to_owned(), bytes.to_vec(), priority);
    assert_eq!(came, [expected(b"hello", Priority::Data), expected(b"move", Priority::RealTime)]);
    // Longer than what Zenoh carries in one piece.
    let reply: Vec<u8> = [[100, 0, 0, 0]; 1_000_000].concat();
    session.put("chiral/s2c", reply.clone()).congestion_control(CongestionControl::Block).wait().unwrap();
    let frame = policy.run(link.receiver.next()).unwrap();
    assert!(frame == reply);
    assert_eq!(frame[104..].as_ptr().align_offset(64), 0, "the payload can be seen as an array");
}

#[test]
fn the_only_robot_is_found_and_spoken_to_on_keys_that_nobody_else_hears() {
    let (session, locator) = server();
    let shared = heard(&session, "chiral/c2s");
    let (_token, asked) = live(&session, "arm-1");
    let (policy, mut link) = (Policy::new(), Policy::new().dial(&locator).unwrap());
    link.sender.send(b"hello".to_vec(), Lane::Other).unwrap();
    let key = "chiral/arm-1/c2s/0000000000005eed".to_owned();
    assert_eq!(asked.recv_timeout(PATIENCE).unwrap(), (key, b"hello".to_vec(), Priority::Data));
    session.put("chiral/s2c", "not for us").wait().unwrap();
    session.put("chiral/arm-1/s2c/0000000000005eed", "for us").wait().unwrap();
    assert_eq!(policy.run(link.receiver.next()).unwrap(), "for us");
    assert!(shared.try_recv().is_err());
}

#[test]
fn several_robots_are_listed_and_one_can_be_named() {
    let (session, locator) = server();
    let (_left, _) = live(&session, "left");
    let (_right, asked) = live(&session, "right");
    let error = Policy::new().dial(&locator).err().unwrap();
    assert!(error.for_good && error.message.contains("left, right") && error.message.contains("?robot="), "{error:?}");
    let link = Policy::new().dial(&format!("{locator}?robot=right")).unwrap();
    link.sender.send(b"hello".to_vec(), Lane::Other).unwrap();
    assert!(asked.recv_timeout(PATIENCE).unwrap().0.starts_with("chiral/right/c2s/"));
}

#[test]
fn the_robot_of_an_earlier_link_is_not_replaced_by_another() {
    let (session, locator) = server();
    let (left, _left) = live(&session, "left");
    let first = Policy::new().dial(&locator).unwrap().robot;
    assert_eq!(first, Some(robot("left")));
    left.undeclare().wait().unwrap();
    let (session, locator) = server();
    let (_token, _right) = live(&session, "right");
    let error = Policy::new().dial_again(&locator, first.as_ref()).err().unwrap();
    assert!(!error.for_good && error.message.ends_with("no robot left is there"), "{error:?}");
    let (_token, _left) = live(&session, "left");
    assert_eq!(Policy::new().dial_again(&locator, first.as_ref()).unwrap().robot, first);
}

#[test]
fn a_link_is_lost_when_its_server_goes_and_says_so() {
    let (session, locator) = server();
    let _asked = heard(&session, "chiral/c2s");
    let (policy, mut link) = (Policy::new(), Policy::new().dial(&locator).unwrap());
    session.close().wait().unwrap();
    let lost = policy.run(link.receiver.next()).unwrap_err();
    assert_eq!(lost, Lost::Network("the robot is gone".to_owned()));
    assert_eq!(link.sender.send(b"hello".to_vec(), Lane::Other), Err(lost));
}

#[test]
fn nobody_who_sends_waits_for_a_robot_that_takes_nothing() {
    for lane in [Lane::Action, Lane::Request, Lane::Other] {
        let (session, locator) = server();
        let (taking, takes) = sync_channel::<()>(0);
        let takes = Mutex::new(takes);
        let subscriber = session.declare_subscriber("chiral/c2s").callback(move |_| {
            let _ = takes.lock().unwrap().recv();
        });
        subscriber.background().wait().unwrap();
        let link = Policy::new().dial(&locator).unwrap();
        // The sockets keep some megabytes.
        let sent = (0..2000).try_for_each(|_| link.sender.send(vec![0; 32 << 10], lane).map(drop));
        // Who waits for Zenoh is told otherwise, after five seconds.
        assert!(matches!(sent, Err(Lost::Stalled { waiting: 1_000_000.. })), "{lane:?}: {sent:?}");
        drop(taking);
    }
}

#[test]
fn frames_are_handled_in_their_order_where_they_come_and_none_is_after_that() {
    let (session, locator) = server();
    let asked = heard(&session, "chiral/c2s");
    let (policy, mut link) = (Policy::new(), Policy::new().dial(&locator).unwrap());
    // Once this has come the server knows of the client's subscription.
    link.sender.send(b"hello".to_vec(), Lane::Other).unwrap();
    asked.recv_timeout(PATIENCE).unwrap();
    let say = |n: u8| session.put("chiral/s2c", [n]).congestion_control(CongestionControl::Block).wait().unwrap();
    (0..3).for_each(say);
    assert_eq!(policy.run(link.receiver.next()).unwrap()[..], [0]);
    let (handle, handled) = sync_channel(100);
    let handler = move |frame: &Bytes| match frame[0] {
        7 => Err(Lost::Protocol("seven".to_owned())),
        n => {
            handle.send(n).unwrap();
            Ok(())
        }
    };
    (3..7).for_each(say);
    let running = policy.runtime.spawn_blocking(move || handled.iter().take(6).collect::<Vec<_>>());
    let lost = policy.run(async {
        let ended = link.receiver.run(Box::new(handler));
        let rest = async {
            assert_eq!(running.await.unwrap(), [1, 2, 3, 4, 5, 6]);
            say(7);
            std::future::pending().await
        };
        tokio::select! { lost = ended => lost, () = rest => panic!() }
    });
    assert_eq!(lost, Lost::Protocol("seven".to_owned()));
}

#[test]
fn a_link_that_is_closed_or_dropped_leaves_the_network() {
    let (session, locator) = server();
    let _asked = heard(&session, "chiral/c2s");
    let peers = || session.info().peers_zid().wait().count();
    let until = |count| {
        let end = Instant::now() + PATIENCE;
        while peers() != count {
            assert!(Instant::now() < end, "{} peers instead of {count}", peers());
            thread::sleep(LOOK_EVERY);
        }
    };
    let closed = Policy::new().dial(&locator).unwrap();
    let dropped = Policy::new().dial(&locator).unwrap();
    until(2);
    closed.sender.close();
    until(1);
    drop(dropped);
    until(0);
}

#[test]
fn nobody_there_is_told_from_no_policy_server_there() {
    let (_session, locator) = server();
    let error = Policy::new().dial(&locator).err().unwrap();
    assert!(!error.for_good && error.message.contains("answers, but no policy server"), "{error:?}");
    let error = Policy::new().dial("tcp/127.0.0.1:1").err().unwrap();
    assert!(!error.for_good && error.message.starts_with("nobody answers"), "{error:?}");
}
