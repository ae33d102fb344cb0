//! Lets a person accept the certificate of a robot that did not serve this page.

use leptos::prelude::window;

use crate::browser::{now, sleep};

const LOOK_EVERY_MS: i32 = 400;
const GIVE_UP_AFTER_MS: f64 = 120_000.0;

/// Opens the robot's acceptance page in a popup, or a tab where popups are blocked, and resolves once it was closed or two minutes passed.
/// Must start inside a click.
pub(crate) fn accept(url: &str) -> impl Future<Output = ()> + use<> {
    let open = |name, features| window().open_with_url_and_target_and_features(url, name, features).ok().flatten();
    let popup = open("waldo-accept", "popup,width=480,height=360").or_else(|| open("_blank", ""));
    async move {
        let Some(popup) = popup else { return };
        let since = now();
        while !popup.closed().unwrap_or(true) && now() - since < GIVE_UP_AFTER_MS {
            sleep(LOOK_EVERY_MS).await;
        }
    }
}
