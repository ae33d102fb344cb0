//! The published scenarios of the VR wire, acted by real sockets, pose channels and cameras.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;
use waldo_protocol::vr::Episode;
use waldo_server::clock::now;
use waldo_server::control::Arbiter;
use waldo_server::sensors::RgbImage;
use waldo_server::video::VideoSource;
use waldo_server::vr::{EpisodeEvent, VrServer};
use waldo_tests::client::{Client, PATIENCE, trusting};
use waldo_tests::peer::{Peer, PoseChannel, Seen};
use waldo_tests::robot::local;
use waldo_tests::vectors::{matches, vectors};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A server with everybody who takes part in a scenario.
struct Stage {
    server: VrServer,
    arbiter: Arc<Mutex<Arbiter>>,
    calls: Arc<AtomicUsize>,
    clients: BTreeMap<String, Client>,
    channels: BTreeMap<String, (Peer, PoseChannel)>,
    _data: TempDir,
}

/// What came of a scenario, as far as the examples ask for it.
#[derive(Default)]
struct Outcome {
    accepted: Vec<bool>,
    engaged: Vec<bool>,
    resets: usize,
    replies: Vec<Value>,
    pictures: Vec<Seen>,
}

impl Stage {
    async fn open(given: &Value) -> Result<Self> {
        let data = TempDir::new()?;
        let server = VrServer::new(local(data.path()));
        server.set_video_expected(given["video"] == "expected");
        let calls = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&calls);
        server.on_frame(Some(Arc::new(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
        })));
        // The arm consumer, with no robot behind it that could be busy.
        let arbiter = server.attach_control();
        arbiter.lock().expect("unharmed").set_robot_hold(now(), None, &mut Vec::new());
        server.start().await?;
        Ok(Self { server, arbiter, calls, clients: BTreeMap::new(), channels: BTreeMap::new(), _data: data })
    }

    async fn connect(&mut self, name: &str) -> Result<&mut Client> {
        if !self.clients.contains_key(name) {
            let tls = trusting(self.server.certificate().context("a running server")?)?;
            let addr = self.server.addr().context("a running server")?;
            let mut client = Client::connect(addr, &tls, "/ws").await?;
            // The greeting of an attached consumer, which the scenarios are silent about.
            assert_eq!(client.receive().await?, json!({"type": "tracking", "value": false}));
            self.clients.insert(name.to_owned(), client);
        }
        self.clients.get_mut(name).context("just connected")
    }

    /// Sends a pose and tells whether it was accepted.
    async fn pose(&mut self, from: &str, overrides: &Value, expected: bool) -> Result<bool> {
        let point = json!({"x": 0, "y": 1, "z": 0});
        let ee = json!({"position": point, "quaternion": {"x": 0, "y": 0, "z": 0, "w": 1}});
        let mut frame = json!({"l_ee": ee, "r_ee": ee, "l_elbow": point, "r_elbow": point});
        frame.as_object_mut().context("an object")?.extend(overrides.as_object().context("an object")?.clone());
        let before = self.calls.load(Ordering::SeqCst);
        if let Some(owner) = from.strip_suffix(".channel") {
            self.connect(owner).await?;
            if !self.channels.contains_key(owner) {
                let mut peer = Peer::poses(self.connect(owner).await?, HERE).await?;
                let channel = peer.channel().await?;
                self.channels.insert(owner.to_owned(), (peer, channel));
            }
            self.channels[owner].1.send(&frame.to_string()).await?;
            assert!(expected, "the examples have no frame on a channel that is dropped");
        } else {
            let client = self.connect(from).await?;
            client.send(frame.to_string()).await?;
        }
        if expected {
            self.until("the frame", |stage| stage.calls.load(Ordering::SeqCst) > before).await?;
        } else {
            let replies = self.connect(from).await?.receive_all().await?;
            assert!(replies.is_empty(), "{replies:?}");
        }
        Ok(self.calls.load(Ordering::SeqCst) > before)
    }

    async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) -> Result<()> {
        let begin = Instant::now();
        while !done(self) {
            if begin.elapsed() > PATIENCE {
                bail!("waited in vain for {what}");
            }
            sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    fn arbiter(&self) -> std::sync::MutexGuard<'_, Arbiter> {
        self.arbiter.lock().expect("unharmed")
    }

    fn set_video_sources(&self, call: &str) {
        let sources = match call {
            "set_video_sources(None)" => None,
            "set_video_sources(overhead)" => Some(("overhead", VideoSource::Callable(Box::new(|| None)))),
            "set_video_sources(cam: callable)" => {
                let mut calls = 0;
                let red = move || {
                    calls += 1;
                    // Slow enough that the black picture before is seen.
                    (calls == 3 || calls == 20)
                        .then(|| RgbImage::new(64, 48, [255, 0, 0].repeat(64 * 48)).expect("red"))
                };
                Some(("cam", VideoSource::Callable(Box::new(red))))
            }
            other => panic!("an unknown call: {other}"),
        };
        self.server.set_video_sources(sources.map(|(name, source)| vec![(name.to_owned(), source)]));
    }
}

async fn act(scenario: &Value) -> Result<(Stage, Outcome)> {
    let expect = &scenario["expect"];
    let mut stage = Stage::open(&scenario["given"]).await?;
    let mut outcome = Outcome::default();
    stage.connect("A").await?;
    let mut steps = scenario["message"].as_array().context("steps")?.iter().peekable();
    while let Some(step) = steps.next() {
        if let Some(name) = step["connect"].as_str() {
            stage.connect(name).await?;
        } else if let Some(name) = step["close"].as_str() {
            drop(stage.clients.remove(name));
            stage.until("the frame to be forgotten", |stage| stage.server.frame().is_none()).await?;
        } else if let Some(ms) = step["wait_ms"].as_u64() {
            sleep(Duration::from_millis(ms)).await;
            stage.arbiter().on_tick(now(), &mut Vec::new());
        } else if let Some(call) = step["server"].as_str() {
            stage.set_video_sources(call);
        } else if let Some(overrides) = step.get("pose") {
            let from = step["from"].as_str().context("a sender")?;
            let expected = expect["accepted"].get(outcome.accepted.len()).is_none_or(|accepted| *accepted == true);
            outcome.accepted.push(stage.pose(from, overrides, expected).await?);
            outcome.engaged.push(stage.arbiter().engaged());
            outcome.resets += usize::from(stage.arbiter().take_reset());
        } else if step.get("note").is_some() {
            let mut peer = Peer::video(stage.connect("A").await?, HERE).await?;
            let mut camera = peer.camera().await?;
            while outcome.pictures.len() < 30 {
                outcome.pictures.push(camera.picture().await?);
            }
        } else {
            let kind = step["message"]["type"].as_str().context("a type")?;
            if expect.get("pictures").is_some() && kind == "webrtc-request" {
                // The step that reads the pictures asks for them.
                continue;
            }
            let client = stage.connect(step["from"].as_str().context("a sender")?).await?;
            // The same again right behind it leaves in one piece with it, so that nothing can happen in between.
            if steps.peek() == Some(&step) {
                client.feed(step["message"].to_string()).await?;
                continue;
            }
            client.send(step["message"].to_string()).await?;
            if let "webrtc-request" | "hello" | "ping" = kind {
                outcome.replies.push(client.receive().await?);
            }
        }
    }
    Ok((stage, outcome))
}

fn texts(events: &[EpisodeEvent]) -> Vec<&'static str> {
    let text = |event: &EpisodeEvent| match event {
        EpisodeEvent::Decided(Episode::Start) => "start",
        EpisodeEvent::Decided(Episode::Save { review: false }) => "save",
        EpisodeEvent::Decided(Episode::Save { review: true }) => "save for review",
        EpisodeEvent::Decided(Episode::Discard) => "discard",
        EpisodeEvent::Interrupted => "interrupted",
        EpisodeEvent::Resumed => "resumed",
    };
    events.iter().map(text).collect()
}

async fn judge(scenario: &Value) -> Result<()> {
    let expect = scenario["expect"].as_object().context("expectations")?;
    let (mut stage, mut outcome) = act(scenario).await?;
    for (key, wanted) in expect {
        let got = match key.as_str() {
            "accepted" => json!(outcome.accepted),
            "callback_calls" => json!(stage.calls.load(Ordering::SeqCst)),
            "engaged" => json!(outcome.engaged),
            "engaged_after" => json!(stage.arbiter().engaged()),
            "reset_events" => json!(stage.arbiter().resets()),
            "rest_moves" => json!(outcome.resets),
            "episode_events" => json!(texts(&stage.server.take_episode_events())),
            "tracking_pushes" => {
                let pushes = stage.connect("A").await?.receive_all().await?;
                pushes.iter().filter(|m| m["type"] == "tracking").map(|m| m["value"].clone()).collect()
            }
            "latest_frame_after_close" => Value::Null,
            "V_receives" => json!(stage.connect("V").await?.receive_all().await?),
            "A_receives" => json!(stage.connect("A").await?.receive_all().await?),
            "replies" | "replies_types" => {
                let count = wanted.as_array().context("a list")?.len();
                while outcome.replies.len() < count {
                    outcome.replies.push(stage.connect("A").await?.receive().await?);
                }
                outcome.replies.extend(stage.connect("A").await?.receive_all().await?);
                let types = || outcome.replies.iter().map(|r| r["type"].clone()).collect();
                if key == "replies" { json!(outcome.replies) } else { types() }
            }
            "last_reply" => outcome.replies.last().context("a reply")?.clone(),
            "pictures" => {
                let colours: Vec<_> = outcome.pictures.iter().map(|p| (p.width, p.height, p.middle[2] > 200)).collect();
                let first_red = colours.iter().position(|(.., red)| *red).context("nothing red")?;
                assert!(colours[..first_red].iter().all(|c| *c == (640, 480, false)), "{colours:?}");
                assert!(colours[first_red..].iter().all(|c| *c == (64, 48, true)), "{colours:?}");
                wanted.clone()
            }
            "note" | "robot" => continue,
            other => bail!("nobody knows what {other} means"),
        };
        assert!(matches(&got, wanted), "{key}: {got} instead of {wanted}");
    }
    stage.server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_ends_as_its_example_says() {
    let scenarios = vectors("scenario").expect("examples");
    assert_eq!(scenarios.len(), 23);
    let mut failed = Vec::new();
    for scenario in &scenarios {
        let name = scenario["name"].as_str().expect("a name");
        eprintln!("{name}");
        if let Err(error) = judge(scenario).await {
            failed.push(format!("{name}: {error:#}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
