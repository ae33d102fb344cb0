//! A robot that says what a test wants it to say: a WebSocket over TLS and nothing behind it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Result, bail};
use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::Message;

use crate::browser::PATIENCE;

/// What clients are told before they said anything, and the capabilities that a hello is answered with; none: a hello is
/// not answered.
#[derive(Clone, Default)]
pub struct Script {
    /// Sent to every new client.
    pub greeting: Vec<Value>,
    /// Capabilities of the answer to hello.
    pub caps: Option<Vec<&'static str>>,
}

/// A message as it came.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Which socket, counted from 1.
    pub socket: usize,
    /// When.
    pub at: Instant,
    /// What.
    pub message: Value,
}

/// A running one. Ends, with all its sockets, when dropped.
pub struct ScriptedRobot {
    /// Where it listens, on this machine.
    pub addr: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    /// What to say to every client; `None` hangs up.
    say: broadcast::Sender<Option<String>>,
    accepting: JoinHandle<()>,
}

impl ScriptedRobot {
    /// Starts to listen on a free port.
    ///
    /// # Errors
    /// If there is no port or no certificate.
    pub async fn start(script: Script) -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
        let tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)?;
        let tls = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (say, _) = broadcast::channel(64);
        let accepting = tokio::spawn({
            let (heard, say) = (Arc::clone(&heard), say.clone());
            async move {
                // Dropped with this task, and with it every socket.
                let mut sockets = tokio::task::JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    let socket = sockets.len() + 1;
                    let (tls, script) = (tls.clone(), script.clone());
                    let (heard, lines) = (Arc::clone(&heard), say.subscribe());
                    sockets.spawn(async move { drop(serve(stream, tls, script, socket, &heard, lines).await) });
                }
            }
        });
        Ok(Self { addr, heard, say, accepting })
    }

    /// Says this to every client.
    pub fn say(&self, message: &Value) {
        // Nobody listens: nobody is told.
        let _ = self.say.send(Some(message.to_string()));
    }

    /// Closes every socket without a word, and goes on listening.
    pub fn hang_up(&self) {
        let _ = self.say.send(None);
    }

    /// Everything that came so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The messages of a type, in order.
    pub fn messages(&self, kind: &str) -> Vec<Value> {
        self.heard().into_iter().map(|heard| heard.message).filter(|message| message["type"] == kind).collect()
    }

    /// The pose frames, in order.
    pub fn frames(&self) -> Vec<Value> {
        self.heard().into_iter().map(|heard| heard.message).filter(|message| message.get("l_ee").is_some()).collect()
    }

    /// Waits until `done` holds of everything heard so far.
    ///
    /// # Errors
    /// If it does not in time; `what` says what was awaited.
    pub async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) -> Result<()> {
        let start = Instant::now();
        while !done(self) {
            if start.elapsed() > PATIENCE {
                bail!("waited in vain: {what}; the last messages are {:?}", self.heard().iter().rev().take(5));
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

impl Drop for ScriptedRobot {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(
    stream: TcpStream,
    tls: TlsAcceptor,
    script: Script,
    socket: usize,
    heard: &Mutex<Vec<Heard>>,
    mut lines: broadcast::Receiver<Option<String>>,
) -> Result<()> {
    let mut stream = tokio_tungstenite::accept_async(tls.accept(stream).await?).await?;
    for line in &script.greeting {
        stream.send(Message::Text(line.to_string().into())).await?;
    }
    loop {
        tokio::select! {
            line = lines.recv() => match line? {
                Some(line) => stream.send(Message::Text(line.into())).await?,
                None => return Ok(()),
            },
            message = stream.next() => {
                let Some(message) = message else { return Ok(()) };
                let Message::Text(text) = message? else { continue };
                let message: Value = serde_json::from_str(&text)?;
                if let (Some(caps), true) = (&script.caps, message["type"] == "hello") {
                    let answer = json!({"type": "hello", "v": 1, "server": "scripted/1", "conn": "1", "caps": caps});
                    stream.send(Message::Text(answer.to_string().into())).await?;
                }
                let heard_now = Heard { socket, at: Instant::now(), message };
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(heard_now);
            }
        }
    }
}
