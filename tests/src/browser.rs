//! Headless Chromium on the app of a robot under test.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use chromiumoxide::browser::{Browser, BrowserConfig};
use chromiumoxide::cdp::browser_protocol::network;
use chromiumoxide::page::{Page, ScreenshotParams};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// How long a page may take for anything.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What works as root, in a container, on software WebGL, with a self-signed certificate and WebRTC on one host.
const FLAGS: [&str; 12] = [
    "no-sandbox",
    "disable-dev-shm-usage",
    "disable-quic",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
    "ignore-certificate-errors",
    "disable-features=WebRtcHideLocalIpsWithMdns",
    "autoplay-policy=no-user-gesture-required",
    // A microphone that beeps, allowed without asking.
    "use-fake-device-for-media-stream",
    "use-fake-ui-for-media-stream",
];

/// WebGL, drawn by the processor.
const WITH_GL: [&str; 3] = ["use-angle=swiftshader", "enable-unsafe-swiftshader", "ignore-gpu-blocklist"];
const WITHOUT_GL: [&str; 1] = ["disable-gpu"];

/// A browser of its own profile; ends with the value.
pub struct Chromium {
    browser: Browser,
    events: JoinHandle<()>,
    _profile: TempDir,
}

impl Chromium {
    /// Starts headless Chromium (`CHROMIUM`, else `/usr/bin/chromium`).
    pub async fn launch(width: u32, height: u32) -> Result<Self> {
        Self::start(width, height, &WITH_GL).await
    }

    /// The same without WebGL, which takes two cores to draw a page without it.
    pub async fn launch_without_gl(width: u32, height: u32) -> Result<Self> {
        Self::start(width, height, &WITHOUT_GL).await
    }

    async fn start(width: u32, height: u32, drawing: &[&'static str]) -> Result<Self> {
        let profile = TempDir::new()?;
        let executable = std::env::var_os("CHROMIUM").map_or_else(|| PathBuf::from("/usr/bin/chromium"), PathBuf::from);
        let config = BrowserConfig::builder()
            .chrome_executable(executable)
            .new_headless_mode()
            .disable_default_args()
            .user_data_dir(profile.path())
            .window_size(width, height)
            .viewport(None)
            .args(FLAGS)
            .args(drawing.iter().copied())
            .build()
            .map_err(|e| anyhow!("{e}; `cargo xtask setup` installs Chromium"))?;
        let (browser, mut handler) = Browser::launch(config).await.context("starting Chromium")?;
        let events = tokio::spawn(async move { while handler.next().await.is_some() {} });
        Ok(Self { browser, events, _profile: profile })
    }

    /// An empty tab.
    pub async fn tab(&self) -> Result<Tab> {
        Ok(Tab { page: self.browser.new_page("about:blank").await? })
    }

    /// Ends the browser.
    pub async fn close(mut self) -> Result<()> {
        self.browser.close().await?;
        self.browser.wait().await?;
        self.events.abort();
        Ok(())
    }
}

/// One tab.
pub struct Tab {
    /// The page, for what is not wrapped here.
    pub page: Page,
}

impl Tab {
    /// Opens the app of the robot on this port; `fragment` may be empty, or begins with `#`.
    pub async fn open(&self, port: u16, fragment: &str) -> Result<()> {
        self.page.goto(format!("https://localhost:{port}/{fragment}")).await?;
        Ok(())
    }

    /// The value of a JavaScript expression; promises are awaited.
    pub async fn eval<T: DeserializeOwned>(&self, script: &str) -> Result<T> {
        let value = self.page.evaluate(script).await.with_context(|| format!("evaluating {script}"))?;
        value.into_value().with_context(|| format!("the value of {script}"))
    }

    /// Runs a statement.
    pub async fn run(&self, script: &str) -> Result<()> {
        self.eval::<bool>(&format!("(async () => {{ {script}; return true; }})()")).await.map(drop)
    }

    /// Waits until an expression is true.
    ///
    /// # Errors
    /// If it is not in time; the message carries the page's visible text.
    pub async fn until(&self, expression: &str) -> Result<()> {
        let start = Instant::now();
        loop {
            if self.eval::<bool>(&format!("!!({expression})")).await.unwrap_or(false) {
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                let text: String = self.eval("document.body.innerText").await.unwrap_or_default();
                bail!("waited in vain for {expression}; the page says: {text}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Clicks an element as a person would: with a user gesture.
    pub async fn click(&self, selector: &str) -> Result<()> {
        self.until(&format!("document.querySelector({selector:?})")).await?;
        self.page.find_element(selector).await?.click().await?;
        Ok(())
    }

    /// Notes the address of every request and socket that pages in this tab open from now on.
    ///
    /// # Errors
    /// If the browser does not tell.
    pub async fn requests(&self) -> Result<Requests> {
        self.page.execute(network::EnableParams::default()).await?;
        let mut requests = self.page.event_listener::<network::EventRequestWillBeSent>().await?;
        let mut sockets = self.page.event_listener::<network::EventWebSocketCreated>().await?;
        let urls = Arc::new(Mutex::new(Vec::new()));
        let noting = tokio::spawn({
            let urls = Arc::clone(&urls);
            async move {
                loop {
                    let url = tokio::select! {
                        Some(event) = requests.next() => event.request.url.clone(),
                        Some(event) = sockets.next() => event.url.clone(),
                        else => return,
                    };
                    urls.lock().unwrap_or_else(PoisonError::into_inner).push(url);
                }
            }
        });
        Ok(Requests { urls, noting })
    }

    /// A picture of the tab as PNG, kept in the artifacts folder under this name.
    pub async fn screenshot(&self, name: &str) -> Result<Vec<u8>> {
        let png = self.page.screenshot(ScreenshotParams::builder().build()).await?;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(format!("{name}.png")), &png)?;
        Ok(png)
    }
}

/// The addresses that a tab asked for. Dropping it ends the noting.
pub struct Requests {
    urls: Arc<Mutex<Vec<String>>>,
    noting: JoinHandle<()>,
}

impl Requests {
    /// In the order in which the browser told.
    pub fn so_far(&self) -> Vec<String> {
        self.urls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        self.noting.abort();
    }
}
