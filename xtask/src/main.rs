//! The only scripts of the project: `cargo xtask test`, `tidy`, `ci`, `bench`, `docs`, `lab`.

fn main() {}
