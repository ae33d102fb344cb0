//! All ways to the robot: the socket over the network, the pose channel, the socket over the cable.

use crate::cable::Cable;
use crate::channel::PoseChannel;
use crate::connection::Connection;
use crate::link::Status;
use crate::summary::Transport;
use crate::target::Target;

/// See the module.
pub(crate) struct Paths {
    pub(crate) connection: Connection<Target>,
    pub(crate) channel: PoseChannel,
    pub(crate) cable: Cable,
}

impl Paths {
    /// The way that poses take besides the cable; `None` while they would only pile up.
    pub(crate) fn transport(&self) -> Option<Transport> {
        match self.connection.status() {
            Status::Connected if self.channel.takes_poses() => Some(Transport::Channel),
            Status::Connected if self.connection.takes_poses() => Some(Transport::Socket),
            _ => None,
        }
    }

    /// Whether a pose frame would leave at once.
    pub(crate) fn take_poses(&self) -> bool {
        self.transport().is_some() || self.cable.takes_poses()
    }

    /// Sends an encoded frame over the cable, and over the channel or else the socket; `surely`: over both.
    ///
    /// Frames carry numbers: the robot takes the first of equal ones and drops those that come too late.
    pub(crate) fn send_pose(&self, text: &str, surely: bool) {
        if self.cable.takes_poses() {
            self.cable.send(text);
        }
        let transport = self.transport();
        if transport == Some(Transport::Channel) {
            self.channel.send(text);
        }
        if transport == Some(Transport::Socket) || surely {
            self.connection.send(text);
        }
    }

    /// Sends a text on every way at once.
    pub(crate) fn send_everywhere(&self, text: &str) {
        self.cable.send(text);
        self.channel.send(text);
        self.connection.send(text);
    }
}
