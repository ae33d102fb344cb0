//! Which channels are open, and what a heartbeat's reply changes about that.

use waldo_protocol::hosted::ChannelLabel;
use waldo_protocol::hosted::RobotChannelIds;

/// The order in which channels change: the way back is open before the operator's first question arrives.
const ORDER: [ChannelLabel; 4] = [
    ChannelLabel::CmdUnreliable,
    ChannelLabel::StateReliableBack,
    ChannelLabel::StateReliable,
    ChannelLabel::MapUnreliable,
];

/// One thing to do, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The operator is lost.
    Lost,
    /// Close the channel of this label.
    Close(ChannelLabel),
    /// Open one with this number; it is remembered when that succeeded.
    Open(ChannelLabel, u16),
}

/// The numbers of the channels that are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OpenChannels([Option<u16>; 4]);

impl OpenChannels {
    /// What to do so that the channels are those of a reply. Whatever is closed is forgotten; what is opened must be
    /// [remembered](Self::remember).
    pub(super) fn follow(&mut self, ids: &RobotChannelIds) -> Vec<Step> {
        let mut steps = Vec::new();
        for (known, label) in self.0.iter_mut().zip(ORDER) {
            let new = ids.get(label);
            if *known == new {
                continue;
            }
            if known.is_some() {
                if label == ChannelLabel::StateReliable && new.is_none() {
                    steps.push(Step::Lost);
                }
                steps.push(Step::Close(label));
            }
            *known = None;
            steps.extend(new.map(|id| Step::Open(label, id)));
        }
        steps
    }

    /// A channel was opened.
    pub(super) fn remember(&mut self, label: ChannelLabel, id: u16) {
        if let Some(at) = ORDER.iter().position(|known| *known == label) {
            self.0[at] = Some(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use waldo_protocol::hosted::HeartbeatAck;

    use super::*;

    fn told(step: &Step) -> Value {
        match step {
            Step::Lost => json!({ "event": "operator_lost" }),
            Step::Close(label) => json!({ "close": label.as_str() }),
            Step::Open(label, id) => json!({ "open": label.as_str(), "id": id }),
        }
    }

    #[test]
    fn channels_follow_the_replies_of_the_vectors_in_their_order() {
        let vectors: Vec<Value> = serde_json::from_str(include_str!("../../../tests/vectors/hosted.json")).unwrap();
        let mut seen = 0;
        for vector in vectors.iter().filter(|v| v["name"].as_str().unwrap().starts_with("heartbeat_")) {
            let (name, mut open) = (vector["name"].as_str().unwrap(), OpenChannels::default());
            let acks = vector["message"]["acks"].as_array().unwrap();
            for (ack, expected) in acks.iter().zip(vector["expect"]["steps"].as_array().unwrap()) {
                let ack: HeartbeatAck = serde_json::from_value(ack.clone()).unwrap();
                let steps = open.follow(&ack.ids);
                for step in &steps {
                    if let Step::Open(label, id) = step {
                        open.remember(*label, *id);
                    }
                }
                let mut steps: Vec<Value> = steps.iter().map(told).collect();
                let offer = ack.renegotiate_offer.filter(|offer| !offer.is_empty());
                steps.extend(offer.map(|offer| json!({ "answer_renegotiation": offer })));
                assert_eq!(&Value::from(steps), expected, "{name}");
            }
            seen += 1;
        }
        assert_eq!(seen, 4);
    }

    #[test]
    fn a_channel_that_could_not_be_opened_is_tried_again_with_the_next_reply() {
        let mut open = OpenChannels::default();
        let ids = RobotChannelIds { cmd_channel_subscriber_id: Some(16), ..RobotChannelIds::default() };
        assert_eq!(open.follow(&ids), [Step::Open(ChannelLabel::CmdUnreliable, 16)]);
        assert_eq!(open.follow(&ids), [Step::Open(ChannelLabel::CmdUnreliable, 16)]);
        open.remember(ChannelLabel::CmdUnreliable, 16);
        assert_eq!(open.follow(&ids), []);
    }
}
