//! A shell script in which values are replaced, quoted: [`ShellTemplate`].

use std::ffi::OsString;

use batch_core::Json;
use batch_template::{Encoding, Quoting, ShellRules, ShellScan, UNKNOWN, quote_for_shell};

use super::columns::Columns;
use super::command::ambiguous;
use super::error::ItemTemplateError;
use super::json::document;
use super::part::{ItemPart, Placed};
use super::stdin::StdinTemplate;
use super::{Piece, Scratch, check_columns, check_length, columns_named, pieces, placed_in};
use crate::items::{ItemProblem, Row};

/// A shell script in which values are replaced, each quoted as one word.
#[derive(Clone, Debug)]
pub struct ShellTemplate {
    pieces: Vec<Piece>,
    rules: ShellRules,
    stdin: Option<StdinTemplate>,
    /// The parameter that names the shell, as JSON before the script.
    program: String,
    /// For the usual number of values.
    usual: Expanded,
}

/// The script for a number of values.
#[derive(Clone, Debug)]
pub(super) struct Expanded {
    values: usize,
    pieces: Vec<Piece>,
    scan: ShellScan,
}

impl ShellTemplate {
    /// A template of a script.
    ///
    /// Each replacement is quoted as one word. Where the script holds no placeholder, the values are appended.
    /// `allow_code` lets values are where the script makes code of its words, as in `sh -c {}`.
    ///
    /// # Errors
    /// When a placeholder means nothing, or where a quoted word is not read as one: in quotes, in a
    /// here-document, …
    pub fn new(
        script: OsString,
        columns: &Columns,
        allow_code: bool,
    ) -> Result<Self, ItemTemplateError> {
        Self::for_program(script, None, columns, allow_code)
    }

    /// The same for a shell given by its name, with its options.
    ///
    /// # Errors
    /// As [`new`](Self::new), and when the quotes of the shell are not known.
    pub fn for_program(
        script: OsString,
        program: Option<&str>,
        columns: &Columns,
        allow_code: bool,
    ) -> Result<Self, ItemTemplateError> {
        let mut found = pieces(script.as_encoded_bytes(), columns)?;
        let encoding = Encoding::of_script(program.unwrap_or("sh"));
        let rules = match encoding.allowing(allow_code) {
            Encoding::Shell(rules) => rules,
            Encoding::Code(code) => {
                let placeholder = placed_in(&found).next().map_or("{}", |placed| &placed.name);
                return Err(ItemTemplateError::Code {
                    placeholder: placeholder.to_owned(),
                    code,
                });
            }
            _ => ShellRules {
                allow_code,
                ..ShellRules::default()
            },
        };
        let has_placeholder = placed_in(&found).next().is_some();
        if !has_placeholder && columns.are_appended() {
            found = appended(script.as_encoded_bytes(), rules)?;
        }
        if !columns.is_one()
            && let Some(piece) = (0..found.len()).find_map(|at| part_of_a_word(&found, at))
        {
            return Err(ambiguous(
                piece,
                "put white space around it, not behind a redirection, or name one, as in {1}",
            ));
        }
        let values = columns.usual(columns_named(placed_in(&found)));
        let usual = Expanded::new(&found, values, rules)?;
        Ok(Self {
            pieces: found,
            rules,
            stdin: None,
            program: program.map_or_else(String::new, |program| {
                format!("\"shell\":{},", serde_json::Value::from(program))
            }),
            usual,
        })
    }

    /// The same with something on standard input; nothing for `None`.
    ///
    /// # Errors
    /// When the script would run that as code, and its author does not allow it.
    pub fn with_stdin(mut self, stdin: Option<StdinTemplate>) -> Result<Self, ItemTemplateError> {
        let Some(stdin) = stdin else {
            return Ok(self);
        };
        let mut script = Vec::new();
        for piece in &self.usual.pieces {
            match piece {
                Piece::Literal(literal) => script.extend_from_slice(literal),
                Piece::Part(_) => script.push(UNKNOWN),
            }
        }
        let is_code = ShellScan::inherited(&script).stdin;
        if is_code && stdin.is_data() && !self.rules.allow_code {
            return Err(ItemTemplateError::StdinScript {
                option: stdin.name(),
            });
        }
        self.stdin = Some(stdin);
        Ok(self)
    }

    /// The parameters of the function `shell` for a row.
    ///
    /// # Errors
    /// When the script becomes too long for an argument of the shell, or there is no value for a placeholder.
    pub fn params(&self, row: &Row) -> Result<Json, ItemProblem> {
        self.params_in(row, &mut Scratch::default())
    }

    pub(super) fn params_in(&self, row: &Row, scratch: &mut Scratch) -> Result<Json, ItemProblem> {
        if row.len() == self.usual.values {
            return self.usual.params(row, self, scratch);
        }
        check_columns(row, placed_in(&self.pieces))?;
        let expanded = match scratch.script.take() {
            Some(known) if known.values == row.len() => known,
            _ => Expanded::new(&self.pieces, row.len(), self.rules)
                .map_err(|error| ItemProblem::Template(error.to_string()))?,
        };
        let params = expanded.params(row, self, scratch);
        scratch.script = Some(expanded);
        params
    }

    /// How long the script becomes by an item, or without one by all else.
    pub(super) fn size(&self, item: Option<&[u8]>) -> usize {
        let of = |piece: &Piece| match (piece, item) {
            (Piece::Literal(literal), None) => literal.len(),
            (Piece::Part(placed), item) => match (placed.part, item) {
                (ItemPart::All(form), Some(item)) => {
                    let mut word = Vec::new();
                    quote_for_shell(form.of(item), &mut word);
                    word.len() + 1
                }
                (ItemPart::All(_), None) | (_, Some(_)) => 0,
                // In quotes.
                (_, None) => 22,
            },
            _ => 0,
        };
        self.pieces.iter().map(of).sum()
    }
}

/// The script with all values behind it.
fn appended(script: &[u8], rules: ShellRules) -> Result<Vec<Piece>, ItemTemplateError> {
    let script = script.trim_ascii_end();
    if matches!(
        script.last(),
        None | Some(b';' | b'&' | b'|' | b'(' | b')' | b'{' | b'}')
    ) {
        return Err(ItemTemplateError::NoPlace);
    }
    let found = vec![Piece::Literal([script, b" "].concat()), Piece::item()];
    match Expanded::new(&found, 1, rules) {
        Err(ItemTemplateError::Refused {
            is_quoted: true, ..
        }) => Err(ItemTemplateError::NoPlace),
        _ => Ok(found),
    }
}

/// The piece at a place, where it means all values and is not a word of its own.
fn part_of_a_word(pieces: &[Piece], at: usize) -> Option<&Piece> {
    let piece = &pieces[at];
    let literal = |at: Option<usize>| match at.and_then(|at| pieces.get(at)) {
        Some(Piece::Literal(literal)) => Some(literal.as_slice()),
        Some(Piece::Part(_)) => None,
        None => Some(b"".as_slice()),
    };
    let ends = |byte: Option<&u8>| byte.is_none_or(|byte| b" \t\n;&|()".contains(byte));
    let is_word = literal(at.checked_sub(1)).is_some_and(|before| {
        let word = before.trim_ascii_end();
        ends(before.last()) && !matches!(word.last(), Some(b'<' | b'>'))
    }) && literal(Some(at + 1)).is_some_and(|after| ends(after.first()));
    (piece.is_all() && !is_word).then_some(piece)
}

impl Expanded {
    fn new(pieces: &[Piece], values: usize, rules: ShellRules) -> Result<Self, ItemTemplateError> {
        let mut all = Vec::with_capacity(pieces.len());
        for piece in pieces {
            if !piece.is_all() {
                all.push(piece.clone());
                continue;
            }
            for column in 0..values {
                if column > 0 {
                    all.push(Piece::Literal(b" ".to_vec()));
                }
                all.push(piece.with_column(column));
            }
        }
        let scan = check_quotes(&all, rules)?;
        Ok(Self {
            values,
            pieces: all,
            scan,
        })
    }

    /// Refuses a value that a command of the script would run as code.
    fn check(&self, row: &Row) -> Result<(), ItemProblem> {
        if !self.scan.is_open() {
            return Ok(());
        }
        let placed = placed_in(&self.pieces);
        let values: Vec<Vec<u8>> = placed
            .map(|placed| {
                let mut value = Vec::new();
                placed.part.push(row, &mut value);
                value
            })
            .collect();
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        match self.scan.code_in(&values) {
            Some((_, code)) => Err(ItemProblem::Code(code)),
            None => Ok(()),
        }
    }

    fn params(
        &self,
        row: &Row,
        template: &ShellTemplate,
        scratch: &mut Scratch,
    ) -> Result<Json, ItemProblem> {
        self.check(row)?;
        let Scratch { filled, json, .. } = scratch;
        filled.clear();
        let mut word = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Part(Placed { part, .. }) if *part != ItemPart::Slot => {
                    word.clear();
                    part.push(row, &mut word);
                    quote_for_shell(&word, &mut filled.bytes);
                }
                other => other.push(row, filled),
            }
        }
        check_length(&filled.bytes)?;
        json.clear();
        json.push('{');
        json.push_str(&template.program);
        json.push_str("\"script\":");
        filled.push(json)?;
        if let Some(stdin) = &template.stdin {
            stdin.push(row, filled, json)?;
        }
        json.push('}');
        document(json)
    }
}

/// Refuses placeholders that are in quotes and the like.
fn check_quotes(pieces: &[Piece], rules: ShellRules) -> Result<ShellScan, ItemTemplateError> {
    let mut script = Vec::new();
    let mut places = Vec::new();
    let mut placeholders = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => script.extend_from_slice(literal),
            Piece::Part(placed) => {
                places.push(script.len());
                placeholders.push(&placed.name);
                // A letter is in, as `#` and `/` could mean something else.
                script.push(b'x');
            }
        }
    }
    let scan = ShellScan::new(&script, &places, rules);
    for (placeholder, quoting) in placeholders.into_iter().zip(&scan.quoting) {
        if let Some((what, help)) = quoting.refusal() {
            return Err(ItemTemplateError::Refused {
                placeholder: placeholder.to_string(),
                what,
                help,
                is_quoted: !matches!(
                    quoting,
                    Quoting::Code(_) | Quoting::Calculated | Quoting::Evaluated
                ),
            });
        }
    }
    Ok(scan)
}
