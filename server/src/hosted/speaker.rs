//! The operator's voice, played by a program that is given the samples.

use std::io::{self, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use waldo_protocol::time::MonoTime;

use crate::clock;

/// A player that ended is started again after this time, if there is anything to play.
const AGAIN: Duration = Duration::from_secs(5);

/// Plays what comes until nothing can come any more. What the player does not take in time is lost.
pub(super) fn start(command: String, sound: Receiver<Arc<[i16]>>) -> io::Result<JoinHandle<()>> {
    Builder::new().name("hosted speaker".into()).spawn(move || play(&command, sound))
}

fn play(command: &str, mut sound: Receiver<Arc<[i16]>>) {
    let (mut player, mut ended) = (None, None);
    loop {
        let samples = match sound.blocking_recv() {
            Ok(samples) => samples,
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        if player.is_none() && ended.is_none_or(|ended: MonoTime| clock::now().since(ended) >= AGAIN) {
            match Player::start(command) {
                Ok(started) => player = Some(started),
                Err(error) => {
                    tracing::warn!(%error, "--hosted-speaker: it does not start");
                    ended = Some(clock::now());
                }
            }
        }
        if let Some(Err(error)) = player.as_mut().map(|player| player.take(&samples)) {
            tracing::warn!(%error, "--hosted-speaker: it takes nothing any more");
            (player, ended) = (None, Some(clock::now()));
        }
    }
}

/// The program that plays. Has its input closed and is ended when dropped.
struct Player(Child);

impl Player {
    fn start(command: &str) -> io::Result<Self> {
        // As people write it.
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec {command}")]).stdin(Stdio::piped()).stdout(Stdio::null());
        Ok(Self(shell.spawn()?))
    }

    fn take(&mut self, samples: &[i16]) -> io::Result<()> {
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        self.0.stdin.as_mut().map_or(Ok(()), |input| input.write_all(&bytes))
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let mut waits = 0;
        // It may have something left to play, but not for long.
        while matches!(self.0.try_wait(), Ok(None)) && waits < 20 {
            std::thread::sleep(Duration::from_millis(50));
            waits += 1;
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast;

    use super::*;

    #[test]
    fn a_player_is_given_all_samples_and_ends_with_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("heard");
        let sounds = broadcast::Sender::new(4);
        let thread = start(format!("cat > {}", file.display()), sounds.subscribe()).unwrap();
        sounds.send([1_i16, -2].into()).unwrap();
        sounds.send([256_i16].into()).unwrap();
        drop(sounds);
        thread.join().unwrap();
        assert_eq!(std::fs::read(file).unwrap(), [1, 0, 0xfe, 0xff, 0, 1]);
    }

    #[test]
    fn a_player_that_is_none_or_ends_costs_nobody_anything() {
        for command in ["/nowhere/player", "true"] {
            let sounds = broadcast::Sender::new(4);
            let thread = start(command.into(), sounds.subscribe()).unwrap();
            for _ in 0..200 {
                sounds.send(vec![0_i16; 1920].into()).unwrap();
                std::thread::yield_now();
            }
            drop(sounds);
            thread.join().unwrap();
        }
    }
}
