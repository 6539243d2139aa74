//! What is seen while tasks run, on a terminal and elsewhere, and what becomes of streams that other programs share.

#![cfg(target_os = "linux")]

#[expect(dead_code, reason = "each test file uses its part")]
#[path = "../common/mod.rs"]
mod common;

mod live;
mod screen;
mod shared;
