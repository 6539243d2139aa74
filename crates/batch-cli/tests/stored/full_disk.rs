//! A disk that is full to its last byte: outputs wait for room with their tasks, and what needs none works.
//!
//! The disks are small ones in memory, which need a namespace of their own; where the system allows none, nothing is tested
//! here. `benches/attack/disk_sizes.py` tries many sizes.

use std::process::Command;

use crate::common::{Ended, Place, finish};

/// Runs a script in a place with a disk of one megabyte, and the state folder on it; `None` where there are no such disks.
fn on_small_disk(place: &Place, script: &str) -> Option<Ended> {
    let unshare = |script: &str| {
        let mut command = place.command("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", script]);
        command
    };
    std::fs::create_dir(place.path("disk")).unwrap();
    let mount = "mount -t tmpfs -o size=1m none disk";
    if !Command::status(&mut unshare(mount)).is_ok_and(|status| status.success()) {
        eprintln!("!!! skipped: no small disk can be made here");
        return None;
    }
    let mut command = unshare(&format!("{mount} && {script}"));
    command
        .env("BEX_HOME", place.path("disk/home"))
        .env("BEX", env!("CARGO_BIN_EXE_bex"));
    Some(finish(command, b""))
}

#[test]
fn outputs_that_find_no_room_wait_for_it_with_their_tasks() {
    let place = Place::new();
    let script = r"
        head -c 600000 /dev/zero > disk/filler
        $BEX run --progress none --format none -j 2 --shell 'printf %0400000d {}' ::: 1 2 3 4 2> log & run=$!
        until $BEX status 2> /dev/null | grep -q 'the disk is full'; do kill -0 $run || exit 9; done
        $BEX why b1.1
        rm disk/filler
        mount -o remount,size=20m disk
        wait $run; echo code $?
        $BEX status
        $BEX results --format raw | wc -c
    ";
    let Some(ended) = on_small_disk(&place, script) else {
        return;
    };
    let said = ended.expect(0).stdout;
    assert!(said.contains("the batch waits: the disk is full"), "{said}");
    assert!(said.contains("code 0\n"), "{said}");
    assert!(said.contains("b1 is completed"), "{said}");
    assert!(said.ends_with("\n1600000\n"), "{said}");
    let log = place.read("log");
    assert_eq!(log.matches("paused: the disk is full").count(), 1, "{log}");
}

#[test]
fn a_secret_in_an_output_needs_no_room_for_a_second_copy() {
    let place = Place::new();
    place.tasks(&serde_json::json!([{
        "shell": "printf '%0900000d<%s>' 0 \"$T\"", "max_retries": 0, "env": {"T": "{{ env.TOKEN }}"},
    }]));
    let script = r"
        mount -o remount,size=1500k disk
        export TOKEN=s3cr3t-value
        $BEX run --progress none --format none tasks.json 2> log; echo code $?
        $BEX results --format raw | tail -c 6
        ls disk/home/batches/b1.db.files | wc -l
    ";
    if let Some(ended) = on_small_disk(&place, script) {
        let said = ended.expect(0).stdout;
        assert_eq!(said, "code 0\n0<***>1\n", "{}", place.read("log"));
    }
}

#[test]
fn the_log_of_a_full_disk_leaves_the_room_to_the_batch() {
    let place = Place::new();
    // What was freed is enough for the batch, but not for a second copy of it in its write-ahead log.
    let script = r"
        head -c 450000 /dev/zero > disk/filler
        $BEX run --progress none --format none -j 1 --shell 'printf %02000d {}' ::: $(seq 100) 2> log & run=$!
        until $BEX status 2> /dev/null | grep -q 'the disk is full'; do kill -0 $run || exit 9; done
        rm disk/filler
        wait $run; echo code $?
    ";
    if let Some(ended) = on_small_disk(&place, script) {
        assert_eq!(ended.expect(0).stdout, "code 0\n");
    }
}

#[test]
fn an_output_that_waits_for_room_ends_with_its_task() {
    let place = Place::new();
    let script = r"
        head -c 800000 /dev/zero > disk/filler
        $BEX run --progress none --format none --shell 'printf %0400000d {}' ::: 1 2> log & run=$!
        until $BEX status 2> /dev/null | grep -q 'the disk is full'; do kill -0 $run || exit 9; done
        $BEX stop > /dev/null
        wait $run
        $BEX status | grep -o '1 queued'
        rm disk/filler
        $BEX resume --progress none --format raw 2>> log | wc -c
    ";
    if let Some(ended) = on_small_disk(&place, script) {
        assert_eq!(ended.expect(0).stdout, "1 queued\n400000\n");
    }
}

#[test]
fn results_that_go_to_a_full_disk_wait_for_room() {
    let place = Place::new();
    let script = r"
        head -c 500000 /dev/zero > disk/filler
        $BEX run --store kept.db -o disk/out.jsonl --progress none --shell 'printf %0200000d {}' ::: 1 2 3 4 2> log & run=$!
        until grep -q 'the disk is full' log; do kill -0 $run || exit 9; done
        rm disk/filler
        mount -o remount,size=20m disk
        wait $run; echo code $?
        wc -l < disk/out.jsonl
        ls -A disk
    ";
    if let Some(ended) = on_small_disk(&place, script) {
        assert_eq!(ended.expect(0).stdout, "code 0\n4\nhome\nout.jsonl\n");
    }
}

#[test]
fn looking_and_removing_need_no_room() {
    let place = Place::new();
    let script = r"
        for batch in 1 2; do
            $BEX run --progress none --format none --shell 'printf hello' ::: 1 2> /dev/null
        done
        cat /dev/zero > disk/filler 2> /dev/null
        $BEX status -b b1 | head -n 1
        $BEX results -b b1 --format raw; echo
        $BEX add -b b1 -- true $(printf %0100000d 1) 2>&1 | grep -o 'the disk is full'
        $BEX rm b1
        $BEX prune --older-than 0s
        ls disk/home/batches
    ";
    if let Some(ended) = on_small_disk(&place, script) {
        let said = ended.expect(0).stdout;
        let expected = "b1 is completed\nhello\nthe disk is full\nb1 removed\nremoved b2\n";
        assert_eq!(said, expected);
    }
}
