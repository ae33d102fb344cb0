//! Which robot to connect to, and with which token.
//!
//! The page's own robot unless a person typed another one. A token belongs to one robot and is never sent to another.

use leptos::prelude::window;
use waldo_protocol::vr::{InvalidAddress, RobotAddress};

use crate::browser::{document, local_storage, session_storage};
use crate::connection::Dialled;

const HOST_KEY: &str = "waldo.host";
const TOKEN_KEY: &str = "waldo.token";

/// A robot to connect to.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    address: RobotAddress,
    /// As shown in the host field.
    pub(crate) shown: String,
    /// Not the robot that served the page.
    pub(crate) foreign: bool,
}

impl Target {
    /// The robot remembered from the last visit, else the one that served the page.
    ///
    /// # Errors
    /// If the page has no host, as when opened from a file.
    pub(crate) fn remembered() -> Result<Self, InvalidAddress> {
        let typed = local_storage().and_then(|storage| storage.get_item(HOST_KEY).ok().flatten());
        typed.and_then(|typed| Self::parse(&typed).ok()).map_or_else(Self::own, Ok)
    }

    /// The robot a person typed, remembered for the next visit; nothing typed means the page's own.
    ///
    /// # Errors
    /// If the text holds no host.
    pub(crate) fn typed(text: &str) -> Result<Self, InvalidAddress> {
        let target = if text.trim().is_empty() { Self::own() } else { Self::parse(text) }?;
        if let Some(storage) = local_storage() {
            // Remembering is a convenience: a full or blocked storage is no reason not to connect.
            let _ =
                if target.foreign { storage.set_item(HOST_KEY, &target.shown) } else { storage.remove_item(HOST_KEY) };
        }
        Ok(target)
    }

    fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let address = RobotAddress::parse(text)?;
        match Self::own() {
            Ok(own) if own.address == address || own.shown == text.trim() => Ok(own),
            _ => Ok(Self { address, shown: text.trim().to_owned(), foreign: true }),
        }
    }

    fn own() -> Result<Self, InvalidAddress> {
        let location = window().location();
        // The origin, not the host: it tells 443 from the default port of a typed address.
        let address = RobotAddress::parse(&location.origin().unwrap_or_default())?;
        Ok(Self { address, shown: location.host().unwrap_or_default(), foreign: false })
    }

    /// This address, which is another one of the same robot, with its token.
    pub(crate) fn with_token(&self, url: String) -> String {
        match session_storage().and_then(|storage| storage.get_item(&self.token_key()).ok().flatten()) {
            Some(token) => format!("{url}?token={}", String::from(js_sys::encode_uri_component(&token))),
            None => url,
        }
    }

    /// Where the browser can be told to trust the robot's certificate.
    pub(crate) fn accept_url(&self) -> String {
        self.address.accept_url()
    }

    /// Keeps this robot's token for the life of the tab.
    pub(crate) fn keep_token(&self, token: &str) {
        if let Some(storage) = session_storage() {
            let _ = storage.set_item(&self.token_key(), token.trim());
        }
    }

    fn token_key(&self) -> String {
        format!("{TOKEN_KEY} {}", self.address.socket_url())
    }
}

impl Dialled for Target {
    /// Where the socket is, the robot's token included.
    fn socket_url(&self) -> String {
        self.with_token(self.address.socket_url())
    }

    fn is_own(&self) -> bool {
        !self.foreign
    }
}

/// Another address of the page's own robot, with its token.
pub(crate) fn with_own_token(url: String) -> String {
    match Target::own() {
        Ok(own) => own.with_token(url),
        Err(_) => url,
    }
}

/// Whether the address asks for a page that only watches: `#view`.
pub(crate) fn is_viewer() -> bool {
    fragment_has("view")
}

/// Whether the address asks for the page of the field: `#field`.
pub(crate) fn is_field() -> bool {
    fragment_has("field")
}

/// Whether the page is the one of hosted teleoperation: a broker serves it, or the address asks for it, `#hosted`.
pub(crate) fn is_hosted() -> bool {
    let service = document().query_selector("meta[name=waldo-service][content=broker]");
    fragment_has("hosted") || service.is_ok_and(|service| service.is_some())
}

/// Whether the address asks for the headset's cockpit on the screen: `#vrpreview`.
pub(crate) fn is_vr_preview() -> bool {
    fragment_has("vrpreview")
}

fn fragment_has(wanted: &str) -> bool {
    let hash = window().location().hash().unwrap_or_default();
    hash.trim_start_matches('#').split('&').any(|part| part == wanted)
}

/// Moves the token of the page's own robot from the URL's fragment, where people and cameras see it, to the tab's storage.
pub(crate) fn take_token_from_url() {
    let location = window().location();
    let hash = location.hash().unwrap_or_default();
    let (tokens, others): (Vec<_>, Vec<_>) =
        hash.trim_start_matches('#').split('&').partition(|part| part.starts_with("token="));
    let Some(token) = tokens.first().and_then(|part| part.strip_prefix("token=")) else {
        return;
    };
    let token = js_sys::decode_uri_component(token).map_or_else(|_| token.to_owned(), String::from);
    if let Ok(own) = Target::own() {
        own.keep_token(&token);
    }
    if let Ok(history) = window().history() {
        let fragment = if others.is_empty() { String::new() } else { format!("#{}", others.join("&")) };
        let visible = location.pathname().unwrap_or_default() + &location.search().unwrap_or_default() + &fragment;
        let _ = history.replace_state_with_url(&wasm_bindgen::JsValue::NULL, "", Some(&visible));
    }
}
