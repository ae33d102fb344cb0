//! The command line of `waldo`, also for programs with a robot of their own.
