//! Tests of [`Cause`]: what real tools write, and what must hold for any bytes.

use proptest::prelude::*;

use super::normal::normalise;
use super::*;
use FailureKind::{
    Error, ExitCode, HttpStatus, InputError, OutOfMemory, OutputError, Quarantined, Signal,
    SpawnError, Timeout,
};

const PYTHON: &str = r#"Traceback (most recent call last):
  File "/tmp/x.py", line 12, in <module>
    raise ValueError("error in here")
ValueError: invalid literal for int() with base 10: 'abc'
"#;

const CHAINED: &str = r#"Traceback (most recent call last):
  File "/tmp/x.py", line 3, in <module>
    {}["k"]
KeyError: 'k'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/tmp/x.py", line 5, in <module>
    raise Boom("it broke")
Boom: it broke 3 times
make: *** [Makefile:2: all] Error 1
"#;

const NODE: &str = "/tmp/x.js:3
throw new Error('first');
^

Error: ENOENT: no such file or directory, open '/a/7'
    at Object.open (node:internal/fs/errors:12:3)
    at failedHandler (/tmp/x.js:3:7) {
  errno: -2,
  code: 'ENOENT',
  path: '/a/7'
}

Node.js v20.1.0
";

const JAVA: &str = "Exception in thread \"main\" java.lang.RuntimeException: outer
\tat Main.main(Main.java:5)
Caused by: java.io.IOException: disk 7 is gone
\tat Main.read(Main.java:9)
\t... 1 more
";

const RUST: &str = "
thread 'main' (4711) panicked at src/main.rs:4:5:
index out of bounds: the len is 3 but the index is 17
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
";

const RUSTC: &str = "error[E0425]: cannot find value `y` in this scope
 --> src/main.rs:2:5
  |
2 |     y
  |     ^ not found in this scope

error: aborting due to 1 previous error

For more information about this error, try `rustc --explain E0425`.
";

const GO: &str = "panic: runtime error: index out of range [5] with length 3

goroutine 1 [running]:
main.main()
\t/tmp/x.go:5 +0x1d
exit status 2
";

/// Kind, standard error, what the label says after the kind.
const WRITTEN: &[(FailureKind, &str, &str)] = &[
    (ExitCode(1), "", ""),
    (ExitCode(1), " \r\n\x1b[0m\n", ""),
    (
        ExitCode(2),
        "grep: /tmp/a: No such file or directory\n",
        "grep: P: No such file or directory",
    ),
    (
        ExitCode(1),
        "cat: my.odd-name: No such file or directory",
        "cat: P: No such file or directory",
    ),
    (
        ExitCode(1),
        "error: Permission denied",
        "error: Permission denied",
    ),
    (
        ExitCode(1),
        "open b17.x: no such file or directory",
        "open P: no such file or directory",
    ),
    (
        ExitCode(1),
        "cat: /x: Input/output error",
        "cat: P: Input/output error",
    ),
    (
        ExitCode(2),
        "ls: cannot access '/a b/c': No such file or directory\n",
        "ls: cannot access '…': No such file or directory",
    ),
    (
        ExitCode(127),
        "sh: 1: foo: not found\n",
        "sh: N: foo: not found",
    ),
    (
        ExitCode(1),
        PYTHON,
        "ValueError: invalid literal for int() with base N: '…'",
    ),
    (ExitCode(2), CHAINED, "Boom: it broke N times"),
    (
        ExitCode(1),
        NODE,
        "Error: ENOENT: no such file or directory, open '…'",
    ),
    (
        ExitCode(1),
        JAVA,
        "Caused by: java.io.IOException: disk N is gone",
    ),
    (
        ExitCode(101),
        RUST,
        "thread '…' (N) panicked at P:N:N: index out of bounds: the len is N but the index is N",
    ),
    (
        ExitCode(1),
        RUSTC,
        "error[EN]: cannot find value `…` in this scope",
    ),
    (
        ExitCode(1),
        GO,
        "panic: runtime error: index out of range [N] with length N",
    ),
    (
        ExitCode(22),
        "curl: (22) The requested URL returned error: 404\n",
        "curl: (N) The requested URL returned error: 404",
    ),
    (
        ExitCode(28),
        "curl: (28) Failed to connect to 10.0.0.1 port 80 after 1002 ms: Timeout was reached",
        "curl: (N) Failed to connect to A port N after N ms: Timeout was reached",
    ),
    (
        ExitCode(1),
        "10% done\r20% done\r\x1b[31mfatal:\x1b[0m bad object 1a2b3c4d\r\n",
        "fatal: bad object X",
    ),
    (
        ExitCode(1),
        "\x1b]0;title\x07Error: x\x1b]8;;http://a\x1b\\",
        "Error: x",
    ),
    (
        ExitCode(1),
        "ERROR: one\nERROR: two\nall went 3 wrong\n",
        "ERROR: two",
    ),
    (ExitCode(1), "step 1\nstep 2\n\n", "step N"),
    (
        ExitCode(1),
        "bad \u{7}bell\x00 and\ttab",
        "bad bell and tab",
    ),
    (
        ExitCode(1),
        "error: old\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n16\n17\n18\n19\nend\n",
        "end",
    ),
    (
        ExitCode(1),
        "npm error code E404\nnpm error A complete log of this run can be found in: /r/x.log\n",
        "npm error code EN",
    ),
    (
        ExitCode(1),
        "x.py:3: SyntaxWarning: invalid escape\ngave up on 7\n",
        "gave up on N",
    ),
    (Signal(9), "70% done\n80% done\n", ""),
    (
        Signal(6),
        "terminate called after throwing an instance of 'std::bad_alloc'\n",
        "terminate called after throwing an instance of '…'",
    ),
    (OutOfMemory, "working\n", ""),
    (Timeout, "error: this was retried\n", ""),
    (Quarantined, "error: x\n", ""),
];

#[test]
fn what_tools_write_becomes_a_label() {
    for (kind, stderr, said) in WRITTEN {
        let cause = Cause::of("command", *kind, &kind.to_string(), stderr.as_bytes());
        let expected = match *said {
            "" => format!("command: {kind}"),
            said => format!("command: {kind}: {said}"),
        };
        assert_eq!(cause.label(), expected, "{stderr:?}");
    }
}

/// Kind, message, label.
const TOLD: &[(FailureKind, &str, &str)] = &[
    (ExitCode(3), "exit code 3", "f: exit code 3"),
    (
        ExitCode(3),
        "exit code 3: disk 7 is full",
        "f: exit code 3: disk N is full",
    ),
    (Signal(9), "signal 9 (SIGKILL): 80% done", "f: signal 9"),
    (Timeout, "timeout: it took longer than 30s", "f: timeout"),
    (
        Timeout,
        "GET http://a/b?c=1: operation timed out",
        "f: timeout: GET U: operation timed out",
    ),
    (
        HttpStatus(404),
        "GET http://a/b: 404 Not Found",
        "f: http status 404: GET U: N Not Found",
    ),
    (
        OutputError,
        "its output could not be kept: Permission denied (os error 13); see to space and permissions in /b/c",
        "f: output error: its output could not be kept: Permission denied (os error N); see to space and permissions in P",
    ),
    (
        Error,
        "the code cannot be written to a folder in /tmp: No such file or directory (os error 2)",
        "f: error: the code cannot be written to a folder in P: No such file or directory (os error N)",
    ),
    (
        SpawnError,
        "the working folder \"/a/b\" cannot be entered: No such file or directory (os error 2); create it or correct `cwd`",
        "f: spawn error: the working folder \"…\" cannot be entered: No such file or directory (os error N); create it or correct `…`",
    ),
    (
        InputError,
        "the result of task \"a\" cannot be read: Is a directory (os error 21)",
        "f: input error: the result of task \"…\" cannot be read: Is a directory (os error N)",
    ),
    (
        ExitCode(2),
        "exit code 2: tar: alice: Cannot open: No such file or directory",
        "f: exit code 2: tar: alice: Cannot open: No such file or directory",
    ),
    (
        ExitCode(2),
        "exit code 2: sh: 1: cannot open alice: No such file",
        "f: exit code 2: sh: N: cannot open alice: No such file",
    ),
    (
        ExitCode(1),
        "exit code 1: cannot open alice: Permission denied",
        "f: exit code 1: cannot open P: Permission denied",
    ),
    (
        SpawnError,
        "cannot start \"foo\": no such program",
        "f: spawn error: cannot start \"…\": no such program",
    ),
    (
        Error,
        "KeyError: 'k'\nsecond line",
        "f: error: KeyError: '…'",
    ),
    (
        Error,
        PYTHON,
        "f: error: ValueError: invalid literal for int() with base N: '…'",
    ),
    (Error, "", "f: error"),
];

#[test]
fn without_standard_error_the_message_counts() {
    for (kind, message, label) in TOLD {
        assert_eq!(
            Cause::of("f", *kind, message, b"").label(),
            *label,
            "{message}"
        );
    }
    let own = Cause::of("f", Error, "the handler knows", b"Error: not this\n");
    assert_eq!(own.label(), "f: error: the handler knows");
    assert_eq!(
        Cause::of("f", Error, "", b"Error: this\n").label(),
        "f: error: Error: this"
    );
}

#[test]
fn lines_lose_what_differs() {
    for (line, normal) in [
        ("", ""),
        ("  a\t b\u{85}c ", "a b c"),
        (
            "page17 v1.2.3 -5 3,120 1e-5 12MB 49.4/s",
            "pageN vN N N N NMB N/s",
        ),
        (
            "0xdeadBEEF 1a2b3c4 deadbeef task_a1b2c3d4",
            "X X deadbeef task_X",
        ),
        ("id-550e8400-e29b-41d4-a716-446655440000.", "id-X."),
        ("req 7Hs9kQ2mPz8LwX4vB done", "req X done"),
        (
            "2026-01-02T03:04:05.678Z 2026-01-02 03:04:05,678 ERROR x",
            "T ERROR x",
        ),
        ("[12:03:44] x [2026/01/02 12:03:44]", "[T] x [T]"),
        ("Mon Jan  2 03:04:05 2026: x", "T N: x"),
        ("after 1m30s or 250ms or 5 s", "after T or T or N s"),
        (
            "10.0.0.1:8080 10.0.0.1/24 ::1 fe80::1 00:1a:2b:3c:4d:5e",
            "A:N A/N A A A",
        ),
        ("std::bad_alloc a::b 12:5", "std::bad_alloc a::b N:N"),
        ("https://a.b/c?d=1, (ftp://x/y) see", "U, (U) see"),
        ("/a/b: ./x ../x ~/x a/b/c C:\\a\\b /.", "P: P P P P P /."),
        (
            "src/main.rs:4:5 and/or I/O HTTP/1.1 text/html N/A",
            "P:N:N and/or I/O HTTP/N text/html N/A",
        ),
        (
            "file=/tmp/a --out=b.json (in a.txt) cannot open /tmp/a.",
            "file=P --out=P (in P) cannot open P.",
        ),
        (
            "java.lang.Exception a.b.c() example.com",
            "java.lang.Exception a.b.c() example.com",
        ),
        (
            "can't open 'a' \"b \\\" c\" `d' ‘e’ it's",
            "can't open '…' \"…\" `…' ‘…’ it's",
        ),
        ("an open 'quote 7", "an open 'quote N"),
    ] {
        assert_eq!(normalise(line), normal, "{line}");
    }
}

#[test]
fn ids_are_stable_and_read_back() {
    let cause = Cause::of("command", ExitCode(1), "exit code 1", b"");
    // Stored in batches: a change of it must be noticed.
    assert_eq!(cause.id().to_string(), "c757191");
    let id = CauseId::new(0x00_a21b).unwrap();
    assert_eq!(id.to_string(), "c00a21b");
    assert_eq!("c00a21b".parse(), Ok(id));
    assert_eq!((id.get(), CauseId::new(0x100_0000)), (0xa21b, None));
    for text in [
        "", "c", "00a21b", "c00a21", "c00a21b0", "c+0a21b", "b00a21b", "cäää",
    ] {
        let error = text.parse::<CauseId>().unwrap_err().to_string();
        assert!(error.contains(&format!("{text:?}")), "{error}");
    }
}

#[test]
fn a_stored_cause_is_the_same() {
    let cause = Cause::of("command", ExitCode(1), "", b"Error: page 7\n");
    assert_eq!(cause.sample(), "Error: page 7");
    let stored = Cause::from_parts(cause.id(), cause.label().into(), cause.sample().into());
    assert_eq!(stored, cause);
    assert_eq!(stored.to_string(), "command: exit code 1: Error: page N");
}

/// Texts made of what the normaliser looks for, so that it meets itself.
fn any_line() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[ -~]{0,4}",
        "[NPTAUX'\"`…:/.=-]{1,3}",
        "[0-9a-f:./]{1,9}",
        any::<char>().prop_map(String::from),
        prop::sample::select(vec![
            " ",
            "'",
            "`",
            "/tmp/a",
            "a/b.c",
            "10.0.0.1",
            "::1",
            "1m30s",
            "12:30:45",
            "2026-01-02",
            "Jan",
            "Mon",
            "http://a",
            ": No such file or directory",
            "1a2b3c4d",
            "N",
            "T",
            "x.txt",
            "C:\\",
            "0x1",
            "‘",
            "’",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn what_is_normalised_stays_as_it_is(line in any_line()) {
        let once = normalise(&line);
        prop_assert_eq!(normalise(&once), once);
    }

    #[test]
    fn like_failures_are_equal(
        a in ("[0-9]{1,9}", "(/[a-z0-9_.-]{0,5}[a-z0-9]){1,3}", "[^'\u{0}-\u{1f}]{0,20}", 0..86_400_u32),
        b in ("[0-9]{1,9}", "(/[a-z0-9_.-]{0,5}[a-z0-9]){1,3}", "[^'\u{0}-\u{1f}]{0,20}", 0..86_400_u32),
    ) {
        let label = |(number, path, quoted, clock): (String, String, String, u32)| {
            let (h, m, s) = (clock / 3600, clock / 60 % 60, clock % 60);
            let line = format!("{h:02}:{m:02}:{s:02} error {number}: {path}: row{number} has '{quoted}' in {clock}s\n");
            Cause::of("f", ExitCode(1), "", line.as_bytes()).label().to_owned()
        };
        let label_of_a = label(a);
        prop_assert_eq!(&label_of_a, &label(b));
        prop_assert_eq!(label_of_a, "f: exit code 1: T error N: P: rowN has '…' in T");
    }

    #[test]
    fn any_bytes_give_a_short_label_without_control_characters(
        function: String,
        message: String,
        stderr in prop_oneof![
            any::<Vec<u8>>(),
            prop::collection::vec(any_line(), 0..30).prop_map(|lines| lines.join("\n").into_bytes()),
            prop::collection::vec("[\u{0}-\u{1f}\u{1b}\\[\\]a-z\u{9b}]{0,9}", 0..40)
                .prop_map(|lines| lines.concat().repeat(20).into_bytes()),
        ],
        kind in prop_oneof![any::<i32>().prop_map(ExitCode), Just(Signal(6)), Just(Error), Just(Timeout)],
    ) {
        let cause = Cause::of(&function, kind, &message, &stderr);
        prop_assert!(!cause.label().contains(char::is_control), "{:?}", cause.label());
        prop_assert!(!cause.label().contains('\n'));
        prop_assert!(cause.label().chars().count() <= LONGEST_FUNCTION + LONGEST_LINE + 30);
        prop_assert!(cause.sample().chars().count() <= LONGEST_SAMPLE);
        let again = Cause::of(&function, kind, &message, &stderr);
        prop_assert_eq!(again.id(), cause.id());
        prop_assert_eq!(cause.id().to_string().parse(), Ok(cause.id()));
    }
}
