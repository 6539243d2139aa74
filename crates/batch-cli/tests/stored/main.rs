//! The verbs over stored batches from outside: `add`, `look` and `change` without an executor, `live` with one.

#[path = "../common/mod.rs"]
mod common;

mod add;
mod change;
mod live;
mod look;
