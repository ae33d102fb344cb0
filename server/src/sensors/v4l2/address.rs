//! Which camera, and what to ask it for: `name=/dev/video0:1280x720@30`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A camera of this computer under a name of the user's choice.
///
/// Written `NAME=PATH`, `NAME=PATH:WIDTHxHEIGHT` or `NAME=PATH:WIDTHxHEIGHT@FPS`. Paths below `/dev/v4l/by-id` keep
/// their meaning when cameras are plugged in again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V4l2Address {
    /// The camera's name, for clients and logs.
    pub name: String,
    /// Its device.
    pub path: PathBuf,
    /// Width and height in pixels; `None` leaves it to the camera.
    pub size: Option<(u32, u32)>,
    /// Pictures per second; `None` leaves it to the camera.
    pub fps: Option<u32>,
}

/// Why a text is no [`V4l2Address`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum V4l2AddressError {
    /// Without a name or a path.
    #[error("expected NAME=PATH[:WIDTHxHEIGHT[@FPS]], such as tool=/dev/video0:1280x720@30")]
    Form,
    /// A size that cannot be encoded.
    #[error("{0}x{1}: sides must be even, from 16 to 8192 pixels")]
    Size(u32, u32),
    /// A frame rate of no use.
    #[error("{0} pictures per second: must be from 1 to 240")]
    Fps(u32),
}

impl FromStr for V4l2Address {
    type Err = V4l2AddressError;

    fn from_str(text: &str) -> Result<Self, V4l2AddressError> {
        let (name, rest) = text.split_once('=').ok_or(V4l2AddressError::Form)?;
        // Paths may have colons themselves.
        let (path, mode) = match rest.rsplit_once(':') {
            Some((path, mode)) => mode_of(mode).map_or((rest, None), |mode| (path, Some(mode))),
            None => (rest, None),
        };
        if name.trim().is_empty() || path.is_empty() {
            return Err(V4l2AddressError::Form);
        }
        let (size, fps) = mode.map_or((None, None), |(size, fps)| (Some(size), fps));
        if let Some((width, height)) = size
            && [width, height].iter().any(|side| !(16..=8192).contains(side) || !side.is_multiple_of(2))
        {
            return Err(V4l2AddressError::Size(width, height));
        }
        if let Some(fps) = fps.filter(|fps| !(1..=240).contains(fps)) {
            return Err(V4l2AddressError::Fps(fps));
        }
        Ok(Self { name: name.trim().to_owned(), path: path.into(), size, fps })
    }
}

type Mode = ((u32, u32), Option<u32>);

fn mode_of(text: &str) -> Option<Mode> {
    let (size, fps) = match text.split_once('@') {
        Some((size, fps)) => (size, Some(fps.parse().ok()?)),
        None => (text, None),
    };
    let (width, height) = size.split_once('x')?;
    Some(((width.parse().ok()?, height.parse().ok()?), fps))
}

impl fmt::Display for V4l2Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.path.display())?;
        if let Some((width, height)) = self.size {
            write!(f, ":{width}x{height}")?;
        }
        self.fps.map_or(Ok(()), |fps| write!(f, "@{fps}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_and_rate_may_be_left_out_and_paths_may_have_colons() {
        let by_path = "/dev/v4l/by-path/pci-0000:00:14.0-usb-0:1:1.0-video-index0";
        for (text, path, size, fps) in [
            ("a=/dev/video0", "/dev/video0", None, None),
            ("a=/dev/video0:640x480", "/dev/video0", Some((640, 480)), None),
            ("a=/dev/video2:1280x720@60", "/dev/video2", Some((1280, 720)), Some(60)),
            (&format!("a={by_path}"), by_path, None, None),
            (&format!("a={by_path}:320x240@5"), by_path, Some((320, 240)), Some(5)),
        ] {
            let address: V4l2Address = text.parse().unwrap();
            let expected = V4l2Address { name: "a".into(), path: path.into(), size, fps };
            assert_eq!(address, expected);
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_reason() {
        use V4l2AddressError::{Form, Fps, Size};
        for (text, expected) in [
            ("", Form),
            ("/dev/video0", Form),
            ("=/dev/video0", Form),
            ("a=", Form),
            ("a=:640x480", Form),
            ("a=/dev/video0:641x480", Size(641, 480)),
            ("a=/dev/video0:0x480", Size(0, 480)),
            ("a=/dev/video0:9000x480", Size(9000, 480)),
            ("a=/dev/video0:640x480@0", Fps(0)),
            ("a=/dev/video0:640x480@1000", Fps(1000)),
        ] {
            assert_eq!(text.parse::<V4l2Address>(), Err(expected), "{text}");
        }
    }
}
