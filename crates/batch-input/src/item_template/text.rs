//! Ids and names made of values: [`TextTemplate`].

use super::columns::Columns;
use super::error::ItemTemplateError;
use super::json::Filled;
use super::part::ItemPart;
use super::{Piece, pieces, placed_in};
use crate::items::Row;

/// A text in which values are replaced: the id or the name of a task.
#[derive(Clone, Debug)]
pub struct TextTemplate(Vec<Piece>);

impl TextTemplate {
    /// A template of a text.
    ///
    /// # Errors
    /// When a placeholder means nothing before the task starts.
    pub fn new(text: &str, columns: &Columns) -> Result<Self, ItemTemplateError> {
        let pieces = pieces(text.as_bytes(), columns)?;
        let slot = placed_in(&pieces).find(|placed| placed.part == ItemPart::Slot);
        if let Some(slot) = slot {
            return Err(ItemTemplateError::Undefined {
                placeholder: slot.name.to_string(),
                why: "the slot is known when a task starts".to_owned(),
            });
        }
        Ok(Self(pieces))
    }

    /// The text for a row.
    pub fn text(&self, row: &Row) -> String {
        let mut filled = Filled::default();
        for piece in &self.0 {
            match piece.is_all() {
                true => (0..row.len()).for_each(|column| {
                    let space: &[u8] = if column > 0 { b" " } else { b"" };
                    filled.bytes.extend_from_slice(space);
                    piece.with_column(column).push(row, &mut filled);
                }),
                false => piece.push(row, &mut filled),
            }
        }
        String::from_utf8_lossy(&filled.bytes).into_owned()
    }
}
