//! Observations as a policy sees them: views into the frame that came from the network.

mod camera;
mod proprio;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ndarray::Array3;
use waldo_protocol::policy as wire;
use wire::{Align, AppMap, Episode, Image, Outcome, PushMark, ServerMessage, UnknownName};

pub use camera::{Camera, ImageError};
pub use proprio::Proprio;

/// What the robot sees and feels at one moment. Cloning it copies nothing; the memory of its pictures is used again
/// once the last clone, slice and view of it is gone.
///
/// Cameras and proprioception streams are looked up by name:
///
/// ```no_run
/// # fn f(observation: waldo_policy_client::Observation) -> Result<(), Box<dyn std::error::Error>> {
/// let wrist = observation.camera("wrist")?;
/// let image = wrist.image()?; // ArrayView3<u8>, [H, W, C], no copy
/// let depth = wrist.depth()?; // [H, W], metres
/// let joints = observation.proprio("joint_pos")?.to_vec(); // float32
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Observation(Arc<Inner>);

struct Inner {
    header: wire::Observation,
    /// The frame it came in.
    frame: Bytes,
    /// Per camera what goes with its header: the frame that has its arrays, which is an earlier one if the picture
    /// stayed the same, and the decoded picture.
    sights: Vec<Arc<Sight>>,
    info: Option<AppMap>,
    outcome: Option<Outcome>,
    push: Option<PushMark>,
    received: Instant,
}

/// A camera's arrays; shared by all observations in which they are the same.
struct Sight {
    frame: Bytes,
    image: Image,
    depth: Option<wire::ArrayRef>,
    decoded: OnceLock<Result<Array3<u8>, ImageError>>,
}

impl Observation {
    /// The observation in a message, and that message with nothing in its place. `same` has the pictures that the
    /// server did not send again.
    pub(crate) fn take(
        message: &mut ServerMessage,
        frame: &Bytes,
        received: Instant,
        same: Option<&Self>,
    ) -> Option<Self> {
        let (header, info, outcome, push) = match message {
            ServerMessage::Observation(response) => (&mut response.observation, None, None, None),
            ServerMessage::Reset(response) => (&mut response.observation, Some(&mut response.info), None, None),
            ServerMessage::Step(response) => {
                (&mut response.observation, Some(&mut response.info), Some(response.outcome), None)
            }
            ServerMessage::Push(push) => (&mut push.observation, None, None, Some(push.mark)),
            _ => return None,
        };
        let nothing = wire::Observation {
            timestamp: header.timestamp,
            cameras: Vec::new(),
            proprios: Vec::new(),
            extra: AppMap::default(),
            align: header.align,
            episode: header.episode,
        };
        let header = std::mem::replace(header, nothing);
        let sights = header.cameras.iter().map(|camera| {
            let before = matches!(camera.image, Image::Same { .. }).then(|| same?.sight(&camera.name)).flatten();
            before.unwrap_or_else(|| {
                let (image, depth) = (camera.image.clone(), camera.depth.clone());
                Arc::new(Sight { frame: frame.clone(), image, depth, decoded: OnceLock::new() })
            })
        });
        let sights = sights.collect();
        Some(Self(Arc::new(Inner {
            sights,
            header,
            frame: frame.clone(),
            info: info.map(std::mem::take),
            outcome,
            push,
            received,
        })))
    }

    fn sight(&self, camera: &str) -> Option<Arc<Sight>> {
        let place = self.0.header.cameras.iter().position(|known| known.name == camera)?;
        self.0.sights.get(place).cloned()
    }

    /// Whatever the application means by it; customary are wall clock and step × dt, seconds; 0 if it says nothing.
    pub fn timestamp(&self) -> f64 {
        self.0.header.timestamp
    }

    /// The cameras in the order of the robot.
    pub fn cameras(&self) -> impl ExactSizeIterator<Item = Camera<'_>> {
        self.0.header.cameras.iter().zip(&self.0.sights).map(|(header, sight)| Camera::new(header, sight))
    }

    /// The first camera of that name.
    ///
    /// # Errors
    /// There is none; the error tells the names there are.
    pub fn camera(&self, name: &str) -> Result<Camera<'_>, UnknownName> {
        match self.cameras().find(|camera| camera.name() == name) {
            Some(camera) => Ok(camera),
            None => Err(self.0.header.camera(name).err().unwrap_or_else(|| UnknownName {
                kind: "camera",
                name: name.to_owned(),
                known: Vec::new(),
            })),
        }
    }

    /// The proprioception streams in the order of the robot.
    pub fn proprios(&self) -> impl ExactSizeIterator<Item = Proprio<'_>> {
        self.0.header.proprios.iter().map(|header| Proprio::new(header, &self.0.frame))
    }

    /// The proprioception stream of that name.
    ///
    /// # Errors
    /// There is none; the error tells the names there are.
    pub fn proprio(&self, name: &str) -> Result<Proprio<'_>, UnknownName> {
        self.0.header.proprio(name).map(|header| Proprio::new(header, &self.0.frame))
    }

    /// Whatever the application adds to every observation.
    pub fn extra(&self) -> &AppMap {
        &self.0.header.extra
    }

    /// What the application says about the new episode or the step; `None` for an observation of neither.
    pub fn info(&self) -> Option<&AppMap> {
        self.0.info.as_ref()
    }

    /// Reward and end of the episode, if the server tells them: in replies to steps, and in every observation of
    /// servers with the extension `episode`.
    pub fn outcome(&self) -> Option<Outcome> {
        self.0.outcome.or(self.0.header.episode.map(|episode| episode.outcome))
    }

    /// Which episode it is and who drives, from servers with the extension `episode`.
    pub fn episode(&self) -> Option<Episode> {
        self.0.header.episode
    }

    /// How the cameras were put together, from servers with the extension `enc`.
    pub fn align(&self) -> Option<Align> {
        self.0.header.align
    }

    /// Where it stands in its stream, if the server pushed it.
    pub fn push(&self) -> Option<PushMark> {
        self.0.push
    }

    /// When it was received.
    pub fn received(&self) -> Instant {
        self.0.received
    }

    /// Time since it was received.
    pub fn age(&self) -> Duration {
        self.0.received.elapsed()
    }

    /// The stamps that an action sends back which is computed from it: camera → its stamp, seconds.
    pub fn camera_stamps(&self) -> Vec<(String, f64)> {
        self.0.header.camera_stamps()
    }

    /// The frame it came in, as it was on the wire.
    pub fn frame(&self) -> &Bytes {
        &self.0.frame
    }

    /// The pictures the client has: camera → counter of its frames.
    pub(crate) fn counters(&self) -> Vec<(String, u64)> {
        let cameras = self.0.header.cameras.iter();
        cameras.filter_map(|camera| Some((camera.name.clone(), camera.n?))).collect()
    }
}

impl std::fmt::Debug for Observation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observation")
            .field("timestamp", &self.timestamp())
            .field("cameras", &self.cameras().map(|camera| camera.name().to_owned()).collect::<Vec<_>>())
            .field("proprios", &self.proprios().map(|proprio| proprio.name().to_owned()).collect::<Vec<_>>())
            .field("bytes", &self.0.frame.len())
            .finish_non_exhaustive()
    }
}
