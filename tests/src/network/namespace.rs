//! Network namespaces: what runs in one sees its interfaces only.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use nix::sched::{CloneFlags, setns, unshare};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// A network namespace without a name: it lives as long as somebody runs in it or holds this handle, so that nothing of
/// it outlives the process. Its loopback interface is up.
#[derive(Clone, Debug)]
pub struct Namespace(Arc<File>);

impl Namespace {
    /// An empty one.
    ///
    /// # Errors
    /// If this process may not make one, or `ip` of the package iproute2 is missing.
    pub fn new() -> Result<Self> {
        // A namespace belongs to a thread; this one has nothing else to do.
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace")?;
            let file = File::open("/proc/thread-self/ns/net")?;
            ip(&["link", "set", "lo", "up"])?;
            anyhow::Ok(Self(Arc::new(file)))
        });
        made.join().map_err(|_| anyhow!("making a network namespace panicked"))?
    }

    /// Moves the calling thread inside. Threads and processes that it starts from then on are inside too.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn enter(&self) -> io::Result<()> {
        Ok(setns(&*self.0, CloneFlags::CLONE_NEWNET)?)
    }

    /// How `ip` of iproute2 calls it, as long as this process lives.
    pub(super) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// Runs something on a thread inside.
    ///
    /// # Errors
    /// What `work` says, or that the thread could not get there.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let inside = || {
            self.enter()?;
            work()
        };
        thread::scope(|scope| scope.spawn(inside).join().map_err(|_| anyhow!("a thread in the namespace panicked"))?)
    }

    /// Runs `ip` of iproute2 inside, such as `route add …`.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn ip(&self, args: &[&str]) -> Result<()> {
        self.run(|| ip(args))
    }

    /// A runtime whose tasks, and whatever they start, are inside.
    ///
    /// # Errors
    /// If its threads cannot be started.
    pub fn runtime(&self) -> Result<Inside> {
        let namespace = self.clone();
        let enter = move || namespace.enter().expect("a thread may enter a namespace that its process has made");
        Ok(Inside(Some(Builder::new_multi_thread().worker_threads(2).enable_all().on_thread_start(enter).build()?)))
    }
}

/// Runs `ip` of iproute2 in the calling thread's namespace.
pub(super) fn ip(args: &[&str]) -> Result<()> {
    let output =
        Command::new("ip").args(args).output().context("cannot start `ip`; `cargo xtask setup` installs it")?;
    ensure!(output.status.success(), "ip {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim_end());
    Ok(())
}

/// The namespace of all robots of this process. One for all, because the server's WebRTC threads belong to the process
/// and stay where they were started; each cable has its own addresses.
///
/// # Errors
/// As [`Namespace::new`].
pub fn robot() -> Result<&'static Namespace> {
    static ROBOT: OnceLock<Result<Namespace, String>> = OnceLock::new();
    let robot = ROBOT.get_or_init(|| Namespace::new().map_err(|error| format!("{error:#}")));
    robot.as_ref().map_err(|error| anyhow!(error.clone()))
}

/// A runtime inside of a namespace. Its tasks end when it is dropped, which async code may do too.
#[derive(Debug)]
pub struct Inside(Option<Runtime>);

impl Inside {
    /// Runs a future inside, and waits for it wherever the caller is.
    ///
    /// # Errors
    /// What the future says, or that it panicked.
    pub async fn run<T: Send + 'static>(&self, work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        self.spawn(work).await.context("a task in the namespace")?
    }

    /// Starts a future inside.
    pub fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.0.as_ref().expect("there until dropped").spawn(work)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
