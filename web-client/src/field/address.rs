//! Where the field is, and what else the page's own address says about it.

use leptos::prelude::window;
use waldo_protocol::field::{CharacterMode, FieldHome, FieldParameters};

use crate::connection::Dialled;
use crate::target;

/// Where the field is.
pub(super) struct Address {
    url: String,
    own: bool,
}

impl Dialled for Address {
    fn socket_url(&self) -> String {
        self.url.clone()
    }

    fn is_own(&self) -> bool {
        self.own
    }
}

impl Address {
    /// The token of the page's own robot is shown to its other ports too, but never in the clear.
    pub(super) fn of(parameters: &FieldParameters) -> Self {
        let location = window().location();
        let (host, name) = (location.host().unwrap_or_default(), location.hostname().unwrap_or_default());
        let socket = &parameters.socket;
        let own = *socket == format!("wss://{host}/field") || *socket == format!("ws://{host}/field");
        let secret = socket.strip_prefix("wss://").is_some_and(|rest| {
            rest.strip_prefix(&name).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
        });
        let url = if own || secret { target::with_own_token(socket.clone()) } else { socket.clone() };
        Self { url, own }
    }
}

/// What the page's address says; a parameter that means nothing is told, and all of them are left out.
pub(super) fn parameters() -> (FieldParameters, Option<String>) {
    let location = window().location();
    let search = location.search().unwrap_or_default();
    let query = web_sys::UrlSearchParams::new_with_str(&search).ok();
    let (protocol, host) = (location.protocol().unwrap_or_default(), location.host().unwrap_or_default());
    let read = |parameter: &dyn Fn(&str) -> Option<String>| {
        FieldParameters::read(&protocol, &host, FieldHome::SameOrigin, parameter)
    };
    match read(&|name| query.as_ref()?.get(name)) {
        Ok(parameters) => (parameters, None),
        Err(error) => {
            let fallback = FieldParameters {
                socket: format!("wss://{host}/field"),
                offset: [0.0; 3],
                input_hz: 30.0,
                mode: None::<CharacterMode>,
                dev: false,
            };
            (read(&|_| None).unwrap_or(fallback), Some(format!("The address of this page: {error}.")))
        }
    }
}
