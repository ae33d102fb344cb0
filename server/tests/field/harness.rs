//! A back end that tells what was done with it, and clients that know the wire only.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};
use waldo_protocol::field::{CharacterMode, MultiArmCommand, SceneState};
use waldo_server::field::{BackendError, FieldBackend, FieldConfig, FieldServer, MultiArmPassThroughBackend};

/// Much longer than anything takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// Long enough for what must not come to have come.
pub(crate) const A_WHILE: Duration = Duration::from_millis(150);

/// One step: when it was, how long, and the x of each arm that was told something, by user.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) at: Instant,
    pub(crate) dt: f64,
    pub(crate) users: BTreeMap<String, MultiArmCommand>,
}

/// What was done with the back end.
#[derive(Clone, Default)]
pub(crate) struct Log {
    steps: Arc<Mutex<Vec<Step>>>,
    /// Makes the next step panic, or its arms diverge.
    pub(crate) mischief: Arc<Mutex<Mischief>>,
}

#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) enum Mischief {
    #[default]
    None,
    Panics,
    Diverges,
}

impl Log {
    /// The steps with commands or without, since the start.
    pub(crate) fn steps(&self) -> Vec<Step> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The users of the newest step.
    pub(crate) fn driving(&self) -> BTreeSet<String> {
        self.steps().last().map(|step| step.users.keys().cloned().collect()).unwrap_or_default()
    }

    pub(crate) fn become_bad(&self, mischief: Mischief) {
        *self.mischief.lock().unwrap() = mischief;
    }
}

/// Passes commands through, and notes them.
pub(crate) struct Noting {
    inner: MultiArmPassThroughBackend,
    shown: SceneState,
    log: Log,
}

impl FieldBackend for Noting {
    fn register_user(&mut self, user: &str, mode: CharacterMode) -> Result<Vec<String>, BackendError> {
        self.inner.register_user(user, mode)
    }
    fn remove_user(&mut self, user: &str) {
        self.inner.remove_user(user);
    }
    fn step(&mut self, dt: f64, commands: &[(&str, &MultiArmCommand)]) {
        let users = commands.iter().map(|(user, command)| ((*user).to_owned(), (*command).clone())).collect();
        self.log.steps.lock().unwrap_or_else(PoisonError::into_inner).push(Step { at: Instant::now(), dt, users });
        self.inner.step(dt, commands);
        self.shown = self.inner.scene().clone();
        let mischief = *self.log.mischief.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(mischief != Mischief::Panics, "as the test wants it");
        if mischief == Mischief::Diverges {
            self.shown.arms.values_mut().for_each(|arm| arm.tip.translation = [f64::NAN; 3]);
        }
    }
    fn scene(&self) -> &SceneState {
        &self.shown
    }
    fn scene_mut(&mut self) -> &mut SceneState {
        self.inner.scene_mut()
    }
    fn clamped(&self) -> &BTreeSet<String> {
        self.inner.clamped()
    }
    fn stop(&mut self, stopped: bool) {
        self.inner.stop(stopped);
    }
    fn wait(&mut self, user: &str, waits: bool) {
        self.inner.wait(user, waits);
    }
    fn let_go(&mut self, user: &str, command: &MultiArmCommand) {
        let users = [(user.to_owned(), command.clone())].into();
        self.log.steps.lock().unwrap_or_else(PoisonError::into_inner).push(Step { at: Instant::now(), dt: 0.0, users });
        self.inner.let_go(user, command);
    }
}

/// A running server, and what was done with its back end.
pub(crate) struct Setup {
    pub(crate) server: FieldServer,
    pub(crate) log: Log,
}

pub(crate) fn start() -> Setup {
    start_with(FieldConfig::default())
}

pub(crate) fn start_with(config: FieldConfig) -> Setup {
    let log = Log::default();
    let server = FieldServer::new(FieldConfig { listen: Some(([127, 0, 0, 1], 0).into()), ..config });
    let (inner, shown) = (MultiArmPassThroughBackend::new(), SceneState::default());
    server.start(Box::new(Noting { inner, shown, log: log.clone() })).unwrap();
    Setup { server, log }
}

impl Setup {
    pub(crate) fn addr(&self) -> SocketAddr {
        self.server.addr().unwrap()
    }

    /// A socket without hello.
    pub(crate) async fn connect(&self) -> Client {
        Client::connect(&format!("ws://{}/any/path", self.addr())).await
    }

    /// A user of two arms.
    pub(crate) async fn user(&self, user: &str) -> Client {
        self.user_with(user, json!({})).await
    }

    /// The same with more in its hello.
    pub(crate) async fn user_with(&self, user: &str, more: Value) -> Client {
        let mut hello = json!({"character_mode": "two-cr", "user_id": user});
        hello.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.hello(hello).await
    }

    pub(crate) async fn spectator(&self) -> Client {
        self.hello(json!({"role": "spectator"})).await
    }

    pub(crate) async fn publisher(&self, owner: &str) -> Client {
        self.hello(json!({"role": "publisher", "owner_id": owner})).await
    }

    /// A socket whose hello was answered.
    pub(crate) async fn hello(&self, hello: Value) -> Client {
        let mut client = self.connect().await;
        client.send("hello", hello).await;
        client.ack = client.reply().await;
        assert_eq!(client.ack["type"], "hello_ack", "{}", client.ack);
        if client.ack["payload"]["role"] != "publisher" {
            assert_eq!(client.reply().await["type"], "asset_manifest");
        }
        client
    }
}

/// One socket.
pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The answer to hello.
    pub(crate) ack: Value,
}

impl Client {
    pub(crate) async fn connect(url: &str) -> Self {
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let (socket, _) = connect_async_with_config(url, Some(config), true).await.unwrap();
        Self { socket, ack: Value::Null }
    }

    pub(crate) async fn send(&mut self, kind: &str, payload: Value) {
        self.send_text(json!({"version": 1, "type": kind, "payload": payload}).to_string()).await;
    }

    pub(crate) async fn send_text(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).await.unwrap();
    }

    /// A sample whose left hand is at that x, and which holds its grip.
    pub(crate) async fn hand(&mut self, x: f64) {
        self.send("xr_input", sample(x)).await;
    }

    async fn next(&mut self) -> Value {
        loop {
            match timeout(LIMIT, self.socket.next()).await.expect("nothing comes").expect("it hung up").unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next message that is no scene.
    pub(crate) async fn reply(&mut self) -> Value {
        loop {
            let message = self.next().await;
            if !is_scene(&message) {
                return message;
            }
        }
    }

    /// The reason of the next message, an error.
    pub(crate) async fn refusal(&mut self) -> String {
        let reply = self.reply().await;
        assert_eq!(reply["type"], "error", "{reply}");
        reply["payload"]["reason"].as_str().unwrap().to_owned()
    }

    /// The next `scene_state`.
    pub(crate) async fn scene(&mut self) -> Value {
        loop {
            let message = self.next().await;
            if message["type"] == "scene_state" {
                return message["payload"].clone();
            }
        }
    }

    /// A scene or a delta of which that is true.
    pub(crate) async fn told(&mut self, what: impl Fn(&Value) -> bool) {
        let end = Instant::now() + 2 * LIMIT;
        loop {
            let message = self.next().await;
            if is_scene(&message) && what(&message["payload"]) {
                return;
            }
            assert!(Instant::now() < end, "it never came: {message}");
        }
    }

    /// The next scene of which that is true.
    pub(crate) async fn scene_where(&mut self, mut what: impl FnMut(&Value) -> bool) -> Value {
        let end = Instant::now() + LIMIT;
        loop {
            let scene = self.scene().await;
            if what(&scene) {
                return scene;
            }
            assert!(Instant::now() < end, "it never came: {scene}");
        }
    }

    /// Whether nothing but scenes comes for a while.
    pub(crate) async fn is_silent(&mut self) -> bool {
        timeout(A_WHILE, self.reply()).await.is_err()
    }

    /// Code and reason of the close that comes next, scenes and answers left out.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        loop {
            match timeout(2 * LIMIT, self.socket.next()).await.expect("it stays open") {
                Some(Ok(Message::Close(Some(close)))) => return (close.code.into(), close.reason.to_string()),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Hangs up as a link does that breaks.
    pub(crate) fn break_off(self) {
        drop(self);
    }

    /// Says farewell.
    pub(crate) async fn leave(mut self) {
        self.socket.close(None).await.unwrap();
        while let Some(Ok(_)) = timeout(LIMIT, self.socket.next()).await.unwrap() {}
    }
}

pub(crate) fn is_scene(message: &Value) -> bool {
    message["type"] == "scene_state" || message["type"] == "scene_delta"
}

/// The payload of an `xr_input`.
pub(crate) fn sample(x: f64) -> Value {
    let at = |x: f64| json!({"translation": [x, 1.2, 0.3], "rotation_xyzw": [0, 0, 0, 1]});
    json!({"timestamp": 1.0, "head_pose": at(0.0), "controllers": {"left": {"pose": at(x), "grip": 1.0}}})
}

/// Waits until something is true.
pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < end, "it never came that {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
