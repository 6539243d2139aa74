//! CSV cells are cut at a limit, and the outputs of any size go through in bounded memory.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use crate::common::{completed, in_file, process, render, text};
use batch_core::{Output, TaskSpec, outcome::Stream};
use batch_export::{ExportError, Format, TaskRecord, WriterOptions, result_writer};
use serde_json::Value;

fn options(cell_limit: usize, batch_file: Option<&str>) -> WriterOptions {
    let mut options = WriterOptions::new(Format::Csv);
    options.cell_limit = cell_limit;
    options.batch_file = batch_file.map(Into::into);
    options
}

/// A cell of the only row.
fn cell(options: &WriterOptions, record: &TaskRecord, column: &str) -> String {
    let csv = render(options, std::slice::from_ref(record)).0;
    let mut reader = csv::Reader::from_reader(&*csv);
    let header = reader.headers().unwrap().clone();
    let place = header.iter().position(|name| name == column).unwrap();
    let row = reader.records().next().unwrap().unwrap();
    assert_eq!(row.len(), header.len());
    row[place].to_owned()
}

fn named(name: &str) -> TaskRecord {
    completed(1, TaskSpec::new("command").with_name(name))
}

fn printed(stdout: Stream) -> TaskRecord {
    let mut record = completed(1, TaskSpec::new("command"));
    let output = Output {
        stdout,
        ..process(0, "", "")
    };
    record.output = Some(Arc::new(output));
    record
}

#[test]
fn a_cell_is_cut_at_the_limit_and_between_two_characters() {
    let kept = options(7, Some("/home/me/b1.db"));
    for (name, shown) in [
        ("1234567", "1234567"),
        (
            "12345678",
            "1234567… [cut: 8 bytes in all, whole in b1.1 of /home/me/b1.db]",
        ),
        // Of three bytes, at the limit, after it and across it.
        ("1234€", "1234€"),
        (
            "1234€€",
            "1234€… [cut: 10 bytes in all, whole in b1.1 of /home/me/b1.db]",
        ),
        (
            "12345€",
            "12345… [cut: 8 bytes in all, whole in b1.1 of /home/me/b1.db]",
        ),
        (
            "123456€",
            "123456… [cut: 9 bytes in all, whole in b1.1 of /home/me/b1.db]",
        ),
    ] {
        assert_eq!(cell(&kept, &named(name), "name"), shown);
    }
    let not_kept = cell(&options(3, None), &named("1,\"\n"), "name");
    assert_eq!(not_kept, "1,\"… [cut: 4 bytes in all, not kept]");
    let mut guarded = options(3, None);
    guarded.guard_formulas = true;
    assert_eq!(
        cell(&guarded, &named("=1+1"), "name"),
        "'=1+… [cut: 4 bytes in all, not kept]"
    );
}

#[test]
fn every_column_has_the_limit() {
    let mut spec = TaskSpec::new("f".repeat(50))
        .with_id(&"i".repeat(50))
        .with_name(&"n".repeat(50));
    spec = spec
        .with_params(&serde_json::json!({"p": "p".repeat(50)}))
        .unwrap();
    spec = spec.after(&"d".repeat(50));
    Arc::make_mut(&mut spec.options).tags = vec!["t".repeat(25), "t".repeat(25)];
    let mut record = completed(1, spec);
    record.error = Some("e".repeat(50));
    record.output = Some(Arc::new(process(0, "o".repeat(50), "")));
    for column in [
        "function",
        "id",
        "name",
        "params",
        "depends_on",
        "tags",
        "error",
        "result",
    ] {
        let shown = cell(&options(40, None), &record, column);
        assert_eq!(shown.find("… [cut: "), Some(40), "{column}: {shown}");
    }
}

#[test]
fn a_cut_result_names_the_file_of_the_output() {
    let folder = tempfile::tempdir().unwrap();
    let record = printed(in_file(folder.path(), "out", &b"x\"".repeat(40_000)));
    let shown = cell(
        &options(WriterOptions::CELL_LIMIT, Some("b1.db")),
        &record,
        "result",
    );
    let (kept, mark) = shown.split_once('…').unwrap();
    assert!(
        kept.starts_with(r#"{"exit_code":0,"stdout":"x\"x\""#),
        "{kept}"
    );
    assert_eq!(kept.len(), 32_000);
    let path = folder.path().join("out");
    assert_eq!(
        mark,
        format!(" [cut: 80,000 bytes in all, whole in {}]", path.display())
    );
    // More would break spreadsheets.
    assert!(shown.chars().count() <= 32_767);
    let in_memory = printed(Stream::from(vec![b'x'; 40_000]));
    let shown = cell(
        &options(WriterOptions::CELL_LIMIT, Some("b1.db")),
        &in_memory,
        "result",
    );
    assert!(
        shown.ends_with("xxx… [cut: 40,000 bytes in all, whole in b1.1 of b1.db]"),
        "{shown}"
    );
}

#[test]
fn without_a_limit_cells_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = "aé€😀\"\n\\,".repeat(20_000).into_bytes();
    let from_file = printed(in_file(folder.path(), "out", &bytes));
    let from_memory = printed(Stream::from(bytes.clone()));
    let whole = cell(&options(0, None), &from_file, "result");
    let result: Value = serde_json::from_str(&whole).unwrap();
    assert!(result["stdout"].as_str().unwrap().as_bytes() == bytes);
    assert!(render(&options(0, None), &[from_file]) == render(&options(0, None), &[from_memory]));
    assert_eq!(
        cell(&options(0, None), &named(&"n".repeat(50_000)), "name").len(),
        50_000
    );
    // Other formats have no cells.
    let jsonl = text(Format::Jsonl, &[named(&"n".repeat(50_000))]);
    assert!(jsonl.len() > 50_000);
}

#[test]
fn a_short_time_has_no_exponent() {
    let mut record = named("short");
    for (nanos, shown) in [
        (0, "0.0"),
        (1_000, "0.000001"),
        (10_000, "0.00001"),
        (2_500_000_000, "2.5"),
    ] {
        record.execution_time = Some(std::time::Duration::from_nanos(nanos));
        assert_eq!(cell(&options(0, None), &record, "execution_time"), shown);
    }
}

/// A terabyte that takes no room: no way around the pieces reads it.
fn terabyte(folder: &Path) -> TaskRecord {
    let path = folder.join("out");
    let len = 1 << 40;
    File::create(&path).unwrap().set_len(len).unwrap();
    printed(Stream::File { path, len })
}

#[test]
fn an_output_goes_through_piece_by_piece() {
    let folder = tempfile::tempdir().unwrap();
    let record = terabyte(folder.path());
    for options in [
        WriterOptions::new(Format::Jsonl),
        options(0, None),
        WriterOptions::new(Format::Text),
    ] {
        let mut writer = result_writer(&options, Full(1 << 20), io::sink()).unwrap();
        let error = writer.task(&record).unwrap_err();
        assert!(matches!(error, ExportError::Write(_)), "{error}");
    }
    let shown = cell(&options(100, Some("b1.db")), &record, "result");
    assert!(
        shown.contains("… [cut: 1,099,511,627,776 bytes in all, whole in /"),
        "{shown}"
    );
}

/// A disk with so much space.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self
            .0
            .checked_sub(bytes.len())
            .ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
