//! Robots that find each other on one network, in a network namespace of this test's own.
//!
//! A program of its own, because the threads of Zenoh belong to the process and stay in the namespace where they were
//! started.

use std::thread;

use anyhow::{Result, ensure};
use waldo_protocol::policy::{Capabilities, ClientId, RobotId};
use waldo_server::policy::ZenohConfig;
use waldo_tests::network::{Namespace, permitted};
use waldo_tests::plain_zenoh::{A_WHILE, Obedient, PlainClient, living, open, until};
use zenoh::Wait;

#[test]
fn an_action_reaches_exactly_the_robot_it_was_meant_for() -> Result<()> {
    if !permitted() {
        return Ok(());
    }
    // A network with multicast, as loopback has none.
    let namespace = Namespace::new()?;
    namespace.ip(&["link", "add", "here", "type", "veth", "peer", "name", "there"])?;
    namespace.ip(&["addr", "add", "10.74.47.1/24", "dev", "here"])?;
    namespace.ip(&["link", "set", "here", "up"])?;
    namespace.ip(&["link", "set", "there", "up"])?;
    namespace.ip(&["route", "add", "224.0.0.0/4", "dev", "here"])?;
    namespace.enter()?;

    let robots = ["left", "right"].map(|id| (id, Obedient::default()));
    let servers = [0, 1].map(|n| {
        let zenoh =
            ZenohConfig { listen: vec![format!("tcp/10.74.47.1:744{n}")], scouting: true, ..ZenohConfig::default() };
        robots[n].1.serve(robots[n].0, zenoh).unwrap()
    });
    for (server, other) in servers.iter().zip(["right", "left"]) {
        let seen = || server.zenoh_conflict().is_some_and(|why| why.contains(&format!("robot {other} is on this")));
        until("the robots see each other", seen)?;
    }

    // A client of the original, found by both as it finds them: whoever it means, both hear it.
    let mut original = PlainClient::old(open(&["tcp/10.74.47.1:0"], &[], true)?)?;
    until("it knows both", || original.session.info().peers_zid().wait().count() == 2)?;
    original.connect()?;
    original.act(&[9.0])?;
    original.ask_reset(None)?;
    let refused = || servers.iter().all(|server| server.counts().dropped.get("conflict") == Some(&2));
    until("both refuse what would move both", refused)?;

    for (n, (id, meant)) in robots.iter().enumerate() {
        let session = open(&["tcp/10.74.47.1:0"], &[], true)?;
        until("both are alive", || living(&session).is_ok_and(|robots| robots.len() == 2))?;
        let client = ClientId::from_bits(n as u64);
        let mut client = PlainClient::new(session, &RobotId::parse(id)?, &client, Capabilities::NONE)?;
        client.connect()?;
        for action in 0..5u8 {
            client.act(&[f32::from(action)])?;
        }
        until("the robot that was meant moves", || meant.actions().len() == 5)?;
        thread::sleep(A_WHILE);
        let others = robots.iter().skip(n + 1).all(|(_, robot)| robot.is_still());
        ensure!(others && meant.actions().len() == 5 && meant.resets() == 0, "{id}");
    }
    ensure!(robots.iter().all(|(_, robot)| robot.actions().len() == 5 && robot.resets() == 0));
    Ok(())
}
