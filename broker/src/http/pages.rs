//! The web app: the same bundle that robots serve, told that a broker serves it.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use waldo_program::Pages;

/// What tells the app where it is.
const MARK: &str = "<meta name=\"waldo-service\" content=\"broker\">";

/// All paths that are no other route's; pages come from `folder`, without one from the bundle.
pub(crate) fn pages(folder: Option<PathBuf>) -> Router {
    Router::new().fallback(answer).with_state(Arc::new(Pages::new(folder, Some(MARK))))
}

async fn answer(State(pages): State<Arc<Pages>>, request: Request) -> Response {
    let path = request.uri().path();
    // Names with a dot are files; everything else is a place inside of the app.
    let is_file = path.rsplit('/').next().is_some_and(|name| name.contains('.'));
    let page = pages.answer(request.method(), if is_file { path } else { "/" }, request.headers()).await;
    let nothing =
        || (StatusCode::NOT_FOUND, [(CONTENT_TYPE, "application/json")], "{\"detail\":\"Not Found\"}").into_response();
    page.unwrap_or_else(nothing)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use axum::body::Body;
    use axum::http::HeaderMap;
    use axum::http::header::CACHE_CONTROL;

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
        let pages = Arc::new(Pages::new(Some(dir.path().to_owned()), Some(MARK)));
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
