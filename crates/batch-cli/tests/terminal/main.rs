//! What a person sees on a terminal, and what becomes of streams that other programs share.

#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
mod common;

mod screen;
mod shared;
