//! Test patterns and the naming of damage: what proves that a path is bit-perfect.
