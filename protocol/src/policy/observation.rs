//! Observations: what the robot sees and feels at one moment.

use super::app_map::AppMap;
use super::array::ArrayRef;
use super::camera::Camera;
use super::capability::{Capabilities, Capability};
use super::configure::Align;
use super::episode::Episode;
use super::reader::LastCounts;
use super::{Frame, MAX_NAMES, Owner, Problem, WireError};

/// A stream of joint readings, or of whatever else the robot feels, as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proprio {
    /// Its name.
    pub name: String,
    /// One-dimensional; float32 from all known encoders.
    pub array: ArrayRef,
}

/// An observation as it was received.
///
/// Arrays are not copied: they say where they lie in the frame, so keep it.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// Whatever the application means by it; customary are wall clock and step × dt, seconds.
    pub timestamp: f64,
    /// In the order of the wire.
    pub cameras: Vec<Camera>,
    /// In the order of the wire, each name once.
    pub proprios: Vec<Proprio>,
    /// Whatever the application adds.
    pub extra: AppMap,
    /// How the cameras were put together, if negotiated and asked for.
    pub align: Option<Align>,
    /// How the episode stands, if negotiated.
    pub episode: Option<Episode>,
}

/// A name that no camera or stream of an observation has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no {kind} {name:?} in the observation; there are {known:?}")]
pub struct UnknownName {
    /// What was looked for, such as `camera`.
    pub kind: &'static str,
    /// The name that was asked for.
    pub name: String,
    /// The names there are.
    pub known: Vec<String>,
}

impl Observation {
    /// The first camera of that name.
    ///
    /// # Errors
    /// There is none.
    pub fn camera(&self, name: &str) -> Result<&Camera, UnknownName> {
        self.cameras.iter().find(|camera| camera.name == name).ok_or_else(|| UnknownName {
            kind: "camera",
            name: name.to_owned(),
            known: self.cameras.iter().map(|camera| camera.name.clone()).collect(),
        })
    }

    /// The proprioception stream of that name.
    ///
    /// # Errors
    /// There is none.
    pub fn proprio(&self, name: &str) -> Result<&Proprio, UnknownName> {
        self.proprios.iter().find(|proprio| proprio.name == name).ok_or_else(|| UnknownName {
            kind: "proprioception stream",
            name: name.to_owned(),
            known: self.proprios.iter().map(|proprio| proprio.name.clone()).collect(),
        })
    }

    /// The stamps an action sends back that is computed from this observation: camera name → its stamp.
    pub fn camera_stamps(&self) -> Vec<(String, f64)> {
        let mut stamps: Vec<(String, f64)> = Vec::new();
        for camera in &self.cameras {
            // The first camera of a name is the one that lookup finds.
            if stamps.iter().all(|(name, _)| *name != camera.name) {
                stamps.push((camera.name.clone(), camera.timestamp));
            }
        }
        stamps
    }

    pub(super) fn read(frame: &Frame<'_>, caps: Capabilities) -> Result<Self, WireError> {
        let [timestamp, cameras, proprios, extra, align] =
            frame.members(["timestamp", "cameras", "proprios", "extra", "align"]);
        let payload = &frame.payload;
        let timestamp = timestamp.number()?;
        let mut list = Vec::new();
        cameras.each("an array of maps", MAX_NAMES, |entry| {
            list.push(Camera::read(*entry, list.len(), payload, caps)?);
            entry.skip(1)
        })?;
        let mut streams = LastCounts::default();
        let mut index = 0;
        proprios.optional(|proprios| {
            proprios.each("an array of maps", MAX_NAMES, |entry| {
                let Some([name, place @ ..]) = entry.members(["name", "dtype", "offset", "size"])? else {
                    return Err(proprios.error(Problem::Not("an array of maps")));
                };
                let owner = || Owner::Proprio(name.text().map_or_else(|_| format!("#{index}"), str::to_owned));
                let stream = name.text().and_then(|name| Ok((name, ArrayRef::list(place, payload)?)));
                let (name, array) = stream.map_err(|error| error.of(owner()))?;
                streams.insert(name, array);
                index += 1;
                entry.skip(1)
            })
        })?;
        Ok(Self {
            timestamp,
            cameras: list,
            proprios: streams.entries.into_iter().map(|(name, array)| Proprio { name, array }).collect(),
            extra: AppMap::from_field(&extra)?,
            align: align.negotiated(caps.has(Capability::Enc), Align::read)?,
            episode: if caps.has(Capability::Episode) { Episode::read(frame)? } else { None },
        })
    }
}
