//! The functions that tasks may name, as far as filling their parameters needs to know: [`Functions`].

use std::fmt;

use batch_core::{Json, catalog::Catalog};

use crate::places::Encodings;

/// The functions that tasks may name, and how their parameters take values. The registry of the runtime is one: it asks
/// the handler.
pub trait Functions: Catalog + fmt::Debug + Send + Sync {
    /// How values are written at the places of the parameters of a function. One that is not known takes text.
    fn encodings(&self, function: &str, params: &Json) -> Encodings;
}
