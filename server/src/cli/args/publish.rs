//! Flags of `waldo field publish`.

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand, ValueHint};

use super::{DataArgs, LogArgs};
use crate::config::Settings;

#[derive(Debug, Args)]
pub(in crate::cli) struct FieldCommandArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: FieldCommand,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum FieldCommand {
    /// Put a mesh or a cloud of points into a field, for as long as this runs
    Publish(PublishArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct PublishArgs {
    /// Address of the field, with its token if it needs one: wss://robot:8000/field?token=…, ws://robot:8765/?token=…
    #[arg(long, value_name = "URL", default_value = "wss://127.0.0.1:8000/field")]
    pub(in crate::cli) url: String,
    /// Name that owns what is published [default: one that the field assigns]
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) owner: Option<String>,
    /// Mesh to put there (glTF binary)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(in crate::cli) mesh: Option<PathBuf>,
    /// Cloud of points to put there: lines of x, y, z, or PLY as text; metres, y up
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(in crate::cli) points: Option<PathBuf>,
    /// Name of mesh and points in the field [default: that of the file]
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) id: Option<String>,
    /// Where the mesh stands: x,y,z in metres, y up
    #[arg(long, value_name = "X,Y,Z", default_value = "0,0,0", allow_hyphen_values = true, value_parser = triple)]
    pub(in crate::cli) position: [f64; 3],
    /// How the mesh is turned: a quaternion x,y,z,w
    #[arg(long, value_name = "X,Y,Z,W", default_value = "0,0,0,1", allow_hyphen_values = true,
        value_parser = numbers::<4>)]
    pub(in crate::cli) rotation: [f64; 4],
    /// Scale of the mesh: one factor, or one for each of its axes
    #[arg(long, value_name = "S|X,Y,Z", default_value = "1", value_parser = scale)]
    pub(in crate::cli) scale: [f64; 3],
    /// Diameter of the points, metres
    #[arg(long, value_name = "METRES", default_value_t = waldo_protocol::field::POINT_SIZE)]
    pub(in crate::cli) point_size: f64,
    /// Send the data of the mesh to each viewer once only; without it viewers of the original get it in every frame
    #[arg(long = "static", value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_value_t = true, default_missing_value = "true")]
    pub(in crate::cli) is_static: bool,
    /// Certificate to trust with wss (PEM) [default: the one that this computer serves]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(in crate::cli) trust: Option<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    pub(in crate::cli) log: LogArgs,
}

impl PublishArgs {
    pub(in crate::cli) fn settings(&self) -> Settings {
        self.data.settings()
    }
}

fn numbers<const N: usize>(text: &str) -> Result<[f64; N], String> {
    let numbers: Option<Vec<f64>> =
        text.split(',').map(|number| number.trim().parse().ok().filter(|number: &f64| number.is_finite())).collect();
    let numbers = numbers.and_then(|numbers| <[f64; N]>::try_from(numbers).ok());
    numbers.ok_or_else(|| format!("`{text}` is not {N} numbers with commas between them"))
}

fn triple(text: &str) -> Result<[f64; 3], String> {
    numbers::<3>(text)
}

fn scale(text: &str) -> Result<[f64; 3], String> {
    numbers::<1>(text).map(|[all]| [all; 3]).or_else(|_| numbers::<3>(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_scales_are_numbers_with_commas() {
        assert_eq!(triple("1, -2.5,3e-1"), Ok([1.0, -2.5, 0.3]));
        assert_eq!(scale("0.5"), Ok([0.5; 3]));
        assert_eq!(scale("1,2,3"), Ok([1.0, 2.0, 3.0]));
        assert_eq!(numbers::<4>("0,0,0,1"), Ok([0.0, 0.0, 0.0, 1.0]));
        for wrong in ["", "1,2", "1,2,3,4", "a,b,c", "1,2,NaN"] {
            assert!(triple(wrong).is_err() && scale(wrong).is_err(), "{wrong}");
        }
    }
}
