//! An answer for people who type `http://` before the address.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// More of a request is not looked at.
const MAX_HEAD: u64 = 4096;

/// Reads the head of a plain-http request and sends the browser to https. The caller bounds the time.
pub(super) async fn redirect(mut stream: TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    let (reader, mut writer) = stream.split();
    let mut reader = reader.take(MAX_HEAD);
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if reader.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    writer.write_all(answer(&head).as_bytes()).await?;
    writer.shutdown().await?;
    // Data left unread would reset the connection before the answer is read.
    tokio::io::copy(&mut reader, &mut tokio::io::sink()).await?;
    Ok(())
}

/// The whole response to a request with this head.
fn answer(head: &[u8]) -> String {
    let hint = "This port speaks https: write https:// before the address.\n";
    let (status, location) = match target(head) {
        Some(target) => ("301 Moved Permanently", format!("Location: https://{target}\r\n")),
        None => ("400 Bad Request", String::new()),
    };
    let length = hint.len();
    format!(
        "HTTP/1.1 {status}\r\n{location}Content-Type: text/plain\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n{hint}"
    )
}

/// Host and path of a GET request, if both are harmless.
fn target(head: &[u8]) -> Option<String> {
    let head = std::str::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n");
    let mut request = lines.next()?.split(' ');
    let (method, path) = (request.next()?, request.next()?);
    let host = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("host").then_some(value.trim())
    })?;
    let harmless = |text: &str, extra: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
    };
    let valid = method == "GET" && path.starts_with('/') && harmless(path, "/-._~%?&=+") && harmless(host, ".-:[]");
    valid.then(|| format!("{host}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_sent_to_https() {
        let answer = answer(b"GET /?a=1 HTTP/1.1\r\nhost: robot.local:8000\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 301 "), "{answer}");
        assert!(answer.contains("\r\nLocation: https://robot.local:8000/?a=1\r\n"), "{answer}");
    }

    #[test]
    fn anything_else_gets_a_hint_and_nothing_of_it_comes_back() {
        let odd: [&[u8]; 5] = [
            b"",
            b"\xff\xfe\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\"b<c\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: robot\r\n\r\n",
        ];
        for head in odd {
            let answer = answer(head);
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
            assert!(answer.contains("https://"), "{answer}");
            assert!(!answer.contains("Location"), "{answer}");
        }
    }
}
