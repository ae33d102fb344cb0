//! `waldo-broker` as a process, with its SFU inside or beside it, in a namespace; and what a broker needs before.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::network::Namespace;

/// Page and API; nobody else is in the namespace.
const PORT: u16 = 8450;

/// Where the SFU takes the broker's calls, if it is a process of its own.
const SFU_LISTEN: &str = "127.0.0.1:8451";
const SFU_SECRET: &str = "a secret of the right length";

/// What the broker shares with a TURN server.
pub const TURN_SECRET: &str = "what broker and relay know";

const ACCOUNT: &str = "operator@example.org";

/// Who forwards pictures and commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The broker itself.
    Embedded,
    /// `waldo-broker sfu`.
    Process,
}

/// A running program. Killed when dropped.
pub struct Program {
    child: Child,
    /// What it still says; nobody reads it.
    _output: Option<BufReader<ChildStdout>>,
}

impl Program {
    /// Starts one that says nothing of interest, inside of the namespace.
    ///
    /// # Errors
    /// If it is not there.
    pub fn silent(namespace: &Namespace, mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let name = command.get_program().to_owned();
        let child = namespace.run(|| command.spawn().with_context(|| format!("cannot start {}", name.display())))?;
        Ok(Self { child, _output: None })
    }

    /// Starts one inside of the namespace, and waits for its first line.
    ///
    /// # Errors
    /// If it ends before.
    pub fn start(namespace: &Namespace, mut command: Command) -> Result<Self> {
        let name = format!("{command:?}");
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = namespace.run(|| command.spawn().with_context(|| format!("cannot start {name}")))?;
        let mut output = BufReader::new(child.stdout.take().context("a pipe")?);
        if output.read_line(&mut String::new())? == 0 {
            bail!("{name} ended: {}", child.wait()?);
        }
        Ok(Self { child, _output: Some(output) })
    }

    /// Ends it as `kill -9` does, and waits until it is gone.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// A broker with an account, a robot's key and a certificate.
pub struct Brokerage {
    /// The operator's e-mail address.
    pub account: &'static str,
    /// The operator's password.
    pub password: String,
    /// The robot's key.
    pub key: String,
    program: PathBuf,
    namespace: Namespace,
    engine: Engine,
    /// More flags of `serve`.
    flags: Vec<String>,
    serving: Option<Program>,
    sfu: Option<Program>,
    data: TempDir,
}

impl Brokerage {
    /// Starts it in the namespace; `names` are those of its addresses that others dial.
    ///
    /// # Errors
    /// If the program does not start.
    pub fn start(program: &Path, namespace: &Namespace, engine: Engine, names: &[String]) -> Result<Self> {
        Self::with(program, namespace, engine, names, Vec::new())
    }

    /// The same with more flags of `waldo-broker serve`.
    ///
    /// # Errors
    /// If the program does not start.
    pub fn with(
        program: &Path,
        namespace: &Namespace,
        engine: Engine,
        names: &[String],
        flags: Vec<String>,
    ) -> Result<Self> {
        let data = TempDir::new()?;
        let made = rcgen::generate_simple_self_signed(names)?;
        fs::write(data.path().join("cert.pem"), made.cert.pem())?;
        fs::write(data.path().join("key.pem"), made.signing_key.serialize_pem())?;
        let mut brokerage = Self {
            account: ACCOUNT,
            password: String::new(),
            key: String::new(),
            program: program.to_owned(),
            namespace: namespace.clone(),
            engine,
            flags,
            serving: None,
            sfu: None,
            data,
        };
        brokerage.password = brokerage.said(&["user", "add", ACCOUNT, "--generate"])?;
        brokerage.key = brokerage.said(&["key", "add", "--owner", ACCOUNT])?;
        if engine == Engine::Process {
            let mut sfu = brokerage.command(&["sfu", "--sfu-listen", SFU_LISTEN]);
            sfu.env("WALDO_BROKER_SFU_SECRET", SFU_SECRET);
            brokerage.sfu = Some(Program::start(namespace, sfu)?);
        }
        brokerage.serve()?;
        Ok(brokerage)
    }

    /// Where it answers, as one of its names.
    pub fn url(name: &str) -> String {
        format!("https://{name}:{PORT}")
    }

    /// Its port.
    pub const fn port() -> u16 {
        PORT
    }

    /// The certificate, for who has to trust it.
    pub fn certificate(&self) -> PathBuf {
        self.data.path().join("cert.pem")
    }

    /// Starts the broker, once more after [`Self::kill`].
    ///
    /// # Errors
    /// If it does not start.
    pub fn serve(&mut self) -> Result<()> {
        let mut serve = self.command(&["serve", "--listen", &format!("0.0.0.0:{PORT}")]);
        serve.arg("--tls-cert").arg(self.certificate());
        serve.arg("--tls-key").arg(self.data.path().join("key.pem")).args(&self.flags);
        if self.engine == Engine::Process {
            serve.arg("--sfu").arg(format!("process:http://{SFU_LISTEN}")).env("WALDO_BROKER_SFU_SECRET", SFU_SECRET);
        }
        self.serving = Some(Program::start(&self.namespace, serve)?);
        Ok(())
    }

    /// Ends the broker as `kill -9` does; an SFU of its own goes on.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn kill(&mut self) -> Result<()> {
        self.serving.take().context("it runs")?.kill()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).arg("--data-dir").arg(self.data.path()).args(["--log", "error"]);
        command
    }

    /// What a command prints.
    fn said(&self, args: &[&str]) -> Result<String> {
        let output = self.command(args).output().with_context(|| format!("cannot start {}", self.program.display()))?;
        let _ = std::io::stderr().write_all(&output.stderr);
        ensure!(output.status.success(), "waldo-broker {} failed", args.join(" "));
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}
