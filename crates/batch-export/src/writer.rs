//! Writes results in a format: [`ResultWriter`], made by [`result_writer`].

use std::fs::File;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use batch_core::{TaskId, outcome::Stream};

use crate::csv::{self, CsvRows};
use crate::error::ExportError;
use crate::events::EventLines;
use crate::format::Format;
use crate::joblog::{JobLog, command};
use crate::json::write_task_json;
use crate::junit::JunitWriter;
use crate::live::{LiveLines, LiveStyle, Printed, Started, lead_of};
use crate::markdown::MarkdownWriter;
use crate::metadata::Metadata;
use crate::ordered::{Blocks, Out, copy, temporary_file};
use crate::perfetto::PerfettoWriter;
use crate::record::TaskRecord;
use crate::results_folder::ResultsFolder;
use crate::stream::{self, copy_stream};
use crate::summary::Summary;
use crate::text::{Lines, TextRows};
use crate::visible::VisibleLines;

/// Takes the results of a batch one by one and writes them.
///
/// Call [`task`](Self::task) or [`skip`](Self::skip) once for each task, in any order, and then
/// [`finish`](Self::finish) once. After an error the results are not whole: give up.
pub trait ResultWriter: Send {
    /// Writes the result of a task, now or when its turn comes.
    ///
    /// # Errors
    /// When it cannot be written, or an output cannot be read back whole.
    fn task(&mut self, record: &TaskRecord) -> Result<(), ExportError>;

    /// Takes note of an attempt that began. `record` is its task, without it.
    ///
    /// # Errors
    /// When that cannot be written.
    fn started(&mut self, record: &TaskRecord, started: &Started) -> Result<(), ExportError> {
        let _ = (record, started);
        Ok(())
    }

    /// Takes what a running attempt printed.
    ///
    /// # Errors
    /// When it cannot be written.
    fn printed(&mut self, printed: &Printed<'_>) -> Result<(), ExportError> {
        let _ = printed;
        Ok(())
    }

    /// Takes note of an attempt that ended, the last one of the record.
    ///
    /// # Errors
    /// When that cannot be written.
    fn attempt_ended(&mut self, record: &TaskRecord) -> Result<(), ExportError> {
        let _ = record;
        Ok(())
    }

    /// Says that a task has no result here, as when a filter keeps it out, so that no other waits for it.
    ///
    /// # Errors
    /// When the results that waited for it cannot be written.
    fn skip(&mut self, task: TaskId) -> Result<(), ExportError> {
        let _ = task;
        Ok(())
    }

    /// Hands on what is held back for speed alone: call it when no result came for a moment.
    ///
    /// # Errors
    /// When it cannot be written.
    fn flush(&mut self) -> Result<(), ExportError>;

    /// Writes what still waits, and the end of the document.
    ///
    /// # Errors
    /// When it cannot be written.
    fn finish(&mut self, summary: &Summary) -> Result<(), ExportError>;
}

/// How results are to be written: [`WriterOptions::new`], and then what differs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WriterOptions {
    /// The format.
    pub format: Format,
    /// In the order of the tasks and not as they finish. The tasks of a JSON document always are.
    pub keep_order: bool,
    /// In CSV, put a `'` before texts that a spreadsheet would take for a formula (`= + - @`, tab, CR).
    pub guard_formulas: bool,
    /// In CSV, the most bytes of a cell; 0 for no limit. A cell that is longer is cut, between two characters, and a
    /// mark after it says how many bytes there are and where all of them are.
    pub cell_limit: usize,
    /// The file that the batch is kept in: the mark of a cell that is cut names it.
    pub batch_file: Option<PathBuf>,
    /// In text, escape control characters in outputs: for a terminal.
    pub escape_control: bool,
    /// In raw output, what each task is called before each of its lines.
    pub tag: bool,
    /// In raw output, what tasks print goes out while they run, as [`ResultWriter::printed`] gives it.
    pub live: Option<LiveStyle>,
    /// In text, colours for what became of the tasks: for a terminal.
    pub color: bool,
    /// The folder for the temporary file of results that wait for their turn; by default the system's.
    /// It may become as large as the results.
    pub spool_folder: Option<PathBuf>,
}

impl WriterOptions {
    /// The most bytes of a cell, unless something else is said: spreadsheets take 32,767 characters, the mark included.
    pub const CELL_LIMIT: usize = 32_000;

    /// A format, as tasks finish, nothing escaped or guarded, cells of [`WriterOptions::CELL_LIMIT`].
    pub const fn new(format: Format) -> Self {
        Self {
            format,
            keep_order: false,
            guard_formulas: false,
            cell_limit: Self::CELL_LIMIT,
            batch_file: None,
            escape_control: false,
            tag: false,
            live: None,
            color: false,
            spool_folder: None,
        }
    }
}

/// The writer for a format. Results go to `out`; `err` gets what the tasks wrote to standard error, in the
/// format `raw` only. Both are buffered by the writer.
///
/// # Errors
/// When the head of the results cannot be written, or no temporary file can be made.
pub fn result_writer<'a>(
    options: &WriterOptions,
    out: impl Write + Send + 'a,
    err: impl Write + Send + 'a,
) -> Result<Box<dyn ResultWriter + 'a>, ExportError> {
    let spool_folder = || options.spool_folder.clone();
    let mut blocks = Blocks::new(Box::new(out), options.keep_order, spool_folder());
    let rows = match options.format {
        Format::Text => Rows::Text(TextRows {
            escape_control: options.escape_control,
            color: options.color,
        }),
        Format::Jsonl => Rows::Jsonl,
        Format::Csv => {
            blocks.head().write_all(csv::HEADER.as_bytes())?;
            Rows::Csv(CsvRows::new(options))
        }
        Format::Json => return Ok(Box::new(JsonWriter::new(blocks, spool_folder())?)),
        Format::Events => return Ok(Box::new(EventLines::new(blocks.into_out()))),
        Format::Junit => return Ok(Box::new(JunitWriter::new(blocks, spool_folder())?)),
        Format::Markdown => return Ok(Box::new(MarkdownWriter::new(blocks))),
        Format::Perfetto => return Ok(Box::new(PerfettoWriter::new(blocks))),
        Format::Raw => {
            if let Some(style) = options.live {
                let lines = LiveLines::new(blocks.into_out(), Box::new(err), style);
                return Ok(Box::new(lines));
            }
            let err = Blocks::new(Box::new(err), options.keep_order, spool_folder());
            let tag = options.tag;
            return Ok(Box::new(RawWriter {
                out: blocks,
                err,
                tag,
            }));
        }
        Format::None => return Ok(Box::new(NoWriter)),
    };
    Ok(Box::new(RowWriter { rows, blocks }))
}

/// Text, JSONL and CSV: one block for each task, and nothing after them.
struct RowWriter<'a> {
    rows: Rows,
    blocks: Blocks<'a>,
}

enum Rows {
    Text(TextRows),
    Jsonl,
    Csv(CsvRows),
}

impl ResultWriter for RowWriter<'_> {
    fn task(&mut self, record: &TaskRecord) -> Result<(), ExportError> {
        let rows = &self.rows;
        self.blocks.put(record.task, |out| match rows {
            Rows::Text(rows) => rows.write(out, record),
            Rows::Csv(rows) => rows.write(out, record),
            Rows::Jsonl => {
                write_task_json(&mut *out, record)?;
                Ok(out.write_all(b"\n")?)
            }
        })
    }

    fn skip(&mut self, task: TaskId) -> Result<(), ExportError> {
        self.blocks.skip(task)
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        self.blocks.flush()
    }

    fn finish(&mut self, _summary: &Summary) -> Result<(), ExportError> {
        self.blocks.finish()
    }
}

/// One document. The metadata comes first and is known last, so the tasks go to a temporary file, in
/// their order, and are copied at the end.
struct JsonWriter<'a> {
    /// Tasks to the temporary file.
    blocks: Blocks<'static>,
    file: File,
    tasks: u64,
    /// Where the document goes.
    out: Blocks<'a>,
}

impl<'a> JsonWriter<'a> {
    fn new(out: Blocks<'a>, spool_folder: Option<PathBuf>) -> Result<Self, ExportError> {
        let file = temporary_file(spool_folder.as_ref()).map_err(ExportError::Spool)?;
        let handle: Out<'static> = Box::new(file.try_clone().map_err(ExportError::Spool)?);
        Ok(Self {
            blocks: Blocks::new(handle, true, spool_folder),
            file,
            tasks: 0,
            out,
        })
    }

    fn write_document(&mut self, summary: &Summary) -> Result<(), ExportError> {
        let out = self.out.head();
        let metadata = Metadata::new(summary, self.tasks);
        out.write_all(b"{\"metadata\":")?;
        serde_json::to_writer(&mut *out, &metadata).map_err(std::io::Error::from)?;
        out.write_all(b",\n\"tasks\":[")?;
        let len = self.file.metadata().map_err(ExportError::Spool)?.len();
        if len > 0 {
            // Every task comes with a comma before it; the first one's is left out.
            self.file
                .seek(std::io::SeekFrom::Start(1))
                .map_err(ExportError::Spool)?;
            copy(&mut self.file, len - 1, &mut Vec::new(), out)?;
            out.write_all(b"\n")?;
        }
        out.write_all(b"]}\n")?;
        Ok(())
    }
}

impl ResultWriter for JsonWriter<'_> {
    fn task(&mut self, record: &TaskRecord) -> Result<(), ExportError> {
        self.tasks += 1;
        let put = self.blocks.put(record.task, |out| {
            out.write_all(b",\n")?;
            write_task_json(&mut *out, record)
        });
        put.map_err(ExportError::in_spool)
    }

    fn skip(&mut self, task: TaskId) -> Result<(), ExportError> {
        self.blocks.skip(task).map_err(ExportError::in_spool)
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        Ok(())
    }

    fn finish(&mut self, summary: &Summary) -> Result<(), ExportError> {
        self.blocks.finish().map_err(ExportError::in_spool)?;
        self.write_document(summary)?;
        self.out.flush()
    }
}

/// The outputs alone: what a task wrote to standard output whole, and what it wrote to standard error.
struct RawWriter<'a> {
    out: Blocks<'a>,
    err: Blocks<'a>,
    tag: bool,
}

impl ResultWriter for RawWriter<'_> {
    fn task(&mut self, record: &TaskRecord) -> Result<(), ExportError> {
        let Some(output) = record.output.as_deref() else {
            return self.skip(record.task);
        };
        stream::check(output)?;
        let lead = self.tag.then(|| lead_of(record, false));
        let lead = lead.as_deref();
        self.out
            .put(record.task, |out| copy_raw(&output.stdout, lead, out))?;
        if output.stderr.is_empty() {
            return self.err.skip(record.task);
        }
        // On a terminal both are the same place: what was written first is to be seen first.
        self.out.flush()?;
        self.err
            .put(record.task, |out| copy_raw(&output.stderr, lead, out))?;
        self.err.flush()
    }

    fn skip(&mut self, task: TaskId) -> Result<(), ExportError> {
        self.out.skip(task)?;
        self.err.skip(task)
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        self.out.flush()?;
        self.err.flush()
    }

    fn finish(&mut self, _summary: &Summary) -> Result<(), ExportError> {
        self.out.finish()?;
        self.err.finish()
    }
}

/// Copies an output as it is, or with a lead before each of its lines.
fn copy_raw<W: Write>(
    stream: &Stream,
    lead: Option<&[u8]>,
    out: &mut W,
) -> Result<(), ExportError> {
    let Some(lead) = lead else {
        return copy_stream(stream, out);
    };
    let mut lines = Lines::new(out, lead);
    copy_stream(stream, &mut lines)?;
    Ok(lines.end()?)
}

/// Writes nothing.
struct NoWriter;

impl ResultWriter for NoWriter {
    fn task(&mut self, _record: &TaskRecord) -> Result<(), ExportError> {
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        Ok(())
    }

    fn finish(&mut self, _summary: &Summary) -> Result<(), ExportError> {
        Ok(())
    }
}

/// Writes a log of the tasks with the columns of GNU parallel, beside the results, with or without the line that names them.
///
/// # Errors
/// When it cannot be written.
pub fn job_log<'a>(
    out: impl Write + Send + 'a,
    has_header: bool,
) -> Result<Box<dyn ResultWriter + 'a>, ExportError> {
    Ok(Box::new(JobLog::new(Box::new(out), has_header)?))
}

/// Writes a folder for each task, with the files `stdout`, `stderr` and `exit`, beside the results.
///
/// # Errors
/// When the folder cannot be made.
pub fn results_folder(folder: &Path) -> Result<Box<dyn ResultWriter>, ExportError> {
    Ok(Box::new(ResultsFolder::new(folder)?))
}

/// Writes the command line of each attempt as it begins, beside the results.
pub fn command_lines<'a>(out: impl Write + Send + 'a) -> Box<dyn ResultWriter + 'a> {
    Box::new(CommandLines(Box::new(out)))
}

struct CommandLines<'a>(Out<'a>);

impl ResultWriter for CommandLines<'_> {
    fn started(&mut self, record: &TaskRecord, _started: &Started) -> Result<(), ExportError> {
        let line = format!("{}\n", VisibleLines(&command(record)));
        self.0.write_all(line.as_bytes())?;
        Ok(self.0.flush()?)
    }

    fn task(&mut self, _record: &TaskRecord) -> Result<(), ExportError> {
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        Ok(())
    }

    fn finish(&mut self, _summary: &Summary) -> Result<(), ExportError> {
        Ok(())
    }
}
