use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use bytes::Buf;
use tokio::runtime::Handle;
use tokio::time::timeout;
use waldo_protocol::policy::{
    AppMap, ChunkResponse, ClientExt, MetadataRequest, ObsRequest, ServerMessage, SimpleRequest,
};

use super::*;
use crate::policy::outbox::Outgoing;
use crate::policy::{ActionData, PolicyConfig, PolicyRobot};
use crate::sensors::SensorHub;

/// Much longer than anything takes.
const LIMIT: Duration = Duration::from_secs(10);

/// A robot that hands on the actions, and cannot be reset.
struct Robot(SyncSender<Vec<f32>>);

impl PolicyRobot for Robot {
    fn reset(&self) -> Result<(Observation, AppMap), PolicyError> {
        Err("a cable broke".into())
    }

    fn apply_action(&self, action: &ActionData) -> Result<(), PolicyError> {
        self.0.send(action.values.clone()).map_err(PolicyError::app)
    }

    fn on_stale(&self) {}
}

/// A client with such a link.
fn connected(link: Link) -> (Session, Receiver<Vec<f32>>) {
    let (actions, applied) = sync_channel(16);
    let robot = Arc::new(Robot(actions));
    let (config, hub, metadata) = (PolicyConfig::default(), SensorHub::default(), AppMap::default());
    let service = Service::start(config, hub, robot, metadata, Handle::current()).unwrap();
    (service.connect("somebody", link).unwrap(), applied)
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut frame = Vec::new();
    write(&mut frame);
    frame.into()
}

/// The next message to the client.
async fn told(session: &Session) -> ServerMessage {
    match timeout(LIMIT, session.outbox().next()).await.expect("in time") {
        Outgoing::Frame(mut frame) => {
            let frame = frame.copy_to_bytes(frame.remaining());
            ServerMessage::decode(&frame, session.0.caps()).unwrap()
        }
        Outgoing::Close(close) => panic!("{close:?}"),
    }
}

#[tokio::test]
async fn the_vector_of_a_chunk_is_answered_and_executed_as_it_says() {
    let text = include_str!("../../../../tests/vectors/policy.json");
    let entries: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
    let entry = entries.iter().find(|entry| entry["name"] == "ext_action_chunk").unwrap();
    assert!(entry["given"].as_str().unwrap().contains("server clock 10.06 on arrival; late_limit_ms 0"));
    let hex = entry["hex"].as_str().unwrap().as_bytes().chunks(2);
    let frame: Bytes = hex.map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap()).collect();

    let (session, applied) = connected(Link { extensions: true, closes: true });
    let arrived = MonoTime::default() + Duration::from_millis(10_060);
    let want = [Capability::Id, Capability::Chunk].into_iter().collect();
    let ext = ClientExt { v: 1, impl_name: "test/1".to_owned(), want, client: None };
    session.0.on_frame(&written(|out| MetadataRequest { ext: Some(ext), id: None }.encode(out)), arrived);
    assert_eq!(told(&session).await.kind(), "metadata_response");

    session.0.on_frame(&frame, arrived);
    let expect = |name: &str| entry["expect"][name].as_u64().unwrap();
    let ServerMessage::Chunk(ChunkResponse { id, chunk, dropped_late, queued }) = told(&session).await else {
        panic!()
    };
    assert_eq!((id.get(), chunk), (10, 5));
    assert_eq!((dropped_late, queued), (expect("dropped_late"), expect("queued")));
    assert_eq!(dropped_late + queued, expect("rows"));
    // Only the last row, which is due at 10.10 s.
    assert_eq!(applied.recv_timeout(LIMIT).unwrap(), [4.0, 5.0]);
    assert!(applied.try_recv().is_err());
    assert!(!session.outbox().is_closed(), "the connection stays open");
}

#[tokio::test]
async fn on_shared_keys_a_reset_that_failed_has_no_reply_and_the_next_request_its_own() {
    let (session, _applied) = connected(Link { extensions: false, closes: false });
    session.on_frame(written(|out| SimpleRequest::default().encode_reset(out)));
    session.on_frame(written(|out| ObsRequest::default().encode(out)));
    session.on_frame(written(|out| MetadataRequest::default().encode(out)));
    for kind in ["obs_response", "metadata_response"] {
        assert_eq!(told(&session).await.kind(), kind);
    }
    assert_eq!(session.0.service.stats.counts().dropped.get("app"), Some(&1));
}
