//! From a byte stream to a WebSocket.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Empty;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderName, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, StatusCode, Version};
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::link::DialError;

/// Asks for a WebSocket; gives back the stream and what the server sent after its answer.
pub(super) async fn upgrade<S>(stream: S, authority: &str, resource: &str) -> Result<(S, Bytes), DialError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let key = fastwebsockets::handshake::generate_key();
    let request = Request::builder()
        .uri(resource)
        .header(HOST, authority)
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "Upgrade")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", &key)
        .body(Empty::<Bytes>::new())
        .map_err(DialError::for_good)?;
    let (answer, upgraded) = exchange(stream, request, StatusCode::SWITCHING_PROTOCOLS).await?;
    let says = |name: HeaderName, word: &str| {
        let values = answer.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(word))
    };
    if !says(UPGRADE, "websocket") || !says(CONNECTION, "upgrade") {
        return Err(DialError::later("the server opened something other than a WebSocket"));
    }
    // Only a server that has read the request can know this.
    let accept = STANDARD.encode(Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")));
    if answer.get("sec-websocket-accept").is_none_or(|given| given.as_bytes() != accept.as_bytes()) {
        return Err(DialError::later("the server's answer is to another request"));
    }
    let agreed = ["sec-websocket-extensions", "sec-websocket-protocol"].iter().find(|name| answer.contains_key(**name));
    if let Some(name) = agreed {
        return Err(DialError::for_good(format!("the server agreed to a {name} that was not asked for")));
    }
    upgraded
}

/// A stream to `authority` through an HTTP proxy.
pub(super) async fn through_proxy(proxy: &str, authority: &str) -> Result<TcpStream, DialError> {
    let stream = TcpStream::connect(proxy).await.map_err(|error| DialError::later(format!("proxy: {error}")))?;
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri(authority)
        .version(Version::HTTP_11)
        .header(HOST, authority)
        .body(Empty::<Bytes>::new())
        .map_err(DialError::for_good)?;
    let (_, tunnel) = exchange(stream, request, StatusCode::OK).await?;
    match tunnel? {
        (stream, early) if early.is_empty() => Ok(stream),
        _ => Err(DialError::later("the proxy speaks before it is asked")),
    }
}

type Opened<S> = Result<(S, Bytes), DialError>;

async fn exchange<S>(
    stream: S,
    request: Request<Empty<Bytes>>,
    expected: StatusCode,
) -> Result<(HeaderMap, Opened<S>), DialError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut requests, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(DialError::later)?;
    let answer = async move {
        let mut response = requests.send_request(request).await.map_err(DialError::later)?;
        let status = response.status();
        if status != expected {
            let for_good = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
            let hint = if status == StatusCode::UNAUTHORIZED { "; add ?token=… to the address" } else { "" };
            return Err(DialError { message: format!("the server answered {status}{hint}"), for_good });
        }
        let headers = std::mem::take(response.headers_mut());
        Ok((headers, hyper::upgrade::on(response).await))
    };
    // The connection drives the exchange; an error of its own reaches the answer too.
    let (_, answer) = tokio::join!(connection.with_upgrades(), answer);
    let (headers, upgraded) = answer?;
    Ok((headers, upgraded.map_err(DialError::later).and_then(parts)))
}

fn parts<S>(upgraded: Upgraded) -> Opened<S>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let parts = upgraded.downcast::<TokioIo<S>>().map_err(|_| DialError::later("the connection took another form"))?;
    Ok((parts.io.into_inner(), parts.read_buf))
}
