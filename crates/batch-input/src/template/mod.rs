//! Saved templates: task files with declared parameters.
//!
//! A [`SavedTemplate`] is parsed and checked once, and expanded with values as often as wanted: by texts such as
//! those of `--param k=v`, by JSON, or once for each row of a table. Each expansion is a [`TaskFile`](crate::TaskFile)
//! like any other. A [`TemplateFolder`] keeps templates by name.

mod declared;
mod expand;
mod folder;
mod param;
mod row_ids;
mod saved;
mod table;
mod values;

pub use folder::{
    OpenTemplateError, SaveTemplateError, TemplateContents, TemplateFolder, TemplateInfo,
};
pub use param::{Param, ParamType};
pub use saved::SavedTemplate;
