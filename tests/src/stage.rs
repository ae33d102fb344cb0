//! The page of a real robot, with an emulated headset, connected to a scripted robot.

use anyhow::Result;
use serde_json::Value;

use crate::browser::{Chromium, Tab};
use crate::headset::{enter_vr, frames, with_headset};
use crate::offering::RobotEnd;
use crate::robot::Robotics;
use crate::scripted::{Script, ScriptedRobot};

/// See the module.
pub struct Stage {
    /// Serves the page.
    pub page: Robotics,
    /// Is talked to by the page.
    pub robot: ScriptedRobot,
    /// The browser.
    pub chromium: Chromium,
    /// Shows the page.
    pub tab: Tab,
}

impl Stage {
    /// Everything but the page, which is not opened yet.
    ///
    /// # Errors
    /// If something does not start.
    pub async fn set(script: Script) -> Result<Self> {
        let (page, robot) = (Robotics::simulated().await?, ScriptedRobot::start(script).await?);
        let chromium = Chromium::launch(1280, 900).await?;
        let tab = chromium.tab().await?;
        with_headset(&tab).await?;
        RobotEnd::prepare(&tab).await?;
        tab.page.add_init_script(format!("localStorage['waldo.host'] = 'localhost:{}'", robot.addr.port())).await?;
        Ok(Self { page, robot, chromium, tab })
    }

    /// Opens the page and waits until it is connected.
    ///
    /// # Errors
    /// If it does not connect in time.
    pub async fn open_page(&self, fragment: &str) -> Result<()> {
        self.tab.open(self.page.addr.port(), fragment).await?;
        self.tab.until("document.body.dataset.link === 'Connected'").await
    }

    /// With the page open. `caps`: what the robot answers a hello with; `None`: nothing, as robots of the first generation
    /// do. The greeting comes before.
    ///
    /// # Errors
    /// If something does not start, or the page does not connect in time.
    pub async fn open(caps: Option<Vec<&'static str>>, greeting: Vec<Value>, fragment: &str) -> Result<Self> {
        let stage = Self::set(Script { greeting, caps }).await?;
        stage.open_page(fragment).await?;
        Ok(stage)
    }

    /// The same, in the presentation, with poses on their way.
    ///
    /// # Errors
    /// As [`Stage::open`], or if the presentation does not begin.
    pub async fn in_vr(caps: Option<Vec<&'static str>>, greeting: Vec<Value>) -> Result<Self> {
        let stage = Self::open(caps, greeting, "").await?;
        enter_vr(&stage.tab).await?;
        frames(&stage.tab, 3).await?;
        Ok(stage)
    }

    /// Ends it all.
    ///
    /// # Errors
    /// If the browser does not end.
    pub async fn close(self) -> Result<()> {
        self.chromium.close().await?;
        self.page.waldo.stop().await;
        Ok(())
    }
}
