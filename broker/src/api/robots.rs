//! R8 to R11: what robots ask.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use waldo_protocol::hosted::{
    Done, ErrorBody, Extension, Heartbeat, HeartbeatAck, LiveKitAccess, LiveKitAck, RegisterRobot, RegisteredRobot,
    SafetyState, SdpAnswer, Transport, TwistUnits,
};

use super::body::{Body, bounded};
use super::error::ApiError;
use super::ids::{KnownRobot, SessionId};
use super::{Api, livekit};
use crate::sessions::{ESTOPPED, Registration};
use crate::sfu::LegIds;
use crate::store::{Figures, Session};

/// Registers a robot: it begins a session and ends the ones the robot had
#[utoipa::path(post, path = "/api/v1/sessions", tag = "robot", security(("robot" = [])), request_body = RegisterRobot,
    responses((status = 201, body = RegisteredRobot), (status = 401, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 422, body = ErrorBody), (status = 429, body = ErrorBody), (status = 502, body = ErrorBody),
        (status = 503, body = ErrorBody)))]
pub(super) async fn register(
    State(api): State<Api>,
    KnownRobot(robot): KnownRobot,
    Body(wanted): Body<RegisterRobot>,
) -> Result<Response, ApiError> {
    bounded("robot_name", &wanted.robot_name, 200)?;
    bounded("robot_id", &wanted.robot_id, 200)?;
    bounded("robot_type", wanted.robot_type.as_deref().unwrap_or_default(), 64)?;
    bounded("resume_of", wanted.resume_of.as_deref().unwrap_or_default(), 64)?;
    let on_livekit = wanted.transport == Transport::Livekit;
    let livekit = if on_livekit { Some(livekit::configured(&api)?) } else { None };
    let robot_name = wanted.robot_name.clone();
    let registration = Registration {
        push: Extension::Push.is_in(&wanted.ext),
        robot_name: wanted.robot_name,
        robot_id: wanted.robot_id,
        robot_type: wanted.robot_type,
        livekit: on_livekit,
        sdp_offer: wanted.sdp_offer,
        twist_units: wanted.twist_units.map(|units| units_text(units).to_owned()),
        resume_of: wanted.resume_of,
    };
    let registered = api.sessions.register(robot, registration).await?;
    let session_id = registered.session_id;
    if let Some(livekit) = livekit {
        let access: LiveKitAccess = livekit::robot(livekit, &session_id, &robot_name);
        return Ok((StatusCode::CREATED, Json(access)).into_response());
    }
    let (peer, answer) = registered.leg.ok_or_else(|| ApiError::new(StatusCode::BAD_GATEWAY, "No peer was made"))?;
    let reply = RegisteredRobot {
        session_id,
        cf_session_id: peer.to_string(),
        sdp_answer: answer,
        ice_servers: api.turn.stun_list(),
        ext: api.settings.extensions.clone(),
    };
    Ok((StatusCode::CREATED, Json(reply)).into_response())
}

/// Tells that the robot is there; the reply has its channel ids, null without an operator
#[utoipa::path(post, path = "/api/v1/sessions/{id}/heartbeat", tag = "robot", security(("robot" = [])),
    params(("id" = String, Path)), request_body = Heartbeat,
    responses((status = 200, body = HeartbeatAck), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(super) async fn heartbeat(
    State(api): State<Api>,
    KnownRobot(robot): KnownRobot,
    SessionId(id): SessionId,
    Body(beat): Body<Heartbeat>,
) -> Result<Response, ApiError> {
    let figures = Figures {
        rtt_ms: beat.rtt_ms,
        packet_loss_pct: beat.packet_loss_pct,
        video_bitrate_kbps: beat.video_bitrate_kbps,
        command_rate_hz: beat.command_rate_hz,
        safety_state: match beat.safety_state {
            SafetyState::Nominal => "nominal",
            SafetyState::Estopped => ESTOPPED,
            SafetyState::Degraded => "degraded",
        }
        .to_owned(),
    };
    let session = api.sessions.robot_beat(&robot, &id, &figures).await?;
    if session.transport == "livekit" {
        let livekit_token = livekit::renewed(&api, &session);
        return Ok(Json(LiveKitAck { ack: true, livekit_token }).into_response());
    }
    Ok(Json(ack(session)).into_response())
}

fn ack(session: Session) -> HeartbeatAck {
    HeartbeatAck {
        ack: true,
        ids: LegIds::told(session.bridge.map(|bridge| bridge.robot)),
        renegotiate_offer: session.robot_offer.map(|(offer, _)| offer),
    }
}

/// Answers the offer of a heartbeat
#[utoipa::path(post, path = "/api/v1/sessions/{id}/renegotiate-robot", tag = "robot", security(("robot" = [])),
    params(("id" = String, Path)), request_body = SdpAnswer,
    responses((status = 200, body = Done), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 422, body = ErrorBody), (status = 502, body = ErrorBody)))]
pub(super) async fn renegotiate_robot(
    State(api): State<Api>,
    KnownRobot(robot): KnownRobot,
    SessionId(id): SessionId,
    Body(answer): Body<SdpAnswer>,
) -> Result<Json<Done>, ApiError> {
    api.sessions.robot_answer(robot, id, answer.sdp_answer).await?;
    Ok(Json(Done { ok: true }))
}

/// Ends the robot's session
#[utoipa::path(delete, path = "/api/v1/sessions/{id}", tag = "robot", security(("robot" = [])),
    params(("id" = String, Path)),
    responses((status = 204), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn unregister(
    State(api): State<Api>,
    KnownRobot(robot): KnownRobot,
    SessionId(id): SessionId,
) -> Result<StatusCode, ApiError> {
    api.sessions.unregister(robot, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn units_text(units: TwistUnits) -> &'static str {
    match units {
        TwistUnits::Si => "si",
        TwistUnits::Normalized => "normalized",
    }
}
