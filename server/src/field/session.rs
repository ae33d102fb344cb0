//! What one socket is to the scene: its role, and what it may ask for.

mod publisher;

use std::sync::Arc;

use waldo_protocol::field::{
    AssetManifest, Bounds, ClientMessage, Envelope, ErrorMessage, Extension, Extensions, Hello, HelloAck, Invalid,
    Join, Joined, MeshMarks, ResetAck, Role, ServerMessage, XrInput,
};

use super::input;
use super::outbox::{Message, Outbox};
use super::rights::FieldRights;
use super::seat::Seat;
use super::sequence::Sequence;
use super::server::Place;
use super::service::{Client, Refused, Service};
use crate::clock;
use crate::vr::Bucket;
use crate::websocket::Close;

/// Resets of one user, and requests of the whole scene: so many per second, and so many at once. The ones make arms anew, the
/// others send everything anew.
const RESETS: (f64, f64) = (2.0, 5.0);

/// Messages other than samples of one client: so many per second, and so many at once. Publishers that move many meshes
/// need the most, and wait for a step with each.
const MESSAGES: (f64, f64) = (400.0, 800.0);

/// Reading a message of so many bytes would keep the thread from hearing other hands.
const LONG: usize = 64 << 10;

/// Largest message of somebody who has not shown the token, bytes.
const MAX_STRANGE: usize = 16 << 10;

/// One socket. To be told of its end by [`Session::leave`].
pub(super) struct Session {
    service: Arc<Service>,
    client: Arc<Client>,
    place: Place,
    /// What the client may do; none before it has shown a token where one is asked for.
    rights: Option<FieldRights>,
    ext: Extensions,
    standing: Standing,
    sequence: Sequence,
    resets: Bucket,
    requests: Bucket,
    /// Of messages that are no samples.
    rest: Bucket,
}

/// What hello made of a socket.
#[derive(Debug)]
enum Standing {
    Nobody,
    User(Arc<Seat>),
    Spectator,
    Publisher(String),
}

impl Session {
    /// A socket opened. Who has no rights yet has to show a token in hello.
    pub(super) fn new(service: Arc<Service>, rights: Option<FieldRights>, place: Place) -> Self {
        let client = service.connect(rights.is_some());
        Self {
            service,
            client,
            place,
            rights,
            ext: Extensions::NONE,
            standing: Standing::Nobody,
            sequence: Sequence::default(),
            resets: Bucket::new(RESETS.0, RESETS.1),
            requests: Bucket::new(RESETS.0, RESETS.1),
            rest: Bucket::new(MESSAGES.0, MESSAGES.1),
        }
    }

    pub(super) fn conn(&self) -> u64 {
        self.client.conn
    }

    pub(super) fn outbox(&self) -> &Arc<Outbox> {
        &self.client.outbox
    }

    /// Largest message that may come next, bytes.
    pub(super) fn max_message(&self) -> usize {
        match self.standing {
            Standing::Publisher(_) => self.service.config.max_publisher_message,
            _ if self.rights.is_some() => self.service.config.max_message,
            _ => MAX_STRANGE,
        }
    }

    fn role(&self) -> Option<Role> {
        match self.standing {
            Standing::Nobody => None,
            Standing::User(_) => Some(Role::VrClient),
            Standing::Spectator => Some(Role::Spectator),
            Standing::Publisher(_) => Some(Role::Publisher),
        }
    }

    /// The socket is gone; after a farewell nobody comes back.
    pub(super) async fn leave(mut self, farewell: bool) {
        self.service.disconnect(&self.client);
        self.stand_down(farewell).await;
    }

    /// Ends what hello began.
    async fn stand_down(&mut self, farewell: bool) {
        match std::mem::replace(&mut self.standing, Standing::Nobody) {
            Standing::User(seat) => {
                self.service.leave(&self.client, &seat, farewell).await;
                tracing::info!(user = seat.user, "left the field");
            }
            Standing::Publisher(owner) => self.service.leave_publisher(&owner).await,
            Standing::Nobody | Standing::Spectator => {}
        }
    }

    /// A message came; its answers are queued when this resolves.
    pub(super) async fn on_message(&mut self, message: &[u8]) {
        let now = clock::now();
        if self.rights.is_some() {
            // Strangers gain no time by talking.
            self.client.was_heard(now);
        }
        if let Standing::User(seat) = &self.standing
            && seat.speak(self.outbox(), |link, _| link.heard = now).is_none()
        {
            // The user goes on over another socket: what comes late over this one is none of theirs.
            self.service.config.metrics.field_dropped("superseded", 1);
            return;
        }
        let envelope = unhurried(message.len(), || match str::from_utf8(message) {
            Ok(text) => Envelope::read(text),
            Err(_) => Err(Invalid::reason("a message must be JSON in UTF-8")),
        });
        let is_sample = envelope.as_ref().is_ok_and(|envelope| envelope.kind() == "xr_input");
        if !is_sample && !self.rest.take(now) {
            let kind = envelope.as_ref().ok().map(Envelope::kind);
            return self.refuse(&Refused::new("too_many", "too many messages: try again in a second"), kind);
        }
        let (kind, done) = match &envelope {
            Ok(envelope) => (Some(envelope.kind()), self.on_envelope(message, envelope).await),
            Err(invalid) => (None, Err(invalid.clone().into())),
        };
        if let Err(refused) = done {
            self.refuse(&refused, kind);
        }
    }

    async fn on_envelope(&mut self, text: &[u8], envelope: &Envelope<'_>) -> Result<(), Refused> {
        if let Err(reason) = Role::check(self.role(), envelope.kind(), self.ext) {
            return Err(Refused { reason, code: if self.role().is_none() { "no_hello" } else { "unsupported" } });
        }
        let message = unhurried(text.len(), || envelope.message());
        self.service.config.metrics.field_message(counted(envelope.kind()));
        match (message, &self.standing) {
            (Ok(ClientMessage::Hello(hello)), _) => self.on_hello(hello).await,
            (Ok(ClientMessage::XrInput(input)), Standing::User(seat)) => {
                let seat = Arc::clone(seat);
                self.on_input(&seat, input);
                Ok(())
            }
            (Err(Invalid::Disconnected), Standing::User(seat)) => {
                seat.speak(self.outbox(), |_, input| input.end());
                Err(Invalid::Disconnected.into())
            }
            (Err(invalid), _) => Err(invalid.into()),
            (Ok(ClientMessage::Heartbeat), _) => Ok(()),
            (Ok(ClientMessage::SceneRequest), _) => self.on_scene_request(),
            (Ok(ClientMessage::Reset), Standing::User(seat)) => {
                let seat = Arc::clone(seat);
                self.on_reset(&seat).await
            }
            (Ok(message), Standing::Publisher(owner)) => {
                let owner = owner.clone();
                self.on_publication(owner, message).await
            }
            // The role allows nothing else.
            (Ok(message), _) => Err(Refused::new("unsupported", format!("unsupported type: {}", message.kind()))),
        }
    }

    fn send(&self, message: &ServerMessage) {
        self.client.outbox.answer(Message::text(message.encode().unwrap_or_default()));
    }

    /// Answers what cannot be done. Empty `controllers` are no fault.
    fn refuse(&self, refused: &Refused, kind: Option<&str>) {
        if refused.reason != Invalid::Disconnected {
            self.service.config.metrics.refusal("field", refused.code);
            if self.service.may_log(refused.code) {
                let conn = self.conn();
                tracing::warn!(conn, code = refused.code, "message refused: {}", refused.reason);
            }
        }
        let coded = self.ext.has(Extension::Acks);
        self.send(&ServerMessage::Error(ErrorMessage {
            reason: refused.reason.to_string(),
            code: coded.then(|| refused.code.to_owned()),
            request_type: kind.filter(|_| coded).map(str::to_owned),
        }));
    }

    /// Whether the client may come in, which its hello may show.
    fn admit(&mut self, hello: &Hello) -> bool {
        let Ok(rights) = self.service.config.rights_of_hello(hello.token.as_deref(), self.rights) else { return false };
        if self.rights.replace(rights).is_none() {
            self.place.is_known();
            self.client.view().trusted = true;
        }
        true
    }

    async fn on_hello(&mut self, hello: Hello) -> Result<(), Refused> {
        if !self.admit(&hello) {
            self.service.config.metrics.http_refusal("token");
            self.send(&ServerMessage::Error(ErrorMessage::from(&Invalid::reason("unauthorized"))));
            self.client.outbox.close(Close::new(4401, "unauthorized"));
            return Ok(());
        }
        let role = hello.join.role();
        if !self.rights.is_some_and(|rights| rights.allow(role)) {
            let text = format!("unauthorized: this token does not let you be a {}", role.name());
            return Err(Refused::new("forbidden", text));
        }
        // Who says hello anew is somebody new.
        self.stand_down(true).await;
        {
            let mut view = self.client.view();
            (view.role, view.ext, view.seat) = (None, Extensions::NONE, None);
            view.begin_anew();
            view.marks = MeshMarks::new();
            // What waits leans on what this client had; whoever it is now may have forgotten that.
            self.client.outbox.forget_scenes();
        }
        (self.ext, self.sequence) = (Extensions::NONE, Sequence::default());
        match hello.join.clone() {
            Join::VrClient { character_mode, user_id, .. } => {
                let (seat, token) = self.service.join(&self.client, character_mode, user_id, &hello).await?;
                tracing::info!(user = seat.user, mode = seat.mode.name(), "joined the field");
                let mut joined = Joined::vr_client(seat.mode, &seat.user, seat.arms.clone());
                if let Joined::VrClient { controlled_arm_ids, .. } = &mut joined {
                    *controlled_arm_ids = self.service.config.mapping.controlled(&seat.arms).into();
                }
                let manifest = AssetManifest::of_arms(&seat.user, seat.mode, &seat.arms);
                self.standing = Standing::User(seat);
                self.greet(hello.ext, joined, token, Some(manifest));
            }
            Join::Spectator => {
                let user_id = self.service.name_spectator();
                self.standing = Standing::Spectator;
                let manifest = AssetManifest { user_id: user_id.clone(), ..AssetManifest::default() };
                self.greet(hello.ext, Joined::Spectator { user_id }, None, Some(manifest));
            }
            Join::Publisher { owner_id } => {
                let owner_id = self.service.join_publisher(owner_id).await?;
                self.standing = Standing::Publisher(owner_id.clone());
                self.greet(hello.ext, Joined::Publisher { owner_id }, None, None);
            }
        }
        Ok(())
    }

    /// Answers a hello, and begins what was agreed on.
    fn greet(&mut self, asked: Extensions, joined: Joined, token: Option<String>, manifest: Option<AssetManifest>) {
        self.ext = asked;
        let max_message = u32::try_from(self.max_message()).unwrap_or(u32::MAX);
        let moves = self.service.limits;
        let limits = Bounds {
            max_translation: self.service.config.mapping.max_translation,
            max_speed: moves.map(|limits| limits.max_speed()),
            max_message,
            max_input_hz: f64::from(input::MAX_RATE),
            workspace: moves.map(|limits| limits.workspace()),
        };
        let now = clock::unix_time(clock::now()).as_secs_f64();
        let role = joined.role();
        self.send(&ServerMessage::HelloAck(HelloAck {
            ext: self.ext,
            limits: self.ext.has(Extension::Limits).then_some(limits),
            resume_token: token,
            ..HelloAck::new(now, joined)
        }));
        if let Some(manifest) = manifest {
            self.send(&ServerMessage::AssetManifest(manifest));
        }
        let seat = match &self.standing {
            Standing::User(seat) => Some(Arc::clone(seat)),
            _ => None,
        };
        let mut view = self.client.view();
        view.begin_anew();
        (view.role, view.ext, view.seat) = (Some(role), self.ext, seat);
    }

    fn on_input(&mut self, seat: &Seat, input: XrInput) {
        let now = clock::now();
        // Who numbers samples wants to know what became of them.
        let seq = input.seq.filter(|_| self.ext.has(Extension::InputSeq));
        if let Some(seq) = seq
            && let Err(reason) = self.sequence.admit(now, seq, input.sample.timestamp)
        {
            self.service.config.metrics.field_dropped(reason, 1);
            return;
        }
        let ack = self.sequence.ack();
        let sample = input.sample;
        let said = seat.speak(self.outbox(), |link, input| {
            link.ack = ack;
            input.on_sample(now, sample);
        });
        if said.is_none() {
            self.service.config.metrics.field_dropped("superseded", 1);
        }
    }

    fn on_scene_request(&mut self) -> Result<(), Refused> {
        if !self.requests.take(clock::now()) {
            return Err(Refused::new("too_many", "too many requests of the scene: try again in a second"));
        }
        self.client.view().begin_anew();
        Ok(())
    }

    async fn on_reset(&mut self, seat: &Arc<Seat>) -> Result<(), Refused> {
        if !self.resets.take(clock::now()) {
            return Err(Refused::new("too_many", "too many resets: try again in a second"));
        }
        let arms = self.service.reset(seat).await?;
        let mut ack = ResetAck::new(&seat.user, arms);
        let mapping = &self.service.config.mapping;
        if mapping.arms != [0, 1] {
            ack.controlled_arm_ids = mapping.controlled(&ack.arm_ids).into();
        }
        self.send(&ServerMessage::ResetAck(ack));
        Ok(())
    }
}

/// Does what takes long with so many bytes while another thread hears the other clients.
fn unhurried<T>(len: usize, work: impl FnOnce() -> T) -> T {
    if len > LONG { tokio::task::block_in_place(work) } else { work() }
}

/// The types that are counted by their names; there is no counter for each that a client invents.
fn counted(kind: &str) -> &'static str {
    const KNOWN: [&str; 12] = [
        "hello",
        "xr_input",
        "heartbeat",
        "reset",
        "scene_request",
        "add_mesh",
        "update_mesh_transform",
        "remove_mesh",
        "clear_meshes",
        "update_overlay_points",
        "remove_overlay_points",
        "clear_overlay_points",
    ];
    KNOWN.into_iter().find(|known| *known == kind).unwrap_or("unknown")
}
