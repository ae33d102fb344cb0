//! The HTTPS listener, its pages, and who may pass.
