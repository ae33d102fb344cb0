//! What the decoders refuse, and what it costs them.

use waldo_protocol::policy::{
    AppMap, ArrayHeader, Capabilities, Capability, ClientMessage, Dtype, MAX_DEPTH, MAX_VALUES, MsgpackProblem, Owner,
    Problem, ServerMessage, Value, WireError, request_id,
};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// A frame of a header that is given as a value.
fn frame(header: &Value, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, header).unwrap();
    raw_frame(&bytes, payload)
}

fn raw_frame(header: &[u8], payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(header.len()).unwrap().to_le_bytes();
    [&len, header, payload].concat()
}

fn map(entries: &[(&str, Value)]) -> Value {
    Value::Map(entries.iter().map(|(key, value)| (Value::from(*key), value.clone())).collect())
}

fn list(values: &[i64]) -> Value {
    values.iter().map(|n| Value::from(*n)).collect()
}

fn client(frame: &[u8]) -> Result<ClientMessage, WireError> {
    ClientMessage::decode(frame, Capabilities::all())
}

fn action(shape: Value, dtype: &str, payload: &[u8]) -> Result<ClientMessage, WireError> {
    let header = map(&[("type", "apply_action".into()), ("shape", shape), ("dtype", dtype.into())]);
    client(&frame(&header, payload))
}

fn problem(result: Result<ClientMessage, WireError>) -> Problem {
    match result.unwrap_err() {
        WireError::Field { of: Owner::Message, problem, .. } => problem,
        other => panic!("{other}"),
    }
}

#[test]
fn claimed_lengths_cost_nothing_but_an_error() {
    // Array, map, text, bytes and ext of 2^32 - 1 elements under a key.
    for marker in [0xdd, 0xdf, 0xdb, 0xc6, 0xc9] {
        for key in [&b"\xa4data"[..], b"\xa5shape", b"\xaeobs_timestamps", b"\xa1x"] {
            let header = [b"\x82\xa4type\xb1metadata_response", key, &[marker, 0xff, 0xff, 0xff, 0xff]].concat();
            let truncated = Some(MsgpackProblem::Truncated);
            let error = ServerMessage::decode(&raw_frame(&header, &[]), Capabilities::all()).unwrap_err();
            let WireError::Msgpack { problem, .. } = error else { panic!("{error}") };
            assert_eq!(Some(problem), truncated, "{marker:x}");
        }
    }
    // The header itself.
    let error = client(&raw_frame(&[0xdf, 0xff, 0xff, 0xff, 0xff], &[])).unwrap_err();
    assert_eq!(error, WireError::Msgpack { at: 5, problem: MsgpackProblem::Truncated });
}

#[test]
fn nesting_is_taken_to_its_limit_and_no_deeper() {
    // The header's map is the first level.
    let nested = |arrays: usize| {
        let mut header = b"\x82\xa4type\xabobs_request\xa1x".to_vec();
        header.extend(std::iter::repeat_n(0x91, arrays));
        header.push(0xc0);
        client(&raw_frame(&header, &[]))
    };
    assert!(nested(MAX_DEPTH - 1).is_ok());
    for levels in [MAX_DEPTH, 100_000] {
        let error = nested(levels).unwrap_err();
        assert!(matches!(error, WireError::Msgpack { problem: MsgpackProblem::TooDeep, .. }), "{error}");
    }
}

#[test]
fn what_an_application_map_takes_is_what_a_peer_reads() {
    let nested = |levels: usize| (0..levels).fold(Value::Nil, |inner, _| Value::Array(vec![inner]));
    let mut data = AppMap::default();
    data.insert("deep", nested(MAX_DEPTH - 2)).unwrap();
    assert_eq!(data.insert("deeper", nested(MAX_DEPTH - 1)).unwrap_err().key, "deeper");
    assert!(data.insert("keys", Value::Map(vec![(1.into(), 2.into())])).is_err());
    let mut bytes = Vec::new();
    let response = waldo_protocol::policy::MetadataResponse { data, ..Default::default() };
    response.encode(&mut bytes);
    assert_eq!(ServerMessage::decode(&bytes, Capabilities::NONE), Ok(ServerMessage::Metadata(response)));
}

#[test]
fn an_application_map_of_too_many_values_is_refused() {
    let respond = |values: usize| {
        let data = map(&[("many", Value::Array(vec![Value::Nil; values]))]);
        let header = map(&[("type", "metadata_response".into()), ("data", data)]);
        ServerMessage::decode(&frame(&header, &[]), Capabilities::NONE)
    };
    // The list itself is a value too.
    assert!(respond(MAX_VALUES - 1).is_ok());
    let error = respond(MAX_VALUES).unwrap_err();
    assert!(matches!(error, WireError::Msgpack { problem: MsgpackProblem::TooManyValues, .. }), "{error}");
}

#[test]
fn a_header_has_at_most_a_thousand_keys() {
    let read = |keys: usize| {
        let mut header = vec![(Value::from("type"), Value::from("reset"))];
        header.extend((1..keys).map(|n| (format!("x{n}").into(), Value::Nil)));
        client(&frame(&Value::Map(header), &[]))
    };
    assert!(read(1024).is_ok());
    let error = read(1025).unwrap_err();
    assert!(matches!(error, WireError::Msgpack { problem: MsgpackProblem::TooManyKeys, .. }), "{error}");
}

#[test]
fn every_kind_of_value_survives_in_metadata() {
    let mut data = AppMap::default();
    for (key, value) in [
        ("nil", Value::Nil),
        ("flag", true.into()),
        ("largest", u64::MAX.into()),
        ("smallest", i64::MIN.into()),
        ("single", 0.5_f32.into()),
        ("double", 0.1.into()),
        ("text", "\u{1f916}".into()),
        ("bytes", vec![0, 255].into()),
        ("list", list(&[1, -1])),
        ("map", map(&[("inner", Value::Nil)])),
        ("ext", Value::Ext(-1, vec![0, 0, 0, 0])),
    ] {
        data.insert(key, value).unwrap();
    }
    let response = waldo_protocol::policy::MetadataResponse { data, ..Default::default() };
    let mut bytes = Vec::new();
    response.encode(&mut bytes);
    assert_eq!(ServerMessage::decode(&bytes, Capabilities::NONE), Ok(ServerMessage::Metadata(response)));
}

#[test]
fn the_last_of_duplicate_keys_counts_at_every_level() {
    let twice = |key: &str, first: Value, last: Value| Value::Map(vec![(key.into(), first), (key.into(), last)]);
    let inner = map(&[("inner", twice("k", 1.into(), 2.into()))]);
    let header = Value::Map(vec![
        ("type".into(), "nope".into()),
        ("data".into(), twice("k", Value::Nil, inner)),
        ("type".into(), "metadata_response".into()),
    ]);
    let Ok(ServerMessage::Metadata(response)) = ServerMessage::decode(&frame(&header, &[]), Capabilities::NONE) else {
        panic!("not read")
    };
    let expected = map(&[("inner", map(&[("k", 2.into())]))]);
    assert_eq!(response.data.iter().collect::<Vec<_>>(), [("k", &expected)]);
}

#[test]
fn text_must_be_utf8_and_keys_must_be_text_even_where_nobody_reads() {
    for (bytes, expected) in [
        (&b"\x82\xa4type\xa5reset\xa1x\xa1\xff"[..], MsgpackProblem::NotUtf8),
        (b"\x82\xa4type\xa5reset\xa1x\x81\x01\x01", MsgpackProblem::KeyNotText),
        (b"\x82\xa4type\xa5reset\xa1x\xc1", MsgpackProblem::Reserved),
        (b"\x81\xa4type\xa5reset\xc0", MsgpackProblem::Trailing),
    ] {
        let error = client(&raw_frame(bytes, &[])).unwrap_err();
        assert!(matches!(error, WireError::Msgpack { problem, .. } if problem == expected), "{error}");
    }
}

#[test]
fn unknown_keys_may_hold_anything() {
    let header = map(&[("x", Value::Ext(5, vec![1])), ("type", "reset".into()), ("y", list(&[1]))]);
    assert!(matches!(client(&frame(&header, b"stray")), Ok(ClientMessage::Reset(_))));
}

#[test]
fn types_are_told_apart_by_case_and_need_not_be_text() {
    for kind in ["Reset", "RESET", " reset", "obs_response"] {
        let read = client(&frame(&map(&[("type", kind.into())]), &[]));
        assert_eq!(read, Ok(ClientMessage::Unknown { kind: Some(kind.to_owned()), id: None }));
    }
    let read = client(&frame(&map(&[("type", 1.into()), ("id", 7.into())]), &[])).unwrap();
    assert!(matches!(&read, ClientMessage::Unknown { kind: None, .. }));
    assert_eq!(read.id().unwrap().get(), 7);
}

#[test]
fn shapes_are_multiplied_without_overflow() {
    let huge = i64::MAX;
    assert_eq!(problem(action(list(&[huge, huge]), "float32", &[])), Problem::Overflow);
    // Zero elsewhere does not make it a shape.
    assert_eq!(problem(action(list(&[0, huge, huge]), "float32", &[])), Problem::Overflow);
    assert_eq!(problem(action(list(&[huge, huge, 0]), "uint8", &[])), Problem::Overflow);
    assert_eq!(problem(action(list(&[1; 33]), "uint8", &[1])), Problem::TooManyDimensions { dimensions: 33, max: 32 });
    assert!(action(list(&[1; 32]), "uint8", &[1]).is_ok());
    assert!(ArrayHeader::new(Dtype::Float64, &[usize::MAX]).is_err());
}

#[test]
fn a_shape_without_dimensions_is_one_element() {
    assert!(action(list(&[]), "float32", &[0; 4]).is_ok());
    assert_eq!(problem(action(list(&[]), "float32", &[])), Problem::Size { actual: 0, expected: 4 });
}

#[test]
fn every_element_type_is_read_at_any_alignment() {
    for dtype in Dtype::ALL {
        let one: &[u8] = match dtype {
            Dtype::Float16 => &[0x00, 0x3c],
            Dtype::Float32 => &[0, 0, 0x80, 0x3f],
            Dtype::Float64 => &[0, 0, 0, 0, 0, 0, 0xf0, 0x3f],
            other => &[1, 0, 0, 0, 0, 0, 0, 0][..other.item_size()],
        };
        for pad in 0..8 {
            let header = map(&[
                ("type", "apply_action".into()),
                ("shape", list(&[2])),
                ("dtype", dtype.name().into()),
                ("pad", "x".repeat(pad).into()),
            ]);
            let bytes = frame(&header, &[one, one].concat());
            let ClientMessage::ApplyAction(action) = client(&bytes).unwrap() else { panic!("{dtype:?}") };
            let view = action.array.view(&bytes).unwrap();
            assert_eq!((view.f32s().collect::<Vec<_>>(), view.len()), (vec![1.0, 1.0], 2), "{dtype:?}");
            assert_eq!(&bytes[action.array.bytes()], view.data());
            assert!(action.array.view(&bytes[..bytes.len() - 1]).is_none());
        }
    }
}

#[test]
fn aligned_elements_are_seen_without_a_copy() {
    // Somewhere in eight frames the payload lies aligned, and somewhere it does not.
    let slices: Vec<bool> = (0..8)
        .map(|pad| {
            let pad = ("pad", Value::from("x".repeat(pad)));
            let shape = [("type", "apply_action".into()), ("shape", list(&[2])), ("dtype", "float32".into()), pad];
            let bytes = frame(&map(&shape), &[0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
            let ClientMessage::ApplyAction(action) = client(&bytes).unwrap() else { panic!("no action") };
            let view = action.array.view(&bytes).unwrap();
            assert!(view.slice::<u32>().is_none() && view.slice::<f64>().is_none());
            view.slice::<f32>().inspect(|slice| assert_eq!(*slice, [1.0, -2.0])).is_some()
        })
        .collect();
    assert_eq!(slices.iter().filter(|aligned| **aligned).count(), 2, "{slices:?}");
}

#[test]
fn chunks_that_contradict_themselves_are_bad_requests() {
    let chunk = |changes: &[(&str, Value)], payload: &[u8]| {
        let mut header = vec![
            ("type", "action_chunk".into()),
            ("id", 3.into()),
            ("chunk", 1.into()),
            ("shape", list(&[2, 1])),
            ("dtype", "float32".into()),
            ("mode", "append".into()),
        ];
        header.extend(changes.iter().cloned());
        let bytes = frame(&map(&header), payload);
        (client(&bytes), request_id(&bytes).map(|id| id.get()))
    };
    let (t0, dt) = (("t0", 1.into()), ("dt", 0.5.into()));
    let due = |due: &[i64]| ("due", list(due));
    assert!(chunk(&[t0.clone(), dt.clone()], &[0; 8]).0.is_ok());
    assert!(chunk(&[due(&[1, 1])], &[0; 8]).0.is_ok());
    for wrong in [
        vec![],
        vec![t0.clone()],
        vec![dt.clone()],
        vec![t0.clone(), dt, due(&[1, 2])],
        vec![t0.clone(), due(&[1, 2])],
        vec![t0, ("dt", (-0.5).into())],
        vec![due(&[2, 1])],
        vec![("due", Value::Array(vec![1.into(), f64::NAN.into()]))],
        vec![due(&[1, 2]), ("mode", "insert".into())],
        vec![due(&[1, 2]), ("shape", list(&[2]))],
        vec![due(&[1, 2]), ("id", 0.into())],
    ] {
        let (read, id) = chunk(&wrong, &[0; 8]);
        let error = read.unwrap_err();
        assert_eq!(error.code().name(), "bad_request", "{wrong:?}: {error}");
        // The error reply knows whom to answer.
        assert_eq!(id, if wrong.iter().any(|(key, _)| *key == "id") { None } else { Some(3) });
    }
    assert_eq!(chunk(&[due(&[1])], &[0; 8]).0.unwrap_err().code().name(), "malformed");
    assert_eq!(chunk(&[due(&[1, 2, 3])], &[0; 8]).0.unwrap_err().code().name(), "too_large");
    // Rows without values would cost nothing to claim.
    let empty_rows = [("t0", 1.into()), ("dt", 0.into()), ("shape", list(&[1 << 30, 0]))];
    assert_eq!(chunk(&empty_rows, &[]).0.unwrap_err().code().name(), "bad_request");
}

#[test]
fn what_was_not_negotiated_does_not_exist() {
    let requests = [
        (Capability::Push, map(&[("type", "credit".into()), ("stream", 1.into()), ("add", 1.into())])),
        (Capability::Stats, map(&[("type", "stats".into()), ("id", 1.into())])),
        (Capability::Clock, map(&[("type", "clock".into()), ("id", 1.into()), ("t0", 0.into())])),
        (
            Capability::Lease,
            map(&[("type", "lease".into()), ("id", 1.into()), ("op", "renew".into()), ("ttl_ms", 1.5.into())]),
        ),
        (Capability::Enc, map(&[("type", "configure".into()), ("id", 1.into())])),
    ];
    for (capability, header) in requests {
        let bytes = frame(&header, &[]);
        let with = ClientMessage::decode(&bytes, Capabilities::all()).unwrap();
        let without = ClientMessage::decode(&bytes, Capabilities::all().without(capability)).unwrap();
        assert!(!matches!(with, ClientMessage::Unknown { .. }), "{capability:?}");
        assert!(matches!(without, ClientMessage::Unknown { .. }), "{capability:?}");
    }
    // Keys of others with the names of ours are none of our business.
    let header = map(&[("type", "obs_request".into()), ("id", "x".into()), ("wait_ms", list(&[]))]);
    let read = ClientMessage::decode(&frame(&header, &[]), Capabilities::NONE);
    assert_eq!(read, Ok(ClientMessage::ObsRequest(Default::default())));
    assert!(client(&frame(&header, &[])).is_err());
}

#[test]
fn peers_use_what_both_have() {
    let some = |capabilities: &[Capability]| capabilities.iter().copied().collect::<Capabilities>();
    let header = map(&[
        ("type", "metadata".into()),
        (
            "ext",
            map(&[
                ("v", 9.into()),
                ("want", Value::Array(vec!["push".into(), "hologram".into(), "id".into()])),
                ("client", "no hexadecimal".into()),
            ]),
        ),
    ]);
    let Ok(ClientMessage::Metadata(request)) = ClientMessage::decode(&frame(&header, &[]), Capabilities::NONE) else {
        panic!("not read")
    };
    let ext = request.ext.as_ref().unwrap();
    assert_eq!((ext.v, &ext.client, ext.impl_name.as_str()), (9, &None, ""));
    let offered = some(&[Capability::Id, Capability::Err]);
    assert_eq!(request.agreed(offered), some(&[Capability::Id]));
    let header = map(&[
        ("type", "metadata_response".into()),
        ("ext", map(&[("caps", Value::Array(vec!["id".into(), "err".into(), 7.into()]))])),
    ]);
    let Ok(ServerMessage::Metadata(response)) = ServerMessage::decode(&frame(&header, &[]), Capabilities::NONE) else {
        panic!("not read")
    };
    // A list that is not one of texts has no names.
    assert_eq!(response.agreed(Capabilities::all()), Capabilities::NONE);
    assert_eq!(response.ext.unwrap().limits.max_inflight, 1);
}
