//! The tables of a recording: one with the times and one with the messages of each stream.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, params};
use serde_json::json;

use super::sink::Record;
use super::{Codec, RecordError, Stream};

/// A name as SQL has it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Makes the empty file of a recording that begins now, named after the local time, and one more number if there is one
/// of this second.
pub(super) fn new_file(folder: &Path, prefix: &str) -> Result<PathBuf, RecordError> {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let time = local_time(now).map_err(|error| RecordError::Database { path: folder.to_owned(), error })?;
    for more in 1..1000 {
        let path = match more {
            1 => folder.join(format!("{prefix}{time}.db")),
            more => folder.join(format!("{prefix}{time}_{more}.db")),
        };
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(_) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(RecordError::File { path, error }),
        }
    }
    let error = io::Error::new(io::ErrorKind::AlreadyExists, "a thousand recordings of one second");
    Err(RecordError::File { path: folder.to_owned(), error })
}

/// A Unix time as `YYYYmmdd_HHMMSS` of this computer's time zone, which SQLite knows.
pub(super) fn local_time(unix: Duration) -> rusqlite::Result<String> {
    let format = "SELECT strftime('%Y%m%d_%H%M%S', ?1, 'unixepoch', 'localtime')";
    Connection::open_in_memory()?.query_row(format, [unix.as_secs().cast_signed()], |row| row.get(0))
}

#[derive(Debug)]
struct Tables {
    codec: Codec,
    insert: String,
    insert_blob: String,
    insert_place: String,
}

/// A recording that is being written.
#[derive(Debug)]
pub(super) struct Database {
    connection: Connection,
    tables: Vec<Tables>,
}

impl Database {
    pub(super) fn create(path: &Path, streams: &[Stream]) -> Result<Self, RecordError> {
        let open = || -> rusqlite::Result<Self> {
            let connection = Connection::open(path)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            connection.execute_batch("BEGIN; CREATE TABLE _streams (name TEXT PRIMARY KEY, config TEXT NOT NULL)")?;
            let mut tables = Vec::new();
            for stream in streams {
                create(&connection, stream)?;
                tables.push(Tables::new(stream));
            }
            connection.execute_batch("COMMIT")?;
            connection.set_prepared_statement_cache_capacity(3 * streams.len());
            Ok(Self { connection, tables })
        };
        open().map_err(|error| RecordError::Database { path: path.to_owned(), error })
    }

    pub(super) fn begin(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch("BEGIN")
    }

    pub(super) fn commit(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch("COMMIT")
    }

    pub(super) fn roll_back(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch("ROLLBACK")
    }

    pub(super) fn insert(&self, stream: usize, record: &Record) -> rusqlite::Result<()> {
        let Some(tables) = self.tables.get(stream) else { return Ok(()) };
        let Record { stamp, at, pose, data } = record;
        // Not finite is null in SQLite, which the column refuses.
        let ts = stamp.filter(|stamp| stamp.is_finite()).unwrap_or(*at);
        let tags = json!({ "reception_ts": at }).to_string();
        let pose = pose.filter(|pose| pose.iter().all(|number| number.is_finite()));
        let [x, y, z, qx, qy, qz, qw] = pose.map_or([None; 7], |pose| pose.map(Some));
        let mut insert = self.connection.prepare_cached(&tables.insert)?;
        insert.execute(params![ts, x, y, z, qx, qy, qz, qw, tags])?;
        let id = self.connection.last_insert_rowid();
        let mut insert_blob = self.connection.prepare_cached(&tables.insert_blob)?;
        match tables.codec {
            Codec::Lcm => insert_blob.execute(params![id, &data[..]])?,
            Codec::Pickle => insert_blob.execute(params![id, super::pickle::dump(data)])?,
        };
        if pose.is_some() {
            self.connection.prepare_cached(&tables.insert_place)?.execute(params![id, x, y, z])?;
        }
        Ok(())
    }

    /// Everything into the one file, which is closed.
    pub(super) fn close(self) -> rusqlite::Result<()> {
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        self.connection.close().map_err(|(_, error)| error)
    }
}

impl Tables {
    fn new(stream: &Stream) -> Self {
        let [main, blob, place] = tables(&stream.name);
        Self {
            codec: stream.codec,
            insert: format!(
                "INSERT INTO {main} (ts, pose_x, pose_y, pose_z, pose_qx, pose_qy, pose_qz, pose_qw, tags)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, jsonb(?9))"
            ),
            insert_blob: format!("INSERT INTO {blob} (id, data) VALUES (?1, ?2)"),
            insert_place: format!("INSERT INTO {place} VALUES (?1, ?2, ?2, ?3, ?3, ?4, ?4)"),
        }
    }
}

/// The quoted names of a stream's tables: times, messages, places.
pub(super) fn tables(stream: &str) -> [String; 3] {
    ["", "_blob", "_rtree"].map(|suffix| quoted(&format!("{stream}{suffix}")))
}

fn create(connection: &Connection, stream: &Stream) -> rusqlite::Result<()> {
    let config = json!({
        "codec_id": stream.codec.id(),
        "eager_blobs": false,
        "page_size": 256,
        "payload_module": stream.payload_module,
    });
    connection.execute("INSERT INTO _streams VALUES (?1, ?2)", params![stream.name, config.to_string()])?;
    let [main, blob, place] = tables(&stream.name);
    connection.execute_batch(&format!(
        "CREATE TABLE {main} (
             id INTEGER PRIMARY KEY AUTOINCREMENT,
             ts REAL NOT NULL,
             value NUMERIC,
             pose_x REAL, pose_y REAL, pose_z REAL,
             pose_qx REAL, pose_qy REAL, pose_qz REAL, pose_qw REAL,
             tags BLOB DEFAULT (jsonb('{{}}'))
         );
         CREATE TABLE {blob} (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
         CREATE VIRTUAL TABLE {place} USING rtree(id, x_min, x_max, y_min, y_max, z_min, z_max);"
    ))
}
