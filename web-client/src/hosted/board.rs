//! Without a robot: logging in, the list of robots, the keys.

use std::rc::Rc;

use leptos::prelude::window;
use waldo_protocol::hosted::{
    AuthMode, CreateKey, Credentials, KeyInfo, SafetyState, SessionInfo, SessionState, Transport, UserRole,
};
use wasm_bindgen_futures::{JsFuture, spawn_local};

use super::Hosted;
use super::api::{DEVELOPMENT_TOKEN, Trouble, is_this_machine};
use super::summary::{Availability, Board, KeyRow, Kind, LogIn, Row, Stage};
use crate::browser::local_storage;

/// The list of robots is asked for this often, while it is looked at.
const LIST_EVERY_MS: f64 = 2000.0;
/// Remembers that a person wants no microphone.
const SILENT_KEY: &str = "waldo.hosted.silent";

impl Hosted {
    /// Asks whether the token of the last visit is still good; a broker in development mode on this machine needs none.
    pub(super) fn look_who_it_is(&self) {
        self.run(async |hosted| {
            let provider = hosted.api.config().await.is_ok_and(|config| match config.mode {
                Some(mode) => mode == AuthMode::Oidc,
                None => !config.client_id.is_empty(),
            });
            hosted.board.borrow_mut().log_in = if provider { LogIn::Provider } else { LogIn::Local };
            if !hosted.api.has_token() && is_this_machine() && hosted.api.is_development().await {
                hosted.api.set_token(Some(DEVELOPMENT_TOKEN.to_owned()));
            }
            if hosted.api.has_token() { hosted.enter().await } else { hosted.stage.set(Stage::SignIn) }
        });
    }

    /// Shows the robots of whoever the token belongs to.
    async fn enter(&self) {
        match self.api.me().await {
            Ok(me) => {
                let mut board = self.board.borrow_mut();
                board.account = me.sub;
                board.admin = me.role == UserRole::Admin;
                board.trouble = None;
                drop(board);
                self.stage.set(Stage::Board);
                self.refresh();
            }
            Err(trouble) => {
                if trouble.status() == 401 {
                    self.api.set_token(None);
                }
                self.board.borrow_mut().trouble = Some(match trouble.status() {
                    401 => "Log in again.".to_owned(),
                    _ => trouble.text(),
                });
                self.stage.set(Stage::SignIn);
            }
        }
    }

    /// Logs in; `register`: makes the account first.
    pub(crate) fn log_in(&self, credentials: Credentials, register: bool) {
        self.board.borrow_mut().busy = true;
        self.board.borrow_mut().trouble = None;
        self.run(async move |hosted| {
            let outcome = hosted.api.log_in(&credentials, register).await;
            hosted.board.borrow_mut().busy = false;
            match outcome {
                Ok(()) => hosted.enter().await,
                Err(trouble) => hosted.complain(&trouble),
            }
        });
    }

    /// Logs in with a token of an identity provider.
    pub(crate) fn use_token(&self, token: &str) {
        self.api.set_token(Some(token.trim().to_owned()));
        self.run(async |hosted| hosted.enter().await);
    }

    /// Leaves the robot, and forgets the person.
    pub(crate) fn log_out(&self) {
        self.leave();
        self.api.set_token(None);
        let (broker, log_in) = {
            let board = self.board.borrow();
            (board.broker.clone(), board.log_in)
        };
        self.board.replace(Board { broker, log_in, ..Board::default() });
        self.stage.set(Stage::SignIn);
        self.show();
    }

    /// Asks for robots and keys.
    pub(crate) fn refresh(&self) {
        self.list_robots();
        self.run(async |hosted| {
            if let Ok(list) = hosted.api.keys().await {
                hosted.board.borrow_mut().keys = list.keys.into_iter().map(key_row).collect();
            }
        });
    }

    pub(super) fn tick_board(&self, now: f64) {
        if matches!(self.stage.get(), Stage::Board | Stage::Cockpit) && self.api.wants_renewal(now) {
            self.run(async |hosted| hosted.api.renew().await);
        }
        if self.stage.get() == Stage::Board && now - self.listed_at.get() >= LIST_EVERY_MS {
            self.list_robots();
        }
    }

    fn list_robots(&self) {
        self.listed_at.set(crate::browser::now());
        self.run(async |hosted| {
            let robots = hosted.api.robots().await;
            let mut board = hosted.board.borrow_mut();
            board.offline = robots.as_ref().is_err_and(|trouble| *trouble == Trouble::Unreachable);
            if let Ok(robots) = robots {
                let rows = robots.iter().filter(|robot| robot.state != SessionState::Disconnected);
                let rows = rows.map(|robot| row(robot, &board.account)).collect();
                board.robots = Some(rows);
            }
        });
    }

    /// Makes a key; it is shown until it is forgotten.
    pub(crate) fn create_key(&self, name: &str, robot: &str) {
        let robot_id = Some(robot.trim().to_owned()).filter(|robot| !robot.is_empty());
        let key = CreateKey { name: name.trim().to_owned(), robot_id };
        self.run(async move |hosted| match hosted.api.create_key(&key).await {
            Ok(created) => {
                hosted.board.borrow_mut().fresh_key = Some((created.name, created.api_key));
                hosted.board.borrow_mut().trouble = None;
                hosted.refresh();
            }
            Err(trouble) => hosted.complain(&trouble),
        });
    }

    /// Puts the fresh key into the clipboard.
    pub(crate) fn copy_key(&self) {
        if let Some((_, key)) = &self.board.borrow().fresh_key {
            let copied = window().navigator().clipboard().write_text(key);
            // Where it is forbidden, the key can be selected.
            spawn_local(async move { drop(JsFuture::from(copied).await) });
        }
    }

    /// Shows the fresh key no more.
    pub(crate) fn forget_key(&self) {
        self.board.borrow_mut().fresh_key = None;
        self.show();
    }

    /// Makes a key worthless.
    pub(crate) fn revoke_key(&self, id: &str) {
        let id = id.to_owned();
        self.run(async move |hosted| match hosted.api.revoke_key(&id).await {
            Ok(()) => hosted.refresh(),
            Err(trouble) => hosted.complain(&trouble),
        });
    }

    /// Whether the microphone is to be taken along.
    pub(crate) fn wants_microphone(&self) -> bool {
        local_storage().and_then(|storage| storage.get_item(SILENT_KEY).ok().flatten()).is_none()
    }

    /// Takes the microphone along to robots, or does not.
    pub(crate) fn want_microphone(&self, wanted: bool) {
        if let Some(storage) = local_storage() {
            let _ = if wanted { storage.remove_item(SILENT_KEY) } else { storage.set_item(SILENT_KEY, "1") };
        }
    }

    pub(super) fn complain(&self, trouble: &Trouble) {
        self.board.borrow_mut().trouble = Some(trouble.text());
    }

    /// Runs something that waits for the broker, as long as the engine lives, and shows what came of it.
    pub(super) fn run(&self, job: impl AsyncFnOnce(Rc<Self>) + 'static) {
        let Some(hosted) = self.this.upgrade() else { return };
        spawn_local(async move {
            job(hosted.clone()).await;
            hosted.show();
        });
    }
}

fn row(robot: &SessionInfo, account: &str) -> Row {
    let availability = match &robot.operator_id {
        _ if robot.transport == Transport::Livekit => Availability::Foreign,
        None => Availability::Free,
        Some(operator) if operator == account => Availability::Mine,
        Some(operator) => Availability::Busy(operator.clone()),
    };
    let alarm = match robot.safety_state {
        Some(SafetyState::Estopped) => Some("stopped".to_owned()),
        Some(SafetyState::Degraded) => Some("degraded".to_owned()),
        _ => None,
    };
    Row {
        session: robot.session_id.clone(),
        name: robot.robot_name.clone(),
        robot: robot.robot_id.clone(),
        kind: Kind::of(robot.robot_type.as_deref()),
        availability,
        rtt_ms: robot.rtt_ms,
        loss_pct: robot.packet_loss_pct,
        alarm,
        viewers: robot.viewers,
    }
}

fn key_row(key: KeyInfo) -> KeyRow {
    KeyRow { id: key.id, name: key.name, prefix: key.key_prefix, robot: key.robot_id, used: key.last_used_at }
}
