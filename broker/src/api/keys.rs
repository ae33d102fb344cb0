//! R4 to R6: keys of robots.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use waldo_protocol::hosted::{CreateKey, CreatedKey, ErrorBody, KeyInfo, KeyList, RevokedKey, detail};

use super::Api;
use super::body::{Body, bounded};
use super::error::ApiError;
use super::ids::{KnownOperator, is_uuid};
use super::stamps::iso;
use crate::auth::PlainKey;
use crate::store::now_ms;

/// Most keys of one owner.
const MAX_KEYS: i64 = 200;

/// A new key, shown only here
#[utoipa::path(post, path = "/api/v1/keys", tag = "keys", security(("operator" = [])), request_body = CreateKey,
    responses((status = 200, body = CreatedKey), (status = 401, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 422, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub(super) async fn create(
    State(api): State<Api>,
    KnownOperator(operator): KnownOperator,
    Body(wanted): Body<CreateKey>,
) -> Result<Json<CreatedKey>, ApiError> {
    bounded("name", &wanted.name, 200)?;
    let robot_id = wanted.robot_id.as_deref().filter(|robot| !robot.is_empty());
    bounded("robot_id", robot_id.unwrap_or_default(), 200)?;
    if api.store.count_keys(&operator.sub).await? >= MAX_KEYS {
        return Err(ApiError::new(StatusCode::CONFLICT, "There are too many keys: revoke some"));
    }
    let key = PlainKey::new(api.settings.development)?;
    let kept = key.keep(&api.store, &operator.sub, &wanted.name, robot_id).await?;
    let row = kept.ok_or_else(|| ApiError::new(StatusCode::CONFLICT, "Try again"))?;
    Ok(Json(CreatedKey {
        id: row.id,
        name: row.name,
        key_prefix: row.key_prefix,
        robot_id: row.robot_id,
        api_key: key.reveal().to_owned(),
        created_at: iso(row.created_at),
    }))
}

/// The caller's keys that are not revoked, newest first
#[utoipa::path(get, path = "/api/v1/keys", tag = "keys", security(("operator" = [])),
    responses((status = 200, body = KeyList), (status = 401, body = ErrorBody)))]
pub(super) async fn list(
    State(api): State<Api>,
    KnownOperator(operator): KnownOperator,
) -> Result<Json<KeyList>, ApiError> {
    let keys = api.store.keys_of(&operator.sub).await?.into_iter().map(|key| KeyInfo {
        id: key.id,
        name: key.name,
        key_prefix: key.key_prefix,
        robot_id: key.robot_id,
        last_used_at: key.last_used_at.map(iso),
        created_at: iso(key.created_at),
    });
    Ok(Json(KeyList { keys: keys.collect() }))
}

/// Revokes a key, at once
#[utoipa::path(delete, path = "/api/v1/keys/{id}", tag = "keys", security(("operator" = [])),
    params(("id" = String, Path)),
    responses((status = 200, body = RevokedKey), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 429, body = ErrorBody)))]
pub(super) async fn revoke(
    State(api): State<Api>,
    KnownOperator(operator): KnownOperator,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<RevokedKey>, ApiError> {
    let id = id.map(|Path(id)| id).unwrap_or_default();
    if !is_uuid(&id) || !api.store.revoke_key(&operator.sub, &id, now_ms()).await? {
        return Err(ApiError::new(StatusCode::NOT_FOUND, detail::KEY_NOT_FOUND));
    }
    Ok(Json(RevokedKey { revoked: true, id }))
}
