//! The tools, one a file, and their schemas.

mod change;
mod control;
mod examples;
mod executor;
mod executor_call;
mod executor_results;
mod export;
mod output;
mod problems;
mod resources;
mod results;
mod run;
mod schema;
mod status;
mod task;
mod wait;
mod wanted;

pub(crate) use control::control;
pub(crate) use examples::example;
pub(crate) use executor::executor;
pub(crate) use executor_call::is_executor_action;
pub(crate) use resources::{read_resource, resource_templates, resources};
pub(crate) use results::{noted_results, results};
pub(crate) use run::run;
pub(crate) use schema::tools;
pub(crate) use status::status;
pub(crate) use wait::wait;
