//! Random messages of the policy wire, and their frames.

mod observations;

use proptest::prelude::*;
use waldo_protocol::policy::{
    Align, AppMap, CameraSettings, Capabilities, Capability, ChunkMode, ChunkResponse, ClientExt, ClientId,
    ClientMessage, ClockRequest, ClockResponse, Configure, Credit, Encoding, ErrorCode, ErrorReply, Freshness,
    LeaseEvent, LeaseOp, LeaseReason, LeaseRequest, LeaseResponse, Limits, MetadataRequest, MetadataResponse,
    ObsRequest, Region, RequestId, RobotId, ServerExt, ServerMessage, SimpleRequest, StatsResponse, StreamRef,
    Subscribe, Value, encode_stats,
};

pub(crate) use self::observations::seen;

pub(crate) fn id() -> impl Strategy<Value = RequestId> {
    (1_u64..1 << 53).prop_map(|id| RequestId::new(id).unwrap())
}

pub(crate) fn name() -> impl Strategy<Value = String> {
    "[a-z_:é]{0,6}"
}

pub(crate) fn finite() -> impl Strategy<Value = f64> {
    prop::num::f64::NORMAL | prop::num::f64::ZERO | prop::num::f64::SUBNORMAL
}

pub(crate) fn magnitude() -> impl Strategy<Value = f64> {
    finite().prop_map(f64::abs)
}

/// Names, each once.
pub(crate) fn names() -> impl Strategy<Value = Vec<String>> {
    prop::collection::btree_set(name(), 0..4).prop_map(|names| names.into_iter().collect())
}

pub(crate) fn stamps() -> impl Strategy<Value = Vec<(String, f64)>> {
    (names(), prop::collection::vec(finite(), 4)).prop_map(|(names, stamps)| names.into_iter().zip(stamps).collect())
}

/// Any value that msgpack has, with keys of this wire often enough to reach its depths.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::from),
        (0_u64..16).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        finite().prop_map(Value::from),
        any::<f32>().prop_filter("equal to itself", |n| !n.is_nan()).prop_map(Value::from),
        "[a-z0-9]{0,5}".prop_map(Value::from),
        prop::sample::select(vec!["uint8", "float32", "jpeg", "append", "acquire", "policy", "nearest"])
            .prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..4).prop_map(Value::from),
        (any::<i8>(), prop::collection::vec(any::<u8>(), 0..4)).prop_map(|(kind, bytes)| Value::Ext(kind, bytes)),
        Just((0..9).map(|_| Value::from(1)).collect()),
        Just((0..16).map(|_| Value::from(0.5)).collect()),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(key(), inner, 0..10)
                .prop_map(|map| Value::Map(map.into_iter().map(|(key, value)| (key.into(), value)).collect())),
        ]
    })
}

pub(crate) fn key() -> impl Strategy<Value = String> {
    let keys = "type id ext v want caps client robot limits data shape dtype obs_timestamps seq ttl_ms sent chunk t0 dt \
                due mode late_limit_ms timestamp cameras proprios extra info name intrinsics extrinsics image_shape \
                image_dtype image_offset image_size depth_shape depth_dtype depth_offset depth_size encoding n age_ms \
                same offset size reward terminated truncated episode driver stream hz credit add skipped t_send \
                newer_than wait_ms roi quality on depth align tolerance_ms op granted holder reason code message \
                retry_ms t1 t2 dropped_late queued";
    prop_oneof![9 => prop::sample::select(keys.split_whitespace().map(str::to_owned).collect::<Vec<_>>()), 1 => name()]
}

pub(crate) fn kind() -> impl Strategy<Value = &'static str> {
    let kinds = "metadata reset obs_request apply_action action action_chunk subscribe credit unsubscribe configure \
                 lease clock stats metadata_response obs_response reset_response step_response obs_push subscribed \
                 unsubscribed error configure_response chunk_response lease_response lease_event clock_response \
                 stats_response";
    prop::sample::select(kinds.split_whitespace().collect::<Vec<_>>())
}

pub(crate) fn app_map() -> impl Strategy<Value = AppMap> {
    prop::collection::vec((name(), value()), 0..3).prop_map(|entries| {
        let mut map = AppMap::default();
        entries.into_iter().for_each(|(key, value)| map.insert(key, value).unwrap());
        map
    })
}

pub(crate) fn capabilities() -> impl Strategy<Value = Capabilities> {
    prop::collection::vec(prop::sample::select(Capability::ALL), 0..12).prop_map(Capabilities::from_iter)
}

pub(crate) fn settings() -> impl Strategy<Value = CameraSettings> {
    let roi = (0..9_u32, 0..9_u32, 1..9_u32, 1..9_u32).prop_map(|(top, left, height, width)| Region {
        top,
        left,
        height,
        width,
    });
    let encoding = prop::sample::select(Encoding::ALL);
    let some = prop::option::of::<BoxedStrategy<[u32; 2]>>;
    (
        any::<(Option<bool>, Option<bool>)>(),
        some(prop::array::uniform2(1..9_u32).boxed()),
        prop::option::of(roi),
        prop::option::of(encoding),
        prop::option::of(1..=100_u8),
    )
        .prop_map(|((on, depth), size, roi, encoding, quality)| CameraSettings {
            on,
            size,
            roi,
            encoding,
            quality,
            depth,
        })
}

pub(crate) fn align() -> impl Strategy<Value = Option<Align>> {
    prop_oneof![
        Just(None),
        Just(Some(Align::Latest)),
        magnitude().prop_map(|tolerance_ms| Some(Align::Nearest { tolerance_ms }))
    ]
}

pub(crate) fn configure() -> impl Strategy<Value = Configure> {
    (id(), names(), prop::collection::vec(settings(), 4), align()).prop_map(|(id, names, settings, align)| Configure {
        id,
        cameras: names.into_iter().zip(settings).collect(),
        align,
    })
}

pub(crate) fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

/// Messages of a client without arrays, and their frames.
pub(crate) fn plain_request() -> impl Strategy<Value = (ClientMessage, Vec<u8>)> {
    let ext = (any::<u64>(), ".{0,5}", capabilities(), prop::option::of(any::<u64>())).prop_map(
        |(v, impl_name, want, client)| ClientExt { v, impl_name, want, client: client.map(ClientId::from_bits) },
    );
    let fresh = (stamps(), any::<u64>(), prop::option::of(magnitude())).prop_map(|(names, n, wait_ms)| Freshness {
        newer_than: names.into_iter().map(|(name, _)| (name, n)).collect(),
        wait_ms,
    });
    let some_names = prop::option::of::<BoxedStrategy<Vec<String>>>;
    prop_oneof![
        (prop::option::of(ext), prop::option::of(id())).prop_map(|(ext, id)| {
            let request = MetadataRequest { ext, id };
            let bytes = written(|out| request.encode(out));
            (ClientMessage::Metadata(request), bytes)
        }),
        prop::option::of(id()).prop_map(|id| {
            let request = SimpleRequest { id };
            (ClientMessage::Reset(request), written(|out| request.encode_reset(out)))
        }),
        (prop::option::of(fresh), prop::option::of(id())).prop_map(|(fresh, id)| {
            let request = ObsRequest { fresh, id };
            let bytes = written(|out| request.encode(out));
            (ClientMessage::ObsRequest(request), bytes)
        }),
        (
            id(),
            any::<(u64, u64, Option<bool>)>(),
            magnitude(),
            some_names(names().boxed()),
            some_names(names().boxed())
        )
            .prop_map(|(id, (stream, credit, depth), hz, cameras, proprios)| {
                let request = Subscribe { id, stream, hz, cameras, proprios, depth, credit };
                let bytes = written(|out| request.encode(out));
                (ClientMessage::Subscribe(request), bytes)
            }),
        any::<(u64, u64)>().prop_map(|(stream, add)| {
            let credit = Credit { stream, add };
            (ClientMessage::Credit(credit), written(|out| credit.encode(out)))
        }),
        (id(), any::<u64>()).prop_map(|(id, stream)| {
            let stream = StreamRef { id, stream };
            (ClientMessage::Unsubscribe(stream), written(|out| stream.encode_unsubscribe(out)))
        }),
        configure().prop_map(|request| {
            let bytes = written(|out| request.encode(out));
            (ClientMessage::Configure(request), bytes)
        }),
        (id(), prop::sample::select(LeaseOp::ALL), 0..1_u64 << 53).prop_map(|(id, op, ttl_ms)| {
            let request = LeaseRequest { id, op, ttl_ms };
            (ClientMessage::Lease(request), written(|out| request.encode(out)))
        }),
        (id(), finite()).prop_map(|(id, t0)| {
            let request = ClockRequest { id, t0 };
            (ClientMessage::Clock(request), written(|out| request.encode(out)))
        }),
        id().prop_map(|id| (ClientMessage::Stats { id }, written(|out| encode_stats(id, out)))),
    ]
}

/// Messages of a server without arrays, and their frames.
pub(crate) fn plain_response() -> impl Strategy<Value = (ServerMessage, Vec<u8>)> {
    let limits = (1_u64.., any::<u64>(), prop::option::of(magnitude()))
        .prop_map(|(max_inflight, max_chunk, action_timeout_ms)| Limits { max_inflight, max_chunk, action_timeout_ms });
    let robot = prop::option::of("[A-Za-z0-9._-]{1,64}".prop_map(|robot| RobotId::parse(&robot).unwrap()));
    let ext = (any::<u64>(), ".{0,5}", capabilities(), robot, limits, prop::option::of(app_map())).prop_map(
        |(v, impl_name, caps, robot, limits, cameras)| ServerExt { v, impl_name, caps, robot, limits, cameras },
    );
    let holder = || prop::option::of(name());
    prop_oneof![
        (app_map(), prop::option::of(ext), prop::option::of(id())).prop_map(|(data, ext, id)| {
            let response = MetadataResponse { data, ext, id };
            let bytes = written(|out| response.encode(out));
            (ServerMessage::Metadata(response), bytes)
        }),
        (prop::option::of(id()), prop::sample::select(ErrorCode::ALL), ".{0,9}", prop::option::of(magnitude()))
            .prop_map(|(id, code, message, retry_ms)| {
                let reply = ErrorReply { id, code, message, retry_ms };
                let bytes = written(|out| reply.encode(out));
                (ServerMessage::Error(reply), bytes)
            }),
        (id(), any::<u64>()).prop_map(|(id, stream)| {
            let stream = StreamRef { id, stream };
            (ServerMessage::Subscribed(stream), written(|out| stream.encode_subscribed(out)))
        }),
        (id(), any::<u64>()).prop_map(|(id, stream)| {
            let stream = StreamRef { id, stream };
            (ServerMessage::Unsubscribed(stream), written(|out| stream.encode_unsubscribed(out)))
        }),
        configure().prop_map(|response| {
            let bytes = written(|out| response.encode_response(out));
            (ServerMessage::Configured(response), bytes)
        }),
        (id(), any::<(u64, u64, u64)>()).prop_map(|(id, (chunk, dropped_late, queued))| {
            let response = ChunkResponse { id, chunk, dropped_late, queued };
            (ServerMessage::Chunk(response), written(|out| response.encode(out)))
        }),
        (id(), any::<bool>(), holder(), 0..1_u64 << 53).prop_map(|(id, granted, holder, ttl_ms)| {
            let response = LeaseResponse { id, granted, holder, ttl_ms };
            let bytes = written(|out| response.encode(out));
            (ServerMessage::Lease(response), bytes)
        }),
        (holder(), prop::sample::select(LeaseReason::ALL)).prop_map(|(holder, reason)| {
            let event = LeaseEvent { holder, reason };
            let bytes = written(|out| event.encode(out));
            (ServerMessage::LeaseEvent(event), bytes)
        }),
        (id(), finite(), finite(), finite()).prop_map(|(id, t0, t1, t2)| {
            let response = ClockResponse { id, t0, t1, t2 };
            (ServerMessage::Clock(response), written(|out| response.encode(out)))
        }),
        (id(), app_map()).prop_map(|(id, data)| {
            let response = StatsResponse { id, data };
            let bytes = written(|out| response.encode(out));
            (ServerMessage::Stats(response), bytes)
        }),
    ]
}

pub(crate) fn rows() -> impl Strategy<Value = (usize, usize)> {
    (0..5_usize, 1..4_usize)
}

pub(crate) fn mode() -> impl Strategy<Value = ChunkMode> {
    prop::sample::select(ChunkMode::ALL)
}
