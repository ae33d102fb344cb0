//! One open channel of an operator, and what is done with its messages.

use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use waldo_protocol::hosted::ChannelLabel;

use super::service::{Frame, Service, lock};
use crate::rtc::{Channel, ChannelSetup, RobotPeer, RtcError};

/// A channel and what is done with its messages.
pub(super) struct Opened {
    channel: Channel,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

impl Opened {
    /// Opens the channel of this label and number, and does from then on what is to be done with its messages. `back`: where
    /// questions are answered at once.
    pub(super) async fn open(
        (label, id): (ChannelLabel, u16),
        (service, peer): (&Arc<Service>, &RobotPeer),
        back: &Arc<Mutex<Option<Channel>>>,
    ) -> Result<Self, RtcError> {
        let settings = &service.settings;
        let (ordered, max_retransmits) =
            if label.lossy() { (settings.ordered, Some(settings.max_retransmits)) } else { (true, None) };
        let setup = ChannelSetup { label: label.as_str().into(), id, ordered, max_retransmits };
        let channel = peer.open(setup).await?;
        let (service, from) = (Arc::clone(service), channel.clone());
        let mut tasks = Vec::new();
        match label {
            ChannelLabel::CmdUnreliable => tasks.push(peer.spawn(async move {
                while let Some(message) = from.next().await {
                    service.command(&message.data);
                }
            })),
            ChannelLabel::StateReliable => {
                let back = Arc::clone(back);
                tasks.push(peer.spawn(async move {
                    while let Some(message) = from.next().await {
                        let Some(pong) = service.said(&message.data) else { continue };
                        // On this very thread, so that the operator's clock is set by the network's delay alone.
                        let way = lock(&back).clone();
                        let sent = match way {
                            Some(way) => way.send_text(&pong.encode()).await.is_ok(),
                            None => false,
                        };
                        if !sent && service.log_due("pong") {
                            tracing::warn!("the operator's ping cannot be answered: the way back is not open");
                        }
                    }
                }));
            }
            ChannelLabel::StateReliableBack => {
                *lock(back) = Some(channel.clone());
                let (outbox, waiting) = Service::outbox();
                service.set_back(Some(outbox));
                tasks.push(peer.spawn(send(channel.clone(), waiting)));
                tasks.push(peer.spawn(drain(from)));
            }
            ChannelLabel::MapUnreliable => {
                service.set_map(Some(channel.clone()));
                tasks.push(peer.spawn(drain(from)));
            }
        }
        Ok(Self { channel, _tasks: tasks })
    }

    /// Closes the channel; its messages count no more.
    pub(super) async fn close(self) {
        self.channel.close().await;
    }
}

async fn send(channel: Channel, mut waiting: mpsc::Receiver<Frame>) {
    while let Some(Frame { text, data }) = waiting.recv().await {
        let sent = match (text, std::str::from_utf8(&data)) {
            (true, Ok(text)) => channel.send_text(text).await,
            _ => channel.send(&data).await,
        };
        if let Err(error) = sent {
            tracing::debug!(%error, "a message to the operator is lost");
        }
    }
}

/// What comes against the direction of a channel goes nowhere.
async fn drain(channel: Channel) {
    while channel.next().await.is_some() {}
}
