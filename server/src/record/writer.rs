//! The thread that writes.

use std::io;
use std::path::PathBuf;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use super::database::Database;
use super::sink::{Next, Records};

/// What was written within this time is safe from the end of the program together.
const TOGETHER: Duration = Duration::from_millis(250);

/// How long the thread sleeps while there is nothing.
const LOOK: Duration = Duration::from_millis(50);

/// How often a disk that refuses is told of.
const COMPLAIN: Duration = Duration::from_secs(10);

pub(super) fn spawn(database: Database, records: Records, file: PathBuf) -> io::Result<JoinHandle<()>> {
    Builder::new().name("recorder".to_owned()).spawn(move || {
        info!(file = %file.display(), "recording");
        let mut writer = Writer { database, written: 0, failed: 0, complained: None };
        writer.run(&records);
        if let Err(error) = writer.database.close() {
            error!(file = %file.display(), %error, "the recording may miss its last part");
        }
        let (lost, failed) = (records.lost(), writer.failed);
        if lost + failed > 0 {
            warn!(file = %file.display(), lost, failed, "the recording is not complete");
        }
        info!(file = %file.display(), records = writer.written, "recorded");
    })
}

struct Writer {
    database: Database,
    written: u64,
    failed: u64,
    complained: Option<Instant>,
}

impl Writer {
    fn run(&mut self, records: &Records) {
        loop {
            let (index, record) = match records.next(LOOK) {
                Next::Record(index, record) => (index, record),
                Next::Nothing => continue,
                Next::End => return,
            };
            // What comes within a moment is one transaction: a commit costs more than hundreds of rows.
            let begun = Instant::now();
            let mut done = self.database.begin().and_then(|()| self.database.insert(index, &record));
            let mut batch = 1;
            while let Some(left) = TOGETHER.checked_sub(begun.elapsed()) {
                match records.next(left) {
                    Next::Record(index, record) => {
                        batch += 1;
                        if done.is_ok() {
                            done = self.database.insert(index, &record);
                        }
                    }
                    Next::Nothing | Next::End => break,
                }
            }
            match done.and_then(|()| self.database.commit()) {
                Ok(()) => self.written += batch,
                Err(error) => {
                    self.failed += batch;
                    // Without a transaction there is nothing to roll back.
                    let _ = self.database.roll_back();
                    self.complain(&error);
                }
            }
        }
    }

    fn complain(&mut self, error: &rusqlite::Error) {
        if self.complained.is_none_or(|at| at.elapsed() > COMPLAIN) {
            self.complained = Some(Instant::now());
            error!(%error, failed = self.failed, "cannot record");
        }
    }
}
