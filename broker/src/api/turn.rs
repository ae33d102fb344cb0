//! R7: STUN and TURN servers.

use axum::Json;
use axum::extract::State;
use sha2::{Digest, Sha256};
use waldo_protocol::hosted::{ErrorBody, IceServers};

use super::Api;
use super::ids::Known;
use crate::auth::hex;

/// Hex digits that stand for an operator at a relay.
const SUBJECT: usize = 16;

/// Servers to know before a peer is made; never fails for want of a relay
#[utoipa::path(get, path = "/api/v1/sessions/turn-credentials", tag = "robot",
    security(("operator" = []), ("robot" = [])),
    responses((status = 200, body = IceServers), (status = 401, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub(super) async fn credentials(State(api): State<Api>, who: Known) -> Json<IceServers> {
    // A relay's log is no place for e-mail addresses.
    let subject = match who {
        Known::Robot(robot) => robot.key_prefix,
        Known::Operator(operator) => hex(&Sha256::digest(operator.sub.as_bytes()))[..SUBJECT].to_owned(),
    };
    Json(IceServers { ice_servers: api.turn.ice_servers(&subject).await })
}
