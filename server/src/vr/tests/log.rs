//! What is logged, and how often.

use std::time::Duration;

use super::*;

/// What is logged meanwhile, as warnings or worse.
fn logged(act: impl FnOnce()) -> Vec<String> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(log.reopen().unwrap()).finish();
    tracing::subscriber::with_default(subscriber, act);
    std::fs::read_to_string(log.path()).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_callback_that_panics_is_logged_once_a_second_and_frames_go_on() {
    let service = service();
    let visitor = Visitor::with(&service, "page", Role::Driver, &[]);
    let calls = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&calls);
    service.set_callback(Some(Arc::new(move |_| {
        *counted.lock().unwrap() += 1;
        // Without a message to the terminal for each of them.
        std::panic::resume_unwind(Box::new("a defect of the user's program"));
    })));
    let lines = logged(|| {
        for _ in 0..100 {
            visitor.send(frame());
        }
    });
    assert_eq!(*calls.lock().unwrap(), 100);
    assert!(service.frame().is_some());
    // Two if the clock passed a second meanwhile.
    assert!((1..=2).contains(&lines.len()) && lines[0].contains("the on_frame callback panicked"), "{lines:?}");
}

#[test]
fn a_controller_that_is_not_seen_for_a_second_is_logged_once() {
    let service = service();
    let visitor = Visitor::with(&service, "page", Role::Driver, &[]);
    let send = |ms, tracked| {
        let mut frame = VrFrame { t: Some(ms), ..frame() };
        frame.left.tracked = tracked;
        visitor.send(frame);
    };
    let lost_in = |ms| {
        let now = clock::now() + Duration::from_millis(ms);
        service.newly_lost_hands(&mut service.ingest(), now).into_iter().map(|(hand, _)| hand).collect::<Vec<_>>()
    };
    send(0.0, true);
    send(200.0, false);
    assert_eq!(lost_in(500), []);
    assert_eq!((lost_in(1_500), lost_in(1_600)), (vec![waldo_protocol::vr::Hand::Left], vec![]));
    send(210.0, true);
    assert_eq!(lost_in(1_500), [], "it is seen again");
}
