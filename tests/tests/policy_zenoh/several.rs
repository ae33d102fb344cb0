//! Robots that would move together refuse to.

use std::thread;

use anyhow::{Result, bail, ensure};
use waldo_protocol::policy::{RequestId, ServerMessage};
use waldo_server::policy::ZenohConfig;
use waldo_tests::plain_zenoh::{A_WHILE, Obedient, free_locator, router, until};
use zenoh::Wait;
use zenoh::qos::CongestionControl;

use super::{dropped, hub, new, old, serve, session};

#[test]
fn a_reply_of_somebody_else_on_the_shared_keys_refuses_what_would_move_both() -> Result<()> {
    let robot = Obedient::new(hub()?);
    let (server, locator) = serve(&robot, "arm-1")?;
    let (mut original, mut client) = (old(&locator)?, new(&locator, "arm-1", 1)?);
    original.connect()?;
    client.connect()?;
    original.act(&[1.0])?;
    until("nobody else is there", || robot.actions().len() == 1)?;
    let other = session(&locator)?;
    other
        .put("chiral/s2c", "a reply")
        .congestion_control(CongestionControl::Block)
        .wait()
        .map_err(anyhow::Error::msg)?;
    until("it is seen", || server.zenoh_conflict().is_some_and(|why| why.contains("chiral/s2c")))?;
    // The reply was heard by the client of the original too.
    original.overhear();
    original.act(&[2.0])?;
    original.ask_reset(None)?;
    until("both are refused", || dropped(&server, "conflict") == 2)?;
    ensure!(robot.actions().len() == 1 && robot.resets() == 0);
    original.ask_observation(None)?;
    ensure!(matches!(original.reply()?.1, ServerMessage::Observation(_)), "looking harms nobody");
    // The shared clients still have control; with keys of its own a client may take part.
    original.session.close().wait().map_err(anyhow::Error::msg)?;
    until("nobody controls it", || server.holder().is_none())?;
    client.act(&[3.0])?;
    until("its own keys stay usable", || robot.actions() == [[1.0], [3.0]])
}

#[test]
fn robots_that_meet_at_a_router_see_each_other() -> Result<()> {
    let middle = free_locator()?;
    let _router = router(&middle, &[])?;
    let serve = |id: &str| -> Result<_> {
        let zenoh =
            ZenohConfig { listen: vec![free_locator()?], connect: vec![middle.clone()], ..ZenohConfig::default() };
        Obedient::default().serve(id, zenoh)
    };
    let servers = [serve("left")?, serve("right")?];
    for (server, other) in servers.iter().zip(["right", "left"]) {
        let seen = || server.zenoh_conflict().is_some_and(|why| why.contains(&format!("robot {other} is on this")));
        until("they see each other", seen)?;
    }
    Ok(())
}

#[test]
fn two_robots_with_one_id_refuse_to_move() -> Result<()> {
    let robots = [(); 2].map(|()| Obedient::default());
    let (first, locator) = serve(&robots[0], "waldo")?;
    let listen = vec![free_locator()?];
    let zenoh = ZenohConfig { listen, connect: vec![locator.clone()], ..ZenohConfig::default() };
    let second = robots[1].serve("waldo", zenoh)?;
    for server in [&first, &second] {
        until("it is noticed", || server.zenoh_conflict().is_some_and(|why| why.contains("the id waldo")))?;
    }
    let mut client = new(&locator, "waldo", 1)?;
    client.connect()?;
    client.act(&[1.0])?;
    client.ask_reset(Some(RequestId::FIRST))?;
    let mut told: Vec<_> = [client.reply()?, client.reply()?].into_iter().map(|(_, reply)| reply).collect();
    told.sort_by_key(ServerMessage::id);
    for (reply, id) in told.into_iter().zip([None, Some(RequestId::FIRST)]) {
        let ServerMessage::Error(error) = reply else { bail!("{reply:?}") };
        ensure!(error.id == id && error.message.contains("the id waldo"), "{error:?}");
    }
    until("both are counted", || dropped(&first, "conflict") == 2)?;
    thread::sleep(A_WHILE);
    ensure!(robots.iter().all(Obedient::is_still));
    Ok(())
}
