//! Servers on the keys of the original over Zenoh, which all clients share and which outlive every connection.

use std::time::Duration;

use tokio::sync::mpsc::{Receiver, channel};
use waldo_policy_client::{Error, PolicyClient};
use waldo_protocol::policy::{Capabilities, ClientMessage, MetadataResponse, ObservationKind};
use zenoh::Wait;
use zenoh::qos::CongestionControl;

use crate::server::observation_of;
use crate::{Options, options};

const LONG: Duration = Duration::from_secs(20);

/// A server that says what it is told to.
struct Robot {
    session: zenoh::Session,
    locator: String,
    asked: Receiver<&'static str>,
}

impl Robot {
    fn new() -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let locator = format!("tcp/{free}");
        let mut config = zenoh::Config::default();
        config.insert_json5("listen/endpoints", &format!("[\"{locator}\"]")).unwrap();
        config.insert_json5("scouting/multicast/enabled", "false").unwrap();
        let session = zenoh::open(config).wait().unwrap();
        let (hear, asked) = channel(100);
        let subscriber = session.declare_subscriber("chiral/c2s").callback(move |sample| {
            let frame = sample.payload().to_bytes();
            // The test may be over.
            let _ = hear.try_send(ClientMessage::decode(&frame, Capabilities::NONE).unwrap().kind());
        });
        subscriber.background().wait().unwrap();
        Self { session, locator, asked }
    }

    /// Waits until that is asked, again perhaps.
    async fn hear(&mut self, kind: &str) {
        let heard = async { while self.asked.recv().await.unwrap() != kind {} };
        tokio::time::timeout(LONG, heard).await.unwrap();
    }

    fn say(&self, frame: Vec<u8>) {
        self.session.put("chiral/s2c", frame).congestion_control(CongestionControl::Block).wait().unwrap();
    }

    fn metadata(&self) {
        let mut frame = Vec::new();
        MetadataResponse::default().encode(&mut frame);
        self.say(frame);
    }

    fn observation(&self, timestamp: f64) {
        self.say(observation_of(timestamp, ObservationKind::Requested, None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_comes_after_its_time_is_not_taken_for_that_to_a_later_request() {
    let mut robot = Robot::new();
    let options = Options { request_timeout: Duration::from_secs(2), ..options() };
    let uri = robot.locator.clone();
    let connecting = PolicyClient::connect(&uri, options);
    let greeting = async {
        robot.hear("metadata").await;
        robot.metadata();
    };
    let (client, ()) = tokio::join!(connecting, greeting);
    let client = client.unwrap();
    let answering = async {
        // The first asks whether such requests are answered, the second is the call's.
        for timestamp in [1.0, 2.0] {
            robot.hear("obs_request").await;
            robot.observation(timestamp);
        }
    };
    let (observation, ()) = tokio::join!(client.observation(), answering);
    assert_eq!(observation.unwrap().timestamp(), 2.0);

    // The robot is busy: what is asked now it answers when nobody waits for it any more.
    let (metadata, late) = tokio::join!(client.metadata(), client.observation());
    assert!(metadata.is_err() && matches!(late, Err(Error::Timeout { .. } | Error::Lost(_))), "{late:?}");
    for kind in ["metadata", "obs_request", "metadata"] {
        robot.hear(kind).await;
    }
    // The last was the greeting of the next connection; this answers the first, so the client asks once more.
    robot.metadata();
    robot.hear("metadata").await;
    robot.observation(3.0);
    robot.metadata();
    tokio::time::timeout(LONG, client.ready()).await.unwrap().unwrap();
    let answering = async {
        for timestamp in [4.0, 5.0] {
            robot.hear("obs_request").await;
            robot.observation(timestamp);
        }
    };
    let (observation, ()) = tokio::join!(client.observation(), answering);
    assert_eq!(observation.unwrap().timestamp(), 5.0);
}
