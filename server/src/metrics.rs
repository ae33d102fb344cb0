//! Counters for `/metrics`, in the text format of Prometheus.

use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// All counters of one server. Cheap to clone; all clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    frames: Counter,
    duplicate_frames: Counter,
    excess_frames: Counter,
    lost_decisions: Counter,
    refusals: Family<Labels<2>, Counter>,
    policy_messages: Family<Labels<1>, Counter>,
    field_messages: Family<Labels<1>, Counter>,
    field_dropped: Family<Labels<1>, Counter>,
    field_frames: Family<Labels<1>, Counter>,
    field_sent_bytes: Counter,
    clients: Family<Labels<1>, Gauge>,
    connections: Gauge,
    connections_refused: Counter,
    handshakes_failed: Counter,
    http_refusals: Family<Labels<1>, Counter>,
    registry: Registry,
}

impl Default for Inner {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("waldo");
        let frames = Counter::default();
        registry.register("vr_frames", "Pose frames accepted", frames.clone());
        let duplicate_frames = Counter::default();
        registry.register("vr_duplicate_frames", "Pose frames seen before on another path", duplicate_frames.clone());
        let excess_frames = Counter::default();
        registry.register("vr_excess_frames", "Pose frames above the allowed rate", excess_frames.clone());
        let lost_decisions = Counter::default();
        registry.register(
            "vr_lost_decisions",
            "Decisions about episodes lost on the way from a headset",
            lost_decisions.clone(),
        );
        let refusals = Family::default();
        registry.register("refusals", "Messages refused", refusals.clone());
        let policy_messages = Family::default();
        registry.register("policy_messages", "Messages of policy clients", Family::clone(&policy_messages));
        let field_messages = Family::default();
        registry.register("field_messages", "Messages of clients of the field", Family::clone(&field_messages));
        let field_dropped = Family::default();
        registry.register(
            "field_dropped",
            "What did not count in the field: samples, steps and turns of publishing, by reason",
            Family::clone(&field_dropped),
        );
        let field_frames = Family::default();
        registry.register(
            "field_frames",
            "Frames of the scene queued for clients, or left out",
            Family::clone(&field_frames),
        );
        let field_sent_bytes = Counter::default();
        registry.register("field_sent_bytes", "Bytes of scenes queued for clients", field_sent_bytes.clone());
        let clients = Family::default();
        registry.register("clients", "Clients connected", Family::clone(&clients));
        let connections = Gauge::default();
        registry.register(
            "connections",
            "Connections of the https listener and of the field's own port",
            Gauge::clone(&connections),
        );
        let connections_refused = Counter::default();
        registry.register(
            "connections_refused",
            "Connections closed at once because there were too many",
            connections_refused.clone(),
        );
        let handshakes_failed = Counter::default();
        registry.register(
            "handshakes_failed",
            "Connections that did not get through TLS, plain http included",
            handshakes_failed.clone(),
        );
        let http_refusals = Family::default();
        registry.register("http_refusals", "Requests refused", http_refusals.clone());
        Self {
            frames,
            duplicate_frames,
            excess_frames,
            lost_decisions,
            refusals,
            policy_messages,
            field_messages,
            field_dropped,
            field_frames,
            field_sent_bytes,
            clients,
            connections,
            connections_refused,
            handshakes_failed,
            http_refusals,
            registry,
        }
    }
}

impl Metrics {
    /// A pose frame was accepted.
    pub fn accepted_frame(&self) {
        self.0.frames.inc();
    }

    /// A pose frame was seen before.
    pub fn duplicate_frame(&self) {
        self.0.duplicate_frames.inc();
    }

    /// A pose frame came too soon after the ones before it.
    pub fn excess_frame(&self) {
        self.0.excess_frames.inc();
    }

    /// So many decisions about episodes were lost on the way from a headset.
    pub fn lost_decisions(&self, lost: u32) {
        self.0.lost_decisions.inc_by(lost.into());
    }

    /// A message on the named wire was refused; `kind` says why, such as `not_json`.
    pub fn refusal(&self, wire: &'static str, kind: &'static str) {
        self.0.refusals.get_or_create(&[("wire", wire), ("kind", kind)]).inc();
    }

    /// A policy client sent a message of that type.
    pub(crate) fn policy_message(&self, kind: &'static str) {
        self.0.policy_messages.get_or_create(&[("type", kind)]).inc();
    }

    /// A client of the field sent a message of that type.
    pub(crate) fn field_message(&self, kind: &'static str) {
        self.0.field_messages.get_or_create(&[("type", kind)]).inc();
    }

    /// So many things did not count in the field, for that reason.
    pub(crate) fn field_dropped(&self, reason: &'static str, count: u64) {
        if count > 0 {
            self.0.field_dropped.get_or_create(&[("reason", reason)]).inc_by(count);
        }
    }

    /// A frame of the scene was queued for a client, or left out as it does not read.
    pub(crate) fn field_frame(&self, kind: &'static str, bytes: usize) {
        self.0.field_frames.get_or_create(&[("kind", kind)]).inc();
        self.0.field_sent_bytes.inc_by(bytes as u64);
    }

    /// A client of the named wire connected; it counts until the guard is dropped.
    pub fn client(&self, wire: &'static str) -> Present {
        Present::new(self.0.clients.get_or_create(&[("wire", wire)]).clone())
    }

    /// An HTTP request was refused; `reason` is `token`, `origin`, `path`, `clients` or the like.
    pub(crate) fn http_refusal(&self, reason: &'static str) {
        self.0.http_refusals.get_or_create(&[("reason", reason)]).inc();
    }

    pub(crate) fn connection(&self) -> Present {
        Present::new(self.0.connections.clone())
    }

    pub(crate) fn connection_refused(&self) {
        self.0.connections_refused.inc();
    }

    pub(crate) fn handshake_failed(&self) {
        self.0.handshakes_failed.inc();
    }

    /// All values as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a text fails only if a metric's own encoder does; then what came before it still counts.
        let _ = encode(&mut text, &self.0.registry);
        text
    }
}

/// Counts in a gauge for as long as it lives.
#[derive(Debug)]
#[must_use]
pub struct Present(Gauge);

impl Present {
    fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_show_in_the_text() {
        let metrics = Metrics::default();
        metrics.accepted_frame();
        metrics.clone().accepted_frame();
        metrics.refusal("vr", "not_json");
        let text = metrics.text();
        assert!(text.contains("waldo_vr_frames_total 2\n"), "{text}");
        assert!(text.contains(r#"waldo_refusals_total{wire="vr",kind="not_json"} 1"#), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn a_client_counts_while_its_guard_lives() {
        let metrics = Metrics::default();
        let (a, b) = (metrics.client("vr"), metrics.client("vr"));
        assert!(metrics.text().contains(r#"waldo_clients{wire="vr"} 2"#));
        drop((a, b));
        assert!(metrics.text().contains(r#"waldo_clients{wire="vr"} 0"#));
    }
}
