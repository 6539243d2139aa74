//! What the layers below have to say while they work: [`show`].

use std::io::{self, Write};

use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::debug_fn;

use crate::terminal::tell;

/// Has warnings printed to standard error as all other messages are: before someone's eyes, or into the log of a
/// background executor.
pub(crate) fn show() {
    let fields = debug_fn(|text, field, value| match field.name() {
        "message" | "error" => write!(text, "{value:?}"),
        name => write!(text, "{name} {value:?}"),
    });
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::WARN)
        .with_writer(|| Warning)
        .without_time()
        .with_level(false)
        .with_target(false)
        .with_ansi(false)
        .fmt_fields(fields.delimited(": "))
        // On a full disk the log takes nothing, and telling that to standard error would fail as well.
        .log_internal_errors(false)
        .init();
}

/// Takes a warning as one line.
struct Warning;

impl Write for Warning {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        tell(format_args!(
            "bex: {}",
            String::from_utf8_lossy(line).trim_end()
        ));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
