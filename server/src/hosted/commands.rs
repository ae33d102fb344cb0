//! The operator's commands that take their time: one after the other, none that was given before a stop or a loss.

use std::sync::Arc;
use std::time::Duration;

use glam::{DQuat, DVec3};
use tokio::sync::mpsc;
use tokio::time::sleep;
use waldo_protocol::hosted::{Nonce, SpeedMode, SportCommand, Ticket};
use waldo_protocol::lcm::{Header, Pose, PoseStamped, Time};

use super::body::{RAGE_TAKES, STANDING_UP, duration};
use super::service::{Service, now};
use crate::clock;
use crate::config::HostedKind;

/// The frame of reference of goals.
const WORLD: &str = "world";

/// One command that may be queued.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Command {
    Sport(SportCommand),
    Mode(SpeedMode),
    Avoid(bool),
    Light(f64),
    Go { x: f64, y: f64 },
    Scale(f64),
}

/// A command in the queue.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) ticket: Ticket,
    pub(super) nonce: Option<Nonce>,
    pub(super) command: Command,
}

/// Does what is ordered until nobody can order any more.
pub(super) async fn work(service: Arc<Service>, mut orders: mpsc::Receiver<Order>) {
    while let Some(Order { ticket, nonce, command }) = orders.recv().await {
        let begins = may_run(&service, ticket);
        let ok = begins && run(&service, ticket, command).await;
        service.state().executor.finished(ticket, ok, clock::now());
        if ok {
            service.acknowledge(nonce, true);
        } else if begins {
            service.acknowledge(nonce, false);
        } else {
            service.refuse(nonce);
        }
    }
}

fn may_run(service: &Service, ticket: Ticket) -> bool {
    service.state().executor.may_run(ticket)
}

/// Waits; true if the command may still go on then.
async fn pause(service: &Service, ticket: Ticket, time: Duration) -> bool {
    sleep(time).await;
    may_run(service, ticket)
}

async fn run(service: &Service, ticket: Ticket, command: Command) -> bool {
    let drives = service.settings.kind == HostedKind::Twist;
    match command {
        Command::Scale(scale) => service.state().operator.set_scale(scale),
        _ if !drives => false,
        Command::Sport(sport) => {
            if sport.is_acrobatic() && !service.settings.allow_acrobatics {
                return false;
            }
            service.state().body.busy = true;
            let done = play(service, ticket, sport).await;
            let mut state = service.state();
            state.body.busy = false;
            // Asked again: a stop may have come since, and what it did to the body stays.
            let done = done && state.executor.may_run(ticket);
            if done && sport.is_posture() {
                state.body.take(sport);
            }
            done
        }
        Command::Mode(mode) => {
            let rage = mode == SpeedMode::Rage;
            if service.state().body.rage == rage {
                return true;
            }
            sleep(RAGE_TAKES).await;
            let mut state = service.state();
            let done = state.executor.may_run(ticket);
            match done {
                true => state.body.rage = rage,
                // Nobody knows in which mode it is now.
                false => state.body.take(SportCommand::Damp),
            }
            done
        }
        Command::Avoid(enabled) => {
            service.state().body.obstacle_avoidance = enabled;
            true
        }
        Command::Light(brightness) if brightness.is_finite() => {
            service.state().body.shine(brightness);
            true
        }
        Command::Light(_) => false,
        Command::Go { x, y } => {
            let most = service.settings.max_nav_goal;
            let there = [x, y].iter().all(|coordinate| coordinate.abs() <= most) && service.state().operator.heeded();
            // Who drives comes first, for a second.
            if there && service.state().operator.manual(clock::now()) {
                let manual_for = service.settings.drive.manual_for;
                if !pause(service, ticket, manual_for).await || service.state().operator.manual(clock::now()) {
                    return false;
                }
            }
            if there {
                let now = now();
                let header = Header { seq: 0, stamp: Time::from_unix_s(now.unix), frame_id: WORLD.into() };
                let pose = Pose { position: DVec3::new(x, y, 0.0), orientation: DQuat::IDENTITY };
                service.navigate(PoseStamped { header, pose }.encode(), now);
            }
            there
        }
    }
}

/// Plays a motion of the robot's own.
async fn play(service: &Service, ticket: Ticket, sport: SportCommand) -> bool {
    if sport == SportCommand::StandReady {
        for step in STANDING_UP {
            if !pause(service, ticket, step).await {
                return false;
            }
        }
        return true;
    }
    pause(service, ticket, duration(sport)).await
}
