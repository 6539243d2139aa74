//! What a person sees on a terminal, and what becomes of streams that other programs share.

#![cfg(target_os = "linux")]

#[expect(dead_code, reason = "each test file uses its part")]
#[path = "../common/mod.rs"]
mod common;

mod screen;
mod shared;
