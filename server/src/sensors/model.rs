//! The slot of a camera under a model checker, which tries interleavings of its threads at every step.

use shuttle::{check_pct, check_random, future, thread};
use tokio::sync::watch;

use self::sync::Arc;

/// What the slot is made of here.
mod sync {
    pub(super) use shuttle::sync::atomic::{AtomicUsize, Ordering};
    pub(super) use shuttle::sync::{Arc, Mutex, MutexGuard};
}

#[expect(clippy::duplicate_mod, reason = "the same code on other ground")]
#[path = "newest.rs"]
mod newest;

type Slot = newest::Newest<[u64; 2], u64>;

const WRITES: u64 = 4;

/// Runs the threads in many orders: at random, and with few but ill-placed changes from one to the other.
fn check(threads: fn()) {
    check_random(threads, 3_000);
    check_pct(threads, 3_000, 3);
}

fn slot() -> Arc<Slot> {
    Arc::new(Slot::new([0; 2], 0))
}

/// Writes so many values, one after the other, each with both halves alike, and announces them.
fn write(slot: &Slot, announce: &watch::Sender<()>) {
    for _ in 0..WRITES {
        let mut writing = slot.writing();
        *writing.state += 1;
        let value = *writing.state;
        writing.replace([value; 2]);
        drop(writing);
        announce.send_replace(());
    }
}

#[test]
fn readers_see_whole_values_that_never_get_older_and_in_the_end_the_newest() {
    check(|| {
        let slot = slot();
        let readers = [(); 2].map(|()| {
            let slot = Arc::clone(&slot);
            thread::spawn(move || {
                let mut last = 0;
                for _ in 0..3 {
                    let [left, right] = *slot.load();
                    assert!(left == right && left >= last, "{left} {right} after {last}");
                    last = left;
                }
            })
        });
        write(&slot, &watch::Sender::new(()));
        assert_eq!(*slot.load(), [WRITES; 2]);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

#[test]
fn no_writer_undoes_what_another_one_changed() {
    check(|| {
        let slot = slot();
        let writers = [0, 1].map(|half| {
            let slot = Arc::clone(&slot);
            thread::spawn(move || {
                for _ in 0..2 {
                    let mut writing = slot.writing();
                    let mut value = *writing.current();
                    value[half] += 1;
                    writing.replace(value);
                }
            })
        });
        let reader = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || {
                let (first, second) = (*slot.load(), *slot.load());
                assert!(first[0] <= second[0] && first[1] <= second[1], "{first:?} then {second:?}");
            })
        };
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        reader.join().unwrap();
        assert_eq!(*slot.load(), [2, 2]);
    });
}

#[test]
fn a_watcher_that_waits_between_values_is_always_woken_for_the_last_one() {
    check(|| {
        let slot = slot();
        let (announce, mut told) = watch::channel(());
        let watcher = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || {
                future::block_on(async {
                    let mut seen = 0;
                    while seen < WRITES {
                        // If an announcement were lost, the model checker would find nothing left to run.
                        told.changed().await.unwrap();
                        let [left, right] = *slot.load();
                        assert!(left == right && left >= seen);
                        seen = left;
                    }
                });
            })
        };
        let reader = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || drop(slot.load()))
        };
        write(&slot, &announce);
        watcher.join().unwrap();
        reader.join().unwrap();
    });
}
