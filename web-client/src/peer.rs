//! A WebRTC connection that the robot offers and this page answers: what the cameras' and the poses' have in common.

use std::cell::Cell;
use std::rc::Rc;

use js_sys::Array;
use waldo_protocol::vr::IceServer;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    RtcConfiguration, RtcIceGatheringState, RtcIceServer, RtcPeerConnection, RtcPeerConnectionState, RtcSdpType,
    RtcSessionDescriptionInit,
};

use crate::browser::{error_text, now, sleep};

/// A robot that needs our candidates inside the answer waits for them no longer than this.
const GATHERING_LIMIT_MS: f64 = 3000.0;
const GATHERING_POLL_MS: i32 = 50;

/// What the robot offers.
pub(crate) struct Offer {
    pub(crate) sdp: String,
    pub(crate) ice_servers: Vec<IceServer>,
    /// It comes from a robot that never said hello.
    pub(crate) plain: bool,
}

impl Offer {
    /// Our own robots find a page that can reach them by the packets it sends. One that never said hello may not; and
    /// where servers are named that relay or tell addresses, nobody may reach anybody directly. Both need our candidates.
    fn wants_candidates(&self) -> bool {
        self.plain || !self.ice_servers.is_empty()
    }
}

/// A connection. Dropping it closes it.
pub(crate) struct Peer {
    connection: RtcPeerConnection,
    /// It failed; the owner looks at its next poll.
    failed: Rc<Cell<bool>>,
    _state: Closure<dyn FnMut()>,
}

impl Peer {
    /// A connection that waits for [`Peer::answer`].
    ///
    /// # Errors
    /// What the browser throws at servers it does not like.
    pub(crate) fn new(ice_servers: &[IceServer]) -> Result<Self, JsValue> {
        let connection = match ice_servers {
            [] => RtcPeerConnection::new()?,
            servers => RtcPeerConnection::new_with_configuration(&configuration(servers))?,
        };
        let failed = Rc::new(Cell::new(false));
        let state = Closure::<dyn FnMut()>::new({
            let (connection, failed) = (connection.clone(), failed.clone());
            move || {
                let state = connection.connection_state();
                if matches!(state, RtcPeerConnectionState::Failed | RtcPeerConnectionState::Closed) {
                    failed.set(true);
                }
            }
        });
        connection.set_onconnectionstatechange(Some(state.as_ref().unchecked_ref()));
        Ok(Self { connection, failed, _state: state })
    }

    /// The browser's own handle, for its events.
    pub(crate) fn connection(&self) -> &RtcPeerConnection {
        &self.connection
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connection.connection_state() == RtcPeerConnectionState::Connected
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.get()
    }

    /// Answers the offer and hands the answer to `send`.
    pub(crate) fn answer(&self, offer: Offer, send: impl FnOnce(String) + 'static) {
        let (connection, failed) = (self.connection.clone(), self.failed.clone());
        spawn_local(async move {
            match answer(&connection, &offer, send).await {
                Ok(()) => {}
                // A newer offer closes this connection, which is no failure of its own.
                Err(_) if connection.connection_state() == RtcPeerConnectionState::Closed => {}
                Err(error) => {
                    failed.set(true);
                    log_failure(&error);
                }
            }
        });
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.connection.set_ontrack(None);
        self.connection.set_ondatachannel(None);
        self.connection.set_onconnectionstatechange(None);
        self.connection.close();
    }
}

/// A peer connection that cannot be had is a matter for developers; the page goes on without.
pub(crate) fn log_failure(error: &JsValue) {
    web_sys::console::warn_1(&format!("no WebRTC connection: {}", error_text(error)).into());
}

fn configuration(servers: &[IceServer]) -> RtcConfiguration {
    let list: Array = servers
        .iter()
        .map(|server| {
            let entry = RtcIceServer::new();
            entry.set_urls(&server.urls.iter().map(JsValue::from).collect::<Array>());
            if let Some(username) = &server.username {
                entry.set_username(username);
            }
            if let Some(credential) = &server.credential {
                entry.set_credential(credential);
            }
            entry
        })
        .collect();
    let configuration = RtcConfiguration::new();
    configuration.set_ice_servers(&list);
    configuration
}

async fn answer(connection: &RtcPeerConnection, offer: &Offer, send: impl FnOnce(String)) -> Result<(), JsValue> {
    let description = RtcSessionDescriptionInit::new(RtcSdpType::Offer);
    description.set_sdp(&offer.sdp);
    JsFuture::from(connection.set_remote_description(&description)).await?;
    let answer: RtcSessionDescriptionInit = JsFuture::from(connection.create_answer()).await?.unchecked_into();
    if !offer.wants_candidates() {
        // The robot needs nothing that follows; while the browser sets itself up the answer is under way.
        send(answer.get_sdp().ok_or("an answer without a description")?);
        JsFuture::from(connection.set_local_description(&answer)).await?;
        return Ok(());
    }
    JsFuture::from(connection.set_local_description(&answer)).await?;
    let since = now();
    while connection.ice_gathering_state() != RtcIceGatheringState::Complete && now() - since < GATHERING_LIMIT_MS {
        sleep(GATHERING_POLL_MS).await;
    }
    send(connection.local_description().ok_or("the connection was closed meanwhile")?.sdp());
    Ok(())
}
