//! The virtual device: real or simulated clock, files, loop-back, scripted faults.
