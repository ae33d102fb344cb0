//! Counters for `/metrics`, in the text format of Prometheus, under the names that existing dashboards know.

use std::fmt::Write as _;
use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::store::State;

/// Upper ends of the buckets for the time a request takes, in seconds.
const SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

type Labels<const N: usize> = [(&'static str, String); N];

/// All counters of one broker. Cheap to clone; all clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    requests: Family<Labels<3>, Counter>,
    seconds: Family<Labels<1>, Histogram, fn() -> Histogram>,
    robot_evictions: Counter,
    operator_evictions: Counter,
    rate_limit_hits: Family<Labels<2>, Counter>,
    registry: Registry,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("teleop");
        let requests = Family::default();
        registry.register("http_requests", "Requests answered", Family::clone(&requests));
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        let seconds = Family::new_with_constructor(histogram);
        registry.register("http_request_seconds", "Time requests took", Family::clone(&seconds));
        let robot_evictions = Counter::default();
        registry.register("robot_evictions", "Sessions ended as the robot was silent", robot_evictions.clone());
        let operator_evictions = Counter::default();
        registry.register("operator_evictions", "Slots freed as the operator was silent", operator_evictions.clone());
        let rate_limit_hits = Family::default();
        registry.register("rate_limit_hits", "Requests above a rate limit", Family::clone(&rate_limit_hits));
        Self(Arc::new(Inner { requests, seconds, robot_evictions, operator_evictions, rate_limit_hits, registry }))
    }
}

impl Metrics {
    /// A request was answered. `route` is the template, not the path, which a stranger chooses.
    pub(crate) fn request(&self, method: &str, route: &str, status: u16, seconds: f64) {
        let labels = [("method", method.to_owned()), ("route", route.to_owned()), ("status", status.to_string())];
        self.0.requests.get_or_create(&labels).inc();
        self.0.seconds.get_or_create(&[("route", route.to_owned())]).observe(seconds);
    }

    pub(crate) fn robot_evicted(&self) {
        self.0.robot_evictions.inc();
    }

    pub(crate) fn operator_evicted(&self) {
        self.0.operator_evictions.inc();
    }

    pub(crate) fn rate_limited(&self, class: &str, enforced: bool) {
        let labels = [("route_class", class.to_owned()), ("enforced", enforced.to_string())];
        self.0.rate_limit_hits.get_or_create(&labels).inc();
    }

    /// The page of `/metrics`, with how many sessions are in each state.
    pub(crate) fn text(&self, sessions: &[(State, i64)]) -> String {
        let mut text = String::from("# HELP teleop_sessions Sessions by state.\n# TYPE teleop_sessions gauge\n");
        // Writing to a text cannot fail.
        for state in [State::Idle, State::Active, State::Disconnected] {
            let count = sessions.iter().find(|(of, _)| *of == state).map_or(0, |(_, count)| *count);
            let _ = writeln!(text, "teleop_sessions{{state=\"{}\"}} {count}", state.as_str());
        }
        let _ = encode(&mut text, &self.0.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashboards_find_the_names_they_know() {
        let metrics = Metrics::default();
        metrics.request("POST", "/api/v1/sessions/{id}/join", 200, 0.01);
        metrics.robot_evicted();
        metrics.operator_evicted();
        metrics.rate_limited("session_join", true);
        let text = metrics.text(&[(State::Active, 3)]);
        for expected in [
            "teleop_http_requests_total{method=\"POST\",route=\"/api/v1/sessions/{id}/join\",status=\"200\"} 1",
            "teleop_http_request_seconds_count{route=\"/api/v1/sessions/{id}/join\"} 1",
            "teleop_sessions{state=\"active\"} 3",
            "teleop_sessions{state=\"idle\"} 0",
            "teleop_robot_evictions_total 1",
            "teleop_operator_evictions_total 1",
            "teleop_rate_limit_hits_total{route_class=\"session_join\",enforced=\"true\"} 1",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
