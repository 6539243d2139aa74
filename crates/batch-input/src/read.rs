//! Reading whole files of tasks: [`read_task_file`], [`read_tasks`].

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::file::{Format, ReadError, ReadOptions, TaskFile};
use crate::jsonl;
use crate::matrix::read_tasks_of;
use crate::row_template::RowTemplate;
use crate::rows::read_csv;
use crate::scope::Report;
use crate::settings::{overridden, read_document, read_root};
use crate::task::TaskReader;

/// Reads a file of tasks. Without a format, its extension tells.
///
/// # Errors
/// When it cannot be read at all. What is wrong in it is told by [`TaskFile::problems`].
pub fn read_task_file(
    path: &Path,
    format: Option<Format>,
    options: &ReadOptions,
) -> Result<TaskFile, ReadError> {
    let format = format.map_or_else(|| Format::of(path), Ok)?;
    let name = path.display().to_string();
    let file = File::open(path).map_err(|source| ReadError::Io {
        file: name.clone(),
        source,
    })?;
    read_tasks(file, &name, format, options)
}

/// Reads tasks from a stream, such as standard input. `name` means it in problems.
///
/// JSON lines are read one at a time; of the other formats the whole text is held in memory.
///
/// # Errors
/// When it cannot be read at all. What is wrong in it is told by [`TaskFile::problems`].
pub fn read_tasks(
    mut input: impl Read,
    name: &str,
    format: Format,
    options: &ReadOptions,
) -> Result<TaskFile, ReadError> {
    let io_error = |source| ReadError::Io {
        file: name.to_owned(),
        source,
    };
    if !format.is_table() && options.template.is_some() {
        return Err(ReadError::NeedlessTemplate {
            file: name.to_owned(),
        });
    }
    match format {
        Format::Jsonl => {
            let input = BufReader::with_capacity(1 << 16, input);
            jsonl::read(input, name, options).map_err(io_error)
        }
        Format::Csv | Format::Tsv => {
            let file = name.to_owned();
            let template = options.template.as_ref();
            let source = template.ok_or(ReadError::NoTemplate { file })?;
            let template = RowTemplate::read(&source.path, Arc::clone(&source.functions))?;
            let options = ReadOptions {
                separator: Some(options.separator.unwrap_or_else(|| format.separator())),
                ..options.clone()
            };
            read_csv(input, name, &template, &options)
        }
        Format::Json | Format::Yaml => {
            let mut bytes = Vec::new();
            input.read_to_end(&mut bytes).map_err(io_error)?;
            Ok(read_text(&bytes, name, format, options))
        }
    }
}

fn read_text(bytes: &[u8], name: &str, format: Format, options: &ReadOptions) -> TaskFile {
    let mut report = Report::new(name);
    let mut file = TaskFile::new(name);
    read_root(bytes, format, &mut report, |root, source, report| {
        let Some(document) = read_document(root, source, report) else {
            return;
        };
        file.settings = document.settings;
        let mut reader = TaskReader::new(overridden(document.defaults, options))
            .with_shell_program(document.shell_program);
        let tasks = document.tasks.map(RawValue::get).unwrap_or("[]");
        for raw in serde_json::from_str::<Vec<&RawValue>>(tasks).unwrap_or_default() {
            if report.is_full() {
                break;
            }
            let functions = options.functions.as_ref();
            read_tasks_of(raw, source, functions, &mut reader, report, &mut file);
        }
    });
    file.problems = report.problems;
    file
}
