//! The broker's interface as the page uses it: requests with the person's token, answers as values, refusals as words.

use std::cell::{Cell, RefCell};

use leptos::prelude::window;
use serde::Serialize;
use serde::de::DeserializeOwned;
use waldo_protocol::hosted::{
    API_PREFIX, AuthConfig, BridgedSession, BridgedViewer, BrokerHealth, CreateKey, CreatedKey, Credentials, ErrorBody,
    IceServer, IceServers, JoinSession, JoinedSession, KeyList, LEASE_HEADER, LeaveSession, LoggedIn, Me, SdpAnswer,
    SessionInfo, SessionList, TakeOver,
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortSignal, Headers, RequestCache, RequestInit, Response};

use super::token::Claims;
use crate::browser::{local_storage, unix_now};

const TOKEN_KEY: &str = "waldo.hosted.token";
/// The token of a broker in development mode, for pages on this machine only.
pub(super) const DEVELOPMENT_TOKEN: &str = "dev-token";
/// No answer takes longer, milliseconds.
const LIMIT_MS: u32 = 10_000;
/// An answer to the question whether it is there.
const THERE_LIMIT_MS: u32 = 1000;
/// A renewal that failed is tried again after this.
const RENEW_EVERY_MS: f64 = 10_000.0;
/// Those that need the SFU do.
const SLOW_LIMIT_MS: u32 = 35_000;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The broker does not answer.
    Unreachable,
    /// It refused, with this status and these words.
    Refused(u16, String),
    /// It answered something else than it should.
    Malformed,
    /// The browser could not do its part.
    Browser(String),
}

impl Trouble {
    /// For a person.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Unreachable => "The broker does not answer. Is this computer online?".to_owned(),
            Self::Refused(429, _) => "Too many attempts. Wait a moment.".to_owned(),
            Self::Refused(_, detail) => detail.clone(),
            Self::Malformed => "The broker answered something this page does not understand.".to_owned(),
            Self::Browser(reason) => format!("The browser could not connect: {reason}"),
        }
    }

    /// The status of a refusal; 0 for everything else.
    pub(crate) fn status(&self) -> u16 {
        if let Self::Refused(status, _) = self { *status } else { 0 }
    }
}

impl From<JsValue> for Trouble {
    fn from(error: JsValue) -> Self {
        Self::Browser(crate::browser::error_text(&error))
    }
}

/// One request.
struct Request<'a> {
    method: &'a str,
    path: &'a str,
    body: Option<String>,
    lease: Option<&'a str>,
    limit_ms: u32,
    keep_alive: bool,
}

/// The broker, and who is logged in.
pub(crate) struct Api {
    origin: String,
    token: RefCell<Option<String>>,
    /// The token was refused; the engine logs out at its next look.
    refused: Cell<bool>,
    /// When a renewal may be tried, milliseconds of the page's clock.
    renewal_due: Cell<f64>,
}

impl Api {
    /// The broker that served the page, with the token of the last visit. Only a page on this machine may name another
    /// broker, `?broker=`: elsewhere a link could send the token to anybody.
    pub(super) fn new() -> Self {
        let location = window().location();
        let named = is_this_machine().then(|| {
            let search = location.search().unwrap_or_default();
            web_sys::UrlSearchParams::new_with_str(&search).ok()?.get("broker")
        });
        let origin = named.flatten().unwrap_or_else(|| location.origin().unwrap_or_default());
        let token = local_storage().and_then(|storage| storage.get_item(TOKEN_KEY).ok().flatten());
        Self {
            origin: origin.trim_end_matches('/').to_owned(),
            token: RefCell::new(token),
            refused: Cell::default(),
            renewal_due: Cell::default(),
        }
    }

    /// Its address, for a person.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    pub(super) fn has_token(&self) -> bool {
        self.token.borrow().is_some()
    }

    pub(super) fn claims(&self) -> Claims {
        self.token.borrow().as_deref().map(Claims::of).unwrap_or_default()
    }

    /// Keeps the token for this visit and the next, or forgets it.
    pub(super) fn set_token(&self, token: Option<String>) {
        self.refused.set(false);
        if let Some(storage) = local_storage() {
            // Remembering is a convenience.
            let _ = match &token {
                Some(token) => storage.set_item(TOKEN_KEY, token),
                None => storage.remove_item(TOKEN_KEY),
            };
        }
        self.token.replace(token);
    }

    /// Whether the broker refused the token since the last look.
    pub(super) fn take_refused(&self) -> bool {
        self.refused.replace(false)
    }

    /// Whether it is time to renew the token; tells so once in a while, however long a renewal takes. `now`: milliseconds
    /// of the page's clock.
    pub(super) fn wants_renewal(&self, now: f64) -> bool {
        let due = now >= self.renewal_due.get() && self.claims().wants_renewal(unix_now());
        if due {
            self.renewal_due.set(now + RENEW_EVERY_MS);
        }
        due
    }

    /// Renews the token. A broker that cannot leaves it as it is, and the person logs in again when it has ended.
    pub(super) async fn renew(&self) {
        let answer: Result<LoggedIn, _> = self.call("POST", "/auth/refresh", None).await;
        if let Ok(renewed) = answer {
            self.set_token(Some(renewed.token));
        }
    }

    /// Whether the broker answers, whatever it says. A question that hangs is given up soon, which over HTTP/1.1 ends its
    /// connection: the next one takes another.
    pub(super) async fn is_there(&self) -> bool {
        let request = Request { limit_ms: THERE_LIMIT_MS, ..Request::get("/health") };
        let answer = self.fetch(&request, &format!("{}/health", self.origin)).await;
        !matches!(answer, Err(Trouble::Unreachable))
    }

    /// Whether the broker is in development mode.
    pub(super) async fn is_development(&self) -> bool {
        let Ok(text) = self.fetch(&Request::get("/health"), &format!("{}/health", self.origin)).await else {
            return false;
        };
        parse::<BrokerHealth>(&text).is_ok_and(|health| health.environment == "dev")
    }

    pub(super) async fn config(&self) -> Result<AuthConfig, Trouble> {
        self.call("GET", "/auth/config", None).await
    }

    pub(super) async fn me(&self) -> Result<Me, Trouble> {
        self.call("GET", "/auth/me", None).await
    }

    /// Logs in, or makes the account first.
    pub(super) async fn log_in(&self, credentials: &Credentials, register: bool) -> Result<(), Trouble> {
        self.set_token(None);
        let path = if register { "/auth/register" } else { "/auth/login" };
        let answer: LoggedIn = self.call("POST", path, body(credentials)).await?;
        self.set_token(Some(answer.token));
        Ok(())
    }

    pub(super) async fn robots(&self) -> Result<Vec<SessionInfo>, Trouble> {
        self.call::<SessionList>("GET", "/sessions", None).await.map(|list| list.0)
    }

    pub(super) async fn status(&self, session: &str) -> Result<SessionInfo, Trouble> {
        self.call("GET", &format!("/sessions/{session}/status"), None).await
    }

    pub(super) async fn keys(&self) -> Result<KeyList, Trouble> {
        self.call("GET", "/keys", None).await
    }

    pub(super) async fn create_key(&self, key: &CreateKey) -> Result<CreatedKey, Trouble> {
        self.call("POST", "/keys", body(key)).await
    }

    pub(super) async fn revoke_key(&self, id: &str) -> Result<(), Trouble> {
        self.send(&Request { method: "DELETE", ..Request::get(&format!("/keys/{id}")) }).await.map(drop)
    }

    /// Empty if there are none to be had.
    pub(super) async fn ice_servers(&self) -> Vec<IceServer> {
        let answer: Result<IceServers, _> = self.call("GET", "/sessions/turn-credentials", None).await;
        answer.map(|answer| answer.ice_servers).unwrap_or_default()
    }

    pub(super) async fn join(&self, session: &str, join: &JoinSession) -> Result<JoinedSession, Trouble> {
        self.slowly(&format!("/sessions/{session}/join"), body(join), None).await
    }

    /// Joins in the place of whoever drives the robot.
    pub(super) async fn take_over(&self, session: &str, take_over: &TakeOver) -> Result<JoinedSession, Trouble> {
        self.slowly(&format!("/sessions/{session}/takeover"), body(take_over), None).await
    }

    pub(super) async fn bridge(&self, session: &str, lease: Option<&str>) -> Result<BridgedSession, Trouble> {
        self.slowly(&format!("/sessions/{session}/bridge-datachannel"), None, lease).await
    }

    pub(super) async fn answer_video(&self, session: &str, sdp: String, lease: Option<&str>) -> Result<(), Trouble> {
        let path = format!("/sessions/{session}/renegotiate-answer");
        let request = Request { body: body(&SdpAnswer { sdp_answer: sdp }), lease, ..Request::post(&path) };
        self.send(&request).await.map(drop)
    }

    pub(super) async fn heartbeat(&self, session: &str, lease: Option<&str>) -> Result<(), Trouble> {
        let path = format!("/sessions/{session}/op-heartbeat");
        self.send(&Request { lease, ..Request::post(&path) }).await.map(drop)
    }

    /// Frees the robot. `closing`: the page is about to go, so the browser must send this by itself.
    pub(super) async fn leave(
        &self,
        session: &str,
        reason: &str,
        lease: Option<&str>,
        closing: bool,
    ) -> Result<(), Trouble> {
        let path = format!("/sessions/{session}/leave");
        let leave = LeaveSession { reason: reason.to_owned() };
        let request = Request { body: body(&leave), lease, keep_alive: closing, ..Request::post(&path) };
        self.send(&request).await.map(drop)
    }

    pub(super) async fn estop(&self, session: &str) -> Result<(), Trouble> {
        self.send(&Request::post(&format!("/sessions/{session}/estop"))).await.map(drop)
    }

    pub(super) async fn viewer_bridge(&self, session: &str, peer: &str) -> Result<BridgedViewer, Trouble> {
        self.slowly(&format!("/sessions/{session}/viewers/{peer}/bridge"), None, None).await
    }

    pub(super) async fn viewer_answer(&self, session: &str, peer: &str, sdp: String) -> Result<(), Trouble> {
        let path = format!("/sessions/{session}/viewers/{peer}/answer");
        let request = Request { body: body(&SdpAnswer { sdp_answer: sdp }), ..Request::post(&path) };
        self.send(&request).await.map(drop)
    }

    pub(super) async fn viewer_heartbeat(&self, session: &str, peer: &str) -> Result<(), Trouble> {
        self.send(&Request::post(&format!("/sessions/{session}/viewers/{peer}/heartbeat"))).await.map(drop)
    }

    pub(super) async fn viewer_leave(&self, session: &str, peer: &str, closing: bool) -> Result<(), Trouble> {
        let path = format!("/sessions/{session}/viewers/{peer}");
        self.send(&Request { method: "DELETE", keep_alive: closing, ..Request::get(&path) }).await.map(drop)
    }

    async fn call<A: DeserializeOwned>(&self, method: &str, path: &str, body: Option<String>) -> Result<A, Trouble> {
        parse(&self.send(&Request { method, body, ..Request::get(path) }).await?)
    }

    async fn slowly<A: DeserializeOwned>(
        &self,
        path: &str,
        body: Option<String>,
        lease: Option<&str>,
    ) -> Result<A, Trouble> {
        parse(&self.send(&Request { body, lease, limit_ms: SLOW_LIMIT_MS, ..Request::post(path) }).await?)
    }

    /// The body of a successful answer.
    async fn send(&self, request: &Request<'_>) -> Result<String, Trouble> {
        let answer = self.fetch(request, &format!("{}{API_PREFIX}{}", self.origin, request.path)).await;
        let authenticates = request.path.starts_with("/auth/log") || request.path.starts_with("/auth/reg");
        if answer.as_ref().is_err_and(|trouble| trouble.status() == 401) && !authenticates {
            self.refused.set(true);
        }
        answer
    }

    async fn fetch(&self, request: &Request<'_>, url: &str) -> Result<String, Trouble> {
        let headers = Headers::new()?;
        if let Some(token) = &*self.token.borrow() {
            headers.set("Authorization", &format!("Bearer {token}"))?;
        }
        if let Some(lease) = request.lease {
            headers.set(LEASE_HEADER, lease)?;
        }
        let init = RequestInit::new();
        init.set_method(request.method);
        init.set_cache(RequestCache::NoStore);
        if let Some(body) = &request.body {
            headers.set("Content-Type", "application/json")?;
            init.set_body(&body.into());
        }
        init.set_headers(&headers);
        if request.keep_alive {
            // A beacon cannot carry the token.
            js_sys::Reflect::set(&init, &"keepalive".into(), &JsValue::TRUE)?;
        } else {
            init.set_signal(Some(&AbortSignal::timeout_with_u32(request.limit_ms)));
        }
        let answer = JsFuture::from(window().fetch_with_str_and_init(url, &init)).await;
        let answer: Response = answer.map_err(|_| Trouble::Unreachable)?.unchecked_into();
        let text = JsFuture::from(answer.text()?).await.map_err(|_| Trouble::Unreachable)?;
        let text = text.as_string().unwrap_or_default();
        if answer.ok() { Ok(text) } else { Err(refusal(answer.status(), &text)) }
    }
}

impl<'a> Request<'a> {
    fn get(path: &'a str) -> Self {
        Self { method: "GET", path, body: None, lease: None, limit_ms: LIMIT_MS, keep_alive: false }
    }

    fn post(path: &'a str) -> Self {
        Self { method: "POST", ..Self::get(path) }
    }
}

fn body(value: &impl Serialize) -> Option<String> {
    serde_json::to_string(value).ok()
}

fn parse<A: DeserializeOwned>(text: &str) -> Result<A, Trouble> {
    serde_json::from_str(text).map_err(|_| Trouble::Malformed)
}

fn refusal(status: u16, text: &str) -> Trouble {
    let detail = serde_json::from_str::<ErrorBody>(text).map(|body| body.to_string()).unwrap_or_default();
    let detail = if detail.is_empty() { format!("The broker answered {status}.") } else { detail };
    Trouble::Refused(status, detail)
}

/// Whether the page was loaded from this very computer.
pub(super) fn is_this_machine() -> bool {
    let host = window().location().hostname().unwrap_or_default();
    matches!(host.as_str(), "localhost" | "127.0.0.1" | "0.0.0.0")
}
