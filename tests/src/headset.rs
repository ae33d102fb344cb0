//! A person with an emulated headset in a browser tab.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use glam::{DQuat, DVec3};
use waldo_protocol::vr::Hand;

use crate::browser::{PATIENCE, Tab};

/// Installs the emulated headset before the page's own scripts and leaves it to the test as `headset`.
///
/// # Errors
/// If the bundle was not built.
pub async fn with_headset(tab: &Tab) -> Result<()> {
    let dist = concat!(env!("CARGO_MANIFEST_DIR"), "/../static/dist/emulator-iwer.js");
    let iwer = std::fs::read_to_string(dist).context("`cargo xtask build-web` writes the bundle")?;
    let install = "window.headset = new IWER.XRDevice(IWER.metaQuest3, { stereoEnabled: true });
        headset.installRuntime({ forceInstall: true });
        headset.stereoEnabled = true;
        headset.position.set(0, 1.6, 0);
        headset.controllers.left.position.set(-0.2, 1.1, -0.4);
        headset.controllers.right.position.set(0.2, 1.1, -0.4);
        headset.controllers.left.quaternion.set(0, 0, 0, 1);
        headset.controllers.right.quaternion.set(0, 0, 0, 1);";
    tab.page.add_init_script(format!("{iwer};\n{install}")).await?;
    Ok(())
}

/// Enters the presentation and waits until the operator sees it.
pub async fn enter_vr(tab: &Tab) -> Result<()> {
    tab.until("!document.querySelector('#enter-vr').disabled").await?;
    tab.click("#enter-vr").await?;
    tab.until("document.body.dataset.presence === 'Visible'").await
}

/// Squeezes or releases both grips.
pub async fn squeeze(tab: &Tab, pressed: bool) -> Result<()> {
    let value = u8::from(pressed);
    tab.run(&format!(
        "for (const c of [headset.controllers.left, headset.controllers.right]) c.updateButtonValue('squeeze', {value})"
    ))
    .await
}

/// Presses (1) or releases (0) a button such as `x-button`, `a-button`, `thumbstick`.
pub async fn hold(tab: &Tab, hand: Hand, button: &str, value: u8) -> Result<()> {
    let hand = name(hand);
    tab.run(&format!("headset.controllers.{hand}.updateButtonValue('{button}', {value})")).await
}

/// Presses a button and releases it, each for long enough to be seen in an XR frame that is sent.
pub async fn press(tab: &Tab, hand: Hand, button: &str) -> Result<()> {
    hold(tab, hand, button, 1).await?;
    frames(tab, 3).await?;
    hold(tab, hand, button, 0).await?;
    frames(tab, 3).await
}

/// Waits until the page has sent some more frames.
pub async fn frames(tab: &Tab, count: u32) -> Result<()> {
    let sent: String = tab.eval("document.body.dataset.framesSent").await?;
    tab.until(&format!("document.body.dataset.framesSent - {sent} >= {count}")).await
}

/// Squeezes both grips until the arms follow. On a machine under load a stall may disengage, as it should; then a person
/// releases the grips and squeezes them again.
pub async fn engage(tab: &Tab) -> Result<()> {
    let start = Instant::now();
    loop {
        squeeze(tab, false).await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
        squeeze(tab, true).await?;
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if tab.eval::<bool>("document.body.dataset.engaged === 'true'").await? {
                return Ok(());
            }
        }
        if start.elapsed() > PATIENCE {
            bail!("the grips do not engage: {}", tab.eval::<String>("document.body.dataset.hold").await?);
        }
    }
}

/// Moves a controller, metres in `local-floor`.
pub async fn place(tab: &Tab, hand: Hand, position: DVec3, orientation: DQuat) -> Result<()> {
    let (hand, p, q) = (name(hand), position, orientation);
    tab.run(&format!(
        "const c = headset.controllers.{hand}; c.position.set({}, {}, {}); c.quaternion.set({}, {}, {}, {})",
        p.x, p.y, p.z, q.x, q.y, q.z, q.w
    ))
    .await
}

fn name(hand: Hand) -> &'static str {
    match hand {
        Hand::Left => "left",
        Hand::Right => "right",
    }
}
