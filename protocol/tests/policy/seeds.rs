//! What the fuzzers found worth keeping, replayed as plain tests; see `fuzz/`.

use waldo_protocol::policy::{Capabilities, ClientMessage, ServerMessage};

use crate::corpus::seeds;
use crate::encode;

#[test]
fn the_seeds_of_client_frames_are_read_and_survive_their_own_encoding() {
    for seed in seeds("policy_client") {
        for caps in [Capabilities::NONE, Capabilities::all()] {
            if let Ok(message) = ClientMessage::decode(&seed, caps) {
                encode::client_survives(&message, &seed, caps);
            }
        }
    }
}

#[test]
fn the_seeds_of_server_frames_are_read_and_survive_their_own_encoding() {
    for seed in seeds("policy_server") {
        for caps in [Capabilities::NONE, Capabilities::all()] {
            if let Ok(message) = ServerMessage::decode(&seed, caps) {
                encode::server_survives(&message, &seed, caps);
            }
        }
    }
}
