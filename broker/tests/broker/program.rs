//! The program `waldo-broker` as people and scripts use it.

use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

fn program(dir: &tempfile::TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waldo-broker"));
    command.args(args).arg("--data-dir").arg(dir.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(Stdio::null());
    command
}

fn run(dir: &tempfile::TempDir, args: &[&str], input: &str) -> Output {
    let mut child = program(dir, args).stdin(Stdio::piped()).spawn().unwrap();
    // Who needs no input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// The only line on stdout.
#[track_caller]
fn line(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text.trim().to_owned()
}

/// A server that ends with this value, whatever the test comes to.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn accounts_and_keys_are_made_served_and_ended_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let password = line(&run(&dir, &["user", "add", "Alice@example.org", "--generate"], ""));
    assert_eq!(password.len(), 20);
    let key = line(&run(&dir, &["key", "add", "--owner", "alice@example.org", "--name", "lab"], ""));
    assert!(waldo_broker::auth::is_key(&key));
    let again = run(&dir, &["user", "add", "alice@example.org", "--generate"], "");
    assert!(!again.status.success() && again.stdout.is_empty(), "{again:?}");
    assert!(String::from_utf8_lossy(&again.stderr).contains("--replace"), "{again:?}");
    let short = run(&dir, &["user", "passwd", "alice@example.org"], "short\n");
    assert!(String::from_utf8_lossy(&short.stderr).contains("at least 8"), "{short:?}");

    let mut server =
        Server(program(&dir, &["serve", "--listen", "127.0.0.1:0", "--sfu-bind", "127.0.0.1:0"]).spawn().unwrap());
    let mut first = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let url = first.trim().strip_prefix("Waldo's broker answers on ").unwrap_or_else(|| panic!("{first}")).to_owned();
    // Brokers in the same process do it by themselves; this one is a process of its own.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    let log_in = async |password: &str| {
        let body = json!({"email": "alice@example.org", "password": password});
        let reply = client.post(format!("{url}/api/v1/auth/login")).json(&body).send().await.unwrap();
        (reply.status().as_u16(), reply.json::<serde_json::Value>().await.unwrap())
    };
    let (status, reply) = log_in(&password).await;
    assert_eq!(status, 200, "{reply}");
    let token = reply["token"].as_str().unwrap().to_owned();
    let me = async || {
        let request = client.get(format!("{url}/api/v1/auth/me")).bearer_auth(&token);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(me().await, 200);
    // A password that is changed while the broker runs counts at once, and old tokens are void.
    let changed = run(&dir, &["user", "passwd", "alice@example.org"], "another one\n");
    assert!(changed.status.success(), "{changed:?}");
    assert_eq!(me().await, 401);
    assert_eq!((log_in(&password).await.0, log_in("another one").await.0), (401, 200));

    let pid = rustix::process::Pid::from_child(&server.0);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let status = server.0.wait().unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn mistakes_are_told_in_a_line_that_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    for (args, expected) in [
        (&["serve", "--listen", "203.0.113.1:1"][..], "cannot listen on 203.0.113.1:1"),
        (&["serve", "--listen", "0.0.0.0:0", "--environment", "dev"], "--development-anywhere"),
        (&["serve", "--tls-cert", "/nowhere.pem", "--tls-key", "/nowhere.pem"], "/nowhere.pem"),
        (&["serve", "--database-url", "mysql://x"], "database"),
        (&["serve", "--public-origin", "teleop.example.org"], "--public-origin"),
        (&["serve", "--sfu", "livekit"], "--livekit-url"),
        (&["serve", "--sfu", "smoke"], "known are embedded"),
        (&["key", "add"], "--owner"),
        (&["user", "passwd", "nobody@example.org", "--generate"], "user add"),
    ] {
        let output = run(&dir, args, "");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(expected), "{args:?}: {text}");
        assert!(!text.contains("panicked"), "{args:?}: {text}");
    }
}

/// A check of connectivity with so many attributes that a parser may have something to say about.
fn odd_check(attributes: usize) -> Vec<u8> {
    let attributes: Vec<u8> = [[0x00, 0x01, 0, 0], [0x00, 0x0a, 0, 0], [0x80, 0x23, 0, 0]]
        .into_iter()
        .cycle()
        .take(attributes)
        .flatten()
        .collect();
    let mut datagram = vec![0x00, 0x11];
    datagram.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
    datagram.extend([0x21, 0x12, 0xa4, 0x42]);
    datagram.extend([7; 12]);
    datagram.extend(attributes);
    datagram
}

/// A broker and what it logs, in lines.
fn logging(dir: &tempfile::TempDir, log: &str) -> (Server, u16, Arc<AtomicUsize>) {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let bind = format!("127.0.0.1:{port}");
    let args = ["serve", "--listen", "127.0.0.1:0", "--sfu-bind", &bind, "--log", log];
    let mut server = Server(program(dir, &args).spawn().unwrap());
    let mut first = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let (lines, errors) = (Arc::new(AtomicUsize::new(0)), BufReader::new(server.0.stderr.take().unwrap()));
    let count = Arc::clone(&lines);
    std::thread::spawn(move || errors.lines().for_each(|_| _ = count.fetch_add(1, Ordering::Relaxed)));
    (server, port, lines)
}

#[test]
fn a_strangers_datagrams_write_no_log() {
    let dir = tempfile::tempdir().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    // Not even for somebody who asks for all that a parser has to say: it does not get to see what no peer can have sent.
    for log in ["info", "is=trace,info"] {
        let (mut server, port, lines) = logging(&dir, log);
        for attributes in [140, 300].into_iter().cycle().take(100) {
            socket.send_to(&odd_check(attributes), ("127.0.0.1", port)).unwrap();
            std::thread::sleep(Duration::from_millis(10));
        }
        // What it has to say it has said once it has ended in order.
        let pid = rustix::process::Pid::from_child(&server.0);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        assert!(server.0.wait().unwrap().success());
        assert!(lines.load(Ordering::Relaxed) < 50, "{} lines with {log}", lines.load(Ordering::Relaxed));
    }
}
