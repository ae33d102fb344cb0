//! Reading a recording, ours or one of the original's.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use super::database::tables;
use super::sink::MAX_RECORD;
use super::{Codec, RecordError};

/// Streams that are looked at.
const MAX_STREAMS: usize = 1024;

/// A recording that nobody changes through it.
pub(super) struct Reader {
    connection: Connection,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self, RecordError> {
        let wrong = |error| RecordError::Database { path: path.to_owned(), error };
        let has_streams = |connection: &Connection| connection.table_exists(None, "_streams");
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(wrong)?;
        let (connection, found) = match has_streams(&connection) {
            Ok(found) => (connection, found),
            // A file with a write-ahead log in a folder that cannot be written to: as it stands, then.
            Err(rusqlite::Error::SqliteFailure(error, _)) if error.code == rusqlite::ErrorCode::CannotOpen => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
                let connection = Connection::open_with_flags(immutable(path), flags).map_err(wrong)?;
                let found = has_streams(&connection).map_err(wrong)?;
                (connection, found)
            }
            Err(error) => return Err(wrong(error)),
        };
        if !found {
            return Err(RecordError::NoRecording { path: path.to_owned() });
        }
        Ok(Self { connection })
    }

    /// The names of the streams, sorted, and how they are kept; `None`: in a way that is not known here.
    pub(super) fn streams(&self) -> rusqlite::Result<Vec<(String, Option<Codec>)>> {
        let mut statement = self.connection.prepare("SELECT name, config FROM _streams ORDER BY name")?;
        let streams = statement.query_map([], |row| {
            let config: Value = serde_json::from_str(&row.get::<_, String>(1)?).unwrap_or_default();
            let codec = match config["codec_id"].as_str() {
                Some("lcm") => Some(Codec::Lcm),
                Some("pickle") => Some(Codec::Pickle),
                _ => None,
            };
            Ok((row.get(0)?, codec))
        })?;
        streams.take(MAX_STREAMS).collect()
    }

    /// Shows every message of a stream in the order of arrival; none of a stream without tables. A message that is larger
    /// than any that is recorded is shown as an empty one.
    pub(super) fn each(&self, stream: &str, mut show: impl FnMut(&[u8])) -> rusqlite::Result<()> {
        let [main, blob, _] = tables(stream);
        let exists = |name: &str| self.connection.table_exists(None, name);
        if !exists(stream)? || !exists(&format!("{stream}_blob"))? {
            return Ok(());
        }
        let query = format!(
            "SELECT CASE WHEN length(b.data) <= {MAX_RECORD} THEN b.data ELSE x'' END
             FROM {main} AS m LEFT JOIN {blob} AS b ON b.id = m.id ORDER BY m.id"
        );
        let mut statement = self.connection.prepare(&query)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            show(row.get_ref(0)?.as_blob().unwrap_or_default());
        }
        Ok(())
    }
}

/// The file as a URI that SQLite opens without a lock or a log.
fn immutable(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.to_string_lossy().bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => uri.push(byte.into()),
            byte => uri += &format!("%{byte:02X}"),
        }
    }
    uri + "?immutable=1"
}
