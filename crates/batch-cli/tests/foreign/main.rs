//! Text from outside: it never becomes code, and what is shown of it is what is there.

#[path = "../common/mod.rs"]
mod common;
mod inject;
mod visible;
