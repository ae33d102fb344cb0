//! The executor with a queue as a robot has one: one command at a time, in order.

use std::collections::VecDeque;

use serde_json::Value;
use waldo_protocol::hosted::{CommandExecutor, MAX_NONCES, Refused, Submitted, Ticket};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{entries, mono, number};

struct Job {
    ticket: Ticket,
    nonce: u64,
    takes: f64,
    ok: bool,
    began: Option<f64>,
}

/// One worker in virtual time; acknowledgements as (time, nonce, ok).
#[derive(Default)]
struct Robot {
    executor: CommandExecutor<u64>,
    queue: VecDeque<Job>,
    urgent: Vec<(f64, u64, bool)>,
    acks: Vec<(f64, u64, bool)>,
}

impl Robot {
    /// Runs what ends until `until`.
    fn run(&mut self, until: f64) {
        let mut now: f64 = 0.0;
        while let Some(job) = self.queue.front_mut() {
            let began = *job.began.get_or_insert(now);
            if !self.executor.may_run(job.ticket) && began == now && now > 0.0 {
                self.executor.finished(job.ticket, false, mono(now));
                self.acks.push((now, job.nonce, false));
                self.queue.pop_front();
                continue;
            }
            let ends = began + job.takes;
            if ends > until {
                break;
            }
            self.executor.finished(job.ticket, job.ok, mono(ends));
            self.acks.push((ends, job.nonce, job.ok));
            self.queue.pop_front();
            now = ends;
        }
        let (ended, running) = self.urgent.drain(..).partition(|(at, ..)| *at <= until);
        self.acks.extend::<Vec<_>>(ended);
        self.urgent = running;
    }

    fn submit(&mut self, nonce: u64, takes: f64, ok: bool, t: f64) {
        match self.executor.submit(Some(nonce), mono(t)) {
            Submitted::Queued(ticket) => {
                let began = self.queue.is_empty().then_some(t);
                self.queue.push_back(Job { ticket, nonce, takes, ok, began });
            }
            Submitted::Repeated { ok } => self.acks.push((t, nonce, ok)),
            Submitted::UnderWay => {}
            Submitted::Refused(_) => self.acks.push((t, nonce, false)),
        }
    }
}

#[test]
fn executor_steps_of_the_vectors() {
    for entry in entries("executor_", 4) {
        let mut robot = Robot::default();
        for step in entry["message"]["steps"].as_array().unwrap() {
            let t = number(&step["t"]);
            let takes = step["runs_s"].as_f64().unwrap_or(0.0);
            let ok = step["ok"] == true;
            robot.run(t);
            if let Some(submit) = step.get("submit") {
                robot.submit(submit["nonce"].as_u64().unwrap(), takes, ok, t);
            }
            if let Some(estop) = step.get("estop") {
                robot.executor.latch();
                robot.urgent.push((t + takes, estop["nonce"].as_u64().unwrap(), ok));
            }
            if step["operator_lost"] == true {
                robot.executor.operator_lost();
            }
        }
        robot.run(1000.0);
        robot.acks.sort_by(|a, b| a.0.total_cmp(&b.0));
        let expected: Vec<(f64, u64, bool)> = entry["expect"]["acks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|ack: &Value| (number(&ack["t"]), ack["nonce"].as_u64().unwrap(), ack["ok"] == true))
            .collect();
        let ms = |acks: &[(f64, u64, bool)]| -> Vec<_> {
            acks.iter().map(|(t, nonce, ok)| ((t * 1000.0).round() as i64, *nonce, *ok)).collect()
        };
        assert_eq!(ms(&robot.acks), ms(&expected), "{}", entry["name"]);
    }
}

fn queued(submitted: Submitted) -> Ticket {
    match submitted {
        Submitted::Queued(ticket) => ticket,
        other => panic!("not queued: {other:?}"),
    }
}

#[test]
fn the_fifth_command_under_way_is_refused_and_its_nonce_forgotten() {
    let mut executor = CommandExecutor::default();
    let first = queued(executor.submit(Some(0), mono(0.0)));
    for nonce in 1..4 {
        queued(executor.submit(Some(nonce), mono(0.0)));
    }
    assert_eq!(executor.submit(Some(4), mono(0.1)), Submitted::Refused(Refused::Backlog));
    executor.finished(first, true, mono(0.2));
    queued(executor.submit(Some(4), mono(0.3)));
}

#[test]
fn a_result_is_remembered_for_ten_seconds() {
    let mut executor = CommandExecutor::default();
    let ticket = queued(executor.submit(Some("a"), mono(0.0)));
    executor.finished(ticket, false, mono(1.0));
    assert_eq!(executor.submit(Some("a"), mono(10.9)), Submitted::Repeated { ok: false });
    queued(executor.submit(Some("a"), mono(11.0)));
}

#[test]
fn a_command_without_a_nonce_is_never_a_duplicate() {
    let mut executor = CommandExecutor::<u64>::default();
    queued(executor.submit(None, mono(0.0)));
    queued(executor.submit(None, mono(0.0)));
    assert_eq!(executor.pending(), 2);
}

#[test]
fn at_most_64_nonces_are_remembered_and_none_of_a_command_under_way_is_lost() {
    let mut executor = CommandExecutor::default();
    queued(executor.submit(Some(0), mono(0.0)));
    for nonce in 1..=MAX_NONCES {
        let ticket = queued(executor.submit(Some(nonce), mono(0.0)));
        executor.finished(ticket, true, mono(0.0));
    }
    assert_eq!(executor.submit(Some(0), mono(0.0)), Submitted::UnderWay);
    queued(executor.submit(Some(1), mono(0.0)));
    assert_eq!(executor.submit(Some(MAX_NONCES), mono(0.0)), Submitted::Repeated { ok: true });
}

#[test]
fn a_reloaded_page_counts_from_one_again() {
    let mut executor = CommandExecutor::default();
    let ticket = queued(executor.submit(Some(1), mono(0.0)));
    executor.finished(ticket, true, mono(0.1));
    executor.forget_nonces();
    let after = queued(executor.submit(Some(1), mono(1.0)));
    assert!(executor.may_run(after));
}

#[test]
fn a_stop_fences_what_was_submitted_before_and_clearing_does_not_bring_it_back() {
    let mut executor = CommandExecutor::default();
    let before = queued(executor.submit(Some(1), mono(0.0)));
    executor.latch();
    assert_eq!(executor.submit(Some(2), mono(0.1)), Submitted::Refused(Refused::Latched));
    executor.clear();
    assert!(!executor.may_run(before));
    let after = queued(executor.submit(Some(2), mono(0.2)));
    assert!(executor.may_run(after));
}

#[test]
fn nothing_is_queued_after_the_end() {
    let mut executor = CommandExecutor::default();
    let before = queued(executor.submit(Some(1), mono(0.0)));
    executor.shut_down();
    assert!(!executor.may_run(before));
    assert_eq!(executor.submit(Some(2), mono(0.1)), Submitted::Refused(Refused::ShuttingDown));
}
