//! Sessions on a LiveKit server: the broker only hands out tokens.

use waldo_protocol::hosted::{LiveKitAccess, Role, Transport};

use super::Api;
use super::error::ApiError;
use crate::auth::Operator;
use crate::livekit::Livekit;
use crate::sessions::Refusal;
use crate::store::{Session, now_ms};

/// How long before its end a token is renewed, in milliseconds.
const RENEW_BEFORE: i64 = 600_000;

/// The server, if there is one.
pub(super) fn configured(api: &Api) -> Result<&Livekit, ApiError> {
    Ok(api.livekit.as_ref().ok_or(Refusal::NoLivekit)?)
}

/// What a robot enters its room with.
pub(super) fn robot(livekit: &Livekit, session: &str, name: &str) -> LiveKitAccess {
    access(livekit, session, (&format!("robot-{session}"), name), true, None)
}

/// What an operator enters the room with, for sessions on LiveKit.
pub(super) fn operator(api: &Api, session: &Session, user: &str) -> Option<LiveKitAccess> {
    let livekit = api.livekit.as_ref().filter(|_| session.transport == "livekit")?;
    Some(access(livekit, &session.id, (&format!("op-{user}"), user), false, Some(Role::Operator)))
}

/// What a viewer enters the room with, for sessions on LiveKit.
pub(super) async fn viewer(api: &Api, operator: &Operator, id: &str) -> Result<Option<LiveKitAccess>, ApiError> {
    let session = api.sessions.watchable(operator, id).await?;
    if session.transport != "livekit" {
        return Ok(None);
    }
    let livekit = configured(api)?;
    let digits = uuid::Uuid::new_v4().simple().to_string();
    let identity = format!("viewer-{}-{}", operator.sub, &digits[..8]);
    Ok(Some(access(livekit, id, (&identity, &operator.sub), false, Some(Role::Viewer))))
}

/// A new token for a robot whose last one ends soon. Tokens are told from the session's age, so that nothing is kept.
pub(super) fn renewed(api: &Api, session: &Session) -> Option<String> {
    let livekit = api.livekit.as_ref()?;
    let life = i64::try_from(livekit.token_life().as_millis()).unwrap_or(i64::MAX);
    let age = (now_ms() - session.created_at).max(0);
    let left = life - age.rem_euclid(life.max(1));
    (left < RENEW_BEFORE).then(|| robot(livekit, &session.id, &session.robot_name).token)
}

fn access(
    livekit: &Livekit,
    session: &str,
    (identity, name): (&str, &str),
    publish: bool,
    role: Option<Role>,
) -> LiveKitAccess {
    let room = Livekit::room(session);
    LiveKitAccess {
        session_id: session.to_owned(),
        transport: Transport::Livekit,
        url: livekit.url().to_owned(),
        token: livekit.token(identity, name, &room, publish),
        room,
        role,
    }
}
