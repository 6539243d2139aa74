//! What tasks of command mode read on standard input: [`StdinTemplate`].

use std::ffi::OsStr;

use super::columns::Columns;
use super::error::ItemTemplateError;
use super::json::Filled;
use super::{Piece, check_columns, pieces, placed_in};
use crate::blocks::Blocks;
use crate::items::{ItemProblem, Row};

/// What a task reads on standard input.
#[derive(Clone, Debug)]
pub struct StdinTemplate(Source);

#[derive(Clone, Debug)]
enum Source {
    /// The item itself.
    Item,
    /// A file, whose name may have placeholders.
    File(Vec<Piece>),
    /// A piece of our own standard input.
    Block,
}

impl StdinTemplate {
    /// `item` for the item itself, as it is; else the name of a file, which may have placeholders.
    ///
    /// # Errors
    /// When a placeholder means nothing, or for several values.
    pub fn new(text: &OsStr, columns: &Columns) -> Result<Self, ItemTemplateError> {
        let found = match text.as_encoded_bytes() {
            b"item" => vec![Piece::item()],
            name => pieces(name, columns)?,
        };
        if let (Some(piece), false) = (found.iter().find(|piece| piece.is_all()), columns.is_one())
        {
            return Err(super::command::ambiguous(
                piece,
                "name one for --stdin, as in {1}",
            ));
        }
        Ok(Self(match text == "item" {
            true => Source::Item,
            false => Source::File(found),
        }))
    }

    /// A piece of our own standard input.
    pub const fn block() -> Self {
        Self(Source::Block)
    }

    /// Whether it uses the item, so that a command without a placeholder is whole.
    pub fn uses_item(&self) -> bool {
        match &self.0 {
            Source::File(pieces) => placed_in(pieces).next().is_some(),
            Source::Item | Source::Block => true,
        }
    }

    /// Whether what it reads is chosen by data, and not by the author of the command.
    pub(super) fn is_data(&self) -> bool {
        self.uses_item()
    }

    pub(super) fn name(&self) -> &'static str {
        match self.0 {
            Source::Block => "--pipe",
            _ => "--stdin",
        }
    }

    /// Appends the field of the parameters.
    pub(super) fn push(
        &self,
        row: &Row,
        filled: &mut Filled,
        json: &mut String,
    ) -> Result<(), ItemProblem> {
        json.push_str(",\"stdin\":");
        filled.clear();
        match &self.0 {
            Source::Item => {
                filled
                    .bytes
                    .extend_from_slice(row.get(0).unwrap_or_default());
                filled.push(json)
            }
            Source::File(pieces) => {
                check_columns(row, placed_in(pieces))?;
                pieces.iter().for_each(|piece| piece.push(row, filled));
                if std::str::from_utf8(&filled.bytes).is_err() {
                    return Err(ItemProblem::NotUtf8("the name of a file for --stdin is"));
                }
                json.push_str("{\"file\":");
                filled.push(json)?;
                json.push('}');
                Ok(())
            }
            Source::Block => {
                json.push_str(&format!(
                    "{{\"block\":\"{}\"}}",
                    Blocks::file_name(row.number)
                ));
                Ok(())
            }
        }
    }
}
