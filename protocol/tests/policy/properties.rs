//! Properties of the policy wire that hold for every input.

use proptest::prelude::*;
use waldo_protocol::policy::{
    ActionHeader, ActionMarks, Capabilities, ChunkHeader, ChunkQueue, ChunkTiming, ClientMessage, Dtype, Episode,
    Image, ServerMessage, Value, request_id,
};

use crate::encode;
use crate::strategies::{
    capabilities, finite, id, key, kind, magnitude, mode, plain_request, plain_response, rows, seen, stamps, value,
    written,
};

proptest! {
    #[test]
    fn requests_come_back_as_they_were_sent((message, frame) in plain_request()) {
        prop_assert_eq!(request_id(&frame), message.id());
        prop_assert_eq!(ClientMessage::decode(&frame, Capabilities::all()), Ok(message));
    }

    #[test]
    fn responses_come_back_as_they_were_sent((message, frame) in plain_response()) {
        prop_assert_eq!(request_id(&frame), message.id());
        prop_assert_eq!(ServerMessage::decode(&frame, Capabilities::all()), Ok(message));
    }

    #[test]
    fn actions_come_back_as_they_were_sent(
        shape in prop::collection::vec(0..4_usize, 0..4), obs_timestamps in stamps(), coupled: bool,
        seq: Option<u64>, ttl_ms in prop::option::of(magnitude()), sent in prop::option::of(finite()),
        id in prop::option::of(id()),
    ) {
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let values: Vec<f32> = (0..shape.iter().product()).map(|i| i as f32 - 0.5).collect();
        let marks = ActionMarks { seq, ttl_ms, sent };
        let header = ActionHeader { shape: &shape, obs_timestamps: &obs_timestamps, marks, id };
        let mut frame = Vec::new();
        if coupled { header.encode_coupled(&values, &mut frame) } else { header.encode(&values, &mut frame) }.unwrap();
        let read = ClientMessage::decode(&frame, Capabilities::all());
        let action = match read {
            Ok(ClientMessage::Action(action)) if coupled => action,
            Ok(ClientMessage::ApplyAction(action)) if !coupled => action,
            other => panic!("{other:?}"),
        };
        let view = action.array.view(&frame).unwrap();
        prop_assert_eq!((view.shape(), view.dtype()), (&shape[..], Dtype::Float32));
        prop_assert_eq!(view.f32s().collect::<Vec<_>>(), values);
        let too_many = [0.0; 65];
        prop_assert!(header.encode(&too_many, &mut Vec::new()).is_err());
        prop_assert_eq!((action.obs_timestamps, action.marks, action.id), (obs_timestamps, marks, id));
    }

    #[test]
    fn chunks_come_back_as_they_were_sent(
        (n, d) in rows(), obs_timestamps in stamps(), mode in mode(), id in id(), chunk: u64,
        (t0, dt) in (-1e6..1e6, 0.0..10.0), listed: bool, late in prop::option::of(magnitude()),
    ) {
        let every = ChunkTiming::Every { t0, dt };
        let due = ChunkTiming::Due((0..n).map(|row| every.due(row).unwrap()).collect());
        let timing = if listed { due } else { every };
        let (values, shape) = (vec![0.25; n * d], [n, d]);
        let header = ChunkHeader {
            id, chunk, shape, obs_timestamps: &obs_timestamps, timing: &timing, mode, late_limit_ms: late,
        };
        let mut frame = Vec::new();
        header.encode(&values, &mut frame).unwrap();
        let Ok(ClientMessage::Chunk(read)) = ClientMessage::decode(&frame, Capabilities::all()) else { panic!() };
        prop_assert_eq!((read.id, read.chunk, read.rows(), read.mode), (id, chunk, (n, d), mode));
        prop_assert_eq!((read.timing, read.late_limit_ms), (timing, late.unwrap_or(0.0)));
        prop_assert_eq!(read.array.view(&frame).unwrap().f32s().collect::<Vec<_>>(), values);
    }

    #[test]
    fn observations_come_back_as_they_were_sent(seen in seen()) {
        let (frame, arrays) = seen.frame();
        let message = ServerMessage::decode(&frame, Capabilities::all()).unwrap();
        prop_assert_eq!(message.id(), seen.id);
        let read = message.observation().unwrap();
        prop_assert_eq!((read.timestamp, &read.extra, read.align), (seen.timestamp, &seen.extra, seen.align));
        let stepped = |episode: Episode| if seen.kind == 2 { Episode { outcome: seen.outcome, ..episode } } else { episode };
        prop_assert_eq!(read.episode, seen.episode.map(stepped));
        let mut arrays = arrays.iter();
        prop_assert_eq!(read.cameras.len(), seen.cameras.len());
        for (read, sent) in read.cameras.iter().zip(&seen.cameras) {
            prop_assert_eq!((&read.name, read.timestamp), (&sent.name, sent.timestamp));
            prop_assert_eq!((read.intrinsics, read.extrinsics), (sent.k, sent.pose));
            prop_assert_eq!(read.n.zip(read.age_ms), sent.marks);
            let kind = match &read.image {
                Image::Raw(_) => 0,
                Image::Jpeg { .. } => 1,
                Image::Same { .. } => 2,
            };
            prop_assert_eq!((kind, read.image.shape()), (sent.picture, &[sent.size.0, sent.size.1, sent.size.2][..]));
            prop_assert_eq!(&frame[read.image.bytes()], &arrays.next().unwrap()[..]);
            prop_assert_eq!(read.depth.is_some(), sent.depth && sent.picture != 2);
            if let Some(depth) = &read.depth {
                prop_assert_eq!(depth.shape(), &[sent.size.0, sent.size.1]);
                prop_assert_eq!(&frame[depth.bytes()], &arrays.next().unwrap()[..]);
            }
        }
        prop_assert_eq!(read.proprios.len(), seen.proprios.len());
        for (read, (name, len)) in read.proprios.iter().zip(&seen.proprios) {
            prop_assert_eq!((&read.name, read.array.shape()), (name, &[*len][..]));
            prop_assert_eq!(&frame[read.array.bytes()], &arrays.next().unwrap()[..]);
        }
        match &message {
            ServerMessage::Observation(_) => prop_assert_eq!(seen.kind, 0),
            ServerMessage::Reset(reset) => {
                prop_assert_eq!((seen.kind, &reset.info, reset.extra_first), (1, &seen.info, false));
            }
            ServerMessage::Step(step) => {
                prop_assert_eq!((seen.kind, &step.info, step.outcome), (2, &seen.info, seen.outcome));
            }
            ServerMessage::Push(push) => prop_assert_eq!((seen.kind, push.mark), (3, seen.mark)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn no_header_makes_a_decoder_panic(
        kind in kind(), fields in prop::collection::btree_map(key(), value(), 0..16),
        payload in prop::collection::vec(any::<u8>(), 0..20), caps in capabilities(),
    ) {
        let mut entries: Vec<_> = fields.into_iter().map(|(key, value)| (Value::from(key), value)).collect();
        entries.push(("type".into(), kind.into()));
        let header = written(|out| rmpv::encode::write_value(out, &Value::Map(entries)).unwrap());
        let frame = [&u32::try_from(header.len()).unwrap().to_le_bytes(), &header[..], &payload].concat();
        for caps in [caps, Capabilities::NONE, Capabilities::all()] {
            if let Ok(message) = ClientMessage::decode(&frame, caps) {
                encode::client_survives(&message, &frame, caps);
            }
            if let Ok(message) = ServerMessage::decode(&frame, caps) {
                encode::server_survives(&message, &frame, caps);
            }
        }
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(header in prop::collection::vec(any::<u8>(), 0..64), length: Option<u32>) {
        let length = length.unwrap_or(u32::try_from(header.len()).unwrap()).to_le_bytes();
        let frame = [&length, &header[..]].concat();
        for frame in [&frame[..], &header] {
            let _ = (ClientMessage::decode(frame, Capabilities::all()), request_id(frame));
            let _ = ServerMessage::decode(frame, Capabilities::all());
        }
    }

    #[test]
    fn a_queue_stays_in_the_order_of_time_and_within_its_bound(
        chunks in prop::collection::vec((0..20_i32, 0..4_i32, 0..6_usize, mode(), 0..10_i32), 1..20), capacity in 0..12_usize,
    ) {
        let mut queue = ChunkQueue::new(capacity);
        for (t0, dt, n, mode, now) in chunks {
            let (now, before) = (f64::from(now), queue.len());
            let rows = (0..i32::try_from(n).unwrap()).map(|row| f64::from(t0 + row * dt)).map(|due| (due, due));
            match queue.push(now, 0.0, mode, rows) {
                Ok(queued) => {
                    prop_assert_eq!(queued.queued, queue.len());
                    prop_assert!(queued.dropped_late <= n);
                }
                Err(_) => prop_assert_eq!(queue.len(), before),
            }
            prop_assert!(queue.len() <= capacity);
            let mut last = f64::NEG_INFINITY;
            while let Some((due, row)) = queue.pop_due(now + 2.0) {
                prop_assert!(due == row && due <= now + 2.0 && due >= last);
                last = due;
            }
            prop_assert!(queue.next_due().is_none_or(|due| due > now + 2.0));
        }
    }
}

proptest! {
    // Some 1 000 cuts per case.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_frame_cut_anywhere_is_an_error(seen in seen(), (_, request) in plain_request(), (_, response) in plain_response()) {
        let (observation, _) = seen.frame();
        for cut in 0..observation.len() {
            prop_assert!(ServerMessage::decode(&observation[..cut], Capabilities::all()).is_err());
        }
        for cut in 0..response.len() {
            prop_assert!(ServerMessage::decode(&response[..cut], Capabilities::all()).is_err());
        }
        for cut in 0..request.len() {
            prop_assert!(ClientMessage::decode(&request[..cut], Capabilities::all()).is_err());
        }
    }

    #[test]
    fn an_action_cut_anywhere_is_an_error(obs_timestamps in stamps(), n in 1..8_usize, coupled: bool) {
        let header = ActionHeader { shape: &[n], obs_timestamps: &obs_timestamps, ..Default::default() };
        let mut frame = Vec::new();
        let values = vec![1.0; n];
        if coupled { header.encode_coupled(&values, &mut frame) } else { header.encode(&values, &mut frame) }.unwrap();
        for cut in 0..frame.len() {
            prop_assert!(ClientMessage::decode(&frame[..cut], Capabilities::NONE).is_err());
        }
    }
}
