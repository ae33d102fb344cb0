//! Commands and flags.

mod field;
mod hosted;
mod policy;
mod publish;
mod record;

use std::ffi::OsString;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};
use waldo_program::log::{self, LogFormat};
use waldo_protocol::vr::{IceServer, Mode, MotionScale, PlayoutConfig, PlayoutProfile};

use self::field::FieldArgs;
pub(super) use self::hosted::HostedCommandArgs;
use self::hosted::{HostedArgs, KindArg};
use self::policy::PolicyArgs;
pub(super) use self::publish::{FieldCommand, FieldCommandArgs, PublishArgs};
pub(super) use self::record::ReportArgs;
use crate::config::{BitrateRange, CameraSettings, PortRange, Settings, Stereo, default_data_dir};
use crate::sensors::V4l2Address;
use crate::video::H264Encoder;

macro_rules! about_settings {
    () => {
        "Every option can also be given as a variable (--data-dir as WALDO_DATA_DIR) or in the file of --config \
        (data-dir = \"…\"). A flag counts more than a variable, a variable more than the file."
    };
}

const ABOUT_SETTINGS: &str = about_settings!();

const SERVE_EXPLAINED: &str = concat!(
    about_settings!(),
    "

Examples:
  waldo serve                                       port 8000, on all addresses
  waldo serve --mode data_collection                announce data collection to headsets
  waldo serve --bind 127.0.0.1 --port 9000          for this computer only
  waldo serve --open                                no token, in networks where you trust everybody
  waldo serve --certfile cert.pem --keyfile key.pem your own certificate"
);

/// Operate a robot from a VR headset.
#[derive(Debug, Parser)]
#[command(name = "waldo", version, arg_required_else_help = true, args_override_self = true)]
pub(super) struct Waldo {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve the page and the headsets; the robot is a simulated one
    ///
    /// Serve the page and the headsets until Ctrl-C. The robot is a simulated one; a program with a robot of its own has
    /// the same options.
    #[command(after_help = ABOUT_SETTINGS, after_long_help = SERVE_EXPLAINED)]
    Serve {
        #[command(flatten)]
        serve: ServeArgs,
        #[command(flatten)]
        sim: SimArgs,
    },
    /// What programs do in the field of a robot
    #[command(arg_required_else_help = true)]
    Field(FieldCommandArgs),
    /// Let operators far away reach the robot through a broker, and nobody else
    #[command(arg_required_else_help = true)]
    Hosted(HostedCommandArgs),
    /// Run a blueprint: a command with its settings under one name
    ///
    /// Run a blueprint: a command with its settings under one name, or one from a file. Options are those of the command that
    /// it runs.
    #[command(arg_required_else_help = true, after_help = run_explained())]
    Run {
        /// Its name, or a file that ends in .toml
        blueprint: String,
        /// What else to run: `hosted-teleop-recorder`, `teleop-recorder`
        modules: Vec<String>,
        /// With the simulated robot, the only one of this program
        #[arg(long)]
        simulation: bool,
    },
    /// Write the report of a recording, ours or one of DimOS, next to it
    Report(ReportArgs),
    /// Show the certificate that browsers are asked to accept, or renew it
    #[command(after_help = ABOUT_SETTINGS)]
    Certs(CertsArgs),
}

fn run_explained() -> String {
    format!("Blueprints: {}", super::run::names().join(", "))
}

/// Operate this robot from a VR headset.
#[derive(Debug, Parser)]
#[command(args_override_self = true, after_help = ABOUT_SETTINGS)]
pub(super) struct OwnRobot {
    #[command(flatten)]
    pub(super) serve: ServeArgs,
}

/// What every command needs to know.
#[derive(Debug, Args)]
pub(super) struct DataArgs {
    /// Settings file (TOML)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// Where certificate and token are kept
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath, default_value_os_t = default_data_dir())]
    data_dir: PathBuf,
    /// Own certificate chain (PEM); without it Waldo makes one
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    certfile: Option<PathBuf>,
    /// Private key of --certfile (PEM)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    keyfile: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Mode announced to headsets; without it each headset chooses
    #[arg(long)]
    mode: Option<ModeArg>,
    /// Address to listen on; `::` for IPv6 as well
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0")]
    bind: IpAddr,
    /// Port of page and sockets; 0 takes a free one
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Let everybody in, without token and from any origin
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_value_t = false, default_missing_value = "true")]
    open: bool,
    /// Announce the robot in the local network (mDNS)
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_value_t = true, default_missing_value = "true")]
    mdns: bool,
    /// How the poses of headsets are smoothed before the arms follow them
    #[arg(long, value_enum, default_value_t = PlayoutArg::LowDelay)]
    playout: PlayoutArg,
    /// How far the grippers move for a motion of the hands, from 0.1 to 2; operators may set it on their page
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = scale)]
    position_scale: f64,
    /// The same for turns of the hands
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = scale)]
    rotation_scale: f64,
    /// Ports of video and pose channels, two per client, for a firewall: UDP, or TCP where UDP is shut [default: any free]
    #[arg(long, value_name = "FIRST-LAST")]
    media_ports: Option<PortRange>,
    /// STUN and TURN servers for the robot and its clients, by commas: `turn:host:3478` [default: none]
    #[arg(long, value_name = "URLS")]
    ice_server: Option<String>,
    /// User name for the TURN servers
    #[arg(long, value_name = "NAME")]
    ice_username: Option<String>,
    /// Password for the TURN servers; better in the file or in a variable than in sight of everybody on this computer
    #[arg(long, value_name = "PASSWORD")]
    ice_credential: Option<String>,
    /// Secret shared with the TURN servers (`use-auth-secret` of coturn), in place of name and password: each client gets
    /// some of its own, for 12 hours
    #[arg(long, value_name = "SECRET", conflicts_with_all = ["ice_username", "ice_credential"])]
    ice_secret: Option<String>,
    /// Folder of the web app, instead of the built-in one
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    static_dir: Option<PathBuf>,
    #[command(flatten)]
    cameras: CameraArgs,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    field: FieldArgs,
    #[command(flatten)]
    hosted: HostedArgs,
    /// What operators far away move
    #[arg(long, value_enum, default_value_t = KindArg::Arm, help_heading = "Hosted teleoperation")]
    hosted_kind: KindArg,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    pub(super) log: LogArgs,
}

/// How to smooth poses.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum PlayoutArg {
    /// 15 ms late on a clean network; jumps that no hand makes are held back
    LowDelay,
    /// 60 ms late, as the wire's first server did it
    Compatible,
    /// Not at all
    Off,
}

impl PlayoutArg {
    fn config(self) -> PlayoutConfig {
        let (enabled, profile) = match self {
            Self::LowDelay => (true, PlayoutProfile::LowDelay),
            Self::Compatible => (true, PlayoutProfile::Compatible),
            Self::Off => (false, PlayoutProfile::Compatible),
        };
        PlayoutConfig { enabled, profile, ..PlayoutConfig::default() }
    }
}

/// Options of cameras and video.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cameras")]
struct CameraArgs {
    /// A camera of this computer, beside the robot's: `tool=/dev/video0:1280x720@30`; several by commas
    #[arg(long, value_name = "NAME=DEVICE[:WxH[@FPS]]", value_delimiter = ',')]
    camera: Vec<V4l2Address>,
    /// What encodes H.264: openh264, which is built in, or an element of GStreamer, such as `gst:vah264enc`
    #[arg(long, value_name = "NAME", default_value = "openh264")]
    encoder: H264Encoder,
    /// How a stereo pair, NAME_left and NAME_right, is sent to headsets
    #[arg(long, value_enum, default_value_t = StereoArg::Pair)]
    stereo: StereoArg,
    /// Lowest and highest bitrate of each camera in kbit/s, for the network to choose from [default: by picture size]
    #[arg(long, value_name = "LOWEST-HIGHEST")]
    video_bitrate: Option<BitrateRange>,
}

/// How to send two cameras that belong together.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum StereoArg {
    /// As two tracks under their own names
    Pair,
    /// Side by side in one track, NAME_sbs
    Packed,
}

impl CameraArgs {
    fn settings(&self) -> CameraSettings {
        CameraSettings {
            stereo: match self.stereo {
                StereoArg::Pair => Stereo::Pair,
                StereoArg::Packed => Stereo::Packed,
            },
            v4l2: self.camera.clone(),
            encoder: self.encoder.clone(),
            bitrate: self.video_bitrate,
        }
    }
}

impl ServeArgs {
    /// What was asked for; `env` are the variables, for what no flag has.
    pub(super) fn settings(&self, env: &dyn Fn(&str) -> Option<OsString>) -> anyhow::Result<Settings> {
        Ok(Settings {
            hosted: self.hosted.settings(self.hosted_kind, env)?,
            mode: self.mode.map(|mode| match mode {
                ModeArg::Teleop => Mode::Teleop,
                ModeArg::DataCollection => Mode::DataCollection,
            }),
            bind: self.bind,
            port: self.port,
            open: self.open,
            mdns: self.mdns,
            static_dir: self.static_dir.clone(),
            playout: self.playout.config(),
            motion: MotionScale { pos: self.position_scale, rot: self.rotation_scale },
            cameras: self.cameras.settings(),
            policy: self.policy.settings(self.open),
            field: self.field.settings(),
            media_ports: self.media_ports,
            ice_servers: self.ice_servers(),
            ice_secret: self.ice_secret.clone(),
            ..self.data.settings()
        })
    }
}

impl ServeArgs {
    /// At most two entries: relays need the name and the password, STUN servers have none.
    fn ice_servers(&self) -> Vec<IceServer> {
        let all = self.ice_server.as_deref().unwrap_or_default();
        let urls = all.split(',').map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned);
        let (relays, others) = urls.partition(|url| url.starts_with("turn"));
        let (username, credential) = (self.ice_username.clone(), self.ice_credential.clone());
        let plain = IceServer { urls: others, username: None, credential: None };
        let relay = IceServer { urls: relays, username, credential };
        [plain, relay].into_iter().filter(|server| !server.urls.is_empty()).collect()
    }
}

impl DataArgs {
    fn settings(&self) -> Settings {
        Settings {
            data_dir: self.data_dir.clone(),
            certfile: self.certfile.clone(),
            keyfile: self.keyfile.clone(),
            ..Settings::default()
        }
    }
}

/// Names as on the wire.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum ModeArg {
    /// Drive only
    Teleop,
    /// Drive and record episodes
    DataCollection,
}

#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// What to log to stderr, such as `debug` or `info,waldo_server::vr=trace`
    #[arg(long, value_name = "FILTER", default_value = "info", value_parser = log::filter)]
    log: String,
    /// How to log
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

impl LogArgs {
    pub(super) fn start(&self) {
        log::init(&self.log, self.log_format);
    }
}

/// Options of the simulated robot.
#[derive(Debug, Args)]
#[command(next_help_heading = "Simulated robot")]
pub(super) struct SimArgs {
    /// Size of the camera pictures, pixels [default: 640x480]
    #[arg(long, value_name = "WxH", value_parser = size)]
    pub(super) sim_size: Option<(u32, u32)>,
    /// Draw the capture time into each picture, for measurements of delay
    #[arg(long, value_name = "PLACE", num_args = 0..=1, default_missing_value = "strip")]
    pub(super) latency_stamp: Option<StampPlace>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum StampPlace {
    /// A row of black and white cells from the top left
    Corner,
    /// A strip below the pictures for operators far away, whose pages read it
    #[value(alias = "true")]
    Strip,
}

/// Factors of the clutch.
fn scale(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok().filter(|factor| MotionScale::RANGE.contains(factor));
    factor.ok_or_else(|| {
        format!("`{text}` is no number from {} to {}", MotionScale::RANGE.start(), MotionScale::RANGE.end())
    })
}

/// A time within limits, seconds.
fn seconds(text: &str, limits: RangeInclusive<f64>) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| limits.contains(seconds));
    let seconds = seconds
        .ok_or_else(|| format!("`{text}` is no number of seconds from {} to {}", limits.start(), limits.end()))?;
    Ok(Duration::from_secs_f64(seconds))
}

/// Sizes the encoder can take.
fn size(text: &str) -> Result<(u32, u32), String> {
    const MIN: u32 = 64;
    const MAX: u32 = 4096;
    let (width, height) = text.split_once('x').ok_or("expected WIDTHxHEIGHT, such as 640x480")?;
    let pixels = |text: &str| match text.parse::<u32>() {
        Ok(pixels) if (MIN..=MAX).contains(&pixels) && pixels.is_multiple_of(2) => Ok(pixels),
        _ => Err(format!("`{text}` is no even number from {MIN} to {MAX}")),
    };
    Ok((pixels(width)?, pixels(height)?))
}

#[derive(Debug, Args)]
pub(super) struct CertsArgs {
    /// What to do
    #[arg(value_enum, default_value_t = CertsAction::Show)]
    pub(super) action: CertsAction,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    pub(super) log: LogArgs,
}

impl CertsArgs {
    pub(super) fn settings(&self) -> Settings {
        self.data.settings()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum CertsAction {
    /// Show file, fingerprint, names and end of the certificate
    Show,
    /// Make a new key and a new certificate; browsers ask again
    Renew,
}
