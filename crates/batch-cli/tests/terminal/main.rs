//! What is seen while tasks run, on a terminal and elsewhere, and what becomes of streams that other programs share.

#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
mod common;

mod live;
mod screen;
mod shared;
