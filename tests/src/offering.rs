//! The robot's end of a WebRTC connection for tests of the page, played by the browser itself in the page's own tab.

use anyhow::Result;
use serde_json::{Value, json};

use crate::browser::Tab;

/// What the robot's end is made of, and `made`: every connection of the page with the arguments it was made with.
const SCRIPT: &str = "window.made = [];
    const PlainConnection = RTCPeerConnection;
    window.RTCPeerConnection = class extends PlainConnection {
        constructor(...given) { super(...given); made.push({ given, connection: this }); }
    };
    window.robotEnd = {
        offer: async (prepare) => {
            robotEnd.connection?.close();
            robotEnd.connection = new PlainConnection();
            prepare(robotEnd.connection);
            await robotEnd.connection.setLocalDescription();
            while (robotEnd.connection.iceGatheringState !== 'complete') await new Promise(go => setTimeout(go, 20));
            return robotEnd.connection.localDescription.sdp;
        },
        offerCameras: (count) => robotEnd.offer(connection => {
            for (let i = 0; i < count; i++) {
                const canvas = Object.assign(document.createElement('canvas'), { width: 160, height: 120 });
                const context = canvas.getContext('2d');
                setInterval(() => {
                    context.fillStyle = `hsl(${performance.now() / 20}, 90%, 50%)`;
                    context.fillRect(0, 0, 160, 120);
                }, 50);
                const stream = canvas.captureStream(20);
                connection.addTransceiver(stream.getTracks()[0], { direction: 'sendonly', streams: [stream] });
            }
        }),
        offerChannel: (label) => robotEnd.offer(connection => {
            robotEnd.channel = connection.createDataChannel(label, { ordered: false, maxRetransmits: 0 });
            robotEnd.heard = [];
            robotEnd.channel.onmessage = event => robotEnd.heard.push(event.data);
        }),
    };";

/// At most one connection at a time: a new offer closes the one before.
pub struct RobotEnd<'a>(&'a Tab);

impl<'a> RobotEnd<'a> {
    /// Prepares a tab, before the page is opened in it.
    ///
    /// # Errors
    /// If the browser is gone.
    pub async fn prepare(tab: &Tab) -> Result<()> {
        tab.page.add_init_script(SCRIPT).await?;
        Ok(())
    }

    /// The robot's end in a tab that was prepared.
    pub fn in_tab(tab: &'a Tab) -> Self {
        Self(tab)
    }

    /// A description that offers so many cameras, whose pictures change all the time.
    ///
    /// # Errors
    /// What the browser says.
    pub async fn cameras(&self, count: usize) -> Result<Value> {
        self.0.eval(&format!("robotEnd.offerCameras({count})")).await
    }

    /// A description that offers a data channel of this label.
    ///
    /// # Errors
    /// What the browser says.
    pub async fn channel(&self, label: &str) -> Result<Value> {
        self.0.eval(&format!("robotEnd.offerChannel({})", json!(label))).await
    }

    /// Takes the page's answer.
    ///
    /// # Errors
    /// If it does not fit.
    pub async fn accept(&self, answer: &Value) -> Result<()> {
        let description = json!({"type": "answer", "sdp": answer["sdp"]});
        self.0.run(&format!("await robotEnd.connection.setRemoteDescription({description})")).await
    }

    /// Closes the connection.
    ///
    /// # Errors
    /// If the browser is gone.
    pub async fn close(&self) -> Result<()> {
        self.0.run("robotEnd.connection.close()").await
    }
}
