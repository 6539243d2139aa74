//! The verbs over stored batches from outside. Without an executor: `add`, `look`, `change`, `templates`. With one:
//! `live`, `states`, `background`, `resume`, `crash`, `shortage`.

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
mod change;
#[cfg(target_os = "linux")]
mod crash;
mod live;
mod look;
mod resume;
#[cfg(target_os = "linux")]
mod shortage;
mod states;
mod templates;
