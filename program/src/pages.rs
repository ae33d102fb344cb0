//! The web app: the bundle inside the program, or a folder.

use std::borrow::Cow;
use std::fs;
use std::path::{Component, Path, PathBuf};

use axum::body::Body;
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

const INDEX: &str = "index.html";
const HEAD: &str = "<head>";

/// Where pages come from.
#[derive(Debug)]
pub struct Pages {
    folder: Option<PathBuf>,
    mark: Option<&'static str>,
}

/// A file of the bundle.
struct File {
    data: Cow<'static, [u8]>,
    hash: [u8; 32],
}

impl Pages {
    /// The pages of `folder`; without one, of the bundle. `mark` is put into the head of the first page.
    pub fn new(folder: Option<PathBuf>, mark: Option<&'static str>) -> Self {
        Self { folder, mark }
    }

    /// Answers a request for any path that is no other route's; `None` if there is nothing.
    pub async fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Option<Response> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return None;
        }
        let path = match path {
            "/" => INDEX,
            path => path.trim_start_matches('/'),
        };
        if !is_inside(path) {
            return None;
        }
        // The packed sibling of a page that is changed here would be another page.
        let as_it_is = path != INDEX || self.mark.is_none();
        if as_it_is
            && accepts_brotli(headers)
            && let Some(file) = self.file(format!("{path}.br")).await
        {
            return Some(respond(path, file, true, headers));
        }
        match self.file(path.to_owned()).await {
            Some(file) => Some(respond(path, file, false, headers)),
            None if path == INDEX => {
                Some(([(CACHE_CONTROL, "no-store")], Html(include_str!("no_bundle.html"))).into_response())
            }
            None => None,
        }
    }

    async fn file(&self, path: String) -> Option<File> {
        let (folder, mark) = (self.folder.clone(), self.mark);
        // Reading may wait for a disk, in debug builds for the bundle as well, and what has no hash yet takes its time.
        tokio::task::spawn_blocking(move || {
            let file = match folder {
                Some(folder) => File::hashed(fs::read(folder.join(&path)).ok()?),
                None => {
                    let file = Bundle::get(&path)?;
                    File { hash: file.metadata.sha256_hash(), data: file.data }
                }
            };
            Some(match mark {
                Some(mark) if path == INDEX => File::hashed(marked(&file.data, mark)),
                _ => file,
            })
        })
        .await
        .ok()
        .flatten()
    }
}

impl File {
    fn hashed(data: Vec<u8>) -> Self {
        Self { hash: Sha256::digest(&data).into(), data: data.into() }
    }
}

/// The page with the mark in its head.
fn marked(page: &[u8], mark: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(page);
    let at = text.find(HEAD).map_or(0, |at| at + HEAD.len());
    [&text[..at], mark, &text[at..]].concat().into_bytes()
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

fn respond(path: &str, file: File, brotli: bool, request: &HeaderMap) -> Response {
    let hash: String = file.hash[..12].iter().map(|byte| format!("{byte:02x}")).collect();
    let etag = format!("\"{hash}\"");
    let cache = if is_hashed(path) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers: [(HeaderName, &str); 3] = [(ETAG, &etag), (CACHE_CONTROL, cache), (VARY, "accept-encoding")];
    let known = request.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if known.split(',').any(|one| one.trim() == etag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let body = match file.data {
        Cow::Borrowed(data) => Body::from(data),
        Cow::Owned(data) => Body::from(data),
    };
    let mut response = (headers, [(CONTENT_TYPE, mime(path))], body).into_response();
    if brotli {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("br"));
    }
    response
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
        "ogg" => "audio/ogg",
        "glb" => "model/gltf-binary",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(pages: &Pages, path: &str, headers: &[(HeaderName, &str)]) -> (StatusCode, HeaderMap, Vec<u8>) {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        let response = pages.answer(&Method::GET, path, &headers).await;
        let (parts, body) = response.unwrap_or_else(|| panic!("{path} is not there")).into_parts();
        (parts.status, parts.headers, axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec())
    }

    fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, Pages) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let pages = Pages::new(Some(dir.path().to_owned()), None);
        (dir, pages)
    }

    #[tokio::test]
    async fn the_index_is_revalidated_and_hashed_files_are_kept() {
        let (_dir, pages) = folder(&[("index.html", "<p>"), ("app-0123456789abcdef_bg.wasm", "wasm")]);
        let (status, headers, body) = get(&pages, "/", &[]).await;
        assert_eq!((status, &body[..]), (StatusCode::OK, &b"<p>"[..]));
        assert_eq!(headers[CACHE_CONTROL], "no-cache");
        assert_eq!(headers[CONTENT_TYPE], "text/html; charset=utf-8");
        let etag = headers[ETAG].to_str().unwrap().to_owned();
        let (status, _, body) = get(&pages, "/", &[(IF_NONE_MATCH, &etag)]).await;
        assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0));
        let (_, headers, _) = get(&pages, "/app-0123456789abcdef_bg.wasm", &[]).await;
        assert_eq!(headers[CONTENT_TYPE], "application/wasm");
        assert!(headers[CACHE_CONTROL].to_str().unwrap().contains("immutable"));
    }

    #[tokio::test]
    async fn a_compressed_sibling_is_sent_to_browsers_that_take_it() {
        let (_dir, pages) = folder(&[("app.js", "plain"), ("app.js.br", "packed")]);
        let (_, headers, body) = get(&pages, "/app.js", &[(ACCEPT_ENCODING, "gzip, deflate, br;q=0.9")]).await;
        assert_eq!((&headers[CONTENT_ENCODING], &body[..]), (&"br".parse().unwrap(), &b"packed"[..]));
        assert_eq!(headers[CONTENT_TYPE], "text/javascript; charset=utf-8");
        for accepted in ["gzip", "br;q=0", ""] {
            let (_, headers, body) = get(&pages, "/app.js", &[(ACCEPT_ENCODING, accepted)]).await;
            assert_eq!((headers.get(CONTENT_ENCODING), &body[..]), (None, &b"plain"[..]), "{accepted}");
        }
    }

    #[tokio::test]
    async fn nothing_outside_of_the_folder_can_be_read() {
        let (dir, _) = folder(&[("secret", "s")]);
        fs::create_dir(dir.path().join("dist")).unwrap();
        let pages = Pages::new(Some(dir.path().join("dist")), None);
        let absolute = format!("/{}/secret", dir.path().display());
        for path in ["/../secret", "/a/../../secret", "/./../secret", "/..%2fsecret", "//etc/passwd", &absolute] {
            assert!(pages.answer(&Method::GET, path, &HeaderMap::new()).await.is_none(), "{path}");
        }
    }

    #[tokio::test]
    async fn a_folder_without_the_app_says_how_to_build_it() {
        let (_dir, pages) = folder(&[]);
        let (status, _, body) = get(&pages, "/", &[]).await;
        assert_eq!(status, StatusCode::OK);
        assert!(String::from_utf8(body).unwrap().contains("cargo xtask build-web"));
        assert!(pages.answer(&Method::GET, "/index2.html", &HeaderMap::new()).await.is_none());
    }

    #[tokio::test]
    async fn pages_can_only_be_read() {
        let (_dir, pages) = folder(&[("index.html", "<p>")]);
        assert!(pages.answer(&Method::POST, "/", &HeaderMap::new()).await.is_none());
    }

    #[tokio::test]
    async fn only_the_first_page_has_the_mark_and_is_never_sent_packed_without_it() {
        let files = [
            ("index.html", "<html><head><title>t</title></head></html>"),
            ("index.html.br", "packed"),
            ("a.html", "a"),
        ];
        let (dir, plain) = folder(&files);
        let pages = Pages::new(Some(dir.path().to_owned()), Some("<meta>"));
        let brotli = [(ACCEPT_ENCODING, "br")];
        let (_, headers, body) = get(&pages, "/", &brotli).await;
        assert_eq!(
            (&body[..], headers.get(CONTENT_ENCODING)),
            (&b"<html><head><meta><title>t</title></head></html>"[..], None)
        );
        let (_, unmarked, body) = get(&plain, "/", &[]).await;
        assert_eq!(&body[..], files[0].1.as_bytes());
        assert_ne!(headers[ETAG], unmarked[ETAG], "a browser that has the page without the mark must get the other");
        assert_eq!(&get(&pages, "/a.html", &brotli).await.2[..], b"a");
    }

    #[test]
    fn hashes_are_told_from_words() {
        for path in ["style-e9683ba1c560e044.css", "app-bfc7fb9ac3793062_bg.wasm", "snippets/0123456789abcdef/x.js"] {
            assert!(is_hashed(path), "{path}");
        }
        for path in ["index.html", "emulator-iwer.js", "decade-facade.css", "icon.svg"] {
            assert!(!is_hashed(path), "{path}");
        }
    }
}
