//! The map around the robot, and where the robot is on it, for the operator.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use waldo_protocol::geometry::{Pose, World};
use waldo_protocol::hosted::{MAX_MAP_MESSAGE, MIN_CELL, MapMessage, MapPicture, OccupancyGrid, Odom};

use super::service::{Service, now};
use crate::rtc::Channel;

/// A map that does not change is sent again after this time, for its way may lose it.
const AGAIN: Duration = Duration::from_secs(2);

/// Sends maps and places while somebody takes them.
pub(super) async fn tell(service: Arc<Service>, ended: CancellationToken) {
    let settings = &service.settings;
    let period = |hz: f64| Duration::from_secs_f64(1.0 / hz);
    let (mut places, mut maps) = (interval(period(settings.odom_hz)), interval(period(settings.map_hz)));
    places.set_missed_tick_behavior(MissedTickBehavior::Skip);
    maps.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut sent: Option<Sent> = None;
    // On threads for what takes long: this one also watches the connection.
    let mut drawn: Option<JoinHandle<Sent>> = None;
    loop {
        tokio::select! {
            () = ended.cancelled() => return,
            _ = places.tick() => {
                let base = service.robot.hub.proprio().and_then(|reading| Some(reading.base.as_ref()?.pose));
                if let (Some(way), Some(pose)) = (service.map(), base) {
                    send(&way, &MapMessage::Odom(place(&pose, now().unix))).await;
                }
            }
            _ = maps.tick(), if drawn.is_none() => {
                if service.map().is_none() {
                    sent = None;
                    continue;
                }
                let Some(grid) = service.robot.hub.map() else { continue };
                let now = now().unix;
                let same = sent.as_mut().filter(|sent| Arc::ptr_eq(&sent.grid, &grid));
                match same {
                    Some(sent) if now - sent.at < AGAIN.as_secs_f64() => {}
                    Some(sent) => sent.send(&service, now).await,
                    None => {
                        let draw = move || Sent { picture: picture(&grid), grid, at: now };
                        drawn = Some(tokio::task::spawn_blocking(draw));
                    }
                }
            }
            drawing = async { drawn.as_mut()?.await.ok() }, if drawn.is_some() => {
                drawn = None;
                if let Some(mut new) = drawing {
                    new.send(&service, now().unix).await;
                    sent = Some(new);
                }
            }
        }
    }
}

/// The map that was sent last.
struct Sent {
    grid: Arc<OccupancyGrid>,
    picture: Option<MapPicture>,
    at: f64,
}

impl Sent {
    /// Sends it, if it can be sent and somebody takes it.
    async fn send(&mut self, service: &Service, now: f64) {
        self.at = now;
        if let (Some(picture), Some(way)) = (&self.picture, service.map()) {
            send(&way, &MapMessage::Map(MapPicture { stamp: now, ..picture.clone() })).await;
        }
    }
}

async fn send(way: &Channel, message: &MapMessage) {
    if let Err(error) = way.send(message.encode().as_bytes()).await {
        tracing::debug!(%error, "the map is not sent");
    }
}

fn place(pose: &Pose<World>, ts: f64) -> Odom {
    let (position, forward) = (pose.position(), pose.orientation() * glam::DVec3::X);
    Odom { x: position.x, y: position.y, yaw: forward.y.atan2(forward.x), ts }
}

/// The map as a picture whose message is not too long: coarser by two, again and again, until it fits. None if it never does.
fn picture(grid: &OccupancyGrid) -> Option<MapPicture> {
    let mut grid = grid.no_finer_than(MIN_CELL)?;
    let mut reduced = false;
    loop {
        let picture = MapPicture {
            fmt: "png".into(),
            w: u32::try_from(grid.width()).ok()?,
            h: u32::try_from(grid.height()).ok()?,
            res: grid.cell(),
            origin: grid.origin(),
            stamp: f64::MAX,
            png_b64: STANDARD.encode(png(&grid)?),
            reduced,
        };
        if MapMessage::Map(picture.clone()).encode().len() <= MAX_MAP_MESSAGE {
            return Some(picture);
        }
        (grid, reduced) = (grid.coarsened(2)?, true);
    }
}

fn png(grid: &OccupancyGrid) -> Option<Vec<u8>> {
    let mut file = Vec::new();
    let (width, height) = (u32::try_from(grid.width()).ok()?, u32::try_from(grid.height()).ok()?);
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header().ok()?.write_image_data(&grid.pixels()).ok()?;
    Some(file)
}

#[cfg(test)]
mod tests {
    use glam::{DQuat, DVec3};

    use super::*;

    #[test]
    fn a_map_is_sent_as_a_picture_of_its_cells() {
        let cells = vec![0, 100, -1, 50, 0, 0];
        let grid = OccupancyGrid::new(3, 2, 0.1, [-1.0, 2.0], cells).unwrap();
        let picture = picture(&grid).unwrap();
        assert_eq!((picture.w, picture.h, picture.res, picture.reduced), (3, 2, 0.1, false));
        let file = STANDARD.decode(&picture.png_b64).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!(pixels[..12], [30, 58, 68, 255, 255, 255, 255, 255, 0, 0, 0, 0]);
    }

    #[test]
    fn a_map_that_would_be_too_large_is_made_coarser_until_it_fits() {
        let mut number = 1u32;
        let mut cell = || {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            [-1, 0, 50, 100][(number >> 24) as usize % 4]
        };
        let cells: Vec<i8> = (0..1000 * 1000).map(|_| cell()).collect();
        let grid = OccupancyGrid::new(1000, 1000, 0.1, [0.0, 0.0], cells).unwrap();
        let picture = picture(&grid).unwrap();
        assert!(picture.reduced && picture.res > 0.1);
        let message = MapMessage::Map(picture).encode();
        assert!(message.len() <= MAX_MAP_MESSAGE, "{}", message.len());
    }

    #[test]
    fn a_place_has_the_heading_of_the_base() {
        let pose = Pose::new(DVec3::new(1.0, 2.0, 0.0), DQuat::from_rotation_z(0.5)).unwrap();
        let odom = place(&pose, 7.0);
        assert!((odom.yaw - 0.5).abs() < 1e-9 && (odom.x, odom.y, odom.ts) == (1.0, 2.0, 7.0));
    }
}
