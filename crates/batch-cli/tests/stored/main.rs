//! The verbs over stored batches from outside. Without an executor: `add`, `files`, `look`, `change`, `templates`. With
//! one: `live`, `states`, `background`, `resume`, `crash`, `busy`, `debris`, `full_disk`.

#[path = "../common/mod.rs"]
mod common;
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "what has processes forgotten is Linux only")
)]
mod harness;

mod add;
#[cfg(target_os = "linux")]
mod background;
#[cfg(target_os = "linux")]
mod busy;
mod change;
#[cfg(target_os = "linux")]
mod crash;
#[cfg(target_os = "linux")]
mod debris;
mod files;
#[cfg(target_os = "linux")]
mod full_disk;
mod identity;
mod live;
mod look;
mod resume;
mod states;
mod templates;
