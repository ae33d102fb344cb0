//! The thread that shows everybody the scene: 72 frames a second, each encoded once however many get it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use waldo_protocol::field::{
    Extension, InputAck, MeshData, SceneEncoder, SceneExtras, SceneForm, SceneFrames, SceneState, SceneStep,
};
use waldo_protocol::time::MonoTime;

use super::large::Large;
use super::outbox::Message;
use super::schedule::Schedule;
use super::sequence::Ack;
use super::service::{Service, View};
use super::snapshot::Snapshot;
use crate::clock;
use crate::websocket::Frame;

/// Frames per second.
pub(super) const PUBLISH_RATE: u32 = 72;

/// Data of meshes in one whole frame from which on such frames come less often, bytes: a mesh that is not static repeats its
/// data in each.
const LARGE: usize = 1 << 20;

/// Bytes a second that such frames may take to encode, however many get them.
const LARGE_RATE: f64 = (64 << 20) as f64;

/// Publishes until told to stop.
pub(super) fn run(service: &Service, stopping: &AtomicBool) {
    let mut schedule = Schedule::new(clock::now(), PUBLISH_RATE, 1);
    let mut publisher = Publisher::default();
    while !stopping.load(Ordering::Relaxed) {
        let next = schedule.next();
        service.shared.want_at(next);
        std::thread::sleep(next.since(clock::now()));
        let now = clock::now();
        let due = schedule.due(now);
        service.config.metrics.field_dropped("late_frames", due.left_out);
        if due.turns > 0 {
            publisher.publish(service, &service.shared.snapshot(), now);
        }
    }
}

/// What clients have, and what was encoded of the frame at hand.
#[derive(Default)]
struct Publisher {
    encoder: SceneEncoder,
    large: Large,
    plain: Vec<((MeshData, bool), Vec<Bytes>)>,
    steps: Vec<(SceneStep, Encoded)>,
    /// Until then no large frame is encoded.
    rests_until: Option<MonoTime>,
    turn: usize,
}

/// A frame for those with `scene-delta/1`.
#[derive(Clone)]
struct Encoded {
    binary: Option<Bytes>,
    text: Vec<Bytes>,
    quiet: bool,
}

impl Publisher {
    fn publish(&mut self, service: &Service, snapshot: &Snapshot, now: MonoTime) {
        let mut clients = service.clients();
        if clients.is_empty() {
            return;
        }
        // Whoever comes first gets a large frame: not always the same one.
        self.turn = self.turn.wrapping_add(1);
        let first = self.turn % clients.len();
        clients.rotate_left(first);
        self.plain.clear();
        self.steps.clear();
        for user in service.take_resets() {
            self.encoder.resend(&user);
        }
        let scene = self.large.replace(&snapshot.scene);
        let pushed = self.encoder.push(Arc::clone(&scene));
        if let Err(error) = &pushed
            && service.may_log("not_finite")
        {
            tracing::error!("a scene cannot be shown: {error}");
        }
        let (paused, away) = (service.shared.is_paused(), service.away(now));
        for client in clients {
            // Room first: what was marked as sent must be sent.
            if !client.outbox.has_room() {
                service.config.metrics.field_frame("skipped", 0);
                continue;
            }
            // Nobody waits for the view while something is encoded.
            let mut view = client.view().clone();
            if !view.trusted || pushed.is_err() {
                continue;
            }
            let extras = extras(&view, snapshot, (paused, &away), now);
            let messages = if view.ext.has(Extension::SceneDelta) {
                self.step(&mut view, &extras)
            } else {
                self.whole(&mut view, &scene, &extras, now)
            };
            if messages.is_empty() {
                continue;
            }
            let mut shown = client.view();
            if !shown.goes_on_from(&view) {
                // This leans on what the client has no more, or may not have.
                continue;
            }
            (shown.marks, shown.cursor, shown.told) = (view.marks, view.cursor, view.told);
            // Before anybody can begin the view anew: nothing that leans on the old one comes after that.
            let bytes = client.outbox.scene(messages);
            drop(shown);
            service.config.metrics.field_frame("queued", bytes);
        }
    }

    /// The frame for a client that gets whole ones; none if it has to wait for its turn.
    fn whole(&mut self, view: &mut View, scene: &SceneState, extras: &SceneExtras, now: MonoTime) -> Vec<Message> {
        let data = match view.role {
            Some(_) => view.marks.next(&scene.meshes),
            None => MeshData::Whole,
        };
        let Some(body) = self.plain(scene, data, view.ext.has(Extension::People), now) else { return Vec::new() };
        vec![Message::Text(with_extras(&body, extras))]
    }

    fn plain(&mut self, scene: &SceneState, data: MeshData, people: bool, now: MonoTime) -> Option<Vec<Bytes>> {
        let key = (data, people);
        if let Some((_, body)) = self.plain.iter().find(|(known, _)| *known == key) {
            return Some(body.clone());
        }
        let sent = scene.meshes.iter().filter(|(id, mesh)| key.0.has(id, mesh));
        let bytes: usize = sent.filter_map(|(_, mesh)| Some(self.large.len(mesh.asset_uri.as_ref()?))).sum();
        if bytes >= LARGE {
            if self.rests_until.is_some_and(|until| now < until) {
                return None;
            }
            self.rests_until = Some(now + Duration::from_secs_f64(bytes as f64 / LARGE_RATE));
        }
        // What is not finite was refused before.
        let body = self.large.fill(scene.encode(&key.0, people).ok()?);
        self.plain.push((key, body.clone()));
        Some(body)
    }

    /// The frame for a client that gets what changed.
    fn step(&mut self, view: &mut View, extras: &SceneExtras) -> Vec<Message> {
        let form = SceneForm { binary: view.ext.has(Extension::SceneBin), people: view.ext.has(Extension::People) };
        let step = self.encoder.step(view.cursor, form);
        let Some(Encoded { binary, text, quiet }) = self.encoded(step) else { return Vec::new() };
        view.cursor = step.cursor();
        let mut messages: Vec<_> = binary.map(|binary| Message::Binary(Frame::new(binary))).into_iter().collect();
        let told = *extras != SceneExtras::default();
        // Also that there is nothing of its own to tell any more.
        let told_before = std::mem::replace(&mut view.told, told);
        if !quiet || told || told_before {
            messages.push(Message::Text(with_extras(&text, extras)));
        }
        messages
    }

    fn encoded(&mut self, step: SceneStep) -> Option<Encoded> {
        if let Some((_, encoded)) = self.steps.iter().find(|(known, _)| *known == step) {
            return Some(encoded.clone());
        }
        let SceneFrames { binary, text, quiet } = self.encoder.encode(step).ok()?;
        let encoded = Encoded { binary: binary.map(Bytes::from), text: self.large.fill(text), quiet };
        self.steps.push((step, encoded.clone()));
        Some(encoded)
    }
}

/// What is for one client alone.
fn extras(view: &View, snapshot: &Snapshot, (paused, away): (bool, &[String]), now: MonoTime) -> SceneExtras {
    let ack = view.seat.as_ref().and_then(|seat| seat.link().ack);
    SceneExtras {
        input_ack: ack.map(|Ack { seq, at, lost }| InputAck {
            seq,
            recv_ts: clock::unix_time(at).as_secs_f64(),
            age_ms: now.since(at).as_secs_f64() * 1e3,
            lost,
        }),
        clamped: if view.ext.has(Extension::Limits) { snapshot.clamped.iter().cloned().collect() } else { Vec::new() },
        paused: paused && view.ext.has(Extension::Paused),
        away: if view.ext.has(Extension::People) { away.to_vec() } else { Vec::new() },
    }
}

/// A message that others get too, with what is for one client alone: what they share is not copied.
fn with_extras(body: &[Bytes], extras: &SceneExtras) -> Frame {
    const END: &str = "}}";
    let tail = extras.add_to(END);
    let mut frame = Frame::default();
    match body.split_last() {
        Some((last, others)) if tail != END && last.ends_with(END.as_bytes()) => {
            others.iter().for_each(|part| frame.add(part.clone()));
            frame.add(last.slice(..last.len() - END.len()));
            frame.add(tail.into());
        }
        _ => body.iter().for_each(|part| frame.add(part.clone())),
    }
    frame
}

#[cfg(test)]
mod tests {
    use bytes::Buf;
    use waldo_protocol::field::{Mesh, ServerMessage};

    use super::*;

    #[test]
    fn what_is_for_one_client_alone_is_added_to_what_all_share() {
        let scene = SceneState { timestamp: 2.5, ..SceneState::default() };
        let mut publisher = Publisher::default();
        let now = MonoTime::from_nanos(1);
        let body = publisher.plain(&scene, MeshData::Whole, false, now).unwrap();
        let read = |extras: &SceneExtras| {
            let mut frame = with_extras(&body, extras);
            let text = frame.copy_to_bytes(frame.len());
            match ServerMessage::decode(str::from_utf8(&text).unwrap()) {
                Ok(ServerMessage::SceneState(message)) => *message,
                other => panic!("{other:?}"),
            }
        };
        let extras = SceneExtras {
            input_ack: Some(InputAck { seq: 7, recv_ts: 1.0, age_ms: 2.0, lost: 0 }),
            clamped: vec!["u_arm_0".to_owned()],
            paused: true,
            away: vec!["bob".to_owned()],
        };
        assert_eq!((read(&extras).scene, read(&extras).extras), (scene.clone(), extras));
        assert_eq!(read(&SceneExtras::default()).extras, SceneExtras::default());
        let again = publisher.plain(&scene, MeshData::Whole, false, now).unwrap();
        assert_eq!(again[0].as_ptr(), body[0].as_ptr(), "encoded once");
    }

    #[test]
    fn a_large_mesh_that_is_not_static_leaves_time_for_everything_else() {
        let mesh = Mesh::new("m", "rig", "x".repeat(4 << 20).into());
        let scene = SceneState { meshes: [("m".to_owned(), mesh)].into(), ..SceneState::default() };
        let mut publisher = Publisher::default();
        let (mut whole, mut others) = (0, 0);
        for frame in 0..72u64 {
            let now = MonoTime::from_nanos(1_000_000_000 + frame * 13_888_888);
            publisher.plain.clear();
            whole += u32::from(publisher.plain(&scene, MeshData::Whole, false, now).is_some());
            others += u32::from(publisher.plain(&scene, MeshData::Of(Vec::new()), false, now).is_some());
        }
        assert_eq!((whole, others), (15, 72), "64 MiB a second, and every frame without the data");
    }
}
