//! `bex logs`: what a task printed, also while it runs.

use std::io::{self, Write};

use batch_actions::{ActionError, Home, LogsRequest, follow, logs, show, status, why};
use batch_export::{Format, LiveStyle, VisibleLines, WriterOptions, result_writer};
use batch_store::BatchFile;
use serde_json::json;

use crate::args::LogsArgs;
use crate::exit::{CliError, Exit};
use crate::hints;
use crate::paint::paints;
use crate::reply::{print, tell};
use crate::runtime::runtime;
use crate::terminal::{TerminalWriter, stderr, stdout};

pub(crate) fn run(args: &LogsArgs) -> Result<Exit, CliError> {
    let named = args
        .batch
        .find_with(&Home::of_environment(), args.task.as_slice())?;
    let file = named.file;
    let Some(task) = named.tasks.first() else {
        if args.json || args.attempt.is_some() {
            let message = "--json and --attempt go with a task; of a whole batch: bex watch --json";
            return Err(CliError::Usage(message.to_owned()));
        }
        return of_batch(&file, args.follow);
    };
    let request = LogsRequest {
        task: task.clone(),
        attempt: args.attempt,
        follow: args.follow,
    };
    if args.json {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        runtime()?.block_on(logs(&file, &request, &mut out, &mut err))?;
        let reply = json!({
            "stdout": String::from_utf8_lossy(&out),
            "stderr": String::from_utf8_lossy(&err),
        });
        print(true, &reply, String::new)?;
        return after(&file, &request);
    }
    let mut out = Shown::new(stdout());
    let mut err = Shown::new(stderr());
    let shown = runtime()?.block_on(logs(&file, &request, &mut out, &mut err));
    if out.is_gone || err.is_gone {
        return Ok(Exit::Completed);
    }
    shown?;
    after(&file, &request)
}

/// What all tasks print, each line with the name of its task in front, or as it is where one runs at a time.
fn of_batch(file: &BatchFile, goes_on: bool) -> Result<Exit, CliError> {
    let before = status(file, false)?;
    let mut options = WriterOptions::new(Format::Raw);
    options.live = Some(LiveStyle {
        alone: before.total == 1,
        color: paints(&io::stdout()),
    });
    let mut writer = result_writer(&options, stdout(), stderr())?;
    let followed = runtime()?.block_on(follow(file, goes_on, writer.as_mut(), &mut || true));
    match followed {
        Err(ActionError::Export(error)) if error.is_broken_pipe() => return Ok(Exit::Completed),
        followed => followed?,
    }
    let now = status(file, false)?;
    if !goes_on || now.state.is_done() {
        return Ok(Exit::Completed);
    }
    let reason = hints::reason_text(&now);
    tell(format_args!(
        "bex: {} {}: {reason}",
        now.batch,
        now.state.predicate()
    ));
    Ok(Exit::Stopped)
}

/// A task that was followed and has not ended will not end as things are: says why.
fn after(file: &BatchFile, request: &LogsRequest) -> Result<Exit, CliError> {
    if !request.follow || request.attempt.is_some() {
        return Ok(Exit::Completed);
    }
    let details = show(file, &request.task)?;
    if details.record.status.is_final() {
        return Ok(Exit::Completed);
    }
    let why = hints::explained(&why(&details), &details.batch);
    tell(format_args!("bex: {why}"));
    Ok(Exit::Stopped)
}

/// Escapes control characters on a terminal, and notices when nobody reads any more.
struct Shown<W> {
    inner: TerminalWriter<W>,
    is_gone: bool,
}

impl<W> Shown<W> {
    fn new(inner: TerminalWriter<W>) -> Self {
        Self {
            inner,
            is_gone: false,
        }
    }

    fn noticed<T>(&mut self, done: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &done {
            self.is_gone |= error.kind() == io::ErrorKind::BrokenPipe;
        }
        done
    }
}

impl<W: Write> Write for Shown<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.inner.is_terminal() {
            let written = self.inner.write(bytes);
            return self.noticed(written);
        }
        let text = String::from_utf8_lossy(bytes);
        let lines = text
            .split_inclusive('\n')
            .map(|line| match line.strip_suffix('\n') {
                Some(line) => format!("{}\n", VisibleLines(line)),
                None => VisibleLines(line).to_string(),
            });
        let shown: String = lines.collect();
        let written = self.inner.write_all(shown.as_bytes());
        self.noticed(written)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.inner.flush();
        self.noticed(flushed)
    }
}
