//! The formats results come in: [`Format`].

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// A format of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// For people: a line for each task, its output below it.
    Text,
    /// One document with `metadata` and `tasks`.
    Json,
    /// The task objects of the JSON document, one in each line.
    Jsonl,
    /// One row for each task.
    Csv,
    /// The outputs alone, byte for byte.
    Raw,
    /// What happens, an object in each line: `started`, `output`, `attempt_ended`, `finished`.
    Events,
    /// JUnit XML: a case for each task, for CI servers.
    Junit,
    /// A page with what the batch came to, for CI servers and comments.
    Markdown,
    /// A trace of the attempts, for <https://ui.perfetto.dev>.
    Perfetto,
    /// Nothing.
    None,
}

/// The text names no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown format {text:?}; {hint}it is one of {}", Format::ALL.map(Format::name).join(", "))]
pub struct UnknownFormat {
    text: String,
    hint: String,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 10] = [
        Self::Text,
        Self::Json,
        Self::Jsonl,
        Self::Csv,
        Self::Raw,
        Self::Events,
        Self::Junit,
        Self::Markdown,
        Self::Perfetto,
        Self::None,
    ];

    /// The name: `text`, `json`, `jsonl`, `csv`, `raw`, `events`, `junit`, `markdown`, `perfetto`, `none`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Raw => "raw",
            Self::Events => "events",
            Self::Junit => "junit",
            Self::Markdown => "markdown",
            Self::Perfetto => "perfetto",
            Self::None => "none",
        }
    }

    /// Whether it is one whole that is known when the last task is, and not a piece for each task.
    pub const fn is_document(self) -> bool {
        matches!(
            self,
            Self::Json | Self::Junit | Self::Markdown | Self::Perfetto
        )
    }

    /// The format that the extension of a file asks for: `.txt`, `.text`, `.log`, `.json`, `.jsonl`,
    /// `.ndjson`, `.csv`, `.raw`, `.xml`, `.md`, `.pftrace`, in any case; `None` for others.
    pub fn of_file(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match extension.as_str() {
            "txt" | "text" | "log" => Self::Text,
            "json" => Self::Json,
            "jsonl" | "ndjson" => Self::Jsonl,
            "csv" => Self::Csv,
            "raw" => Self::Raw,
            "xml" => Self::Junit,
            "md" => Self::Markdown,
            "pftrace" => Self::Perfetto,
            _ => return None,
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or_else(|| UnknownFormat {
                text: text.to_owned(),
                hint: did_you_mean(text, Self::ALL.map(Self::name)),
            })
    }
}

/// `did you mean "x"? `, or nothing when no known name is near.
pub(crate) fn did_you_mean<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    batch_core::text::did_you_mean(text, known).map_or_else(String::new, |question| question + " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_extensions_are_read() {
        for format in Format::ALL {
            assert_eq!(format.name().parse(), Ok(format));
        }
        assert_eq!(Format::of_file(Path::new("a/out.CSV")), Some(Format::Csv));
        assert_eq!(
            Format::of_file(Path::new("out.ndjson")),
            Some(Format::Jsonl)
        );
        assert_eq!(Format::of_file(Path::new("out")), None);
        insta::assert_snapshot!(
            "jsnl".parse::<Format>().unwrap_err(),
            @r#"unknown format "jsnl"; did you mean "jsonl"? it is one of text, json, jsonl, csv, raw, events, junit, markdown, perfetto, none"#
        );
    }
}
