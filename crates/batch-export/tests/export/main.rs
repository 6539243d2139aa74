//! The crate from outside: what the formats look like and that they lose nothing.

mod cells;
mod common;
mod formats;
mod junit;
mod markdown;
mod round_trip;
