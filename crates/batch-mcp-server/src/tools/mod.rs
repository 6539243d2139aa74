//! The tools, one a file, and their schemas.

mod batch_executor;
mod change;
mod control;
mod examples;
mod export;
mod output;
mod read_tasks;
mod resources;
mod results;
mod run;
mod samples;
pub(crate) mod schema;
mod status;
mod task;
mod task_input;
mod wait;

pub(crate) use batch_executor::{batch_executor, is_executor_action};
pub(crate) use control::control;
pub(crate) use examples::example;
pub(crate) use resources::{read_resource, resource_templates, resources};
pub(crate) use results::results;
pub(crate) use run::run;
pub(crate) use schema::tools;
pub(crate) use status::status;
pub(crate) use wait::wait;
