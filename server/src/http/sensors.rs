//! The sensors of the robot for people and scripts: what cameras there are, their pictures, what its joints read.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use waldo_protocol::policy::Region;
use waldo_protocol::time::MonoTime;

use crate::clock;
use crate::sensors::transform::{QUALITY, Scaler, jpeg};
use crate::sensors::{Array, Camera, SensorHub};

/// How long a picture may take to come: of a camera that rested, and behind those that are encoded before it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Pictures that are encoded at a time, each on a thread of its own.
const AT_A_TIME: usize = 2;

const NO_STORE: [(axum::http::HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];

#[derive(Clone)]
struct Shown {
    hub: SensorHub,
    encoders: Arc<Semaphore>,
}

/// `/api/cameras`, `/api/cameras/NAME.jpg` and `/api/proprio`, to be put behind the access rule.
pub fn sensors(hub: SensorHub) -> Router {
    let shown = Shown { hub, encoders: Arc::new(Semaphore::new(AT_A_TIME)) };
    Router::new()
        .route("/api/cameras", get(cameras))
        .route("/api/cameras/{file}", get(picture))
        .route("/api/proprio", get(proprio))
        .with_state(shown)
}

/// Every camera with what is known about it. Wakes none.
async fn cameras(State(shown): State<Shown>) -> Response {
    let now = clock::now();
    let describe = |camera: &Camera| {
        let frame = camera.snapshot();
        let shape = frame.image.shape();
        json!({
            "name": camera.name(),
            "height": shape.first(),
            "width": shape.get(1),
            "channels": shape.get(2),
            "dtype": frame.image.dtype().name(),
            "fps": camera.fps(),
            "n": frame.n,
            "age_ms": frame.stamp.map(|stamp| age_ms(now, stamp)),
            "has_depth": frame.depth.is_some(),
            "intrinsics": frame.intrinsics,
            "extrinsics": frame.extrinsics,
            "dropped": camera.dropped(),
        })
    };
    let cameras: Vec<Value> = shown.hub.every_camera().iter().map(describe).collect();
    (NO_STORE, Json(json!({ "cameras": cameras }))).into_response()
}

/// The newest reading of every proprioception stream.
async fn proprio(State(shown): State<Shown>) -> Response {
    let now = clock::now();
    let streams = shown.hub.snapshot().proprios;
    let streams = streams.iter().map(|stream| {
        let age_ms = stream.stamp.map(|stamp| age_ms(now, stamp));
        json!({ "name": *stream.name, "values": stream.values().collect::<Vec<_>>(), "n": stream.n, "age_ms": age_ms })
    });
    (NO_STORE, Json(json!({ "proprios": streams.collect::<Vec<_>>() }))).into_response()
}

fn age_ms(now: MonoTime, stamp: MonoTime) -> f64 {
    now.since(stamp).as_secs_f64() * 1e3
}

/// The newest picture of a camera as JPEG, at most `?width=` pixels wide.
async fn picture(State(shown): State<Shown>, Path(file): Path<String>, uri: Uri) -> Response {
    let camera = file.strip_suffix(".jpg").and_then(|name| shown.hub.camera(name));
    let Some(camera) = camera else {
        let names: Vec<String> = shown.hub.every_camera().iter().map(|one| format!("{}.jpg", one.name())).collect();
        let there = if names.is_empty() { "no pictures".to_owned() } else { names.join(", ") };
        return refused(StatusCode::NOT_FOUND, &format!("There is no {file} here. There is: {there}."));
    };
    let asked = uri.query().unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("width="));
    let width = match asked.map(str::parse::<u32>) {
        None => None,
        Some(Ok(width)) if width > 0 => Some(width),
        Some(_) => return refused(StatusCode::BAD_REQUEST, "The width is a number of pixels, at least 1."),
    };
    let taken = timeout(PATIENCE, async {
        let _awake = camera.keep_awake();
        camera.first_picture().await?;
        let place = Arc::clone(&shown.encoders).acquire_owned().await;
        // Whoever waits holds no pixels.
        Some((camera.snapshot().image, place))
    });
    let (image, place) = match taken.await {
        Ok(Some(taken)) => taken,
        Ok(None) => return later(&format!("No picture of {}: the camera has ended.", camera.name())),
        Err(_) => {
            let why = "the camera is silent, or too many pictures were asked for at once";
            return later(&format!("No picture of {} within 2 s: {why}.", camera.name()));
        }
    };
    let encoded = tokio::task::spawn_blocking(move || {
        let _place = place;
        encode(&image, width)
    });
    match encoded.await {
        Ok(Ok(file)) => (NO_STORE, [(CONTENT_TYPE, "image/jpeg")], file).into_response(),
        Ok(Err(why)) => later(&format!("No picture of {}: {why}.", camera.name())),
        Err(error) => {
            tracing::error!(camera = camera.name(), "a picture could not be encoded: {error}");
            refused(StatusCode::INTERNAL_SERVER_ERROR, "The picture could not be encoded.")
        }
    }
}

fn encode(image: &Array, width: Option<u32>) -> Result<Vec<u8>, String> {
    let side = |index: usize| image.shape().get(index).and_then(|side| u32::try_from(*side).ok()).unwrap_or(0);
    let (rows, columns) = (side(0), side(1));
    if image.is_empty() {
        return Err("the camera failed".into());
    }
    let scaled = match width.filter(|width| *width < columns) {
        None => Some(image.clone()),
        Some(width) => {
            let height = (u64::from(rows) * u64::from(width)).div_ceil(u64::from(columns)) as u32;
            Scaler::default().scale(image, Region::whole([rows, columns]), [height, width])
        }
    };
    let file = scaled.and_then(|picture| jpeg(&picture, QUALITY));
    file.ok_or_else(|| format!("JPEG cannot show {:?} elements of type {}", image.shape(), image.dtype().name()))
}

fn refused(status: StatusCode, text: &str) -> Response {
    (status, NO_STORE, format!("{text}\n")).into_response()
}

fn later(text: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "2")], NO_STORE, format!("{text}\n")).into_response()
}
