//! One TOML schema, checked with line, column and the nearest right key.
