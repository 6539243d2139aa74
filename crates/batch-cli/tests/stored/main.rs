//! The verbs over stored batches from outside. Without an executor: `add`, `figures`, `files`, `look`, `change`, `templates`. With one:
//! `live`, `states`, `background`, `resume`, `crash`, `busy`, `held`, `debris`, `full_disk`, `ownership`, `silent`,
//! `leftovers`, `memory`, `other_user`, `shortage`. What goes wrong between commands: `incomplete`, `races`,
//! `waiting`.

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
mod extremes;
mod figures;
mod files;
#[cfg(target_os = "linux")]
mod full_disk;
mod halting;
#[cfg(target_os = "linux")]
mod held;
mod identity;
mod incomplete;
mod later;
#[cfg(target_os = "linux")]
mod leftovers;
mod live;
mod look;
#[cfg(target_os = "linux")]
mod memory;
mod odd_values;
mod one_story;
#[cfg(target_os = "linux")]
mod other_user;
#[cfg(target_os = "linux")]
mod ownership;
mod races;
mod resume;
#[cfg(target_os = "linux")]
mod shortage;
#[cfg(target_os = "linux")]
mod silent;
mod states;
mod stay;
mod stopped;
mod templates;
#[cfg(target_os = "linux")]
mod waiting;
mod which_batch;
