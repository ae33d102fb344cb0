//! Who listens to the outputs: the recorder, and programs on an LCM network.

use std::path::Path;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio_util::sync::CancellationToken;

use super::outputs::{Output, Outputs, Stream};
use super::teleop::HostedStartError;
use crate::config::HostedSettings;
use crate::lcm::LcmPublisher;
use crate::record::{self, Record, Recording, Sink, report};

const POSE: &str = "dimos.msgs.geometry_msgs.PoseStamped.PoseStamped";
const TWIST: &str = "dimos.msgs.geometry_msgs.TwistStamped.TwistStamped";
const BUTTONS: &str = "dimos.teleop.quest.quest_types.Buttons";
const VIDEO_STATS: &str = "dimos.teleop.utils.video_stats.VideoStats";

/// A thread that takes outputs to a recording and to an LCM network, away from everything that moves the robot.
pub(crate) struct Listeners {
    ended: CancellationToken,
    thread: Option<JoinHandle<()>>,
    recording: Option<Recording>,
}

/// Where outputs go.
#[derive(Default)]
struct Targets {
    sink: Option<Sink>,
    lcm: Option<LcmPublisher>,
    /// Generation B calls the buttons otherwise.
    generation_a: bool,
    refused: u64,
}

impl Listeners {
    /// Those that the settings ask for, if any. Recordings go below `data_dir`.
    pub(crate) fn start(
        settings: &HostedSettings,
        data_dir: &Path,
        outputs: &Outputs,
    ) -> Result<Option<Self>, HostedStartError> {
        if settings.record.is_none() && settings.lcm.is_none() {
            return Ok(None);
        }
        let generation_a = settings.generation_a();
        let mut targets = Targets { generation_a, ..Targets::default() };
        if let Some(url) = &settings.lcm {
            let open = LcmPublisher::open(url);
            targets.lcm = Some(open.map_err(|error| HostedStartError::Lcm { url: *url, error })?);
        }
        let streams = recorded(generation_a);
        let recording = settings.record.map(|place| Recording::start(data_dir, place, &streams)).transpose()?;
        targets.sink = recording.as_ref().map(Recording::sink);
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let (receiver, ended) = (outputs.subscribe(), CancellationToken::new());
        let end = ended.clone();
        let pass_on = move || runtime.block_on(pass_on(receiver, &mut targets, &end));
        let thread = Some(Builder::new().name("hosted outputs".to_owned()).spawn(pass_on)?);
        Ok(Some(Self { ended, thread, recording }))
    }

    /// Takes what was put out so far to its end, and writes the report of a recording. Waits for the disk.
    pub(crate) fn stop(mut self) {
        self.join();
        let Some(recording) = self.recording.take() else { return };
        match recording.stop().and_then(|file| report::write(&file)) {
            Ok(report) => tracing::info!(report = %report.display(), "the recording's report"),
            Err(error) => tracing::error!(%error, "the recording has no report"),
        }
    }

    fn join(&mut self) {
        self.ended.cancel();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of the outputs ended with a panic");
        }
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.join();
    }
}

/// The streams of a recording, in use or not.
fn recorded(generation_a: bool) -> Vec<record::Stream> {
    let lcm = |stream, module| record::Stream::lcm(name(stream, generation_a), module);
    vec![
        lcm(Stream::LeftController, POSE),
        lcm(Stream::RightController, POSE),
        lcm(Stream::Buttons, BUTTONS),
        lcm(Stream::CmdVelStamped, TWIST),
        lcm(Stream::VideoStats, VIDEO_STATS),
        record::Stream::bytes(name(Stream::Telemetry, generation_a)),
    ]
}

/// What a stream is called in recordings.
const fn name(stream: Stream, generation_a: bool) -> &'static str {
    match stream {
        Stream::Buttons if !generation_a => "teleop_buttons",
        stream => stream.name(),
    }
}

async fn pass_on(mut outputs: Receiver<Arc<Output>>, targets: &mut Targets, ended: &CancellationToken) {
    loop {
        let output = tokio::select! {
            biased;
            output = outputs.recv() => output,
            () = ended.cancelled() => break,
        };
        match output {
            Ok(output) => targets.take(&output),
            Err(RecvError::Lagged(lost)) => targets.lose(lost),
            Err(RecvError::Closed) => return,
        }
    }
    loop {
        match outputs.try_recv() {
            Ok(output) => targets.take(&output),
            Err(TryRecvError::Lagged(lost)) => targets.lose(lost),
            Err(TryRecvError::Empty | TryRecvError::Closed) => return,
        }
    }
}

impl Targets {
    fn take(&mut self, output: &Output) {
        let Output { stream, stamp, at, data } = output;
        if let Some(sink) = &self.sink {
            // Streams that are not recorded are none of the recording.
            sink.push(name(*stream, self.generation_a), Record { stamp: *stamp, ..Record::new(*at, data.clone()) });
        }
        if let Some(lcm) = self.lcm.as_ref().filter(|_| *stream != Stream::Telemetry)
            && let Err(error) = lcm.publish(stream.name(), data)
        {
            self.refused += 1;
            // The first, and then ever more seldom.
            if self.refused.is_power_of_two() {
                tracing::warn!(stream = stream.name(), %error, refused = self.refused, "not published on LCM");
            }
        }
    }

    fn lose(&self, lost: u64) {
        tracing::warn!(lost, "recorder and LCM do not keep up with the outputs");
        if let Some(sink) = &self.sink {
            sink.lose(lost);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, UdpSocket};
    use std::time::Duration;

    use bytes::Bytes;
    use socket2::{Domain, Protocol, Socket, Type};
    use waldo_protocol::lcm::{Header, PoseStamped, UInt32};

    use super::*;
    use crate::config::{HostedKind, RobotKey};
    use crate::lcm::LcmUrl;
    use crate::record::Place;

    fn settings() -> HostedSettings {
        HostedSettings::new("http://127.0.0.1:1", RobotKey::parse("dtk_dev_x").unwrap(), HostedKind::Arm)
    }

    fn output(stream: Stream, stamp: Option<f64>, data: Vec<u8>) -> Output {
        Output { stream, stamp, at: 1_700_000_000.5, data: Bytes::from(data) }
    }

    fn put_some(outputs: &Outputs) {
        let pose = PoseStamped { header: Header::default(), pose: waldo_protocol::lcm::Pose::default() };
        for _ in 0..3 {
            outputs.put(output(Stream::LeftController, Some(1_700_000_000.25), pose.encode()));
            outputs.put(output(Stream::Buttons, None, UInt32 { data: 0x10 }.encode()));
            outputs.put(output(Stream::Telemetry, None, br#"{"type":"robot_telemetry","soc":70}"#.to_vec()));
            outputs.put(output(Stream::Gripper, None, vec![1]));
        }
    }

    #[test]
    fn outputs_are_recorded_to_the_last_and_reported() {
        let folder = tempfile::tempdir().unwrap();
        let outputs = Outputs::default();
        let settings = HostedSettings { record: Some(Place::Hosted), ..settings() };
        let listeners = Listeners::start(&settings, folder.path(), &outputs).unwrap().unwrap();
        put_some(&outputs);
        let file = listeners.recording.as_ref().unwrap().file().to_owned();
        listeners.stop();
        let report = report::read(&file).unwrap();
        let counts: Vec<_> = report.streams.iter().map(|(name, stream)| (name.as_str(), stream.count)).collect();
        assert_eq!(counts, [("left_controller_output", 3), ("robot_telemetry", 3), ("teleop_buttons", 3)]);
        assert_eq!(report.telemetry.unwrap().soc_min, Some(70.0));
        assert!(file.with_file_name(report::file_name(&file)).is_file());
    }

    #[test]
    fn generation_a_calls_its_buttons_otherwise() {
        let names = |generation_a| recorded(generation_a).into_iter().map(|stream| stream.name).collect::<Vec<_>>();
        assert_eq!(names(true)[2], "buttons");
        let expected = [
            "left_controller_output",
            "right_controller_output",
            "teleop_buttons",
            "cmd_vel_stamped",
            "video_stats",
            "robot_telemetry",
        ];
        assert_eq!(names(false), expected);
    }

    #[test]
    fn outputs_are_heard_on_the_lcm_network_by_their_names() {
        let receiver = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
        receiver.bind(&"0.0.0.0:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
        receiver.join_multicast_v4(&Ipv4Addr::new(239, 255, 76, 67), &Ipv4Addr::LOCALHOST).unwrap();
        let receiver: UdpSocket = receiver.into();
        receiver.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let port = receiver.local_addr().unwrap().port();
        let url: LcmUrl = format!("udpm://239.255.76.67:{port}?interface=127.0.0.1").parse().unwrap();

        let outputs = Outputs::default();
        let settings = HostedSettings { lcm: Some(url), ..settings() };
        let listeners = Listeners::start(&settings, Path::new("/nowhere"), &outputs).unwrap().unwrap();
        put_some(&outputs);
        listeners.stop();
        let mut heard = Vec::new();
        let mut buffer = [0; 2000];
        while heard.len() < 9 {
            let length = receiver.recv(&mut buffer).expect("a datagram for each output");
            let name = buffer[8..length].split(|byte| *byte == 0).next().unwrap();
            heard.push(String::from_utf8(name.to_vec()).unwrap());
        }
        assert_eq!(heard[..3], ["left_controller_output", "buttons", "gripper_command"], "telemetry is no LCM message");
    }

    #[test]
    fn without_a_wish_nothing_listens() {
        assert!(Listeners::start(&settings(), Path::new("/nowhere"), &Outputs::default()).unwrap().is_none());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_said() {
        let settings = HostedSettings { record: Some(Place::Teleop), ..settings() };
        let Err(error) = Listeners::start(&settings, Path::new("/proc/nowhere"), &Outputs::default()) else {
            panic!("a recording in /proc");
        };
        assert!(error.to_string().contains("/proc/nowhere"), "{error}");
    }
}
