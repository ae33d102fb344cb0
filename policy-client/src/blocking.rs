//! The same client for programs without an asynchronous runtime.
//!
//! ```no_run
//! use waldo_policy_client::{Options, blocking::PolicyClient};
//!
//! let robot = PolicyClient::connect("ws://localhost:8765", Options::default())?;
//! robot.reset()?;
//! robot.start_obs_stream(30.0)?;
//! robot.start_action_dispatch(10.0)?;
//! robot.put_action([0.0; 7])?;
//! # Ok::<(), waldo_policy_client::Error>(())
//! ```

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::{
    Action, Align, AppMap, CameraSettings, Chunk, ChunkQueued, Error, Generation, Latest, Lease, Metadata, Observation,
    Options, Step, StreamOptions,
};

/// A policy's connection to a robot, see [`crate::PolicyClient`], whose calls block the thread that makes them.
///
/// It runs a thread of its own, which receives. What does not wait, such as
/// [`latest_obs`](crate::PolicyClient::latest_obs) and [`put_action`](crate::PolicyClient::put_action), is called on the
/// client itself, to which this one dereferences. Not to be used from within asynchronous code.
#[derive(Clone, Debug)]
pub struct PolicyClient {
    // Before the runtime, so that it ends first.
    client: crate::PolicyClient,
    runtime: Arc<Runtime>,
}

impl Deref for PolicyClient {
    type Target = crate::PolicyClient;

    fn deref(&self) -> &Self::Target {
        &self.client
    }
}

impl PolicyClient {
    /// See [`crate::PolicyClient::connect`].
    ///
    /// # Errors
    /// As there; or the system gives no thread.
    pub fn connect(uri: &str, options: Options) -> Result<Self, Error> {
        if Handle::try_current().is_ok() {
            return Err(Error::Options("the blocking client cannot be used within asynchronous code"));
        }
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("policy client").enable_all().build();
        let runtime = runtime.map_err(|_| Error::Options("the system gives no thread for the client"))?;
        let client = runtime.block_on(crate::PolicyClient::connect(uri, options))?;
        Ok(Self { client, runtime: Arc::new(runtime) })
    }

    /// See [`crate::PolicyClient::metadata`].
    ///
    /// # Errors
    /// As there.
    pub fn metadata(&self) -> Result<Metadata, Error> {
        self.runtime.block_on(self.client.metadata())
    }

    /// See [`crate::PolicyClient::reset`].
    ///
    /// # Errors
    /// As there.
    pub fn reset(&self) -> Result<(Observation, AppMap), Error> {
        self.runtime.block_on(self.client.reset())
    }

    /// See [`crate::PolicyClient::observation`].
    ///
    /// # Errors
    /// As there.
    pub fn observation(&self) -> Result<Observation, Error> {
        self.runtime.block_on(self.client.observation())
    }

    /// See [`crate::PolicyClient::observation_newer`].
    ///
    /// # Errors
    /// As there.
    pub fn observation_newer(&self, than: &Observation, wait: Duration) -> Result<Observation, Error> {
        self.runtime.block_on(self.client.observation_newer(than, wait))
    }

    /// See [`crate::PolicyClient::newer_obs`].
    ///
    /// # Errors
    /// As there.
    pub fn newer_obs(&self, version: u64, limit: Duration) -> Result<Latest, Error> {
        self.runtime.block_on(self.client.newer_obs(version, limit))
    }

    /// See [`crate::PolicyClient::start_obs_stream`].
    ///
    /// # Errors
    /// As there.
    pub fn start_obs_stream(&self, hz: f64) -> Result<(), Error> {
        self.client.start_obs_stream(hz)
    }

    /// See [`crate::PolicyClient::start_obs_stream_with`].
    ///
    /// # Errors
    /// As there.
    pub fn start_obs_stream_with(&self, options: StreamOptions) -> Result<(), Error> {
        self.client.start_obs_stream_with(options)
    }

    /// See [`crate::PolicyClient::start_action_dispatch`].
    ///
    /// # Errors
    /// As there.
    pub fn start_action_dispatch(&self, hz: f64) -> Result<(), Error> {
        self.client.start_action_dispatch(hz)
    }

    /// See [`crate::PolicyClient::send_action`].
    ///
    /// # Errors
    /// As there.
    pub fn send_action(&self, action: impl Into<Action>) -> Result<(), Error> {
        self.runtime.block_on(self.client.send_action(action))
    }

    /// See [`crate::PolicyClient::step`].
    ///
    /// # Errors
    /// As there.
    pub fn step(&self, action: impl Into<Action>) -> Result<Step, Error> {
        self.runtime.block_on(self.client.step(action))
    }

    /// See [`crate::PolicyClient::put_chunk`].
    ///
    /// # Errors
    /// As there.
    pub fn put_chunk(&self, chunk: Chunk) -> Result<ChunkQueued, Error> {
        self.runtime.block_on(self.client.put_chunk(chunk))
    }

    /// See [`crate::PolicyClient::configure`].
    ///
    /// # Errors
    /// As there.
    pub fn configure(
        &self,
        cameras: &[(String, CameraSettings)],
        align: Option<Align>,
    ) -> Result<Vec<(String, CameraSettings)>, Error> {
        self.runtime.block_on(self.client.configure(cameras, align))
    }

    /// See [`crate::PolicyClient::acquire_lease`].
    ///
    /// # Errors
    /// As there.
    pub fn acquire_lease(&self, ttl: Duration) -> Result<Lease, Error> {
        self.runtime.block_on(self.client.acquire_lease(ttl))
    }

    /// See [`crate::PolicyClient::renew_lease`].
    ///
    /// # Errors
    /// As there.
    pub fn renew_lease(&self, ttl: Duration) -> Result<Lease, Error> {
        self.runtime.block_on(self.client.renew_lease(ttl))
    }

    /// See [`crate::PolicyClient::take_lease`].
    ///
    /// # Errors
    /// As there.
    pub fn take_lease(&self, ttl: Duration) -> Result<Lease, Error> {
        self.runtime.block_on(self.client.take_lease(ttl))
    }

    /// See [`crate::PolicyClient::release_lease`].
    ///
    /// # Errors
    /// As there.
    pub fn release_lease(&self) -> Result<Lease, Error> {
        self.runtime.block_on(self.client.release_lease())
    }

    /// See [`crate::PolicyClient::server_stats`].
    ///
    /// # Errors
    /// As there.
    pub fn server_stats(&self) -> Result<AppMap, Error> {
        self.runtime.block_on(self.client.server_stats())
    }

    /// See [`crate::PolicyClient::generation`].
    ///
    /// # Errors
    /// As there.
    pub fn generation(&self) -> Result<Generation, Error> {
        self.runtime.block_on(self.client.generation())
    }

    /// See [`crate::PolicyClient::ready`].
    ///
    /// # Errors
    /// As there; or it takes longer than `limit`.
    pub fn ready(&self, limit: Duration) -> Result<(), Error> {
        self.runtime.block_on(async {
            let ready = tokio::time::timeout(limit, self.client.ready()).await;
            ready.unwrap_or(Err(Error::Timeout { call: "ready", after: limit }))
        })
    }

    /// See [`crate::PolicyClient::close`].
    pub fn close(&self) {
        self.runtime.block_on(self.client.close());
    }
}
