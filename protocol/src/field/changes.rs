//! Since which frame the things of one kind are as they are.

use std::collections::BTreeMap;

/// For each thing the frames in which its `N` parts last changed.
#[derive(Clone, Debug)]
pub(super) struct Changes<const N: usize>(BTreeMap<String, [u32; N]>);

impl<const N: usize> Default for Changes<N> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

/// What one frame brought.
pub(super) struct Turn {
    /// Something is there that was not.
    pub(super) appeared: bool,
    /// Ids of what is no longer there.
    pub(super) removed: Vec<String>,
}

impl<const N: usize> Changes<N> {
    /// Notes what is different in `frame`; `same` tells which parts of a thing are as before.
    pub(super) fn note<T>(
        &mut self,
        frame: u32,
        before: &BTreeMap<String, T>,
        now: &BTreeMap<String, T>,
        same: impl Fn(&T, &T) -> [bool; N],
    ) -> Turn {
        let removed: Vec<_> = before.keys().filter(|id| !now.contains_key(*id)).cloned().collect();
        for id in &removed {
            self.0.remove(id);
        }
        let mut appeared = false;
        for (id, thing) in now {
            match (before.get(id), self.0.get_mut(id)) {
                (Some(before), Some(marks)) => {
                    for (mark, same) in marks.iter_mut().zip(same(before, thing)) {
                        if !same {
                            *mark = frame;
                        }
                    }
                }
                _ => {
                    appeared = true;
                    self.0.insert(id.clone(), [frame; N]);
                }
            }
        }
        Turn { appeared, removed }
    }

    /// Which parts of a thing changed after a frame.
    pub(super) fn after(&self, since: u32, id: &str) -> [bool; N] {
        self.0.get(id).map_or([true; N], |marks| marks.map(|mark| mark > since))
    }

    /// The things of which any part changed after a frame.
    pub(super) fn changed<'a, T>(
        &'a self,
        since: u32,
        now: &'a BTreeMap<String, T>,
    ) -> impl Iterator<Item = (&'a String, &'a T, [bool; N])> {
        now.iter()
            .map(move |(id, thing)| (id, thing, self.after(since, id)))
            .filter(|(_, _, parts)| parts.contains(&true))
    }

    /// Marks one part of a thing as changed in a frame.
    pub(super) fn mark(&mut self, frame: u32, id: &str, part: usize) {
        if let Some(mark) = self.0.get_mut(id).and_then(|marks| marks.get_mut(part)) {
            *mark = frame;
        }
    }
}
