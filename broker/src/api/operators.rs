//! R12 to R18 and what goes with them: what operators ask.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use waldo_protocol::hosted::{
    Ack, AuditEntry, BridgedSession, Done, ErrorBody, JoinSession, JoinedSession, LeaveSession, LeftSession, Role,
    SafetyState, SdpAnswer, SessionInfo, SessionState, TakeOver, Transport, TwistUnits, VideoStatus,
};

use super::body::{Body, bounded};
use super::error::ApiError;
use super::ids::{KnownOperator, LeaseHeader, SessionId};
use super::stamps::iso;
use super::{Api, livekit};
use crate::auth::Operator;
use crate::sessions::{ESTOPPED, Joining};
use crate::sfu;
use crate::store::{Session, State as Stand};

/// The caller's robots that are there; all robots for an admin
#[utoipa::path(get, path = "/api/v1/sessions", tag = "operator", security(("operator" = [])),
    responses((status = 200, body = Vec<SessionInfo>), (status = 401, body = ErrorBody)))]
pub(super) async fn list(
    State(api): State<Api>,
    KnownOperator(operator): KnownOperator,
) -> Result<Json<Vec<SessionInfo>>, ApiError> {
    let sessions = api.sessions.list(&operator).await?;
    Ok(Json(sessions.into_iter().map(|(session, viewers)| info(session, viewers)).collect()))
}

/// One session, also one that is over
#[utoipa::path(get, path = "/api/v1/sessions/{id}/status", tag = "operator", security(("operator" = [])),
    params(("id" = String, Path)),
    responses((status = 200, body = SessionInfo), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn status(
    State(api): State<Api>,
    KnownOperator(operator): KnownOperator,
    SessionId(id): SessionId,
) -> Result<Json<SessionInfo>, ApiError> {
    let (session, viewers) = api.sessions.status(&operator, &id).await?;
    Ok(Json(info(session, viewers)))
}

fn info(session: Session, viewers: i64) -> SessionInfo {
    SessionInfo {
        session_id: session.id,
        robot_id: session.robot_id,
        robot_name: session.robot_name,
        robot_type: session.robot_type,
        state: state(session.state),
        transport: if session.transport == "livekit" { Transport::Livekit } else { Transport::Cloudflare },
        operator_id: session.operator_id,
        rtt_ms: session.figures.rtt_ms,
        packet_loss_pct: session.figures.packet_loss_pct,
        created_at: iso(session.created_at),
        video_bitrate_kbps: session.figures.video_bitrate_kbps,
        command_rate_hz: session.figures.command_rate_hz,
        safety_state: Some(match session.figures.safety_state.as_str() {
            ESTOPPED => SafetyState::Estopped,
            "degraded" => SafetyState::Degraded,
            _ => SafetyState::Nominal,
        }),
        viewers: u32::try_from(viewers).unwrap_or(u32::MAX),
        twist_units: session.twist_units.map(|units| match units.as_str() {
            "normalized" => TwistUnits::Normalized,
            _ => TwistUnits::Si,
        }),
        superseded_by: session.superseded_by,
    }
}

fn state(state: Stand) -> SessionState {
    match state {
        Stand::Idle => SessionState::Idle,
        Stand::Active => SessionState::Active,
        Stand::Disconnected => SessionState::Disconnected,
    }
}

/// Takes the robot's one slot, or begins to watch
#[utoipa::path(post, path = "/api/v1/sessions/{id}/join", tag = "operator", security(("operator" = [])),
    params(("id" = String, Path)), request_body = JoinSession,
    responses((status = 200, body = JoinedSession), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 422, body = ErrorBody), (status = 429, body = ErrorBody),
        (status = 502, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub(super) async fn join(
    State(api): State<Api>,
    KnownOperator(operator): KnownOperator,
    SessionId(id): SessionId,
    Body(wanted): Body<JoinSession>,
) -> Result<Response, ApiError> {
    match wanted.role {
        Role::Operator => {
            let joining = Joining { sdp_offer: wanted.sdp_offer, takeover: None };
            sit(&api, operator, id, joining).await
        }
        Role::Viewer => {
            if let Some(access) = livekit::viewer(&api, &operator, &id).await? {
                return Ok(Json(access).into_response());
            }
            let joined = api.sessions.watch_session(operator, id, wanted.sdp_offer).await?;
            Ok(Json(JoinedSession {
                cf_session_id: joined.peer.to_string(),
                sdp_answer: joined.answer,
                robot_cf_session_id: joined.session.robot_peer.unwrap_or_default(),
                ice_servers: api.turn.stun_list(),
                role: Role::Viewer,
                lease_id: None,
                ext: api.settings.extensions.clone(),
            })
            .into_response())
        }
    }
}

/// Takes the slot, also from somebody else
#[utoipa::path(post, path = "/api/v1/sessions/{id}/takeover", tag = "operator", security(("operator" = [])),
    params(("id" = String, Path)), request_body = TakeOver,
    responses((status = 200, body = JoinedSession), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 422, body = ErrorBody), (status = 429, body = ErrorBody),
        (status = 502, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub(super) async fn take_over(
    State(api): State<Api>,
    KnownOperator(operator): KnownOperator,
    SessionId(id): SessionId,
    Body(wanted): Body<TakeOver>,
) -> Result<Response, ApiError> {
    bounded("reason", &wanted.reason, 500)?;
    let joining = Joining { sdp_offer: wanted.sdp_offer, takeover: Some(wanted.reason) };
    sit(&api, operator, id, joining).await
}

async fn sit(api: &Api, operator: Operator, id: String, joining: Joining) -> Result<Response, ApiError> {
    let sub = operator.sub.clone();
    let has_livekit = api.livekit.is_some();
    let joined = api.sessions.join(operator, id, joining, has_livekit).await?;
    if let Some(access) = livekit::operator(api, &joined.session, &sub) {
        return Ok(Json(access).into_response());
    }
    let (peer, answer) = joined.leg.ok_or_else(|| ApiError::new(StatusCode::BAD_GATEWAY, "No peer was made"))?;
    Ok(Json(JoinedSession {
        cf_session_id: peer.to_string(),
        sdp_answer: answer,
        robot_cf_session_id: joined.session.robot_peer.unwrap_or_default(),
        ice_servers: api.turn.stun_list(),
        role: Role::Operator,
        lease_id: Some(joined.lease_id),
        ext: api.settings.extensions.clone(),
    })
    .into_response())
}

/// Connects the bound operator with the robot: channels, picture, voice
#[utoipa::path(post, path = "/api/v1/sessions/{id}/bridge-datachannel", tag = "operator", security(("operator" = [])),
    params(("id" = String, Path)),
    responses((status = 200, body = BridgedSession), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 502, body = ErrorBody)))]
pub(super) async fn bridge(
    State(api): State<Api>,
    KnownOperator(operator): KnownOperator,
    SessionId(id): SessionId,
    LeaseHeader(lease): LeaseHeader,
) -> Result<Json<BridgedSession>, ApiError> {
    let bridged = api.sessions.bridge(operator, id, lease).await?;
    Ok(Json(BridgedSession {
        cmd_channel_id: bridged.ids.cmd,
        state_channel_id: Some(bridged.ids.state),
        state_back_channel_id: Some(bridged.ids.state_back),
        map_channel_id: Some(bridged.ids.map),
        video_offer: bridged.video.offer,
        video_status: video_status(bridged.video.status),
        audio_offer: None,
    }))
}

pub(super) fn video_status(status: sfu::VideoStatus) -> VideoStatus {
    match status {
        sfu::VideoStatus::Ok => VideoStatus::Ok,
        sfu::VideoStatus::NoPublishedTrack => VideoStatus::NoPublishedTrack,
        sfu::VideoStatus::PublishError => VideoStatus::PublishError,
        sfu::VideoStatus::PullError => VideoStatus::PullError,
        sfu::VideoStatus::NoOffer => VideoStatus::NoOffer,
    }
}

/// Answers the offer of a bridge
#[utoipa::path(post, path = "/api/v1/sessions/{id}/renegotiate-answer", tag = "operator", security(("operator" = [])),
    params(("id" = String, Path)), request_body = SdpAnswer,
    responses((status = 200, body = Done), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody),
        (status = 502, body = ErrorBody)))]
pub(super) async fn renegotiate_answer(
    State(api): State<Api>,
    KnownOperator(operator): KnownOperator,
    SessionId(id): SessionId,
    LeaseHeader(lease): LeaseHeader,
    Body(answer): Body<SdpAnswer>,
) -> Result<Json<Done>, ApiError> {
    api.sessions.operator_answer(operator, id, lease, answer.sdp_answer).await?;
    Ok(Json(Done { ok: true }))
}

/// Tells that the operator is there
#[utoipa::path(post, path = "/api/v1/sessions/{id}/op-heartbeat", tag = "operator", security(("operator" = [])),
    params(("id" = String, Path)),
    responses((status = 200, body = Ack), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn heartbeat(
    State(api): State<Api>,
    KnownOperator(operator): KnownOperator,
    SessionId(id): SessionId,
    LeaseHeader(lease): LeaseHeader,
) -> Result<Json<Ack>, ApiError> {
    api.sessions.operator_beat(&operator, &id, &lease).await?;
    Ok(Json(Ack { ack: true }))
}

/// Frees the slot if the caller holds it
#[utoipa::path(post, path = "/api/v1/sessions/{id}/leave", tag = "operator", security(("operator" = [])),
    params(("id" = String, Path)), request_body = LeaveSession,
    responses((status = 200, body = LeftSession), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn leave(
    State(api): State<Api>,
    KnownOperator(operator): KnownOperator,
    SessionId(id): SessionId,
    LeaseHeader(lease): LeaseHeader,
    Body(leaving): Body<LeaveSession>,
) -> Result<Json<LeftSession>, ApiError> {
    let reason: String = leaving.reason.chars().take(200).collect();
    let stand = api.sessions.leave(operator, id.clone(), lease, reason).await?;
    Ok(Json(LeftSession { session_id: id, state: state(stand) }))
}

/// Stops the robot, whoever drives it
#[utoipa::path(post, path = "/api/v1/sessions/{id}/estop", tag = "operator", security(("operator" = [])),
    params(("id" = String, Path)),
    responses((status = 202, body = Object), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 502, body = ErrorBody)))]
pub(super) async fn estop(
    State(api): State<Api>,
    KnownOperator(operator): KnownOperator,
    SessionId(id): SessionId,
) -> Result<Response, ApiError> {
    let nonce = api.sessions.estop(&operator, &id).await?;
    Ok((StatusCode::ACCEPTED, Json(serde_json::json!({"nonce": nonce}))).into_response())
}

/// Who did what to a session, oldest first
#[utoipa::path(get, path = "/api/v1/sessions/{id}/audit", tag = "operator", security(("operator" = [])),
    params(("id" = String, Path)),
    responses((status = 200, body = Vec<AuditEntry>), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn audit(
    State(api): State<Api>,
    KnownOperator(operator): KnownOperator,
    SessionId(id): SessionId,
) -> Result<Json<Vec<AuditEntry>>, ApiError> {
    let entries = api.sessions.audit(&operator, &id).await?.into_iter().map(|entry| AuditEntry {
        ts: iso(entry.ts),
        actor: entry.actor,
        event: entry.event,
        detail: entry.detail,
    });
    Ok(Json(entries.collect()))
}
