//! A field user whose cable is pulled: nothing says farewell, and nothing arrives any more.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use waldo_protocol::field::{CharacterMode, ControllerSample, Extension, HandlingConfig, Transform};
use waldo_server::field::{FieldConfig, FieldServer, MultiArmPassThroughBackend, Physics};
use waldo_tests::bench::percentile;
use waldo_tests::field::FieldUser;
use waldo_tests::network::{Cable, Conditions, permitted, robot};

/// Rate of a headset.
const HZ: f64 = 72.0;

/// How fast an octopus crawls, m/s, and the silence after which it stands.
const CRAWLING: f64 = 0.15;
const DEADMAN: f64 = 0.3;

/// A ping that nobody answers would end the socket after this.
const PINGS: Duration = Duration::from_secs(40);

/// Much longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// For ever, as far as this test goes.
const AGES: Duration = Duration::from_secs(3600);

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is() {
        assert!(begin.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The right stick is pushed to the right.
fn hands(_: u32) -> [ControllerSample; 2] {
    let pose = Transform::at([0.0, 1.2, 0.1]);
    [0.0, 1.0].map(|stick| ControllerSample { grip: 1.0, joystick: [stick, 0.0], ..ControllerSample::at(pose) })
}

#[test]
fn who_is_cut_off_stands_at_once_and_is_gone_soon_and_the_others_notice_nothing() {
    if !permitted() {
        return;
    }
    let server =
        FieldServer::new(FieldConfig { listen: Some((Ipv4Addr::UNSPECIFIED, 0).into()), ..Default::default() });
    let backend = MultiArmPassThroughBackend::simulated(Physics::Kinematic, HandlingConfig::default());
    robot().unwrap().run(|| Ok(server.start(Box::new(backend))?)).unwrap();
    let port = server.addr().unwrap().port();
    let plug_in = |user: &str, mode, ext: &[Extension]| {
        let cable = Cable::lay(&Conditions::default(), 1).unwrap();
        let addr = SocketAddr::new(cable.near.into(), port);
        let user = cable.far.run(|| FieldUser::join_with(addr, user, mode, ext)).unwrap();
        (cable, user)
    };
    let (cut, amy) = plug_in("amy", CharacterMode::CathyForaging, &[Extension::Deadman]);
    let (_whole, bob) = plug_in("bob", CharacterMode::TwoCr, &[]);
    let joined = Instant::now();
    let crawler = amy.arms[0].clone();
    let place = || server.scene().arms[&crawler].base.translation[0];
    let time = || server.scene().timestamp;
    let is_here = |user: &str| server.users().iter().any(|it| it.user == user && it.connected);

    thread::scope(|scope| {
        // Ends with an error once nothing comes any more.
        scope.spawn(move || amy.drive(HZ, AGES, hands));
        let bob = scope.spawn(move || bob.drive(HZ, Duration::from_secs(18), hands).unwrap());
        let start = place();
        until("the octopus crawls", || place() > start + 0.1);

        let pulled = Instant::now();
        cut.cut(AGES);
        let at = place();
        let (mut last, mut since) = (at, time());
        until("the octopus stands", || {
            let now = place();
            if (now - last).abs() > 1e-3 {
                (last, since) = (now, time());
            }
            time() - since > 0.5
        });
        let went = last - at;
        eprintln!("went on for {went:.3} m, {:.1} s of the field", went / CRAWLING);
        assert!(went < 10.0 * DEADMAN * CRAWLING, "it crawled on for {went} m");
        assert!(is_here("amy"), "it stands long before the socket ends");

        until("the socket ends", || !is_here("amy"));
        eprintln!("gone after {:.1} s", pulled.elapsed().as_secs_f64());
        assert!(joined.elapsed() < PINGS, "the kernel tells sooner than pings can");
        until("its arms are gone", || !server.scene().arms.contains_key(&crawler));
        assert!(is_here("bob"));

        let drive = bob.join().unwrap();
        let latencies = drive.latencies(pulled, |sight| Some(sight.ack?.seq));
        let [half, all] = [0.5, 1.0].map(|share| percentile(&latencies, share));
        eprintln!("bob: {} samples, {half:.1} ms, at most {all:.1} ms", latencies.len());
        assert!(half < 190.0 && all < 2000.0, "half of bob's samples took {half} ms, one {all} ms");
        assert_eq!(drive.seen.last().unwrap().ack.unwrap().lost, 0);
    });
    until("bob has left too", || server.clients() == 0);
}
