//! The VR service: `/ws` for headsets and viewers.
