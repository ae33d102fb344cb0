//! The internet side of Waldo: a broker between robots and operators, and the SFU that forwards between them.

pub mod sfu;
pub mod turn;
