//! What tasks of `bex run` are made of, from outside: sources of items, and what is refused.

#[path = "../common/mod.rs"]
mod common;

mod pipe;
mod refused;
mod sources;
mod tables;
