//! What each format looks like, and that nothing is lost or mixed on the way.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use crate::common::{completed, in_file, process, render, samples, text};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use batch_core::{
    BatchId, Output, TaskId, TaskSpec,
    outcome::{ProcessEnd, Stream},
};
use batch_export::{ExportError, Format, Summary, TaskRecord, WriterOptions, result_writer};
use serde_json::{Value, json};

/// How much of a file is read at once.
const PIECE: usize = 63 * 1024;

#[test]
fn jsonl_has_one_object_in_each_line() {
    insta::assert_snapshot!(text(Format::Jsonl, &samples()), @r#"
    {"task_id":"b1.1","id":null,"name":"Say \"hi\", twice","function":"command","params":{},"priority":"medium","status":"completed","reason":null,"created_at":"2026-01-02T03:04:05.000Z","started_at":"2026-01-02T03:04:05.678Z","completed_at":"2026-01-02T03:04:06.000Z","execution_time":0.322,"wait_time":0.678,"retry_count":0,"max_retries":0,"flaky":false,"result":{"exit_code":0,"stdout":"hi\n\u001b[1mhi\n","stderr":"warn�","stderr_base64":"d2Fybv8="},"error":null,"tags":[],"depends_on":[],"cpu_time":0.012,"peak_memory":1048576,"attempts":[{"attempt":1,"started_at":"2026-01-02T03:04:05.678Z","ended_at":"2026-01-02T03:04:06.000Z","execution_time":0.322,"outcome":"completed","reason":null,"error":null}],"cause":null,"attempt_count":1,"exit_code":0,"signal":null,"root_task":null,"item":null,"command":null,"stdout":"hi\n\u001b[1mhi\n","stderr":"warn�","stderr_base64":"d2Fybv8="}
    {"task_id":"b1.2","id":"sum","name":"sum","function":"custom_function","params":{"args":{"n":3},"code":"def process(): …"},"priority":"high","status":"completed","reason":null,"created_at":"2026-01-02T03:04:05.000Z","started_at":"2026-01-02T03:04:05.678Z","completed_at":"2026-01-02T03:04:06.000Z","execution_time":0.322,"wait_time":0.678,"retry_count":1,"max_retries":3,"flaky":true,"result":{"of":["a,b"],"sum":6},"error":null,"tags":[],"depends_on":[],"cpu_time":0.012,"peak_memory":1048576,"attempts":[{"attempt":1,"started_at":"2026-01-02T03:04:05.678Z","ended_at":"2026-01-02T03:04:06.000Z","execution_time":0.322,"outcome":"failed","reason":"timeout","error":"timed out after 1s"},{"attempt":2,"started_at":"2026-01-02T03:04:05.678Z","ended_at":"2026-01-02T03:04:06.000Z","execution_time":0.322,"outcome":"completed","reason":null,"error":null}],"cause":null,"attempt_count":2,"exit_code":0,"signal":null,"root_task":null,"item":null,"command":null,"stdout":"debug\n","stderr":""}
    {"task_id":"b1.3","id":null,"name":"=1+1","function":"shell","params":{},"priority":"medium","status":"failed","reason":"exit code","created_at":"2026-01-02T03:04:05.000Z","started_at":"2026-01-02T03:04:05.678Z","completed_at":"2026-01-02T03:04:06.000Z","execution_time":0.322,"wait_time":0.678,"retry_count":0,"max_retries":0,"flaky":false,"result":{"exit_code":3,"stdout":"","stderr":"line 1\nline 2\nline 3\nline 4\nline 5\nline 6\nline 7\nline 8\nline 9\nline 10\nline 11\nline 12\n"},"error":"exit code 3\nsecond line","tags":[],"depends_on":[],"cpu_time":0.012,"peak_memory":1048576,"attempts":[{"attempt":1,"started_at":"2026-01-02T03:04:05.678Z","ended_at":"2026-01-02T03:04:06.000Z","execution_time":0.322,"outcome":"failed","reason":"exit code","error":"exit code 3\nsecond line"}],"cause":"cff49cd","attempt_count":1,"exit_code":3,"signal":null,"root_task":null,"item":null,"command":null,"stdout":"","stderr":"line 1\nline 2\nline 3\nline 4\nline 5\nline 6\nline 7\nline 8\nline 9\nline 10\nline 11\nline 12\n"}
    {"task_id":"b1.4","id":null,"name":"command","function":"command","params":{},"priority":"medium","status":"cancelled","reason":"dependency failed","created_at":"2026-01-02T03:04:05.000Z","started_at":null,"completed_at":"2026-01-02T03:04:06.000Z","execution_time":null,"wait_time":null,"retry_count":0,"max_retries":0,"flaky":false,"result":null,"error":"b1.3 (=1+1) failed","tags":[],"depends_on":["login"],"cpu_time":null,"peak_memory":null,"attempts":[],"cause":null,"attempt_count":0,"exit_code":null,"signal":null,"root_task":"b1.3","item":null,"command":null,"stdout":null,"stderr":null}
    {"task_id":"b1.5","id":null,"name":"command","function":"command","params":{},"priority":"medium","status":"queued","reason":null,"created_at":"2026-01-02T03:04:05.000Z","started_at":null,"completed_at":null,"execution_time":null,"wait_time":null,"retry_count":0,"max_retries":0,"flaky":false,"result":null,"error":null,"tags":[],"depends_on":[],"cpu_time":null,"peak_memory":null,"attempts":[],"cause":null,"attempt_count":0,"exit_code":null,"signal":null,"root_task":null,"item":null,"command":null,"stdout":null,"stderr":null}
    "#);
}

#[test]
fn json_begins_with_the_metadata() {
    let document = text(Format::Json, &samples()[..1]);
    insta::assert_snapshot!(document.split_once("\n{\"task_id\"").unwrap().0, @r#"
    {"metadata":{"batch_id":"b1","name":"samples","exported_at":"2026-01-02T03:05:05.000Z","total_tasks":1,"completed":1,"failed":0,"cancelled":0,"queued":0,"running":0,"exported_tasks":1,"flaky":0,"retries":0,"started_at":"2026-01-02T03:04:05.678Z","completed_at":"2026-01-02T03:04:06.000Z","wall_time":0.322,"total_execution_time":0.322,"average_task_time":0.322,"median_execution_time":0.322,"p95_execution_time":0.322,"max_execution_time":0.322,"causes":[],"other_failed":0},
    "tasks":[
    "#);
    let all: Value = serde_json::from_str(&text(Format::Json, &samples())).unwrap();
    let lines: Vec<Value> = text(Format::Jsonl, &samples())
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(all["tasks"], Value::Array(lines));
    let empty: Value = serde_json::from_str(&text(Format::Json, &[])).unwrap();
    assert_eq!(empty["tasks"], json!([]));
    assert_eq!(empty["metadata"]["average_task_time"], Value::Null);
    assert_eq!(empty["metadata"]["median_execution_time"], Value::Null);
    assert_eq!(empty["metadata"]["causes"], json!([]));
    let expected = json!([{
        "cause": all["tasks"][2]["cause"],
        "count": 1,
        "label": "shell: exit code 3: line N",
        "sample": "line 12",
        "sample_task": "b1.3",
    }]);
    assert_eq!(all["metadata"]["causes"], expected);
}

#[test]
fn csv_has_the_columns_of_the_contract_first() {
    insta::assert_snapshot!(text(Format::Csv, &samples()).replace('\u{1b}', "ESC"), @r#"
    task_id,name,function,status,priority,created_at,started_at,completed_at,execution_time,wait_time,retry_count,result,error,id,reason,max_retries,flaky,attempts,exit_code,signal,tags,depends_on,params,cpu_time,peak_memory,cause,attempt_count,root_task,item,command,stdout,stderr
    b1.1,"Say ""hi"", twice",command,completed,medium,2026-01-02T03:04:05.000Z,2026-01-02T03:04:05.678Z,2026-01-02T03:04:06.000Z,0.322,0.678,0,"{""exit_code"":0,""stdout"":""hi\n\u001b[1mhi\n"",""stderr"":""warn�"",""stderr_base64"":""d2Fybv8=""}",,,,0,false,"[{""attempt"":1,""started_at"":""2026-01-02T03:04:05.678Z"",""ended_at"":""2026-01-02T03:04:06.000Z"",""execution_time"":0.322,""outcome"":""completed"",""reason"":null,""error"":null}]",0,,[],[],{},0.012,1048576,,1,,,,"hi
    ESC[1mhi
    ",warn�
    b1.2,sum,custom_function,completed,high,2026-01-02T03:04:05.000Z,2026-01-02T03:04:05.678Z,2026-01-02T03:04:06.000Z,0.322,0.678,1,"{""of"":[""a,b""],""sum"":6}",,sum,,3,true,"[{""attempt"":1,""started_at"":""2026-01-02T03:04:05.678Z"",""ended_at"":""2026-01-02T03:04:06.000Z"",""execution_time"":0.322,""outcome"":""failed"",""reason"":""timeout"",""error"":""timed out after 1s""},{""attempt"":2,""started_at"":""2026-01-02T03:04:05.678Z"",""ended_at"":""2026-01-02T03:04:06.000Z"",""execution_time"":0.322,""outcome"":""completed"",""reason"":null,""error"":null}]",0,,[],[],"{""args"":{""n"":3},""code"":""def process(): …""}",0.012,1048576,,2,,,,"debug
    ",
    b1.3,=1+1,shell,failed,medium,2026-01-02T03:04:05.000Z,2026-01-02T03:04:05.678Z,2026-01-02T03:04:06.000Z,0.322,0.678,0,"{""exit_code"":3,""stdout"":"""",""stderr"":""line 1\nline 2\nline 3\nline 4\nline 5\nline 6\nline 7\nline 8\nline 9\nline 10\nline 11\nline 12\n""}","exit code 3
    second line",,exit code,0,false,"[{""attempt"":1,""started_at"":""2026-01-02T03:04:05.678Z"",""ended_at"":""2026-01-02T03:04:06.000Z"",""execution_time"":0.322,""outcome"":""failed"",""reason"":""exit code"",""error"":""exit code 3\nsecond line""}]",3,,[],[],{},0.012,1048576,cff49cd,1,,,,,"line 1
    line 2
    line 3
    line 4
    line 5
    line 6
    line 7
    line 8
    line 9
    line 10
    line 11
    line 12
    "
    b1.4,command,command,cancelled,medium,2026-01-02T03:04:05.000Z,,2026-01-02T03:04:06.000Z,,,0,,b1.3 (=1+1) failed,,dependency failed,0,false,[],,,[],"[""login""]",{},,,,0,b1.3,,,,
    b1.5,command,command,queued,medium,2026-01-02T03:04:05.000Z,,,,,0,,,,,0,false,[],,,[],[],{},,,,0,,,,,
    "#);
}

#[test]
fn csv_guards_formulas_when_asked() {
    let mut options = WriterOptions::new(Format::Csv);
    options.guard_formulas = true;
    let csv = String::from_utf8(render(&options, &samples()).0).unwrap();
    assert!(csv.contains("b1.3,'=1+1,shell"), "{csv}");
    assert!(!csv.contains("'Say"), "{csv}");
    // Of an output, too, wherever that is kept.
    let folder = tempfile::tempdir().unwrap();
    for limit in [0, 100] {
        options.cell_limit = limit;
        for stdout in [
            Stream::from(b"-1,2".to_vec()),
            in_file(folder.path(), "out", b"-1,2"),
        ] {
            let mut record = completed(1, TaskSpec::new("command"));
            record.output = Some(Arc::new(Output {
                stdout,
                ..process(0, "", "")
            }));
            let csv = String::from_utf8(render(&options, &[record]).0).unwrap();
            assert!(csv.ends_with(",\"'-1,2\",\n"), "{csv}");
        }
    }
}

#[test]
fn text_is_for_people() {
    insta::assert_snapshot!(
        String::from_utf8_lossy(&render(&WriterOptions::new(Format::Text), &samples()).0).escape_debug()
            .to_string().replace("\\n", "\n").replace("\\\"", "\""),
        @r#"
    completed b1.1  Say "hi", twice  0.32s
      | hi
      | \u{1b}[1mhi
      ! warn�
    completed b1.2  sum  0.32s (flaky, 2 attempts)
      = {"of":["a,b"],"sum":6}
      | debug
    failed    b1.3  =1+1  0.32s  cff49cd
      error: exit code 3
             second line
      ! … (14 bytes before this)
      ! line 3
      ! line 4
      ! line 5
      ! line 6
      ! line 7
      ! line 8
      ! line 9
      ! line 10
      ! line 11
      ! line 12
    cancelled b1.4  command
      error: b1.3 (=1+1) failed
    queued    b1.5  command
    "#
    );
}

#[test]
fn text_for_a_terminal_escapes_what_steers_it() {
    let mut options = WriterOptions::new(Format::Text);
    options.escape_control = true;
    let text = String::from_utf8(render(&options, &samples()[..1]).0).unwrap();
    insta::assert_snapshot!(text, @r#"
    completed b1.1  Say "hi", twice  0.32s
      | hi
      | \u{1b}[1mhi
      ! warn�
    "#);
}

#[test]
fn raw_is_the_bytes_and_nothing_else() {
    let (out, err) = render(&WriterOptions::new(Format::Raw), &samples());
    assert_eq!(out, b"hi\n\x1b[1mhi\ndebug\n");
    assert!(err.starts_with(b"warn\xffline 1\nline 2\n") && err.ends_with(b"line 12\n"));
    assert_eq!(
        render(&WriterOptions::new(Format::None), &samples()),
        (vec![], vec![])
    );
}

#[test]
fn kept_order_is_the_order_of_the_tasks_in_every_format() {
    let mut shuffled = samples();
    shuffled.swap(0, 3);
    shuffled.swap(1, 2);
    // Events come as they happen.
    let ordered = Format::ALL
        .into_iter()
        .filter(|format| *format != Format::Events);
    for format in ordered {
        let mut options = WriterOptions::new(format);
        options.keep_order = true;
        assert_eq!(
            render(&options, &shuffled),
            render(&options, &samples()),
            "{format}"
        );
    }
}

#[test]
fn nobody_waits_for_a_task_that_is_filtered_out() {
    let mut options = WriterOptions::new(Format::Raw);
    options.keep_order = true;
    let shared = Shared::default();
    let mut writer = result_writer(&options, shared.clone(), io::sink()).unwrap();
    let mut second = completed(2, TaskSpec::new("command"));
    second.output = Some(Arc::new(process(0, "second", "")));
    writer.task(&second).unwrap();
    writer.flush().unwrap();
    assert!(shared.bytes().is_empty());
    writer.skip(TaskId::new(1).unwrap()).unwrap();
    writer.flush().unwrap();
    assert_eq!(shared.bytes(), b"second");
}

#[test]
fn a_process_ended_by_a_signal_says_so() {
    let mut record = completed(1, TaskSpec::new("command"));
    let mut output = process(0, "", "");
    output.process = Some(ProcessEnd {
        exit_code: None,
        signal: Some(9),
        leaking: true,
        ..ProcessEnd::default()
    });
    record.output = Some(Arc::new(output));
    let task: Value = serde_json::from_str(&text(Format::Jsonl, &[record])).unwrap();
    let expected =
        json!({"exit_code": null, "stdout": "", "stderr": "", "signal": 9, "leaking": true});
    assert_eq!(task["result"], expected);
}

/// Mostly text, with characters across the borders of the pieces it is read in and some bytes that are no
/// text.
fn large_output(megabytes: usize) -> Vec<u8> {
    let len = megabytes << 20;
    let mut bytes = Vec::with_capacity(len + 16);
    while bytes.len() < len {
        // 13 bytes, so that every place in a character meets a border.
        bytes.extend_from_slice("aé€😀\"\n\\".as_bytes());
    }
    for border in [1, 3, len / PIECE - 1] {
        let at = border * PIECE;
        bytes[at - 2..at + 2].copy_from_slice(b"\xf0\x9f\xff\xe2");
    }
    bytes.extend_from_slice(b"\xe2\x82");
    bytes
}

/// A task with this output, once from a file and once from memory.
fn in_both_ways(folder: &Path, bytes: &[u8]) -> [Vec<TaskRecord>; 2] {
    [in_file(folder, "out", bytes), Stream::from(bytes.to_vec())].map(|stdout| {
        let mut record = completed(1, TaskSpec::new("command"));
        let stderr = Stream::from(b"x\xffy".to_vec());
        record.output = Some(Arc::new(Output {
            stdout,
            stderr,
            ..process(0, "", "")
        }));
        vec![record]
    })
}

#[test]
fn thirty_megabytes_in_a_file_are_written_as_those_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = large_output(30);
    let [from_file, from_memory] = in_both_ways(folder.path(), &bytes);
    let jsonl = text(Format::Jsonl, &from_file);
    assert!(jsonl == text(Format::Jsonl, &from_memory));
    let task: Value = serde_json::from_str(&jsonl).unwrap();
    assert!(task["result"]["stdout"].as_str().unwrap() == String::from_utf8_lossy(&bytes));
    assert!(task["result"]["stdout_base64"].as_str().unwrap() == STANDARD.encode(&bytes));
    assert_eq!(task["result"]["stderr_base64"], "eP95");
}

#[test]
fn every_format_writes_a_file_as_it_writes_memory() {
    let folder = tempfile::tempdir().unwrap();
    let [from_file, from_memory] = in_both_ways(folder.path(), &large_output(1));
    for format in Format::ALL {
        for escape_control in [false, true] {
            let mut options = WriterOptions::new(format);
            options.escape_control = escape_control;
            assert!(
                render(&options, &from_file) == render(&options, &from_memory),
                "{format}"
            );
        }
    }
}

#[test]
fn an_output_that_cannot_be_read_back_is_an_error_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut gone = completed(1, TaskSpec::new("command"));
    let stdout = Stream::File {
        path: folder.path().join("gone"),
        len: 5,
    };
    gone.output = Some(Arc::new(Output {
        stdout,
        ..process(0, "", "")
    }));
    for format in [
        Format::Text,
        Format::Json,
        Format::Jsonl,
        Format::Csv,
        Format::Raw,
    ] {
        let mut out = Vec::new();
        let mut writer = result_writer(&WriterOptions::new(format), &mut out, io::sink()).unwrap();
        let error = writer.task(&gone).unwrap_err();
        assert!(
            matches!(error, ExportError::Read { .. }),
            "{format}: {error}"
        );
        assert!(error.to_string().contains("gone"), "{error}");
        drop(writer);
        assert!(
            !String::from_utf8(out).unwrap().contains("b1.1"),
            "{format}"
        );
    }
}

#[test]
fn a_broken_pipe_is_told_from_other_errors() {
    let mut writer =
        result_writer(&WriterOptions::new(Format::Jsonl), NoReader, io::sink()).unwrap();
    writer.task(&samples()[0]).unwrap();
    let error = writer
        .finish(&Summary::new(BatchId::default()))
        .unwrap_err();
    assert!(error.is_broken_pipe());
    let mut writer =
        result_writer(&WriterOptions::new(Format::Json), NoReader, io::sink()).unwrap();
    writer.task(&samples()[0]).unwrap();
    assert!(
        writer
            .finish(&Summary::new(BatchId::default()))
            .unwrap_err()
            .is_broken_pipe()
    );
    assert!(!ExportError::Write(io::ErrorKind::StorageFull.into()).is_broken_pipe());
}

#[test]
fn a_json_document_larger_than_memory_is_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let stdout = in_file(folder.path(), "out", &vec![b'x'; 3 << 20]);
    let records: Vec<TaskRecord> = (1..=6)
        .rev()
        .map(|number| {
            let mut record = completed(number, TaskSpec::new("command"));
            record.output = Some(Arc::new(Output {
                stdout: stdout.clone(),
                ..process(0, "", "")
            }));
            record
        })
        .collect();
    let mut options = WriterOptions::new(Format::Json);
    options.spool_folder = Some(folder.path().to_owned());
    let document: Value = serde_json::from_slice(&render(&options, &records).0).unwrap();
    let ids: Vec<_> = document["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| &task["task_id"])
        .collect();
    assert_eq!(ids, ["b1.1", "b1.2", "b1.3", "b1.4", "b1.5", "b1.6"]);
    assert_eq!(
        document["tasks"][5]["result"]["stdout"]
            .as_str()
            .unwrap()
            .len(),
        3 << 20
    );
    assert_eq!(document["metadata"]["exported_tasks"], 6);
}

struct NoReader;

impl Write for NoReader {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A vector that can be looked at while it is written.
#[derive(Clone, Default)]
struct Shared(Arc<std::sync::Mutex<Vec<u8>>>);

impl Shared {
    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
