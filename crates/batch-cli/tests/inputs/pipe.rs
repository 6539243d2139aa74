//! What tasks read on standard input: pieces of ours, a file, or the item.

use std::process::Stdio;

use crate::common::{Place, finish};

/// The names of the pieces of input that the latest batch keeps.
fn kept(place: &Place) -> Vec<String> {
    let mut all = Vec::new();
    for folder in std::fs::read_dir(place.path("home/batches"))
        .unwrap()
        .flatten()
    {
        let files = std::fs::read_dir(folder.path())
            .into_iter()
            .flatten()
            .flatten();
        all.extend(files.map(|file| file.file_name().to_string_lossy().into_owned()));
    }
    all.retain(|name| name.starts_with("in-"));
    all.sort();
    all
}

#[test]
fn standard_input_is_cut_at_line_ends_and_none_of_it_is_lost() {
    let place = Place::new();
    let lines: String = (1..=20_000).map(|n| format!("{n}\n")).collect();
    for more in [&["--durability", "full"][..], &["--durability", "none"]] {
        let args = [
            &["run", "-k", "--pipe", "--block", "16k"],
            more,
            &["--", "cat"],
        ]
        .concat();
        assert_eq!(
            place.bex_with(lines.as_bytes(), &args).expect(0).stdout,
            lines
        );
        let args = [
            &["run", "-k", "--pipe", "--block", "16k"],
            more,
            &["--", "wc", "-c"],
        ]
        .concat();
        let sizes = place.bex_with(lines.as_bytes(), &args).expect(0).stdout;
        let sizes: Vec<usize> = sizes
            .lines()
            .map(|size| size.trim().parse().unwrap())
            .collect();
        assert_eq!(sizes.iter().sum::<usize>(), lines.len());
        assert!(
            sizes.len() > 5 && sizes.iter().all(|size| *size <= 16 << 10),
            "{sizes:?}"
        );
    }
    assert_eq!(kept(&place), [""; 0], "blocks that are done are kept");
}

#[test]
fn blocks_have_records_and_tasks_their_numbers() {
    let place = Place::new();
    let run = |args: &[&str], input: &str| {
        let args = [&["run", "-k", "--pipe"], args].concat();
        place.bex_with(input.as_bytes(), &args).expect(0).stdout
    };
    assert_eq!(
        run(
            &["--records", "2", "--", "paste", "-sd", "+"],
            "1\n2\n3\n4\n5"
        ),
        "1+2\n3+4\n5\n"
    );
    assert_eq!(
        run(&["--records", "1", "-0", "--", "tr", "\\0", "!"], "a\nb\0c"),
        "a\nb!c"
    );
    assert_eq!(
        run(
            &["--records", "2", "--shell", "echo {#}; wc -l"],
            "1\n2\n3\n"
        ),
        "1\n2\n2\n1\n"
    );
    assert_eq!(run(&["--", "cat"], ""), "");
    assert!(
        run(&["--dry-run", "--records", "2", "--", "sort"], "1\n2\n3\n")
            .lines()
            .count()
            == 2
    );
}

#[test]
fn a_block_is_there_for_a_retry_and_goes_when_it_is_done() {
    let place = Place::new();
    let script = "if grep -q 3; then test -e ready; fi";
    let args = [
        "run",
        "--pipe",
        "--records",
        "2",
        "--max-retries",
        "1",
        "--shell",
        script,
    ];
    place.bex_with(b"1\n2\n3\n4\n5\n6\n", &args).expect(1);
    assert_eq!(kept(&place), ["in-2"]);
    std::fs::write(place.path("ready"), "").unwrap();
    place.bex(&["retry"]).expect(0);
    place.bex(&["resume"]).expect(0);
    assert_eq!(kept(&place), [""; 0]);
}

#[test]
fn a_task_reads_a_file_or_the_item() {
    let place = Place::new();
    std::fs::write(place.path("a.txt"), "one\n").unwrap();
    std::fs::write(place.path("b.txt"), "two\n").unwrap();
    let run = |args: &[&str]| place.bex(&[&["run", "-k"], args].concat()).expect(0).stdout;
    assert_eq!(
        run(&["--stdin", "item", "--", "cat", ":::", "x y", "$(z)"]),
        "x y$(z)"
    );
    assert_eq!(
        run(&["--stdin", "item", "--shell", "cat; echo {}", ":::", "x"]),
        "xx\n"
    );
    assert_eq!(
        run(&[
            "--stdin",
            "a.txt",
            "--",
            "sh",
            "-c",
            "cat; echo $1",
            "_",
            ":::",
            "x"
        ]),
        "one\nx\n"
    );
    assert_eq!(
        run(&["--stdin", "{}", "--", "cat", ":::", "a.txt", "b.txt"]),
        "one\ntwo\n"
    );
    assert_eq!(
        run(&[
            "--stdin", "{1}.{2}", "--", "cat", ":::", "a", "b", ":::", "txt"
        ]),
        "one\ntwo\n"
    );
    place.tasks(&serde_json::json!([{"command": ["cat"], "stdin": {"file": "a.txt"}}]));
    assert_eq!(run(&["tasks.json", "--format", "raw"]), "one\n");
    let missing = place
        .bex(&["run", "--stdin", "{}", "--", "cat", ":::", "c.txt"])
        .expect(1);
    assert!(missing.stderr.contains("c.txt"), "{missing:?}");
}

#[test]
fn what_is_read_never_becomes_code() {
    let place = Place::new();
    for args in [
        &["--pipe", "--", "sh"][..],
        &["--pipe", "--", "python3", "-"],
        &["--pipe", "--shell", "cat | bash"],
        &["--pipe", "--shell", "read x; eval \"$x\""],
        &["--stdin", "item", "--", "bash", ":::", "touch marker"],
        &["--stdin", "{}", "--", "bash", ":::", "f"],
        &["--stdin", "item", "--", "{}", ":::", "bash"],
    ] {
        let args = [&["run"], args].concat();
        let refused = place.bex_with(b"touch marker\n", &args).expect(2);
        assert!(
            refused.stderr.contains("code") || refused.stderr.contains("standard input"),
            "{refused:?}"
        );
        assert!(!place.has("marker"), "{args:?}");
    }
    let args = ["run", "--pipe", "--allow-code", "--", "sh"];
    place.bex_with(b"touch marker\n", &args).expect(0);
    assert!(place.has("marker"));
    for args in [
        &["run", "--pipe", "--", "cat", ":::", "a"][..],
        &["run", "--pipe", "-n", "2", "--", "cat"],
        &["run", "--pipe", "--block", "0", "--", "cat"],
        &["run", "--block", "1M", "--", "cat"],
        &[
            "run",
            "--pipe",
            "--records",
            "2",
            "--block",
            "1M",
            "--",
            "cat",
        ],
        &["run", "--pipe", "--", "cat", "{}"],
        &["run", "--pipe", "--stdin", "f", "--", "cat"],
        &["run", "--pipe", "--key", "k", "--", "cat"],
        &["run", "--pipe", "--function", "simulate"],
        &["run", "--stdin", "no-such-file", "--", "cat", ":::", "a"],
    ] {
        place.bex_with(b"x\n", args).expect(2);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn much_passes_through_little_memory() {
    let place = Place::new();
    let mut head = place.command("sh");
    head.args(["-c", "yes 0123456789abcdef | head -c 300M"])
        .stdout(Stdio::piped());
    let mut head = head.spawn().unwrap();
    let mut command = place.command("sh");
    let script = "ulimit -v 3000000; /usr/bin/env python3 -c '
import os, resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)' \"$@\"";
    let bex = env!("CARGO_BIN_EXE_bex");
    command.args([
        "-c",
        script,
        "_",
        bex,
        "run",
        "--progress",
        "none",
        "--pipe",
        "--",
        "wc",
        "-c",
    ]);
    command.stdin(head.stdout.take().unwrap());
    let ended = finish(command, b"").expect(0);
    assert!(head.wait().unwrap().success());
    let total: u64 = ended
        .stdout
        .lines()
        .map(|size| size.trim().parse::<u64>().unwrap())
        .sum();
    assert_eq!(total, 300 << 20);
    let peak: u64 = ended.stderr.lines().last().unwrap().parse().unwrap();
    assert!(peak < 80_000, "{peak} KiB");
}
