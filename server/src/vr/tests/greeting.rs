//! What a client knows after its hello, and what only some may change.

use serde_json::json;
use waldo_protocol::vr::{Mode, VrState};

use super::*;
use crate::video::{Feed, VideoSource};

/// The newest snapshot among these messages.
fn snapshot(heard: &[Value]) -> &Value {
    &heard.iter().rfind(|m| m["type"] == "snapshot").expect("a snapshot")["value"]
}

#[test]
fn a_snapshot_tells_the_whole_state_of_the_service() {
    let service = service();
    {
        let mut session = service.session();
        (session.mode, session.episode) = (Some(Mode::DataCollection), Some(7));
    }
    service.push_state(VrState::Saving);
    let camera = |name| Feed::new(name, VideoSource::Callable(Box::new(|| None)));
    service.set_video(|video| video.feeds = [camera("overhead"), camera("left_arm")].into());
    let driver = Visitor::with(&service, "first", Role::Driver, Capability::ALL);
    driver.send(VrFrame { reset: true, ..frame() });
    service.arbiter.lock().unwrap().take_reset();
    driver.engage();
    service.on_stop(driver.conn, Stop { n: None, clear: false });
    let newcomer = Visitor::new(&service);
    newcomer.hello("second", Role::Driver, Capability::ALL);
    let heard = newcomer.heard();
    let mut told = snapshot(&heard).clone();
    let hold = told["hold"].take();
    assert_eq!(
        (&hold["reason"], &hold["hand"], &hold["severity"]),
        (&json!("stopped"), &json!("both"), &json!("hold"))
    );
    let rest = json!({
        "mode": "data_collection", "episode": 7, "state": "saving", "tracking": false, "hold": null, "reset_n": 1,
        "driver": "first", "cameras": ["overhead", "left_arm"], "motion": {"pos": 1.0, "rot": 1.0},
    });
    assert_eq!(told, rest);
}

#[test]
fn a_snapshot_tells_that_the_arms_follow_while_they_do() {
    let service = service();
    let driver = Visitor::with(&service, "first", Role::Driver, Capability::ALL);
    driver.engage();
    let newcomer = Visitor::new(&service);
    newcomer.hello("second", Role::Viewer, &[Capability::Snapshot]);
    let heard = newcomer.heard();
    let told = snapshot(&heard);
    assert_eq!((&told["tracking"], &told["hold"]), (&json!(true), &Value::Null));
    assert!(told.get("motion").is_none(), "it did not agree on that");
}

#[test]
fn everybody_gets_another_snapshot_when_somebody_else_drives() {
    let service = service();
    let [driver, other] = ["first", "second"].map(|name| Visitor::with(&service, name, Role::Driver, Capability::ALL));
    let watching = Visitor::with(&service, "third", Role::Viewer, &[Capability::Snapshot]);
    for (visitor, name) in [(&driver, "first"), (&other, "second")] {
        visitor.engage();
        // Words about holds are limited to a few per second; the next look catches up.
        let told = [watching.heard(), {
            service.tick();
            watching.heard()
        }]
        .concat();
        assert_eq!(snapshot(&told)["driver"], name);
        visitor.lease(LeaseOp::Release, 1);
        let told = [watching.heard(), {
            service.tick();
            watching.heard()
        }]
        .concat();
        assert_eq!(snapshot(&told)["driver"], Value::Null);
    }
}

#[test]
fn whoever_asks_for_a_scale_everybody_is_told_which_one_is_in_force() {
    let service = service();
    let [driver, other] = ["first", "second"].map(|name| Visitor::with(&service, name, Role::Driver, Capability::ALL));
    let half = MotionScale { pos: 0.5, rot: 0.5 };
    let told = |visitor: &Visitor| -> Vec<Value> {
        visitor.heard().iter().filter(|m| m["type"] == "motion").map(|m| m["value"].clone()).collect()
    };
    driver.lease(LeaseOp::Claim, 1);
    // Set, repeated, and refused because another one drives.
    for (by, scale) in [(&driver, half), (&driver, half), (&other, MotionScale { pos: 2.0, rot: 2.0 })] {
        service.on_motion(by.conn, scale);
        for visitor in [&driver, &other] {
            assert_eq!(told(visitor), [json!({"pos": 0.5, "rot": 0.5})]);
        }
    }
    let newcomer = Visitor::new(&service);
    newcomer.hello("third", Role::Viewer, Capability::ALL);
    assert_eq!(snapshot(&newcomer.heard())["motion"], json!({"pos": 0.5, "rot": 0.5}));
}

#[test]
fn only_the_drivers_popup_is_shown_while_there_is_one() {
    let service = service();
    let [driver, other] = ["first", "second"].map(|name| Visitor::with(&service, name, Role::Driver, Capability::ALL));
    let watching = Visitor::new(&service);
    let popup = |text: &str| json!({"confirm": text}).as_object().cloned();
    let shown = || -> Vec<Value> {
        watching.heard().iter().filter(|m| m["type"] == "hud").map(|m| m["value"].clone()).collect()
    };
    service.publish_hud(other.conn, popup("save"));
    assert_eq!(shown(), [json!({"confirm": "save"})], "nobody drives");
    driver.engage();
    service.publish_hud(other.conn, popup("discard"));
    assert_eq!(shown(), Vec::<Value>::new());
    service.publish_hud(other.conn, None);
    assert_eq!(shown(), [Value::Null], "it may take back what it shows");
    service.publish_hud(driver.conn, popup("discard"));
    assert_eq!(shown(), [json!({"confirm": "discard"})]);
    service.publish_hud(other.conn, None);
    assert_eq!(shown(), Vec::<Value>::new(), "but not what the driver shows");
}
