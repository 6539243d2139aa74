//! A command in which values are replaced: [`CommandTemplate`].

use std::ffi::OsString;

use batch_core::Json;
use batch_template::{UNKNOWN, code_in_command};

use super::columns::Columns;
use super::error::ItemTemplateError;
use super::json::{Filled, document, push_text};
use super::part::ItemPart;
use super::stdin::StdinTemplate;
use super::{Piece, Scratch, check_columns, check_length, columns_named, pieces, placed_in};
use crate::items::{ItemProblem, Row};

/// The bytes of a pointer to an argument and of the NUL that closes it.
const BESIDE_ARGUMENT: usize = size_of::<*const u8>() + 1;

/// The most bytes that the number of a task or of a slot takes.
const NUMBER: usize = 20;

/// A command in which values are replaced.
///
/// An argument that is all values becomes an argument for each of them.
#[derive(Clone, Debug)]
pub struct CommandTemplate {
    arguments: Vec<Vec<Piece>>,
    allow_code: bool,
    stdin: Option<StdinTemplate>,
    /// For the usual number of values.
    usual: Expanded,
}

/// The arguments for a number of values.
#[derive(Clone, Debug)]
pub(super) struct Expanded {
    values: usize,
    arguments: Vec<Argument>,
    /// An interpreter takes part: each row is looked at, whether a value makes itself code, as `-eCODE` of perl.
    is_open: bool,
}

/// An argument: the same for all rows, as JSON, or made of each.
#[derive(Clone, Debug)]
enum Argument {
    Fixed { json: String, bytes: Vec<u8> },
    Made(Vec<Piece>),
}

impl CommandTemplate {
    /// A template of these arguments, the first of which is the program.
    ///
    /// Where none of them holds a placeholder, the values become further arguments at the end.
    ///
    /// # Errors
    /// When a placeholder means nothing, or a value would be in the code of an interpreter, as in
    /// `bash -c 'echo {}'`, unless its author allows that.
    pub fn new(
        argv: Vec<OsString>,
        columns: &Columns,
        allow_code: bool,
    ) -> Result<Self, ItemTemplateError> {
        let arguments = argv.iter();
        let mut arguments = arguments
            .map(|argument| pieces(argument.as_encoded_bytes(), columns))
            .collect::<Result<Vec<_>, _>>()?;
        let has_placeholder = placed_in(arguments.iter().flatten()).next().is_some();
        if !has_placeholder && columns.are_appended() {
            arguments.push(vec![Piece::item()]);
        }
        if !columns.is_one() && !columns.is_repeated() {
            let mut longer = arguments.iter().filter(|pieces| pieces.len() > 1);
            if let Some(piece) = longer.find_map(|pieces| pieces.iter().find(|p| p.is_all())) {
                return Err(ambiguous(piece, "name one, as in {1}"));
            }
        }
        let values = columns.usual(columns_named(placed_in(arguments.iter().flatten())));
        let usual = Expanded::new(&arguments, values, allow_code)?;
        Ok(Self {
            arguments,
            allow_code,
            stdin: None,
            usual,
        })
    }

    /// The same with something on standard input; nothing for `None`.
    ///
    /// # Errors
    /// When the command would run that as code, and its author does not allow it.
    pub fn with_stdin(mut self, stdin: Option<StdinTemplate>) -> Result<Self, ItemTemplateError> {
        let Some(stdin) = stdin else {
            return Ok(self);
        };
        let known: Vec<Vec<u8>> = self.usual.arguments.iter().map(Argument::known).collect();
        if let (Some(code), true, false) = (
            code_in_command(&known).stdin,
            stdin.is_data(),
            self.allow_code,
        ) {
            return Err(ItemTemplateError::StdinCode {
                option: stdin.name(),
                code,
            });
        }
        self.stdin = Some(stdin);
        Ok(self)
    }

    /// A template of these arguments as they are: no placeholder is looked for, and no value added.
    pub fn literal(argv: Vec<OsString>) -> Self {
        let fixed = |argument: &OsString| Argument::fixed(argument.as_encoded_bytes());
        Self {
            arguments: Vec::new(),
            allow_code: false,
            stdin: None,
            usual: Expanded {
                values: 1,
                arguments: argv.iter().map(fixed).collect(),
                is_open: false,
            },
        }
    }

    /// The parameters of the function `command` for a row.
    ///
    /// # Errors
    /// When an argument becomes too long, or there is no value for a placeholder.
    pub fn params(&self, row: &Row) -> Result<Json, ItemProblem> {
        self.params_in(row, &mut Scratch::default())
    }

    pub(super) fn params_in(&self, row: &Row, scratch: &mut Scratch) -> Result<Json, ItemProblem> {
        if row.len() == self.usual.values {
            return self.usual.params(row, self.stdin.as_ref(), scratch);
        }
        check_columns(row, placed_in(self.arguments.iter().flatten()))?;
        let expanded = match scratch.command.take() {
            Some(known) if known.values == row.len() => known,
            _ => Expanded::new(&self.arguments, row.len(), self.allow_code)
                .map_err(|error| ItemProblem::Template(error.to_string()))?,
        };
        let params = expanded.params(row, self.stdin.as_ref(), scratch);
        scratch.command = Some(expanded);
        params
    }

    /// How much of a command line an item takes, or without one all else.
    pub(super) fn size(&self, item: Option<&[u8]>) -> usize {
        let of = |pieces: &Vec<Piece>| {
            let sizes = pieces.iter().map(|piece| match piece {
                Piece::Literal(literal) => literal.len(),
                Piece::Part(placed) => match placed.part {
                    ItemPart::All(form) => form.of(item.unwrap_or_default()).len(),
                    _ => NUMBER,
                },
            });
            sizes.sum::<usize>() + BESIDE_ARGUMENT
        };
        let is_wanted = |pieces: &&Vec<Piece>| item.is_some() == pieces.iter().any(Piece::is_all);
        self.arguments.iter().filter(is_wanted).map(of).sum()
    }
}

pub(super) fn ambiguous(piece: &Piece, help: &'static str) -> ItemTemplateError {
    let placeholder = piece.placed().map_or("", |placed| &placed.name);
    ItemTemplateError::Ambiguous {
        placeholder: placeholder.to_owned(),
        help,
    }
}

impl Expanded {
    fn new(
        arguments: &[Vec<Piece>],
        values: usize,
        allow_code: bool,
    ) -> Result<Self, ItemTemplateError> {
        let mut all: Vec<Vec<Piece>> = Vec::with_capacity(arguments.len());
        for pieces in arguments {
            match pieces.iter().any(Piece::is_all) {
                true => all.extend((0..values).map(|column| {
                    let pieces = pieces.iter();
                    pieces.map(|piece| piece.with_column(column)).collect()
                })),
                false => all.push(pieces.clone()),
            }
        }
        let known: Vec<Vec<u8>> = all.iter().map(|pieces| known(pieces)).collect();
        let found = code_in_command(&known);
        for (at, code) in found.arguments {
            let mut placed = placed_in(&all[at]);
            if let (Some(placed), false) = (placed.next(), allow_code) {
                let placeholder = placed.name.to_string();
                return Err(ItemTemplateError::Code { placeholder, code });
            }
        }
        let arguments = all.into_iter().map(|pieces| match &pieces[..] {
            [] => Argument::fixed(b""),
            [Piece::Literal(bytes)] => Argument::fixed(bytes),
            _ => Argument::Made(pieces),
        });
        Ok(Self {
            values,
            arguments: arguments.collect(),
            is_open: found.is_open && !allow_code,
        })
    }

    fn params(
        &self,
        row: &Row,
        stdin: Option<&StdinTemplate>,
        scratch: &mut Scratch,
    ) -> Result<Json, ItemProblem> {
        if self.is_open {
            self.check(row, stdin)?;
        }
        let Scratch { filled, json, .. } = scratch;
        json.clear();
        json.push_str("{\"argv\":[");
        for (index, argument) in self.arguments.iter().enumerate() {
            json.push_str(if index == 0 { "" } else { "," });
            match argument {
                Argument::Fixed { json: fixed, .. } => json.push_str(fixed),
                Argument::Made(pieces) => {
                    filled.clear();
                    pieces.iter().for_each(|piece| piece.push(row, filled));
                    check_length(&filled.bytes)?;
                    filled.push(json)?;
                }
            }
        }
        json.push(']');
        if let Some(stdin) = stdin {
            stdin.push(row, filled, json)?;
        }
        json.push('}');
        document(json)
    }

    /// Refuses a value that turns itself, or another part of the command, into code.
    fn check(&self, row: &Row, stdin: Option<&StdinTemplate>) -> Result<(), ItemProblem> {
        let arguments = self.arguments.iter();
        let argv: Vec<Vec<u8>> = arguments.map(|argument| argument.made(row)).collect();
        let is_made = |at: usize| matches!(self.arguments[at], Argument::Made(_));
        let found = code_in_command(&argv);
        let stdin = stdin.filter(|stdin| stdin.is_data()).and(found.stdin);
        let mut arguments = found.arguments.into_iter();
        let argument = arguments.find(|(at, _)| is_made(*at));
        match argument.map(|(_, code)| code).or(stdin) {
            Some(code) => Err(ItemProblem::Code(code)),
            None => Ok(()),
        }
    }
}

impl Argument {
    fn fixed(bytes: &[u8]) -> Self {
        let mut json = String::new();
        push_text(bytes, &mut json);
        Self::Fixed {
            json,
            bytes: bytes.to_vec(),
        }
    }

    /// What is known of it before there is a row.
    fn known(&self) -> Vec<u8> {
        match self {
            Self::Fixed { bytes, .. } => bytes.clone(),
            Self::Made(pieces) => known(pieces),
        }
    }

    /// Its bytes for a row.
    fn made(&self, row: &Row) -> Vec<u8> {
        let mut filled = Filled::default();
        match self {
            Self::Fixed { bytes: fixed, .. } => filled.bytes.extend_from_slice(fixed),
            Self::Made(pieces) => pieces.iter().for_each(|piece| piece.push(row, &mut filled)),
        }
        filled.bytes
    }
}

/// What is known of an argument before there is a row.
fn known(pieces: &[Piece]) -> Vec<u8> {
    let mut known = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => known.extend_from_slice(literal),
            Piece::Part(_) => known.push(UNKNOWN),
        }
    }
    known
}
