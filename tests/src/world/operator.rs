//! An operator: Chromium with the broker's page, inside of a network namespace.

use std::time::Instant;

use anyhow::Result;
use serde::Deserialize;

use super::{Brokerage, until_some};
use crate::browser::{Chromium, Tab};
use crate::network::{Inside, Namespace};

/// See the module.
pub struct Operator {
    /// Shows the page.
    pub tab: Tab,
    chromium: Chromium,
    inside: Inside,
}

/// What came between [`Operator::begin`] and [`Operator::end`]; times in milliseconds.
#[derive(Debug, Deserialize)]
pub struct Ride {
    /// From a ping to its pong, on the channels of commands that must arrive.
    pub trips: Vec<f64>,
    /// How long whatever came waited for the page's one thread.
    pub waits: Vec<f64>,
    /// Pictures on the screen.
    pub pictures: Vec<Picture>,
    /// Those that did not say when they were taken.
    pub unreadable: u32,
    /// Decoded, per second.
    pub fps: f64,
    /// Received.
    pub kbps: f64,
    /// As the browser counts them.
    pub freezes: f64,
    /// Their length together.
    pub frozen_ms: f64,
}

/// A picture on the operator's screen; Unix time, milliseconds.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Picture {
    /// When it was shown.
    pub at: f64,
    /// When the camera took it.
    pub taken: f64,
}

/// The red button; Unix time, milliseconds.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Stop {
    /// When it was pressed.
    pub pressed: f64,
    /// When the robot's acknowledgement was there.
    pub acked: f64,
}

/// How the page reaches the SFU.
#[derive(Debug, Deserialize, PartialEq, Eq)]
pub struct Path {
    /// `host`, `srflx`, `prflx`, `relay`.
    pub kind: String,
    /// How it speaks to the relay, if there is one: `udp`, `tcp`, `tls`.
    pub relay: Option<String>,
}

impl Operator {
    /// Starts the browser, opens the page at this URL, logs in, and waits until the robot is listed.
    ///
    /// # Errors
    /// If the browser or the page does not start.
    pub async fn start(namespace: &Namespace, url: &str, brokerage: &Brokerage) -> Result<Self> {
        let inside = namespace.runtime()?;
        let page = format!("{url}/");
        let (chromium, tab) = inside
            .run(async move {
                let chromium = Chromium::launch_without_gl(1280, 800).await?;
                let tab = chromium.tab().await?;
                tab.page.add_init_script(include_str!("operator.js")).await?;
                tab.page.goto(page).await?;
                anyhow::Ok((chromium, tab))
            })
            .await?;
        let operator = Self { tab, chromium, inside };
        operator.fill_in("#email", brokerage.account).await?;
        operator.fill_in("#password", &brokerage.password).await?;
        operator.press("#log-in").await?;
        operator.tab.until("document.body.dataset.robots === '1'").await?;
        Ok(operator)
    }

    /// Connects with the robot; the milliseconds until its picture moves.
    ///
    /// # Errors
    /// If it does not come about.
    pub async fn connect(&self) -> Result<f64> {
        self.press(".robot .connect").await?;
        let started = Instant::now();
        self.live().await?;
        Ok(started.elapsed().as_secs_f64() * 1000.0)
    }

    /// Leaves the robot, and waits until it may be connected with again.
    ///
    /// # Errors
    /// If that does not come about.
    pub async fn leave(&self) -> Result<()> {
        self.press("#leave").await?;
        self.tab
            .until("document.body.dataset.stage === 'Board' && document.querySelector('.robot .connect:enabled')")
            .await
    }

    /// Waits until the way to the robot stands, it is heard of, and its picture moves.
    ///
    /// # Errors
    /// If that does not come about.
    pub async fn live(&self) -> Result<()> {
        until_some("the robot in the page", async || {
            let script = "document.body.dataset.way === 'Live' && Number(document.body.dataset.messages) > 0 \
                && parseInt(document.body.dataset.picture) > 0 && document.body.dataset.stalled === 'false'";
            Ok(self.tab.eval::<bool>(script).await?.then_some(()))
        })
        .await
    }

    /// Holds the key that drives forward as long as the page lets it count, pressing it anew where the page wants that; or
    /// no key.
    ///
    /// # Errors
    /// If the browser does not answer.
    pub async fn drive(&self, forward: bool) -> Result<()> {
        self.tab.run(&format!("world.drive({forward})")).await
    }

    /// Leaves the key as it is from now on, held or not, whatever the page makes of it.
    ///
    /// # Errors
    /// If the browser does not answer.
    pub async fn keep(&self) -> Result<()> {
        self.tab.run("world.keep()").await
    }

    /// Presses the red button, and waits for the acknowledgement.
    ///
    /// # Errors
    /// If none comes.
    pub async fn stop(&self) -> Result<Stop> {
        self.tab.eval("world.stop()").await
    }

    /// After a stop: the key is let go, and the robot stands up and may be driven again.
    ///
    /// # Errors
    /// If it does not.
    pub async fn re_arm(&self) -> Result<()> {
        self.drive(false).await?;
        self.press("#rearm").await?;
        self.tab.until("document.body.dataset.stopped === 'false'").await?;
        self.press("#stand").await?;
        self.tab.until("document.body.dataset.posture === 'StandReady'").await
    }

    /// Counts from now on.
    ///
    /// # Errors
    /// If there is no picture.
    pub async fn begin(&self) -> Result<()> {
        self.tab.run("await world.begin()").await
    }

    /// What came since.
    ///
    /// # Errors
    /// If there is no picture.
    pub async fn end(&self) -> Result<Ride> {
        self.tab.eval("world.end()").await
    }

    /// How the page reaches the SFU now.
    ///
    /// # Errors
    /// If it does not.
    pub async fn path(&self) -> Result<Path> {
        self.tab.eval("world.path()").await
    }

    /// When the first picture was shown that was taken after this Unix time, milliseconds.
    ///
    /// # Errors
    /// If none comes.
    pub async fn sees_after(&self, time: f64) -> Result<f64> {
        let script = format!("world.pictures.find(({{ taken }}) => taken >= {time})?.at ?? -1");
        until_some("a new picture", async || Ok(Some(self.tab.eval(&script).await?).filter(|at: &f64| *at > 0.0))).await
    }

    /// The longest time between these without a new picture on the screen.
    ///
    /// # Errors
    /// If the browser does not answer.
    pub async fn longest_still(&self, from: f64, to: f64) -> Result<f64> {
        let script = format!("world.pictures.map(({{ at }}) => at).filter(at => at >= {from} && at <= {to})");
        let shown: Vec<f64> = self.tab.eval(&script).await?;
        Ok(super::robot::longest_gap(from, shown.into_iter(), to))
    }

    /// Ends the browser.
    ///
    /// # Errors
    /// If it does not end.
    pub async fn close(self) -> Result<()> {
        self.inside.run(self.chromium.close()).await
    }

    async fn fill_in(&self, selector: &str, text: &str) -> Result<()> {
        self.tab.until(&format!("document.querySelector('{selector}')")).await?;
        let script = format!(
            "const field = document.querySelector('{selector}'); field.value = '{text}'; \
             field.dispatchEvent(new Event('input'))"
        );
        self.tab.run(&script).await
    }

    /// Presses a button of the page as soon as it can be pressed.
    async fn press(&self, selector: &str) -> Result<()> {
        let button = format!("document.querySelector('{selector}')");
        self.tab.until(&format!("{button} && !{button}.disabled && !{button}.hidden")).await?;
        self.tab.run(&format!("{button}.click()")).await
    }
}
