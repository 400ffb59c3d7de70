//! The one table of backends per operating system.
