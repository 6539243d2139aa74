//! What one process may rely on, with real ones.

mod common;

use std::future::{pending, ready};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use batch_core::outcome::Stream;
use batch_process::{CaptureLimits, Ended, Process, SpawnError, Spec, Stdin};
use common::{Lifeline, PATIENCE, kill};
use tokio::sync::Notify;

/// A task of its own id: those of one id are ended together.
fn sh(script: &str) -> Spec {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    Spec {
        task: format!("b1.{number}"),
        ..Spec::new(["sh", "-c", script])
    }
}

async fn run(spec: &Spec) -> Ended {
    let process = Process::spawn(spec).unwrap();
    tokio::time::timeout(PATIENCE, process.run(pending(), pending()))
        .await
        .unwrap()
}

fn text(stream: &Stream) -> &str {
    match stream {
        Stream::Inline(bytes) => std::str::from_utf8(bytes).unwrap(),
        Stream::File { .. } => panic!("in a file"),
    }
}

/// Ends a task once its script has sent a line through the lifeline.
async fn end_when_ready(lifeline: &Arc<Lifeline>, spec: &Spec) -> Ended {
    let process = Process::spawn(spec).unwrap();
    let line = lifeline.clone();
    let end = async move {
        tokio::task::spawn_blocking(move || line.line())
            .await
            .unwrap();
    };
    tokio::time::timeout(PATIENCE, process.run(end, pending()))
        .await
        .unwrap()
}

#[tokio::test]
async fn outputs_are_apart_and_the_end_is_told() {
    let ended = run(&sh("echo out; echo err >&2; exit 3")).await;
    assert_eq!(
        (text(&ended.stdout), text(&ended.stderr)),
        ("out\n", "err\n")
    );
    assert_eq!((ended.end.exit_code, ended.end.signal), (Some(3), None));
    assert!(ended.end.peak_memory > 100_000);
    assert!(!ended.end.leaking && !ended.cancelled && ended.leftovers.is_empty());

    let ended = run(&sh("kill -KILL $$")).await;
    assert_eq!((ended.end.exit_code, ended.end.signal), (None, Some(9)));
}

#[tokio::test]
async fn processor_time_is_counted() {
    let ended = run(&sh("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")).await;
    assert!(ended.end.cpu_time > Duration::ZERO);
}

#[tokio::test]
async fn stdin_is_empty_unless_given() {
    assert_eq!(
        text(&run(&sh("cat; readlink /proc/self/fd/0")).await.stdout),
        "/dev/null\n"
    );
    let given = "x".repeat(200_000);
    let spec = Spec {
        stdin: Some(Stdin::Bytes(given.clone().into_bytes())),
        ..sh("cat")
    };
    assert!(text(&run(&spec).await.stdout) == given);
}

#[tokio::test]
async fn folder_environment_and_marks_are_set() {
    let folder = tempfile::tempdir().unwrap();
    let spec = Spec {
        cwd: Some(folder.path().to_owned()),
        env: vec![("A".into(), "one two".into()), ("A".into(), "three".into())],
        task: "b7.42".into(),
        ..sh("pwd -P; echo \"$A\"; echo $BEX_TASK_ID; test -n \"$BEX_RUN\" && test -n \"$PATH\"")
    };
    let ended = run(&spec).await;
    let folder = folder.path().canonicalize().unwrap();
    assert_eq!(
        text(&ended.stdout),
        format!("{}\nthree\nb7.42\n", folder.display())
    );
    assert_eq!(ended.end.exit_code, Some(0));
}

#[tokio::test]
async fn a_program_is_found_from_the_folder_of_the_task() {
    let folder = tempfile::tempdir().unwrap();
    write_program(&folder.path().join("tool"), "#!/bin/sh\necho \"$0\"\n");
    let in_folder = |program: &str| Spec {
        cwd: Some(folder.path().to_owned()),
        env: vec![("PATH".into(), ".:/usr/bin:/bin".into())],
        ..Spec::new([program])
    };
    assert_eq!(text(&run(&in_folder("./tool")).await.stdout), "./tool\n");
    assert_eq!(run(&in_folder("tool")).await.end.exit_code, Some(0));
}

#[tokio::test]
async fn a_task_has_a_group_of_its_own() {
    let process = Process::spawn(&sh("exec cut -d' ' -f1,5 /proc/self/stat")).unwrap();
    let id = process.id();
    let ended = process.run(pending(), pending()).await;
    assert_eq!(text(&ended.stdout), format!("{id} {id}\n"));
}

#[tokio::test]
async fn signals_are_at_their_defaults() {
    // The test itself ignores SIGPIPE, as every Rust program does.
    let ended = run(&sh("grep -E '^Sig(Blk|Ign)' /proc/self/status")).await;
    let masks: Vec<u64> = text(&ended.stdout)
        .lines()
        .map(|line| u64::from_str_radix(line.split_whitespace().last().unwrap(), 16).unwrap())
        .collect();
    let pipe = 1 << (13 - 1);
    assert_eq!((masks.len(), masks[0], masks[1] & pipe), (2, 0, 0));
}

#[tokio::test]
async fn no_file_of_ours_is_open_in_a_task() {
    let _file = std::fs::File::open("/dev/null").unwrap();
    let _socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let other = Process::spawn(&sh("sleep 1000")).unwrap();
    // What the test itself was started with is open in any child.
    let usual = Command::new("ls").arg("/proc/self/fd").output().unwrap();
    let ended = run(&Spec::new(["ls", "/proc/self/fd"])).await;
    assert_eq!(text(&ended.stdout).as_bytes(), usual.stdout);
    drop(other);
}

#[tokio::test]
async fn a_background_process_that_holds_the_output_does_not_hold_the_task() {
    let line = Lifeline::new();
    let script = format!("{} sleep 1000 & echo hi; echo $! >&9", line.hold());
    let ended = run(&sh(&script)).await;
    assert_eq!(text(&ended.stdout), "hi\n");
    assert!(ended.end.leaking && !ended.cancelled);
    assert_eq!(ended.end.exit_code, Some(0));
    // It lives on until the run ends: there is someone to kill.
    kill("-KILL", line.line().parse().unwrap());
    line.all_gone();
}

#[tokio::test]
async fn what_left_the_group_ends_with_the_task() {
    for script in [
        // In another session.
        "setsid sleep 1000 & echo go >&9; wait",
        // And without its environment.
        "env -i setsid sleep 1000 & echo go >&9; wait",
        // Deaf to the request besides, when its parent is gone already.
        "env -i setsid sh -c 'trap \"\" TERM; echo go >&9; while :; do sleep 1000; done' & wait",
        // In another session and without a parent: its environment tells.
        "(setsid sh -c 'echo go >&9; sleep 1000' &) ; sleep 1000",
    ] {
        let line = Arc::new(Lifeline::new());
        let spec = Spec {
            grace: Duration::from_millis(100),
            ..sh(&(line.hold() + script))
        };
        let ended = end_when_ready(&line, &spec).await;
        assert!(ended.cancelled && ended.leftovers.is_empty(), "{script}");
        assert!(!ended.end.leaking, "{script}");
        line.all_gone();
    }
}

#[tokio::test]
async fn output_in_the_time_of_grace_is_kept() {
    let line = Arc::new(Lifeline::new());
    let script =
        "trap 'echo bye; exit 7' TERM; echo hello; echo go >&9; while :; do sleep 0.05; done";
    let spec = Spec {
        grace: PATIENCE,
        ..sh(&(line.hold() + script))
    };
    let ended = end_when_ready(&line, &spec).await;
    assert_eq!(text(&ended.stdout), "hello\nbye\n");
    assert!(ended.cancelled);
    assert_eq!(ended.end.exit_code, Some(7));
    line.all_gone();
}

#[tokio::test]
async fn what_ignores_the_request_is_killed_after_the_grace() {
    let line = Arc::new(Lifeline::new());
    let script = "trap '' TERM; echo go >&9; while :; do sleep 1000; done";
    let spec = Spec {
        grace: Duration::from_millis(50),
        ..sh(&(line.hold() + script))
    };
    let ended = end_when_ready(&line, &spec).await;
    assert_eq!((ended.end.signal, ended.cancelled), (Some(9), true));
    line.all_gone();
}

#[tokio::test]
async fn the_grace_is_for_all_processes_and_not_for_the_first_one_only() {
    // The leader ends at once; what it started says good-bye first.
    let line = Arc::new(Lifeline::new());
    let child = "trap \"echo bye; exit\" TERM; echo go >&9; while :; do sleep 0.05; done";
    let script = format!("{} sh -c '{child}' & wait", line.hold());
    let ended = end_when_ready(
        &line,
        &Spec {
            grace: PATIENCE,
            ..sh(&script)
        },
    )
    .await;
    assert_eq!((ended.end.signal, text(&ended.stdout)), (Some(15), "bye\n"));
    line.all_gone();
}

#[tokio::test]
async fn a_kill_does_not_wait_for_the_grace() {
    let line = Arc::new(Lifeline::new());
    let script = "trap 'echo asked >&9' TERM; echo go >&9; while :; do sleep 0.05; done";
    let spec = Spec {
        grace: Duration::from_secs(100_000),
        ..sh(&(line.hold() + script))
    };
    let process = Process::spawn(&spec).unwrap();
    let (lines, asked) = (line.clone(), Arc::new(Notify::new()));
    let kill = asked.clone();
    let end = async move {
        let lines = tokio::task::spawn_blocking(move || {
            lines.line();
            lines
        });
        let lines = lines.await.unwrap();
        // From the trap on it is in its time of grace.
        tokio::task::spawn_blocking(move || {
            lines.line();
            asked.notify_one();
        });
    };
    let ended = process.run(end, async move { kill.notified().await });
    let ended = tokio::time::timeout(PATIENCE, ended).await.unwrap();
    assert_eq!((ended.end.signal, ended.cancelled), (Some(9), true));
    line.all_gone();
}

#[tokio::test]
async fn a_stopped_process_can_be_asked_to_end() {
    let line = Arc::new(Lifeline::new());
    let script = "echo go >&9; kill -STOP $$";
    let spec = Spec {
        grace: PATIENCE,
        ..sh(&(line.hold() + script))
    };
    let ended = end_when_ready(&line, &spec).await;
    assert_eq!(ended.end.signal, Some(15));
}

#[tokio::test]
async fn a_dropped_run_leaves_nothing() {
    let line = Arc::new(Lifeline::new());
    let script = "setsid sh -c 'echo go >&9; sleep 1000' & wait";
    let process = Process::spawn(&sh(&(line.hold() + script))).unwrap();
    let running = tokio::spawn(process.run(pending(), pending()));
    let lines = line.clone();
    tokio::task::spawn_blocking(move || lines.line())
        .await
        .unwrap();
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    line.all_gone();
}

#[tokio::test]
async fn a_process_that_has_ended_is_not_called_cancelled() {
    let process = Process::spawn(&sh("exit 4")).unwrap();
    let ended = process.run(pending(), pending()).await;
    assert!(!ended.cancelled);
    let killed = Process::spawn(&sh("sleep 1000"))
        .unwrap()
        .run(pending(), ready(()))
        .await;
    assert_eq!((killed.cancelled, killed.end.signal), (true, Some(9)));
}

#[tokio::test]
async fn fifty_megabytes_lose_no_byte() {
    let folder = tempfile::tempdir().unwrap();
    let capture = CaptureLimits {
        folder: folder.path().join("new"),
        in_memory: 1_000,
        ..CaptureLimits::default()
    };
    let spec = Spec {
        capture: Arc::new(capture),
        ..sh("seq 1 6800000 & seq 1 100000 >&2; wait")
    };
    let ended = run(&spec).await;
    assert!(ended.output_error.is_none());
    assert_is_sequence(&ended.stdout, 6_800_000);
    assert_is_sequence(&ended.stderr, 100_000);
    assert_eq!(
        std::fs::read_dir(folder.path().join("new"))
            .unwrap()
            .count(),
        2
    );
}

fn assert_is_sequence(stream: &Stream, last: u32) {
    let Stream::File { path, len } = stream else {
        panic!("in memory")
    };
    let expected = (1..=last).flat_map(|number| (number.to_string() + "\n").into_bytes());
    let bytes = std::io::BufReader::new(std::fs::File::open(path).unwrap()).bytes();
    assert!(expected.eq(bytes.map(Result::unwrap)));
    assert_eq!(std::fs::metadata(path).unwrap().len(), *len);
    let mode = std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "for nobody else to read");
}

#[tokio::test]
async fn output_that_cannot_be_kept_ends_the_task_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let capture = Arc::new(CaptureLimits {
        folder: file,
        in_memory: 1_000,
        ..CaptureLimits::default()
    });
    let ended = run(&Spec {
        capture,
        ..sh("yes; sleep 1000")
    })
    .await;
    assert!(ended.output_error.is_some() && !ended.cancelled);
    assert!(ended.stdout.is_empty());
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one case after the other")]
async fn what_cannot_start_says_why_and_that_it_is_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        write_program(&path, content);
        path.to_str().unwrap().to_owned()
    };
    let plain = file("plain", "x");
    std::fs::set_permissions(&plain, std::fs::Permissions::from_mode(0o644)).unwrap();
    let long = "x".repeat(131_072);
    let many = std::iter::once("true").chain(std::iter::repeat_n(&long[1..], 100));
    let missing_folder = Spec {
        cwd: Some("/no/such".into()),
        ..Spec::new(["true"])
    };
    let file_as_folder = Spec {
        cwd: Some(plain.clone().into()),
        ..Spec::new(["true"])
    };
    let cases = [
        (
            Spec::new(["no-such-program"]),
            "program \"no-such-program\" is not in PATH",
        ),
        (
            Spec::new(["/no/such"]),
            "program \"/no/such\" does not exist",
        ),
        (Spec::new([&plain[..]]), "make it executable with chmod +x"),
        (Spec::new(["/"]), "it is a folder"),
        (
            Spec::new([file("wild", "#!/no/interpreter -x\n")]),
            "names \"/no/interpreter\"",
        ),
        (
            Spec::new([file("dos", "#!/bin/sh\r\n")]),
            "names \"/bin/sh\\r\"",
        ),
        (
            Spec::new([file("noise", "\x01\x02 no program")]),
            "neither a program of this system",
        ),
        (
            missing_folder,
            "the working folder \"/no/such\" cannot be entered",
        ),
        (file_as_folder, "cannot be entered: not a directory"),
        (Spec::new(["true", &long]), "argument 1 has 131072 bytes"),
        (Spec::new(many), "too long together"),
        (
            Spec::new(["true", "a\0b"]),
            "argument 1 contains a zero byte",
        ),
        (Spec::new(Vec::<&str>::new()), "no program is given"),
        (Spec::new([""]), "no program is given"),
        (
            Spec {
                env: vec![("A=B".into(), "x".into())],
                ..sh("")
            },
            "variable \"A=B\" cannot be set",
        ),
    ];
    for (spec, expected) in cases {
        let error = Process::spawn(&spec).unwrap_err();
        assert!(error.to_string().contains(expected), "{expected}: {error}");
        assert!(error.is_permanent() && !error.is_busy(), "{error}");
    }
    assert!(matches!(
        Process::spawn(&Spec::new(["/"])),
        Err(SpawnError::Denied { .. })
    ));
}

#[tokio::test]
async fn the_longest_argument_passes() {
    let ended = run(&Spec::new(["true", &"x".repeat(131_071)])).await;
    assert_eq!(ended.end.exit_code, Some(0));
}

fn write_program(path: &Path, content: &str) {
    std::fs::write(path, content).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
