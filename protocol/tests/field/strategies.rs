//! Any message and any scene.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use waldo_protocol::field::{
    AddMesh, ArmLook, ArmState, AssetManifest, Bounds, Buttons, CharacterMode, ClientMessage, ControllerSample,
    ErrorMessage, Extension, Extensions, Haptic, Hello, HelloAck, InputAck, Join, Joined, Mesh, MeshAck, MeshChange,
    Overlay, OverlayAck, Person, PersonHand, ResetAck, SceneExtras, SceneMessage, SceneState, ServerMessage, Sphere,
    Status, Transform, Twist, UpdateOverlay, Workspace, XrInput, XrInputSample,
};

/// Any finite number, mostly such as scenes have.
pub(crate) fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -3.0..3.0,
        1 => any::<f64>().prop_filter("finite", |number| number.is_finite()),
        1 => prop::sample::select(vec![0.0, -0.0, 1.0, f64::MAX, f64::MIN_POSITIVE, 1e-320]),
    ]
}

fn three() -> impl Strategy<Value = [f64; 3]> {
    [number(), number(), number()]
}

fn rotation() -> impl Strategy<Value = [f64; 4]> {
    let part = || -1.0..1.0;
    [part(), part(), part(), part()].prop_map(|q: [f64; 4]| {
        let norm = q.iter().map(|part| part * part).sum::<f64>().sqrt();
        if norm < 0.1 { [0.0, 0.0, 0.0, 1.0] } else { q.map(|part| part / norm) }
    })
}

pub(crate) fn transform() -> impl Strategy<Value = Transform> {
    (three(), rotation()).prop_map(|(translation, rotation_xyzw)| Transform { translation, rotation_xyzw })
}

/// A text with quotes, backslashes and characters of several bytes.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-z_0-9]{1,8}", 1 => "[\"\\\\a-zäß\u{1F419}\u{7}]{1,6}"]
}

/// One that is not trimmed.
fn id() -> impl Strategy<Value = String> {
    "[a-z_0-9\"äß]{1,8}"
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), ".{0,20}"]
}

fn buttons() -> impl Strategy<Value = Buttons> {
    btree_map(name(), any::<bool>(), 0..4)
}

fn sample() -> impl Strategy<Value = XrInputSample> {
    let controller = (transform(), [three(), three()], number(), number(), [number(), number()], buttons()).prop_map(
        |(pose, [linear, angular], grip, trigger, joystick, buttons)| ControllerSample {
            pose,
            velocity: Twist { linear, angular },
            grip,
            trigger,
            joystick,
            buttons,
        },
    );
    (number(), transform(), btree_map(name(), controller, 1..4), buttons()).prop_map(
        |(timestamp, head_pose, controllers, actions)| XrInputSample { timestamp, head_pose, controllers, actions },
    )
}

fn extensions() -> impl Strategy<Value = Extensions> {
    vec(prop::sample::select(Extension::ALL.to_vec()), 0..4).prop_map(|list| list.into_iter().collect())
}

fn mode() -> impl Strategy<Value = CharacterMode> {
    prop::sample::select(CharacterMode::ALL.to_vec())
}

fn hello() -> impl Strategy<Value = Hello> {
    let user = (mode(), option::of(id()), option::of(1u32..)).prop_map(|(character_mode, user_id, count)| {
        Join::VrClient { character_mode, user_id, requested_arm_count: count }
    });
    let publisher = option::of(id()).prop_map(|owner_id| Join::Publisher { owner_id });
    let join = prop_oneof![user, Just(Join::Spectator), publisher];
    let token = || option::of(text());
    (option::of(text()), join, extensions(), token(), token(), option::of(0.1..=2.0)).prop_map(
        |(client, join, ext, token, resume_token, deadman_s)| Hello {
            client,
            join,
            ext,
            token,
            resume_token,
            deadman_s,
        },
    )
}

fn points() -> impl Strategy<Value = Vec<[f64; 3]>> {
    vec(three(), 0..5)
}

fn size() -> impl Strategy<Value = f64> {
    prop_oneof![0.001..10.0, Just(f64::MIN_POSITIVE)]
}

pub(crate) fn client_message() -> impl Strategy<Value = ClientMessage> {
    let add = (id(), "([A-Za-z0-9+/]{4}){1,5}", three(), rotation(), three(), any::<[bool; 2]>()).prop_map(
        |(mesh_id, data, translation, rotation_xyzw, scale, [visible, static_asset])| AddMesh {
            mime_type: "model/gltf+json".to_owned(),
            translation,
            rotation_xyzw,
            scale,
            visible,
            static_asset,
            ..AddMesh::new(mesh_id, data)
        },
    );
    let change = (id(), option::of(three()), option::of(rotation()), option::of(three()), any::<Option<bool>>())
        .prop_map(|(mesh_id, translation, rotation_xyzw, scale, visible)| MeshChange {
            mesh_id,
            translation,
            rotation_xyzw,
            scale,
            visible,
        });
    let overlay = (id(), points(), size(), any::<bool>()).prop_map(|(overlay_id, points, point_size, visible)| {
        UpdateOverlay { point_size, visible, ..UpdateOverlay::new(overlay_id, points.into()) }
    });
    prop_oneof![
        hello().prop_map(ClientMessage::Hello),
        (sample(), any::<Option<u32>>()).prop_map(|(sample, seq)| ClientMessage::XrInput(XrInput { sample, seq })),
        Just(ClientMessage::Heartbeat),
        Just(ClientMessage::Reset),
        Just(ClientMessage::SceneRequest),
        add.prop_map(ClientMessage::AddMesh),
        change.prop_map(ClientMessage::UpdateMeshTransform),
        id().prop_map(|mesh_id| ClientMessage::RemoveMesh { mesh_id }),
        Just(ClientMessage::ClearMeshes),
        overlay.prop_map(ClientMessage::UpdateOverlayPoints),
        id().prop_map(|overlay_id| ClientMessage::RemoveOverlayPoints { overlay_id }),
        Just(ClientMessage::ClearOverlayPoints),
        "[a-z]{1,4}_x".prop_map(ClientMessage::Unknown),
    ]
}

fn bounds() -> impl Strategy<Value = Bounds> {
    let workspace = three().prop_map(|min| Workspace::new(min, min.map(|c| c.max(c + 1.0))).unwrap());
    (number(), option::of(number()), any::<u32>(), number(), option::of(workspace)).prop_map(
        |(max_translation, max_speed, max_message, max_input_hz, workspace)| Bounds {
            max_translation,
            max_speed,
            max_message,
            max_input_hz,
            workspace,
        },
    )
}

fn hello_ack() -> impl Strategy<Value = HelloAck> {
    let user = (mode(), name(), vec(name(), 0..3)).prop_map(|(mode, user, arms)| Joined::vr_client(mode, user, arms));
    let spectator = name().prop_map(|user_id| Joined::Spectator { user_id });
    let publisher = name().prop_map(|owner_id| Joined::Publisher { owner_id });
    let joined = prop_oneof![user, spectator, publisher];
    (number(), joined, extensions(), option::of(bounds()), option::of(text())).prop_map(
        |(server_time, joined, ext, limits, resume_token)| HelloAck { server_time, joined, ext, limits, resume_token },
    )
}

fn lengths(count: usize) -> impl Strategy<Value = Vec<f64>> {
    vec(0.0..1.0, count)
}

/// An arm of up to four elements; mostly such as arms are.
fn arm() -> impl Strategy<Value = ArmState> {
    let of = |elements: usize| {
        let directors = prop_oneof![
            3 => vec(rotation().prop_map(waldo_protocol::field::rotation_director), elements),
            1 => vec([three(), three(), three()], 0..3),
        ];
        (
            option::of(name()),
            [transform(), transform()],
            vec(three(), elements + 1),
            prop_oneof![3 => lengths(elements), 1 => lengths(2)],
            prop_oneof![1 => lengths(elements), 1 => lengths(0)],
            directors,
            points(),
            any::<bool>(),
        )
            .prop_map(
                |(owner_user_id, [base, tip], centerline, radii, element_lengths, directors, contact_points, fault)| {
                    ArmState {
                        owner_user_id,
                        tip,
                        centerline,
                        radii,
                        element_lengths,
                        directors,
                        contact_points,
                        fault,
                        ..ArmState::new("", base)
                    }
                },
            )
    };
    (0..4usize).prop_flat_map(of)
}

fn mesh() -> impl Strategy<Value = Mesh> {
    (name(), "[a-c]{1,2}", three(), rotation(), three(), any::<[bool; 2]>()).prop_map(
        |(owner, data, translation, rotation_xyzw, scale, [visible, static_asset])| Mesh {
            translation,
            rotation_xyzw,
            scale,
            visible,
            static_asset,
            ..Mesh::new("", owner, format!("data:,{data}").into())
        },
    )
}

fn overlay() -> impl Strategy<Value = Overlay> {
    (name(), points(), size(), any::<bool>()).prop_map(|(owner, points, point_size, visible)| {
        UpdateOverlay { point_size, visible, ..UpdateOverlay::new("", points.into()) }.into_overlay(owner)
    })
}

fn sphere() -> impl Strategy<Value = Sphere> {
    (name(), three(), size(), three(), any::<bool>()).prop_map(|(owner, translation, radius, color_rgb, visible)| {
        Sphere { color_rgb, visible, ..Sphere::new("", owner, translation, radius) }
    })
}

fn haptic() -> impl Strategy<Value = Haptic> {
    (name(), any::<bool>(), 0.0..1.0).prop_map(|(arm_id, active, intensity)| Haptic { arm_id, active, intensity })
}

fn person() -> impl Strategy<Value = Person> {
    let hand = (transform(), number(), number()).prop_map(|(pose, grip, trigger)| PersonHand { pose, grip, trigger });
    (transform(), btree_map(name(), hand, 0..3)).prop_map(|(head_pose, controllers)| Person { head_pose, controllers })
}

/// Entries under a few names, so that two scenes have some in common.
fn entries<T: std::fmt::Debug>(entry: impl Strategy<Value = T>) -> impl Strategy<Value = BTreeMap<String, T>> {
    btree_map("[a-d]", entry, 0..3)
}

pub(crate) fn scene() -> impl Strategy<Value = SceneState> {
    (
        number(),
        entries(arm()),
        entries(transform()),
        entries(vec(name(), 0..3)),
        entries(mesh()),
        entries(overlay()),
        entries(sphere()),
        vec(haptic(), 0..2),
        entries(person()),
    )
        .prop_map(
            |(
                timestamp,
                mut arms,
                scenery,
                user_arms,
                mut meshes,
                mut overlay_points,
                mut spheres,
                haptics,
                people,
            )| {
                arms.iter_mut().for_each(|(id, arm)| arm.arm_id.clone_from(id));
                meshes.iter_mut().for_each(|(id, mesh)| mesh.mesh_id.clone_from(id));
                overlay_points.iter_mut().for_each(|(id, overlay)| overlay.overlay_id.clone_from(id));
                spheres.iter_mut().for_each(|(id, sphere)| sphere.sphere_id.clone_from(id));
                SceneState { timestamp, arms, scenery, user_arms, meshes, overlay_points, spheres, haptics, people }
            },
        )
}

fn extras() -> impl Strategy<Value = SceneExtras> {
    let ack = (any::<u32>(), number(), number(), any::<u32>()).prop_map(|(seq, recv_ts, age_ms, lost)| InputAck {
        seq,
        recv_ts,
        age_ms,
        lost,
    });
    let names = || vec(name(), 0..3);
    (option::of(ack), names(), any::<bool>(), names()).prop_map(|(input_ack, clamped, paused, away)| SceneExtras {
        input_ack,
        clamped,
        paused,
        away,
    })
}

pub(crate) fn server_message() -> impl Strategy<Value = ServerMessage> {
    let status = || prop::sample::select(Status::ALL.to_vec());
    let mesh_ack = (name(), option::of(name()), status(), any::<Option<bool>>()).prop_map(
        |(owner_id, mesh_id, status, changed)| ServerMessage::MeshAck(MeshAck { owner_id, mesh_id, status, changed }),
    );
    let overlay_ack = (name(), option::of(name()), status(), any::<Option<bool>>()).prop_map(
        |(owner_id, overlay_id, status, changed)| {
            ServerMessage::OverlayAck(OverlayAck { owner_id, overlay_id, status, changed })
        },
    );
    let look = "#[0-9a-f]{6}".prop_map(|color| ArmLook { color });
    let manifest = (name(), btree_map(name(), look, 0..3))
        .prop_map(|(user_id, arms)| ServerMessage::AssetManifest(AssetManifest { user_id, arms }));
    let error = (text(), option::of(name()), option::of(name()))
        .prop_map(|(reason, code, request_type)| ServerMessage::Error(ErrorMessage { reason, code, request_type }));
    let full =
        (scene(), option::of((any::<u32>(), vec(name(), 0..3))), extras()).prop_map(|(scene, numbered, extras)| {
            let (frame, arm_table) = numbered.unzip();
            let message = SceneMessage { scene, frame, arm_table: arm_table.unwrap_or_default(), extras };
            ServerMessage::SceneState(Box::new(message))
        });
    prop_oneof![
        hello_ack().prop_map(ServerMessage::HelloAck),
        (name(), vec(name(), 0..3)).prop_map(|(user, arms)| ServerMessage::ResetAck(ResetAck::new(user, arms))),
        manifest,
        mesh_ack,
        overlay_ack,
        error,
        full,
    ]
}
