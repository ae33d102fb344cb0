//! Names and addresses of this machine.
/// What this machine is called and where it can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {}
