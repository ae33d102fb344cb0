//! The program `waldo` as a person runs it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

fn waldo(data: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waldo"));
    command.arg(arguments[0]).arg("--data-dir").arg(data.path()).args(&arguments[1..]);
    command.env_remove("WALDO_LOG").stdin(Stdio::null());
    command
}

fn output(mut command: Command) -> Output {
    command.output().expect("the program runs")
}

/// A server on free ports, and that of the page.
fn serve(data: &TempDir) -> (Child, u16) {
    let free = ["serve", "--bind", "127.0.0.1", "--port", "0", "--policy-port", "0", "--mdns=false"];
    let mut command = waldo(data, &free);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
    let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let port = stdout
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.split("https://127.0.0.1:").nth(1)?.split(['/', ' ']).next()?.parse().ok())
        .expect("an address to open");
    (child, port)
}

fn interrupt(child: &Child) {
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
}

/// How long it takes from Ctrl-C to the end.
fn ending(data: &TempDir) -> Duration {
    let (mut child, _) = serve(data);
    let start = Instant::now();
    interrupt(&child);
    let status = child.wait().expect("a child");
    assert!(status.success(), "{status}");
    start.elapsed()
}

#[test]
fn ctrl_c_ends_it_soon_and_well() {
    let data = TempDir::new().expect("a folder");
    // It may take half a second. A busy machine is slow at times, but hardly three times in a row; what waits for a limit of
    // its own to run out is slow each time.
    let tries: Vec<_> = (0..3).map(|_| ending(&data)).collect();
    assert!(tries.iter().min() < Some(&Duration::from_secs(1)), "{tries:?}");
}

#[test]
fn a_busy_port_names_who_holds_it() {
    let data = TempDir::new().expect("a folder");
    let (mut holder, port) = serve(&data);
    let second = output(waldo(&data, &["serve", "--bind", "127.0.0.1", "--port", &port.to_string(), "--mdns=false"]));
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains(&format!("process {}", holder.id())), "{said}");
    interrupt(&holder);
    holder.wait().expect("a child");
}

#[test]
fn certs_shows_the_certificate_and_renews_it() {
    let data = TempDir::new().expect("a folder");
    let (mut child, _) = serve(&data);
    interrupt(&child);
    child.wait().expect("a child");
    let shown = |arguments: &[&str]| {
        let output = output(waldo(&data, arguments));
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let fingerprint = |text: &str| {
        let words = text.split_whitespace().map(str::to_owned);
        words.filter(|word| word.matches(':').count() == 31).collect::<Vec<_>>()
    };
    let before = shown(&["certs"]);
    assert!(before.contains("localhost"), "{before}");
    assert_eq!(fingerprint(&before).len(), 1, "{before}");
    shown(&["certs", "renew"]);
    assert_ne!(fingerprint(&shown(&["certs"])), fingerprint(&before));
}
