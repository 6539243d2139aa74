//! The page for CI servers: what it says, and that it stays small and harmless.

use std::sync::Arc;

use crate::common::{completed, process, samples, text};
use batch_core::{FailureKind, Reason, Status, TaskSpec};
use batch_export::{Cause, Format, TaskRecord};

fn failed(number: u32, error: &str, stderr: &str) -> TaskRecord {
    let kind = FailureKind::ExitCode(1);
    let mut record = completed(number, TaskSpec::new("shell").with_name("<b>|name|</b>"));
    record.status = Status::Failed;
    record.reason = Some(Reason::Failed(kind));
    record.error = Some(error.to_owned());
    record.cause = Some(Arc::new(Cause::of("shell", kind, error, stderr.as_bytes())));
    record.output = Some(Arc::new(process(1, "", stderr)));
    record
}

#[test]
fn the_page_tells_verdict_causes_and_what_was_slow() {
    let page = text(Format::Markdown, &samples());
    for part in [
        "### ❌ b1 samples: 5 tasks: 2 completed (1 flaky), 1 failed, 1 cancelled, 1 queued",
        "#### Why tasks failed",
        "| 1 | shell&#58; exit code 3&#58; line N | b1.3 line 12 | `cff49cd` |",
        "<details><summary>b1.3 &#61;1&#43;1</summary>",
        "#### Slowest tasks",
        "#### Completed, but not at first: 1",
        "#### Groups",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
}

#[test]
fn what_tasks_print_is_no_markup() {
    let page = text(
        Format::Markdown,
        &[failed(
            1,
            "<script>alert(1)</script> | x",
            "```\n</details>\n````\n\u{1b}[2J",
        )],
    );
    let outside: String = page
        .split("`````text")
        .map(|part| part.split("`````").last().unwrap())
        .collect();
    assert!(
        !outside.contains("<script>") && !outside.contains("<b>"),
        "{page}"
    );
    assert!(!page.contains('\u{1b}'), "{page}");
}

#[test]
fn a_page_stays_within_its_budget() {
    // Each byte of such an output takes five on the page.
    let records: Vec<TaskRecord> = ('a'..='z')
        .flat_map(|letter| [letter; 3])
        .zip(1..)
        .map(|(letter, number)| {
            let word = letter.to_string().repeat(8);
            failed(number, &format!("no {word} here"), &"\u{1}".repeat(5_000))
        })
        .collect();
    let page = text(Format::Markdown, &records);
    assert!(page.len() <= 200_000, "{}", page.len());
    assert!(page.contains("78 failed"), "{page}");
}
