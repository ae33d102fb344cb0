//! What a service says of itself in `/healthz`.

use crate::vr::VrServer;

/// A service that is in `/healthz` until this is dropped; who shows it there keeps it alive.
pub(super) struct InHealth {
    vr: VrServer,
    name: &'static str,
}

impl InHealth {
    /// Shows what `value` gives under this name.
    pub(super) fn show(
        vr: &VrServer,
        name: &'static str,
        value: impl Fn() -> serde_json::Value + Send + Sync + 'static,
    ) -> Self {
        vr.show_in_health(name, value);
        Self { vr: vr.clone(), name }
    }
}

impl Drop for InHealth {
    fn drop(&mut self) {
        self.vr.hide_in_health(self.name);
    }
}
