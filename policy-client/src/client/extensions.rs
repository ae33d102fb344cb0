//! Calls that only servers with extensions know.

use std::sync::PoisonError;
use std::time::Duration;

use waldo_protocol::policy::{
    Align, AppMap, CameraSettings, Capability, ClockMapping, Configure, LeaseOp, LeaseRequest, ServerMessage,
    encode_stats,
};

use super::{PolicyClient, unexpected};
use crate::requests::Call;
use crate::{Error, Lease};

impl PolicyClient {
    /// Says which cameras are to be sent, and how; what is not mentioned stays as it is. Gives the settings in force.
    /// They are asked for again on every new connection.
    ///
    /// # Errors
    /// The server does not have the extension `enc`, refuses the settings, or the call fails, see [`Error`].
    pub async fn configure(
        &self,
        cameras: &[(String, CameraSettings)],
        align: Option<Align>,
    ) -> Result<Vec<(String, CameraSettings)>, Error> {
        let connection = self.shared.current.connection()?;
        connection.needs(Capability::Enc)?;
        let common = &self.shared.common;
        let reply = connection.ask(Call::Configure, |id, out| {
            Configure { id, cameras: cameras.to_vec(), align }.encode(out);
            Ok(())
        });
        match reply.await?.message {
            ServerMessage::Configured(configured) => {
                common.configured.lock().unwrap_or_else(PoisonError::into_inner).add(cameras, align);
                Ok(configured.cameras)
            }
            other => Err(unexpected(Call::Configure, &other)),
        }
    }

    /// Asks for control of the robot, for as long as this client is not silent for `ttl`.
    ///
    /// # Errors
    /// The server does not have the extension `lease`, or the call fails, see [`Error`].
    pub async fn acquire_lease(&self, ttl: Duration) -> Result<Lease, Error> {
        self.lease(LeaseOp::Acquire, ttl).await
    }

    /// Stays in control.
    ///
    /// # Errors
    /// As of [`acquire_lease`](Self::acquire_lease).
    pub async fn renew_lease(&self, ttl: Duration) -> Result<Lease, Error> {
        self.lease(LeaseOp::Renew, ttl).await
    }

    /// Takes control from a holder who is silent, or if the operator allows it.
    ///
    /// # Errors
    /// As of [`acquire_lease`](Self::acquire_lease).
    pub async fn take_lease(&self, ttl: Duration) -> Result<Lease, Error> {
        self.lease(LeaseOp::Take, ttl).await
    }

    /// Gives control back.
    ///
    /// # Errors
    /// As of [`acquire_lease`](Self::acquire_lease).
    pub async fn release_lease(&self) -> Result<Lease, Error> {
        self.lease(LeaseOp::Release, Duration::ZERO).await
    }

    async fn lease(&self, op: LeaseOp, ttl: Duration) -> Result<Lease, Error> {
        let connection = self.shared.current.connection()?;
        connection.needs(Capability::Lease)?;
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let reply = connection.ask(Call::Lease, |id, out| {
            LeaseRequest { id, op, ttl_ms }.encode(out);
            Ok(())
        });
        match reply.await?.message {
            ServerMessage::Lease(lease) => {
                Ok(Lease { granted: lease.granted, holder: lease.holder, ttl: Duration::from_millis(lease.ttl_ms) })
            }
            other => Err(unexpected(Call::Lease, &other)),
        }
    }

    /// What the server counted.
    ///
    /// # Errors
    /// The server does not have the extension `stats`, or the call fails, see [`Error`].
    pub async fn server_stats(&self) -> Result<AppMap, Error> {
        let connection = self.shared.current.connection()?;
        connection.needs(Capability::Stats)?;
        let reply = connection.ask(Call::Stats, |id, out| {
            encode_stats(id, out);
            Ok(())
        });
        match reply.await?.message {
            ServerMessage::Stats(stats) => Ok(stats.data),
            other => Err(unexpected(Call::Stats, &other)),
        }
    }

    /// How the server's clock, which stamps the cameras, relates to this client's ([`now`](Self::now)). Measured when a
    /// connection begins and every five seconds; `None` as long as it was not, and without the extension `clock`.
    pub fn clock(&self) -> Option<ClockMapping> {
        self.shared.current.connection().ok()?.clock()
    }

    /// Time of the client's clock, seconds.
    pub fn now(&self) -> f64 {
        self.shared.common.seconds(std::time::Instant::now())
    }
}
