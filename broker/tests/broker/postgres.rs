//! The same on PostgreSQL: a cluster of the test's own.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;

use tempfile::TempDir;

use crate::{accounts, lifecycle, sessions, vectors, viewers};

tokio::task_local! {
    /// Where worlds of this task keep their data, instead of SQLite.
    pub(crate) static CLUSTER: Cluster;
}

/// A running PostgreSQL that nobody else sees. It ends with this value.
pub(crate) struct Cluster {
    server: Child,
    folder: TempDir,
    programs: PathBuf,
    databases: AtomicU32,
}

/// PostgreSQL refuses to run as root.
fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

impl Cluster {
    fn start() -> Self {
        let installed = std::fs::read_dir("/usr/lib/postgresql").map(|found| found.flatten().map(|one| one.path()));
        let newest = installed.into_iter().flatten().max().expect("PostgreSQL is installed: `cargo xtask setup`");
        let (programs, folder) = (newest.join("bin"), tempfile::tempdir().unwrap());
        if is_root() {
            let id = |flag: &str| output(Command::new("id").args([flag, "postgres"])).trim().parse().unwrap();
            chown(folder.path(), Some(id("-u")), Some(id("-g"))).unwrap();
        }
        let data = folder.path().join("data");
        let mut initdb = as_postgres(&programs.join("initdb"));
        output(initdb.arg("-D").arg(&data).args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]));
        let server = as_postgres(&programs.join("postgres"))
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=300"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let cluster = Self { server, folder, programs, databases: AtomicU32::new(0) };
        for _ in 0..200 {
            if cluster.psql("SELECT 1").is_some() {
                return cluster;
            }
            sleep(Duration::from_millis(50));
        }
        panic!("PostgreSQL does not start");
    }

    fn psql(&self, statement: &str) -> Option<()> {
        let mut psql = Command::new(self.programs.join("psql"));
        let psql = psql.arg("-h").arg(self.folder.path()).args(["-U", "postgres", "-c", statement]);
        psql.output().ok().filter(|output| output.status.success()).map(|_| ())
    }

    /// The URL of a new database.
    pub(crate) fn fresh_database(&self) -> String {
        let name = format!("t{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.psql(&format!("CREATE DATABASE {name}")).unwrap();
        format!("postgres://postgres@localhost/{name}?host={}", self.folder.path().display())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // An orderly end: connections are cut, nothing stays behind.
        let pid = rustix::process::Pid::from_child(&self.server);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        let _ = self.server.wait();
    }
}

fn as_postgres(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command.current_dir("/").stdout(Stdio::null());
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_holds_on_postgresql_too() {
    let cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let all = async {
        vectors::replay().await;
        sessions::race().await;
        sessions::takeover().await;
        sessions::offers().await;
        lifecycle::restart().await;
        lifecycle::two_brokers().await;
        lifecycle::silent_operator().await;
        lifecycle::silent_robot().await;
        lifecycle::unnoticed().await;
        lifecycle::unclosed().await;
        viewers::watching().await;
        accounts::keys().await;
        accounts::owners().await;
    };
    CLUSTER.scope(cluster, all).await;
}
