//! No guardian: there are no subreapers here.

use std::io;

use super::Guarded;

pub(super) fn enter() -> io::Result<Guarded> {
    Ok(Guarded::alone())
}

pub(super) fn ignored() -> Vec<i32> {
    Vec::new()
}
