//! No guardian: there are no subreapers here.

use std::io;

use super::{Guarded, Tell};

pub(super) fn enter(_tell: Tell) -> io::Result<Guarded> {
    Ok(Guarded::alone())
}

pub(super) fn ignored() -> Vec<i32> {
    Vec::new()
}
