//! Which kind of server it is: decided by what was seen of it.
//!
//! Until it is known nothing may be sent blindly: an `apply_action` to a coupled server would vanish without a word.

use super::server::ServerMessage;

/// How long a server may take to answer the `obs_request` that tells its generation, seconds.
pub const PROBE_TIMEOUT: f64 = 1.0;

/// Generation of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Generation {
    /// It has extensions. Everything can be asked of it.
    Extended,
    /// It answers `obs_request` and takes `apply_action`.
    Decoupled,
    /// It answers `action` by `step_response`, and knows neither `obs_request` nor `apply_action`.
    Coupled,
}

/// What was seen of a server so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GenerationProbe {
    known: Option<Generation>,
}

impl GenerationProbe {
    /// The generation; `None` as long as it is not known. Then an `obs_request` decides, once, with a limit of
    /// [`PROBE_TIMEOUT`].
    pub fn known(self) -> Option<Generation> {
        self.known
    }

    /// A message of the server came. Says whether the generation is now another one, or known for the first time.
    ///
    /// An observation that comes after [`PROBE_TIMEOUT`] still counts: the server was slow.
    pub fn on_message(&mut self, message: &ServerMessage) -> bool {
        let seen = match message {
            ServerMessage::Metadata(response) if response.ext.is_some() => Generation::Extended,
            // Ours has both, so neither tells more.
            _ if self.known == Some(Generation::Extended) => return false,
            ServerMessage::Reset(response) if response.extra_first => Generation::Coupled,
            ServerMessage::Observation(_) => Generation::Decoupled,
            ServerMessage::Step(_) => Generation::Coupled,
            _ => return false,
        };
        self.known.replace(seen) != Some(seen)
    }

    /// The `obs_request` stayed without an answer for [`PROBE_TIMEOUT`].
    pub fn on_silence(&mut self) {
        self.known.get_or_insert(Generation::Coupled);
    }
}
