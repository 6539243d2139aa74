//! The crate from outside: what the formats look like and that they lose nothing.

mod cells;
mod common;
mod formats;
mod round_trip;
