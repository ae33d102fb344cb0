//! What several clients of one service see of each other, without sockets.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;
use waldo_protocol::vr::{
    Capability, CartCommand, ClientHello, Episode, EpisodeOp, HELLO_VERSION, LeaseOp, LeaseRequest, MotionScale, Role,
    Stop, VrFrame, VrState,
};

use super::outbox::Outbox;
use super::service::{EpisodeEvent, Service};
use super::session::{Client, ConnId};
use crate::clock;
use crate::config::Settings;
use crate::control::{LeaseView, frame, squeezed};
use crate::metrics::Metrics;
use crate::rtc::Network;

mod greeting;
mod log;

/// A service with a robot that is ready.
fn service() -> Arc<Service> {
    let network = Network::new(None, Vec::new());
    let service = Arc::new(Service::new(Metrics::default(), network, &Settings::default()));
    service.attach_control().lock().unwrap().set_robot_hold(clock::now(), None, &mut Vec::new());
    service
}

/// One socket whose words pile up until somebody looks.
struct Visitor {
    service: Arc<Service>,
    conn: ConnId,
    outbox: Arc<Outbox>,
    kick: Arc<Notify>,
}

impl Visitor {
    fn new(service: &Arc<Service>) -> Self {
        let (outbox, kick) = (Arc::<Outbox>::default(), Arc::<Notify>::default());
        let conn = service.join(Client::new(Arc::clone(&outbox), Arc::clone(&kick), Arc::default()));
        let visitor = Self { service: Arc::clone(service), conn, outbox, kick };
        visitor.heard();
        visitor
    }

    /// One that said this in its hello, and has read the answers.
    fn with(service: &Arc<Service>, stream: &str, role: Role, caps: &[Capability]) -> Self {
        let visitor = Self::new(service);
        visitor.hello(stream, role, caps);
        visitor.heard();
        visitor
    }

    fn hello(&self, stream: &str, role: Role, caps: &[Capability]) {
        let (client, stream) = ("test/1".to_owned(), stream.to_owned());
        self.service.hello(self.conn, &ClientHello { v: HELLO_VERSION, client, stream, role, caps: caps.to_vec() });
    }

    fn send(&self, frame: VrFrame) {
        self.service.accept(self.conn, &frame);
    }

    fn engage(&self) {
        self.send(frame());
        self.send(squeezed(frame()));
        assert!(self.service.arbiter.lock().unwrap().engaged());
    }

    fn lease(&self, op: LeaseOp, n: i64) {
        self.service.on_lease(self.conn, LeaseRequest { op, n });
    }

    /// All that it was told since the last call.
    fn heard(&self) -> Vec<Value> {
        std::iter::from_fn(|| self.outbox.pop()).map(|text| serde_json::from_str(&text).unwrap()).collect()
    }

    fn types(&self) -> Vec<String> {
        self.heard().iter().map(|m| m["type"].as_str().unwrap().to_owned()).collect()
    }

    async fn is_kicked(&self) -> bool {
        tokio::select! {
            biased;
            () = self.kick.notified() => true,
            () = std::future::ready(()) => false,
        }
    }
}

#[tokio::test]
async fn whatever_one_client_loops_another_one_keeps_its_place_and_gets_the_newest() {
    let service = service();
    let noisy = Visitor::with(&service, "noisy", Role::Driver, Capability::ALL);
    let slow = Visitor::with(&service, "slow", Role::Driver, Capability::ALL);
    let clear = |n, clear| service.on_stop(noisy.conn, Stop { n: Some(n), clear });
    for n in 0..200 {
        let pos = if n % 2 == 0 { 0.5 } else { 1.5 };
        service.on_motion(noisy.conn, MotionScale { pos, rot: 1.0 });
        noisy.lease(LeaseOp::Claim, n);
        if n % 5 == 0 {
            noisy.engage();
        }
        service.publish_hud(noisy.conn, Some(serde_json::Map::from_iter([("n".to_owned(), n.into())])));
        clear(2 * n, false);
        noisy.lease(LeaseOp::Release, n);
        clear(2 * n + 1, true);
        service.tick();
        noisy.heard();
    }
    assert!(!slow.is_kicked().await);
    let heard = slow.heard();
    let newest = |kind: &str| heard.iter().rfind(|m| m["type"] == kind).map(|m| m["value"].clone());
    assert_eq!(newest("motion").unwrap()["pos"], 1.5);
    assert_eq!(newest("hud").unwrap()["n"], 199);
    assert_eq!((newest("tracking"), newest("lease").unwrap()["driver"].clone()), (Some(false.into()), Value::Null));
}

#[test]
fn after_its_hello_and_the_snapshot_a_client_hears_nothing_though_somebody_asks_for_the_lease() {
    let service = service();
    let driver = Visitor::with(&service, "first", Role::Driver, Capability::ALL);
    let other = Visitor::with(&service, "second", Role::Driver, Capability::ALL);
    driver.lease(LeaseOp::Claim, 1);
    other.lease(LeaseOp::Take, 1);
    let newcomer = Visitor::new(&service);
    newcomer.hello("third", Role::Driver, Capability::ALL);
    assert_eq!(newcomer.types(), ["hello", "snapshot"]);
    // A second socket of the driver's page: it must be able to say no.
    let late = Visitor::new(&service);
    late.hello("first", Role::Driver, Capability::ALL);
    assert_eq!(late.types(), ["hello", "snapshot"]);
    service.tick();
    let asked = late.heard().into_iter().find(|m| m["type"] == "lease").unwrap();
    assert_eq!(asked["value"]["requested_by"], "second");
    service.tick();
    for visitor in [&newcomer, &late] {
        assert!(!visitor.types().contains(&"lease".to_owned()));
    }
}

#[test]
fn a_viewer_moves_nothing_whatever_it_sends() {
    let service = service();
    let viewer = Visitor::with(&service, "dashboard", Role::Viewer, Capability::ALL);
    let pushed = VrFrame { l_stick_y: -1.0, ..frame() };
    for (n, op) in LeaseOp::ALL.iter().enumerate() {
        viewer.lease(*op, n as i64);
        for sent in [frame(), VrFrame { reset: true, ..frame() }, frame(), squeezed(pushed)] {
            viewer.send(sent);
        }
        service.on_motion(viewer.conn, MotionScale { pos: 0.5, rot: 0.5 });
        service.tick();
    }
    let mut arbiter = service.arbiter.lock().unwrap();
    assert_eq!((arbiter.lease(), arbiter.engaged(), arbiter.take_reset()), (LeaseView::default(), false, false));
    assert_eq!(arbiter.scale(), MotionScale::default());
    let moment = Duration::from_millis(50);
    assert_eq!(arbiter.cart(clock::now() + moment, moment), CartCommand::STOP);
    drop(arbiter);
    assert!(service.frame().is_none());
    let answers: Vec<_> =
        viewer.heard().into_iter().filter(|m| m["type"] == "lease").map(|m| m["ok"].clone()).collect();
    assert_eq!(answers, vec![Value::Bool(false); LeaseOp::ALL.len()]);
}

#[test]
fn who_is_replaced_feels_it_and_not_who_comes_after() {
    let service = service();
    let driver = Visitor::with(&service, "first", Role::Driver, Capability::ALL);
    let other = Visitor::with(&service, "second", Role::Driver, Capability::ALL);
    driver.engage();
    other.lease(LeaseOp::Take, 1);
    driver.heard();
    driver.lease(LeaseOp::Grant, 1);
    let patterns = |visitor: &Visitor| -> Vec<Value> {
        visitor.heard().iter().filter(|m| m["type"] == "haptic").map(|m| m["pattern"].clone()).collect()
    };
    assert_eq!((patterns(&driver), patterns(&other)), (vec!["disengage".into()], vec![]));
}

#[test]
fn both_sockets_of_a_page_are_told_the_same_of_its_poses() {
    let service = service();
    let network = Visitor::with(&service, "page", Role::Driver, &[Capability::Health]);
    let cable = Visitor::with(&service, "page", Role::Driver, &[Capability::Health]);
    service.tick();
    for visitor in [&network, &cable] {
        visitor.heard();
    }
    network.send(frame());
    service.session().health_due = None;
    service.tick();
    let [one, other] = [&network, &cable].map(Visitor::heard);
    assert!(one[0]["value"]["pose_hz"].as_f64() > Some(0.0), "{one:?}");
    assert_eq!(one, other);
}

#[test]
fn a_callback_that_is_replaced_even_while_it_runs_never_ends_under_a_lock() {
    struct Owned {
        service: Arc<Service>,
        ended: Arc<Mutex<Vec<bool>>>,
    }
    impl Drop for Owned {
        fn drop(&mut self) {
            self.ended.lock().unwrap().push(self.service.is_locked());
        }
    }
    let service = service();
    let visitor = Visitor::new(&service);
    let ended = Arc::<Mutex<Vec<bool>>>::default();
    let callback = || {
        let owned = Owned { service: Arc::clone(&service), ended: Arc::clone(&ended) };
        Arc::new(move |_: &VrFrame| owned.service.set_callback(None))
    };
    service.set_callback(Some(callback()));
    visitor.send(frame());
    service.set_callback(Some(callback()));
    service.set_callback(None);
    assert_eq!(*ended.lock().unwrap(), [false, false]);
}

/// In the middle of an episode, with counters that nothing was counted by.
fn recording(service: &Arc<Service>) -> Visitor {
    let visitor = Visitor::with(service, "recorder", Role::Driver, Capability::ALL);
    for state in [VrState::DataCollection, VrState::Recording] {
        visitor.send(VrFrame { state, ..frame() });
    }
    assert_eq!(service.take_episodes(), [EpisodeEvent::Decided(Episode::Start)]);
    visitor
}

#[test]
fn an_episode_that_the_server_ends_is_not_decided_again_by_the_headset_that_follows() {
    for reset in [false, true] {
        let service = service();
        let visitor = recording(&service);
        service.push_state(VrState::DataCollection);
        visitor.send(VrFrame { state: VrState::Recording, ..frame() });
        visitor.send(VrFrame { state: VrState::DataCollection, reset, ..frame() });
        assert_eq!(service.take_episodes(), []);
        assert!(!service.arbiter.lock().unwrap().take_reset(), "a discard on its way is no reset");
    }
}

#[test]
fn an_episode_that_the_server_ends_while_its_headset_is_gone_is_over_when_it_returns() {
    let service = service();
    service.leave(recording(&service).conn);
    assert_eq!(service.take_episodes(), [EpisodeEvent::Interrupted]);
    service.push_state(VrState::Saving);
    let back = Visitor::with(&service, "recorder", Role::Driver, Capability::ALL);
    for state in [VrState::Recording, VrState::DataCollection] {
        back.send(VrFrame { state, ..frame() });
    }
    assert_eq!(service.take_episodes(), []);
    service.leave(back.conn);
    assert_eq!(service.take_episodes(), [], "nothing is left to be interrupted");
}

#[test]
fn decisions_that_were_lost_on_the_way_are_counted() {
    let service = service();
    let visitor = Visitor::with(&service, "recorder", Role::Driver, &[Capability::Counters]);
    for (n, op) in [(0, EpisodeOp::Save), (1, EpisodeOp::Start), (4, EpisodeOp::Save)] {
        visitor.send(VrFrame { ep_n: Some(n), ep_op: Some(op), ..frame() });
    }
    let decided = [Episode::Start, Episode::Save { review: true }].map(EpisodeEvent::Decided);
    assert_eq!(service.take_episodes(), decided);
    assert!(service.metrics.text().contains("waldo_vr_lost_decisions_total 2\n"), "{}", service.metrics.text());
}
