//! What is logged when sensors are declared.

use super::*;

/// What is logged meanwhile.
fn logged(act: impl FnOnce()) -> Vec<String> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let subscriber = tracing_subscriber::fmt().with_writer(log.reopen().unwrap()).with_ansi(false).finish();
    tracing::subscriber::with_default(subscriber, act);
    std::fs::read_to_string(log.path()).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_stream_that_is_narrowed_is_warned_of_when_it_is_declared() {
    let hub = SensorHub::default();
    let declare = |name, dtype| hub.declare_proprio(ProprioConfig { dtype, ..ProprioConfig::new(name, 2) }).unwrap();
    assert_eq!(logged(|| declare("plain", Dtype::Float32)), [""; 0]);
    let lines = logged(|| {
        declare("wide", Dtype::Float64);
        for _ in 0..10 {
            hub.update_proprio("wide", &[0.1f64, 1e300]).unwrap();
        }
    });
    assert!(lines.len() == 1 && lines[0].contains("WARN") && lines[0].contains("float64"), "{lines:?}");
    assert!(lines[0].contains("wide"), "{lines:?}");
    assert_eq!(hub.snapshot().proprio("wide").unwrap().values().collect::<Vec<_>>(), [0.1f32, f32::INFINITY]);
}

#[test]
fn a_camera_that_cannot_be_video_is_not_offered_as_such_which_is_said_once() {
    let hub = SensorHub::default();
    let declare = |config| hub.declare_camera(config).unwrap();
    assert_eq!(logged(|| declare(CameraConfig::new("colour", 4, 4))), [""; 0]);
    let lines = logged(|| {
        declare(CameraConfig { channels: 1, ..CameraConfig::new("grey", 4, 4) });
        declare(CameraConfig { image_dtype: Dtype::Uint16, ..CameraConfig::new("deep", 4, 4) });
        declare(CameraConfig::new("odd", 3, 4));
        hub.update_image("odd", &[1u8; 36]).unwrap();
        hub.update_image("odd", &[1u8; 36]).unwrap();
    });
    let named = |line: &String, name: &str| line.contains("no video") && line.contains(name);
    assert!(lines.len() == 3 && named(&lines[2], "odd") && named(&lines[0], "grey"), "{lines:?}");
    let offered: Vec<_> = hub.cameras().iter().map(|camera| camera.name().to_owned()).collect();
    assert_eq!(offered, ["colour"]);
    assert_eq!(hub.snapshot().cameras.len(), 4);
}
