//! Writing headers in their canonical form: keys in the order of the tables, smallest integers, floats as float64.

use rmp::encode;

use super::app_map::AppMap;
use super::ids::RequestId;

/// A map under construction; its head is written when it is finished.
pub(super) struct MapWriter<'a> {
    out: &'a mut Vec<u8>,
    head: usize,
    len: u16,
}

impl<'a> MapWriter<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        let head = out.len();
        out.push(0);
        Self { out, head, len: 0 }
    }

    /// Writes a key; its value is to follow.
    pub(super) fn key(&mut self, key: &str) -> &mut Vec<u8> {
        self.len += 1;
        text(self.out, key);
        self.out
    }

    pub(super) fn nil(&mut self, key: &str) {
        sure(encode::write_nil(self.key(key)));
    }

    pub(super) fn flag(&mut self, key: &str, flag: bool) {
        sure(encode::write_bool(self.key(key), flag));
    }

    pub(super) fn float(&mut self, key: &str, number: f64) {
        float(self.key(key), number);
    }

    pub(super) fn integer(&mut self, key: &str, number: u64) {
        integer(self.key(key), number);
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        text(self.key(key), value);
    }

    pub(super) fn id(&mut self, id: RequestId) {
        self.integer("id", id.get());
    }

    pub(super) fn floats(&mut self, key: &str, numbers: &[f64]) {
        let out = self.key(key);
        array(out, numbers.len());
        numbers.iter().for_each(|number| float(out, *number));
    }

    pub(super) fn integers(&mut self, key: &str, numbers: impl ExactSizeIterator<Item = u64>) {
        let out = self.key(key);
        array(out, numbers.len());
        numbers.for_each(|number| integer(out, number));
    }

    pub(super) fn shape(&mut self, key: &str, shape: &[usize]) {
        self.integers(key, shape.iter().map(|dimension| *dimension as u64));
    }

    pub(super) fn texts<'t>(&mut self, key: &str, texts: impl ExactSizeIterator<Item = &'t str>) {
        let out = self.key(key);
        array(out, texts.len());
        texts.for_each(|value| text(out, value));
    }

    pub(super) fn map(&mut self, key: &str) -> MapWriter<'_> {
        MapWriter::new(self.key(key))
    }

    /// Name → number, floats.
    pub(super) fn stamps(&mut self, key: &str, stamps: &[(String, f64)]) {
        let out = self.key(key);
        map(out, stamps.len());
        for (name, stamp) in stamps {
            text(out, name);
            float(out, *stamp);
        }
    }

    pub(super) fn app_map(&mut self, key: &str, values: &AppMap) {
        let out = self.key(key);
        map(out, values.len());
        for (name, value) in values.iter() {
            text(out, name);
            sure(rmpv::encode::write_value(out, value));
        }
    }

    pub(super) fn finish(self) {
        match u8::try_from(self.len) {
            Ok(len @ 0..16) => self.out[self.head] = 0x80 | len,
            _ => {
                let [high, low] = self.len.to_be_bytes();
                self.out.splice(self.head..=self.head, [0xde, high, low]);
            }
        }
    }
}

/// Appends a frame without payload: `type` first, then what `fields` writes.
pub(super) fn frame(out: &mut Vec<u8>, kind: &str, fields: impl FnOnce(&mut MapWriter<'_>)) {
    let start = out.len();
    out.extend([0; 4]);
    let mut header = MapWriter::new(out);
    header.text("type", kind);
    fields(&mut header);
    header.finish();
    // A header of 4 GiB is refused by whoever receives it, as its length says.
    let len = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
}

pub(super) fn text(out: &mut Vec<u8>, value: &str) {
    sure(encode::write_str(out, value));
}

pub(super) fn float(out: &mut Vec<u8>, number: f64) {
    sure(encode::write_f64(out, number));
}

pub(super) fn integer(out: &mut Vec<u8>, number: u64) {
    sure(encode::write_uint(out, number));
}

pub(super) fn array(out: &mut Vec<u8>, len: usize) {
    sure(encode::write_array_len(out, count(len)));
}

pub(super) fn map(out: &mut Vec<u8>, len: usize) {
    sure(encode::write_map_len(out, count(len)));
}

fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Writing into a `Vec` does not fail.
fn sure<T, E>(written: Result<T, E>) {
    debug_assert!(written.is_ok(), "a Vec takes everything");
}
