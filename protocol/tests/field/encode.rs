//! What was read survives being written. Shared with the fuzz targets.

use std::sync::Arc;

use waldo_protocol::field::{
    BinaryScene, ClientMessage, Envelope, Extensions, Role, SceneCursor, SceneDecoder, SceneEncoder, SceneForm,
    SceneState, ServerMessage,
};

/// Reads a frame of a client; what is accepted comes out of its own encoding again.
pub(crate) fn client_survives(text: &str) {
    let Ok(envelope) = Envelope::read(text) else { return };
    for role in [None, Some(Role::VrClient), Some(Role::Spectator), Some(Role::Publisher)] {
        // Refusals repeat no more of a frame than people read.
        let refused = Role::check(role, envelope.kind(), Extensions::NONE).err();
        assert!(refused.is_none_or(|invalid| invalid.to_string().len() < 200));
    }
    let Ok(message) = envelope.message() else { return };
    assert_eq!(ClientMessage::decode(&message.encode()).as_ref(), Ok(&message));
}

/// A client of any server, and a server that shows what that client sees.
#[derive(Default)]
pub(crate) struct Mirror {
    decoder: SceneDecoder,
    encoder: SceneEncoder,
    plain: Viewer,
    binary: Viewer,
}

/// Who sees it there.
#[derive(Default)]
struct Viewer {
    cursor: SceneCursor,
    decoder: SceneDecoder,
}

impl Viewer {
    fn take(&mut self, encoder: &SceneEncoder, binary: bool) -> &SceneState {
        let step = encoder.step(self.cursor, SceneForm { binary, people: true });
        let frames = encoder.encode(step).unwrap();
        self.cursor = step.cursor();
        if let Some(bytes) = frames.binary {
            self.decoder.binary(&bytes).unwrap();
        }
        match ServerMessage::decode(&frames.text).unwrap() {
            ServerMessage::SceneState(full) => self.decoder.full(*full),
            ServerMessage::SceneDelta(delta) => self.decoder.delta(*delta).unwrap(),
            other => panic!("{other:?}"),
        }
        self.decoder.scene()
    }
}

impl Mirror {
    /// Reads a frame of a server; what is accepted comes out of its own encoding again, and the scene that it makes
    /// reaches others as it is.
    pub(crate) fn survives(&mut self, frame: &[u8]) {
        if frame.starts_with(b"VFS1") {
            if let Ok(scene) = BinaryScene::decode(frame) {
                assert_eq!(BinaryScene::decode(&scene.encode()).as_ref(), Ok(&scene));
            }
            if self.decoder.binary(frame).is_err() {
                return;
            }
        } else {
            let Ok(text) = std::str::from_utf8(frame) else { return };
            let Ok(message) = ServerMessage::decode(text) else { return };
            assert_eq!(ServerMessage::decode(&message.encode().unwrap()).as_ref(), Ok(&message));
            match message {
                ServerMessage::SceneState(full) => self.decoder.full(*full),
                ServerMessage::SceneDelta(delta) => {
                    if self.decoder.delta(*delta).is_err() {
                        return;
                    }
                }
                _ => return,
            }
        }
        let scene = Arc::new(self.decoder.scene().clone());
        // Numbers of a scene that was put together are as finite as its parts.
        self.encoder.push(scene.clone()).unwrap();
        assert_eq!(self.plain.take(&self.encoder, false), scene.as_ref());
        let seen = self.binary.take(&self.encoder, true);
        assert!(seen.arms.keys().eq(scene.arms.keys()));
        for (seen, arm) in seen.arms.values().zip(scene.arms.values()) {
            assert_eq!(seen.centerline.len(), arm.centerline.len());
            assert_eq!(seen.radii.len(), arm.radii.len());
            assert_eq!(seen.element_lengths.len(), arm.element_lengths.len());
            assert_eq!(seen.directors.len(), arm.directors.len());
        }
    }
}

/// What stands between the frames of a server in one input of a fuzzer.
pub(crate) const BETWEEN: &[u8] = b"\n\n\n";

/// Reads the frames of an input one after the other.
pub(crate) fn server_survives(input: &[u8]) {
    let mut mirror = Mirror::default();
    let mut rest = input;
    while let Some(at) = rest.windows(BETWEEN.len()).position(|window| window == BETWEEN) {
        mirror.survives(&rest[..at]);
        rest = &rest[at + BETWEEN.len()..];
    }
    mirror.survives(rest);
}
