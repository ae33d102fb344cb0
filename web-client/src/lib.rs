//! The headset app.
