//! What viewers ask.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use waldo_protocol::hosted::{Ack, BridgedViewer, Done, ErrorBody, SdpAnswer};

use super::Api;
use super::body::Body;
use super::error::ApiError;
use super::ids::{KnownOperator, ViewerId};
use super::operators::video_status;

/// Connects a viewer with the robot
#[utoipa::path(post, path = "/api/v1/sessions/{id}/viewers/{peer}/bridge", tag = "viewer",
    operation_id = "viewer_bridge", security(("operator" = [])), params(("id" = String, Path), ("peer" = String, Path)),
    responses((status = 200, body = BridgedViewer), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 502, body = ErrorBody)))]
pub(super) async fn bridge(
    State(api): State<Api>,
    KnownOperator(operator): KnownOperator,
    ViewerId { session, peer }: ViewerId,
) -> Result<Json<BridgedViewer>, ApiError> {
    let bridged = api.sessions.bridge_viewer(operator, session, peer).await?;
    Ok(Json(BridgedViewer {
        state_back_channel_id: bridged.ids.state_back,
        map_channel_id: bridged.ids.map,
        video_offer: bridged.video.offer,
        video_status: video_status(bridged.video.status),
    }))
}

/// Answers the offer of a viewer's bridge
#[utoipa::path(post, path = "/api/v1/sessions/{id}/viewers/{peer}/answer", tag = "viewer",
    operation_id = "viewer_answer", security(("operator" = [])), params(("id" = String, Path), ("peer" = String, Path)),
    request_body = SdpAnswer,
    responses((status = 200, body = Done), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 422, body = ErrorBody), (status = 502, body = ErrorBody)))]
pub(super) async fn answer(
    State(api): State<Api>,
    KnownOperator(operator): KnownOperator,
    ViewerId { session, peer }: ViewerId,
    Body(answer): Body<SdpAnswer>,
) -> Result<Json<Done>, ApiError> {
    api.sessions.viewer_answer(operator, session, peer, answer.sdp_answer).await?;
    Ok(Json(Done { ok: true }))
}

/// Tells that the viewer is there
#[utoipa::path(post, path = "/api/v1/sessions/{id}/viewers/{peer}/heartbeat", tag = "viewer",
    operation_id = "viewer_heartbeat", security(("operator" = [])),
    params(("id" = String, Path), ("peer" = String, Path)),
    responses((status = 200, body = Ack), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn heartbeat(
    State(api): State<Api>,
    KnownOperator(operator): KnownOperator,
    ViewerId { session, peer }: ViewerId,
) -> Result<Json<Ack>, ApiError> {
    api.sessions.viewer_beat(&operator, &session, &peer).await?;
    Ok(Json(Ack { ack: true }))
}

/// Ends watching
#[utoipa::path(delete, path = "/api/v1/sessions/{id}/viewers/{peer}", tag = "viewer", operation_id = "viewer_leave",
    security(("operator" = [])), params(("id" = String, Path), ("peer" = String, Path)),
    responses((status = 204), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn leave(
    State(api): State<Api>,
    KnownOperator(operator): KnownOperator,
    ViewerId { session, peer }: ViewerId,
) -> Result<StatusCode, ApiError> {
    api.sessions.viewer_leave(operator, session, peer).await?;
    Ok(StatusCode::NO_CONTENT)
}
