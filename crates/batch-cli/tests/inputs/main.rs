//! What tasks of `bex run` are made of, from outside: sources of items, and what is refused.

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "each test file uses its part")]
mod common;

mod refused;
mod sources;
mod tables;
