//! `waldo serve`: a robot, its control loop and its services, put together.
