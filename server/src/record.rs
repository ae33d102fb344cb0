//! The recorder: what a robot hears and does, in a SQLite file that the tools of DimOS open too, and a report of it.
//!
//! A [`Sink`] takes records from whoever has some and never makes them wait; a [`Recording`] writes them on a thread of
//! its own. [`report`] reads a finished file, ours or one of the original's.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use waldo_server::record::{Place, Record, Recording, Stream, report};
//!
//! let folder = tempfile::tempdir()?;
//! let streams = [Stream::lcm("teleop_buttons", "dimos.teleop.quest.quest_types.Buttons")];
//! let recording = Recording::start(folder.path(), Place::Teleop, &streams)?;
//! recording.sink().push("teleop_buttons", Record::new(1700000000.0, vec![0; 12]));
//! let file = recording.stop()?;
//! assert_eq!(report::read(&file)?.streams["teleop_buttons"].count, 1);
//! # Ok(())
//! # }
//! ```

mod database;
mod pickle;
mod reader;
pub mod report;
mod sink;
#[cfg(test)]
mod tests;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use self::database::Database;
pub use self::sink::{MAX_QUEUED, MAX_QUEUED_BYTES, MAX_RECORD, Record, Sink};

/// A kind of messages that is recorded, in tables of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The name of the stream and its tables.
    pub name: String,
    /// How its messages are kept.
    pub codec: Codec,
    /// The class that decodes it in programs of the original.
    pub payload_module: String,
}

impl Stream {
    /// A stream of LCM messages with their fingerprints.
    pub fn lcm(name: impl Into<String>, payload_module: impl Into<String>) -> Self {
        Self { name: name.into(), codec: Codec::Lcm, payload_module: payload_module.into() }
    }

    /// A stream of byte strings, such as JSON.
    pub fn bytes(name: impl Into<String>) -> Self {
        Self { name: name.into(), codec: Codec::Pickle, payload_module: "builtins.bytes".to_owned() }
    }
}

/// How the messages of a stream are kept in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// LCM bytes with their fingerprint, as they came.
    Lcm,
    /// A byte string in the form that Python's pickle gives it.
    Pickle,
}

impl Codec {
    const fn id(self) -> &'static str {
        match self {
            Self::Lcm => "lcm",
            Self::Pickle => "pickle",
        }
    }
}

/// Where in the data folder recordings go and how they are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// `teleop_recordings/recording_teleop_<time>.db`
    #[default]
    Teleop,
    /// `hosted_teleop/recordings/recording_hosted_<time>.db`
    Hosted,
}

impl Place {
    const fn folder_and_prefix(self) -> (&'static str, &'static str) {
        match self {
            Self::Teleop => ("teleop_recordings", "recording_teleop_"),
            Self::Hosted => ("hosted_teleop/recordings", "recording_hosted_"),
        }
    }
}

/// Why nothing is recorded, or a recording cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A folder or file cannot be made, read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// SQLite cannot work with the file.
    #[error("{}: {error}", path.display())]
    Database {
        /// Which one.
        path: PathBuf,
        /// What SQLite says.
        error: rusqlite::Error,
    },
    /// It is a database, but none of ours or the original's.
    #[error("{}: not a recording: it has no table _streams", path.display())]
    NoRecording {
        /// Which one.
        path: PathBuf,
    },
}

/// A recording that goes on. Dropping it finishes the file too.
#[derive(Debug)]
pub struct Recording {
    file: PathBuf,
    sink: Sink,
    writer: Option<JoinHandle<()>>,
}

impl Recording {
    /// Makes a new file below `data_dir` and starts to write what its [`Sink`] takes for these streams.
    ///
    /// # Errors
    /// If folder or file cannot be made.
    pub fn start(data_dir: &Path, place: Place, streams: &[Stream]) -> Result<Self, RecordError> {
        let (folder, prefix) = place.folder_and_prefix();
        let folder = data_dir.join(folder);
        std::fs::create_dir_all(&folder).map_err(|error| RecordError::File { path: folder.clone(), error })?;
        let file = database::new_file(&folder, prefix)?;
        let database = Database::create(&file, streams)?;
        let names = streams.iter().map(|stream| stream.name.clone()).collect();
        let (sink, records) = sink::channel(names);
        let writer = writer::spawn(database, records, file.clone())
            .map_err(|error| RecordError::File { path: file.clone(), error })?;
        Ok(Self { file, sink, writer: Some(writer) })
    }

    /// Where it is written.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Takes records for it; cheap to clone.
    pub fn sink(&self) -> Sink {
        self.sink.clone()
    }

    /// Writes what was taken so far, closes the file and gives its name. Waits for the disk.
    ///
    /// # Errors
    /// If the writer died.
    pub fn stop(mut self) -> Result<PathBuf, RecordError> {
        if self.finish() {
            return Ok(self.file.clone());
        }
        let error = io::Error::other("the recorder's thread ended with a panic");
        Err(RecordError::File { path: self.file.clone(), error })
    }

    fn finish(&mut self) -> bool {
        self.sink.close();
        self.writer.take().is_none_or(|writer| writer.join().is_ok())
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.finish();
    }
}
