//! The web app: the same bundle that robots serve, told that a broker serves it.

use std::borrow::Cow;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

/// The bundle, inside release builds; a debug build reads the folder of its own source tree.
#[derive(RustEmbed)]
#[folder = "../static/dist"]
#[allow_missing = true]
struct Bundle;

/// What tells the app where it is.
const MARK: &str = "<meta name=\"waldo-service\" content=\"broker\">";

/// Where pages come from.
struct Pages {
    folder: Option<PathBuf>,
}

/// All paths that are no other route's; pages come from `folder`, without one from the bundle.
pub(crate) fn pages(folder: Option<PathBuf>) -> Router {
    Router::new().fallback(answer).with_state(Arc::new(Pages { folder }))
}

async fn answer(State(pages): State<Arc<Pages>>, request: Request) -> Response {
    let (method, headers) = (request.method(), request.headers());
    if !matches!(*method, Method::GET | Method::HEAD) {
        return not_found();
    }
    let path = request.uri().path().trim_start_matches('/');
    if !is_inside(path) && !path.is_empty() {
        return not_found();
    }
    // Names with a dot are files; everything else is a place inside of the app.
    let is_file = path.rsplit('/').next().is_some_and(|name| name.contains('.'));
    let path = if is_file { path } else { "index.html" };
    if path == "index.html" {
        return match pages.file(path.to_owned()).await {
            Some(data) => respond(path, mark(&data).into(), false, headers),
            None => ([(CACHE_CONTROL, "no-cache")], Html(include_str!("no_bundle.html"))).into_response(),
        };
    }
    if accepts_brotli(headers)
        && let Some(data) = pages.file(format!("{path}.br")).await
    {
        return respond(path, data, true, headers);
    }
    match pages.file(path.to_owned()).await {
        Some(data) => respond(path, data, false, headers),
        None => not_found(),
    }
}

impl Pages {
    async fn file(&self, path: String) -> Option<Cow<'static, [u8]>> {
        let folder = self.folder.clone();
        // Reading may wait for a disk, in debug builds for the bundle as well.
        tokio::task::spawn_blocking(move || match folder {
            Some(folder) => fs::read(folder.join(path)).ok().map(Cow::Owned),
            None => Bundle::get(&path).map(|file| file.data),
        })
        .await
        .ok()
        .flatten()
    }
}

/// The page with the mark in its head.
fn mark(page: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(page);
    match text.find("<head>") {
        Some(at) => {
            let (before, after) = text.split_at(at + "<head>".len());
            format!("{before}{MARK}{after}").into_bytes()
        }
        None => format!("{MARK}{text}").into_bytes(),
    }
}

/// Is this a relative path that stays below where it starts?
fn is_inside(path: &str) -> bool {
    !path.contains(['\\', '\0']) && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

fn accepts_brotli(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|one| {
        let (name, weight) = one.split_once(';').unwrap_or((one, ""));
        name.trim().eq_ignore_ascii_case("br") && !matches!(weight.trim(), "q=0" | "q=0.0")
    })
}

fn respond(path: &str, data: Cow<'static, [u8]>, brotli: bool, request: &HeaderMap) -> Response {
    let etag = format!("\"{}\"", &crate::auth::hex(&Sha256::digest(&data))[..24]);
    let cache = if is_hashed(path) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers: [(HeaderName, &str); 3] = [(ETAG, &etag), (CACHE_CONTROL, cache), (VARY, "accept-encoding")];
    let known = request.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if known.split(',').any(|one| one.trim() == etag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let body = match data {
        Cow::Borrowed(data) => Body::from(data),
        Cow::Owned(data) => Body::from(data),
    };
    let mut response = (headers, [(CONTENT_TYPE, mime(path))], body).into_response();
    if brotli {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("br"));
    }
    response
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, [(CONTENT_TYPE, "application/json")], "{\"detail\":\"Not Found\"}").into_response()
}

/// Does the bundler's hash of the contents stand in the name, such as `app-0123456789abcdef.js`?
fn is_hashed(path: &str) -> bool {
    let is_hash = |part: &str| part.len() >= 12 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    path.split(['-', '_', '.', '/']).any(is_hash)
}

/// The types of what a web app consists of.
fn mime(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "wasm" => "application/wasm",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(pages: &Arc<Pages>, path: &str) -> (StatusCode, HeaderMap, String) {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let (parts, body) = answer(State(Arc::clone(pages)), request).await.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn every_place_of_the_app_is_the_page_with_its_mark() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("index.html"), "<html><head><title>t</title></head></html>").unwrap();
        fs::write(dir.path().join("app.js"), "code").unwrap();
        let pages = Arc::new(Pages { folder: Some(dir.path().to_owned()) });
        for path in ["/", "/index.html", "/robots/1", "/anything"] {
            let (status, headers, body) = get(&pages, path).await;
            assert_eq!((status, headers[CACHE_CONTROL].to_str().unwrap()), (StatusCode::OK, "no-cache"), "{path}");
            assert!(body.starts_with(&format!("<html><head>{MARK}<title>")), "{path}: {body}");
        }
        assert_eq!(get(&pages, "/app.js").await.2, "code");
        for path in ["/app2.js", "/../secret.txt", "/./../a.b", "//etc/pass.wd"] {
            assert_eq!(get(&pages, path).await.0, StatusCode::NOT_FOUND, "{path}");
        }
    }
}
