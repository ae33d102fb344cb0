//! Who keeps a place without using it.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{world, world_with};

#[tokio::test]
async fn who_sends_too_slowly_is_cut_off() {
    let world = world().await;
    let address = world.broker().address();
    let drip = async |head: &str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let begin = Instant::now();
        let mut reply = Vec::new();
        loop {
            let mut buffer = [0; 1024];
            match tokio::time::timeout(Duration::from_millis(500), stream.read(&mut buffer)).await {
                Ok(Ok(0) | Err(_)) => break,
                Ok(Ok(read)) => reply.extend_from_slice(&buffer[..read]),
                // A byte now and then, for ever.
                Err(_) if stream.write_all(b"x").await.is_err() => break,
                Err(_) => {}
            }
            assert!(begin.elapsed() < Duration::from_secs(100), "still open");
        }
        String::from_utf8_lossy(&reply).into_owned()
    };
    let body = "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{";
    let (head, body, nothing) = tokio::join!(drip("GET /health HTTP/1.1\r\nX-Slow: "), drip(body), drip("G"));
    assert!(!head.contains("200 OK") && !nothing.contains("200 OK"), "{head} {nothing}");
    assert!(body.contains("408"), "{body}");
    // Others were served all the time.
    assert_eq!(world.send(world.request("GET", "/health")).await.status, 200);
}

#[tokio::test]
async fn who_takes_a_reply_too_slowly_is_cut_off() {
    let pages = tempfile::tempdir().unwrap();
    // More than the kernel keeps for anybody.
    std::fs::write(pages.path().join("large.bin"), vec![0; 32 << 20]).unwrap();
    let folder = pages.path().to_owned();
    let world = world_with(|settings| {
        settings.static_dir = Some(folder);
        settings.max_connections = 1;
    })
    .await;
    let ask = b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut stranger = TcpStream::connect(world.broker().address()).await.unwrap();
    stranger.write_all(ask).await.unwrap();
    assert!(stranger.read(&mut [0; 64]).await.unwrap() > 0);
    // The only place is taken, and nothing more is read.
    assert!(world.request("GET", "/health").send().await.is_err());
    let begin = Instant::now();
    while world.request("GET", "/health").send().await.is_err() {
        assert!(begin.elapsed() < Duration::from_secs(100), "the place is still taken");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(stranger);
    // Who reads gets all of it.
    for _ in 0..500 {
        if let Ok(reply) = world.request("GET", "/large.bin").send().await {
            assert_eq!(reply.bytes().await.unwrap().len(), 32 << 20);
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no place is free again");
}

#[tokio::test]
async fn a_connection_too_many_is_closed_and_a_place_is_free_again() {
    let world = world_with(|settings| settings.max_connections = 2).await;
    let address = world.broker().address();
    let mut held = vec![TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
    for stream in &mut held {
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        assert!(stream.read(&mut [0; 512]).await.unwrap() > 0);
    }
    let mut third = TcpStream::connect(address).await.unwrap();
    assert_eq!(third.read(&mut [0]).await.unwrap_or(0), 0, "closed");
    drop(held);
    for _ in 0..500 {
        if world.request("GET", "/health").send().await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no place is free again");
}
