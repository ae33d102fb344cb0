//! What the fuzzers found worth keeping, replayed as plain tests; see `fuzz/`.

use crate::corpus::seeds;
use crate::encode::{body_survives, lcm_survives, operator_survives, robot_survives, sdp_survives};

#[test]
fn the_seeds_of_lcm_survive_their_own_encoding() {
    seeds("lcm").iter().for_each(|seed| lcm_survives(seed));
}

#[test]
fn the_seeds_of_what_operators_say_survive_their_own_encoding() {
    seeds("hosted_robot").iter().for_each(|seed| robot_survives(seed));
}

#[test]
fn the_seeds_of_what_robots_say_survive_their_own_encoding() {
    seeds("hosted_operator").iter().for_each(|seed| operator_survives(seed));
}

#[test]
fn the_seeds_of_bodies_and_descriptions_survive_their_own_encoding() {
    for seed in seeds("hosted_broker") {
        body_survives(&seed);
        sdp_survives(&String::from_utf8_lossy(&seed));
    }
}
