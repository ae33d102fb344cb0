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
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;
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
/// client itself, to which this one dereferences.
///
/// Within asynchronous code its calls work too, on a thread that each of them starts, and keep the thread of the runtime
/// waiting meanwhile; the asynchronous client does without both.
#[derive(Clone, Debug)]
pub struct PolicyClient {
    // Before the runtime, so that it ends first.
    client: crate::PolicyClient,
    threads: Arc<Threads>,
}

#[derive(Debug)]
struct Threads {
    /// There until this is dropped.
    runtime: Option<Runtime>,
}

const NO_THREAD: Error = Error::Options("the system gives no thread for the client");

impl Threads {
    /// Waits for what a call leads to, wherever this is called.
    fn wait<T: Send>(&self, call: impl Future<Output = Result<T, Error>> + Send) -> Result<T, Error> {
        let Some(runtime) = &self.runtime else { return Err(Error::Closed) };
        if Handle::try_current().is_err() {
            return runtime.block_on(call);
        }
        // A thread of a runtime may not wait for another one.
        thread::scope(|scope| {
            let waiting = thread::Builder::new().name("policy call".to_owned());
            let waiting = waiting.spawn_scoped(scope, || runtime.block_on(call)).map_err(|_| NO_THREAD)?;
            waiting.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Without waiting for its threads, which asynchronous code may not.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
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
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("policy client").enable_all().build();
        let threads = Threads { runtime: Some(runtime.map_err(|_| NO_THREAD)?) };
        let client = threads.wait(crate::PolicyClient::connect(uri, options))?;
        Ok(Self { client, threads: Arc::new(threads) })
    }

    /// See [`crate::PolicyClient::metadata`].
    ///
    /// # Errors
    /// As there.
    pub fn metadata(&self) -> Result<Metadata, Error> {
        self.threads.wait(self.client.metadata())
    }

    /// See [`crate::PolicyClient::reset`].
    ///
    /// # Errors
    /// As there.
    pub fn reset(&self) -> Result<(Observation, AppMap), Error> {
        self.threads.wait(self.client.reset())
    }

    /// See [`crate::PolicyClient::observation`].
    ///
    /// # Errors
    /// As there.
    pub fn observation(&self) -> Result<Observation, Error> {
        self.threads.wait(self.client.observation())
    }

    /// See [`crate::PolicyClient::observation_newer`].
    ///
    /// # Errors
    /// As there.
    pub fn observation_newer(&self, than: &Observation, wait: Duration) -> Result<Observation, Error> {
        self.threads.wait(self.client.observation_newer(than, wait))
    }

    /// See [`crate::PolicyClient::newer_obs`].
    ///
    /// # Errors
    /// As there.
    pub fn newer_obs(&self, version: u64, limit: Duration) -> Result<Latest, Error> {
        self.threads.wait(self.client.newer_obs(version, limit))
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
        self.threads.wait(self.client.send_action(action.into()))
    }

    /// See [`crate::PolicyClient::step`].
    ///
    /// # Errors
    /// As there.
    pub fn step(&self, action: impl Into<Action>) -> Result<Step, Error> {
        self.threads.wait(self.client.step(action.into()))
    }

    /// See [`crate::PolicyClient::put_chunk`].
    ///
    /// # Errors
    /// As there.
    pub fn put_chunk(&self, chunk: Chunk) -> Result<ChunkQueued, Error> {
        self.threads.wait(self.client.put_chunk(chunk))
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
        self.threads.wait(self.client.configure(cameras, align))
    }

    /// See [`crate::PolicyClient::acquire_lease`].
    ///
    /// # Errors
    /// As there.
    pub fn acquire_lease(&self, ttl: Duration) -> Result<Lease, Error> {
        self.threads.wait(self.client.acquire_lease(ttl))
    }

    /// See [`crate::PolicyClient::renew_lease`].
    ///
    /// # Errors
    /// As there.
    pub fn renew_lease(&self, ttl: Duration) -> Result<Lease, Error> {
        self.threads.wait(self.client.renew_lease(ttl))
    }

    /// See [`crate::PolicyClient::take_lease`].
    ///
    /// # Errors
    /// As there.
    pub fn take_lease(&self, ttl: Duration) -> Result<Lease, Error> {
        self.threads.wait(self.client.take_lease(ttl))
    }

    /// See [`crate::PolicyClient::release_lease`].
    ///
    /// # Errors
    /// As there.
    pub fn release_lease(&self) -> Result<Lease, Error> {
        self.threads.wait(self.client.release_lease())
    }

    /// See [`crate::PolicyClient::server_stats`].
    ///
    /// # Errors
    /// As there.
    pub fn server_stats(&self) -> Result<AppMap, Error> {
        self.threads.wait(self.client.server_stats())
    }

    /// See [`crate::PolicyClient::generation`].
    ///
    /// # Errors
    /// As there.
    pub fn generation(&self) -> Result<Generation, Error> {
        self.threads.wait(self.client.generation())
    }

    /// See [`crate::PolicyClient::ready`].
    ///
    /// # Errors
    /// As there; or it takes longer than `limit`.
    pub fn ready(&self, limit: Duration) -> Result<(), Error> {
        self.threads.wait(async {
            let ready = tokio::time::timeout(limit, self.client.ready()).await;
            ready.unwrap_or(Err(Error::Timeout { call: "ready", after: limit }))
        })
    }

    /// See [`crate::PolicyClient::close`].
    pub fn close(&self) {
        let closing = async {
            self.client.close().await;
            Ok(())
        };
        // Without a thread that waits for it, it is closed when the client is dropped.
        let _ = self.threads.wait(closing);
    }
}
