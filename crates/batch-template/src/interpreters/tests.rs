use super::*;

/// The positions that are code, in `argv` as words with `@` for what is not known.
fn places(line: &str) -> Vec<usize> {
    let code = code_in(line);
    code.arguments.into_iter().map(|(at, _)| at).collect()
}

fn code_in(line: &str) -> CommandCode {
    let words = shlex::split(line).unwrap();
    let words: Vec<String> = words.iter().map(|word| word.replace('@', "\0")).collect();
    code_in_command(&words)
}

#[test]
fn the_code_of_an_interpreter_is_found() {
    for (line, expected) in [
        ("bash -c 'echo @'", vec![2]),
        ("bash -lc 'echo @'", vec![2]),
        ("bash -exc 'echo @'", vec![2]),
        ("bash -euo pipefail -c 'echo @'", vec![4]),
        ("bash -ceuo pipefail 'echo @'", vec![3]),
        ("bash -c -x -- 'echo @' _ @", vec![4]),
        ("bash +e -o pipefail -c 'echo @'", vec![5]),
        ("bash --rcfile x -c @", vec![4]),
        ("bash -c - @", vec![3]),
        ("sh +e -c '@'", vec![3]),
        ("/bin/sh -c @", vec![2]),
        ("dash -c 'echo \"$1\"' _ @", vec![2]),
        ("bash -c 'eval \"$1\"' _ @", vec![2, 3, 4]),
        ("bash -c 'echo $(( $1 ))' _ @", vec![2, 3, 4]),
        ("bash -c 'for i; do sh -c \"$i\"; done' _ @", vec![2, 3, 4]),
        ("zsh -fc @", vec![2]),
        ("/opt/bash5.2/bin/bash-5.2 -c @", vec![2]),
        ("fish --command=@", vec![1]),
        ("pwsh -NoProfile -Command @", vec![3]),
        ("python3 -c 'print(@)' @", vec![2]),
        ("python3.11 -Ic 'print(@)'", vec![2]),
        ("python -uc 'print(@)' -c @", vec![2]),
        ("python3 -c'print(@)'", vec![1]),
        ("python3 -W ignore -X dev -c @", vec![6]),
        ("perl -e 'print @'", vec![2]),
        ("perl -lne 'print @' f", vec![2]),
        ("perl -F: -lanE 'say @'", vec![3]),
        ("perl -Mstrict -e @", vec![1, 3]),
        ("ruby -ne 'puts @'", vec![2]),
        ("node -e 'f(@)'", vec![2]),
        ("node -pe 'f(@)'", vec![2]),
        ("node --eval=f(@)", vec![1]),
        ("node --input-type=module --eval @", vec![3]),
        ("node --print @", vec![2]),
        ("deno eval @", vec![2]),
        ("bun -e @", vec![2]),
        ("php -r 'echo @;'", vec![2]),
        ("lua5.4 -e @", vec![2]),
        ("Rscript --vanilla -e @", vec![3]),
        ("osascript -e @", vec![2]),
    ] {
        assert_eq!(places(line), expected, "{line}");
    }
}

#[test]
fn the_code_of_other_programs_is_found() {
    for (line, expected) in [
        ("awk '/@/ {print}' f", vec![1]),
        ("gawk -F, -v x=1 '@' f", vec![4]),
        ("sed 's/a/@/' f", vec![1]),
        ("sed -n -e p -e 's/@/b/e' f", vec![3, 5]),
        ("sed f -e @", vec![3]),
        ("jq '.[\"@\"]' f", vec![1]),
        ("sqlite3 x.db 'select @'", vec![2]),
        ("psql -d x -c 'select @'", vec![4]),
        ("mysql x -e 'select @'", vec![3]),
        ("vim -es -c @", vec![3]),
        ("gdb -batch -ex @", vec![3]),
        ("emacs --batch --eval @", vec![3]),
        ("make CC=@ all", vec![1]),
        ("tar cf x --checkpoint-action=exec=@ f", vec![3]),
        ("rsync -e @ a b", vec![2]),
        ("git -c core.pager=@ log", vec![2]),
    ] {
        assert_eq!(places(line), expected, "{line}");
    }
}

#[test]
fn what_starts_an_interpreter_is_seen_through() {
    for (line, expected) in [
        ("env bash -c @", vec![3]),
        ("/usr/bin/env -i -u X A=1 bash -c @", vec![7]),
        ("env -S 'bash -c' @", vec![3]),
        ("env -S 'bash -c @'", vec![2]),
        ("env --split-string='bash -c' @", vec![2]),
        ("env -vS 'A=1 python3 -c' @ x", vec![3]),
        ("env BASH_ENV=@ bash x", vec![1]),
        ("sudo -u bash bash -c @", vec![5]),
        ("sudo -E X=1 sh -c @", vec![5]),
        ("doas -u x sh -c @", vec![5]),
        ("nice -n 5 sh -c @", vec![5]),
        ("nice -5 sh -c @", vec![4]),
        ("nohup setsid ionice -c 3 bash -c @", vec![7]),
        ("timeout -k 1 5 bash -c @", vec![6]),
        ("timeout --signal=KILL 5 python3 -c @", vec![5]),
        ("stdbuf -oL perl -e @", vec![4]),
        ("time -f %e sh -c @", vec![5]),
        ("busybox sh -c @", vec![3]),
        ("xargs -n 1 sh -c @", vec![5]),
        ("find . -name x -exec sh -c @ ;", vec![7]),
        ("find . -exec echo @ ; -execdir bash -c @ _ +", vec![9]),
        ("chroot /x bash -c @", vec![4]),
        ("docker run --rm -it image bash -lc @", vec![7]),
        ("podman exec c sh -c @", vec![5]),
        ("kubectl exec pod -- sh -c @", vec![6]),
        ("some-wrapper --x bash -c @", vec![4]),
        ("su -c @ user", vec![2]),
        ("su - user -c @", vec![4]),
        ("script -qc @ /dev/null", vec![2]),
        ("flock /tmp/l -c @", vec![3]),
        ("flock /tmp/l bash -c @", vec![4]),
        ("watch -n 1 ls @", vec![3, 4]),
        ("parallel -j 2 echo @ ::: @", vec![3, 4]),
        ("ssh h ls @", vec![2, 3]),
        ("ssh -p 22 -o User=@ h -- ls @", vec![7, 8]),
        ("ssh -o ProxyCommand=@ h", vec![2]),
        ("ssh h -p 22 ls", vec![4]),
        ("timeout 5 ssh h @", vec![4]),
    ] {
        assert_eq!(places(line), expected, "{line}");
    }
}

#[test]
fn arguments_of_scripts_and_programs_are_none() {
    for line in [
        "echo @",
        "bash script.sh -c @",
        "bash @ -c x",
        "sh -x script.sh @",
        "python3 script.py -c @",
        "python3 -m module -c @",
        "perl -w script.pl -e @",
        "node script.js -e @",
        "timeout 5 bash script.sh -c @",
        "env A=@ B=1 cp @ x",
        "ssh @",
        "ssh -i key -p 22 @",
        "awk -f x.awk @",
        "awk -v x=@ -f x.awk",
        "sed -f x.sed @",
        "grep -e @ f",
        "tar -cf @ x",
        "find @ -name @",
        "gzip -k @",
        "nice -n @ cp a b",
        "make -C @ all",
        "git commit -m @",
        "rsync -a @ h:",
        "docker run -e X=@ image ls",
        "psql -v x=@ -f q.sql",
    ] {
        assert!(places(line).is_empty(), "{line}");
    }
}

#[test]
fn code_that_comes_later_is_known() {
    for (line, stdin, appended) in [
        ("bash -c", false, true),
        ("python3 -c", false, true),
        ("ssh h", true, true),
        ("ssh h sh", true, true),
        ("ssh h cat", false, true),
        ("sh", true, false),
        ("sh -s x", true, false),
        ("python3 -", true, false),
        ("python3 /dev/stdin", true, false),
        ("bash x.sh", false, false),
        ("xargs sh -c", true, true),
        ("xargs -I% sh -c 'echo %'", true, false),
        ("xargs -0 cat", false, false),
        ("cat", false, false),
        ("awk", false, true),
        ("parallel", true, true),
    ] {
        let code = code_in(line);
        assert_eq!(
            (code.stdin.is_some(), code.appended.is_some()),
            (stdin, appended),
            "{line}"
        );
    }
}

#[test]
fn what_is_filled_in_can_change_the_reading() {
    for line in ["@ -c x", "bash @ x", "env @ x", "timeout 5 python3 @"] {
        assert!(code_in(line).is_open, "{line}");
    }
    for line in ["echo @", "gzip -k @", "cp @ bash.txt"] {
        assert!(!code_in(line).is_open, "{line}");
    }
    // The same commands, filled in by data that wants to be code.
    assert_eq!(places("python3 '-cimport os'"), [1]);
    assert_eq!(places("perl -ne print 'touch x|'"), [2, 3]);
    assert_eq!(places("ssh '-oProxyCommand=touch x' h"), [1]);
    assert_eq!(places("make 'X=$(shell touch x)'"), [1]);
}

proptest::proptest! {
    #[test]
    fn no_command_is_a_panic(words in proptest::collection::vec("(sh|env|ssh|xargs|find|-[cSIo]{0,2}|--|[-=+@%ab{}\0]{0,4})", 0..7)) {
        let code = code_in_command(&words);
        proptest::prop_assert!(code.arguments.iter().all(|(at, _)| *at < words.len()));
    }
}

#[test]
fn commands_inside_commands_without_end_are_code() {
    for wrapper in ["env", "nice", "sudo", "xargs"] {
        let mut argv = vec![wrapper; 20_000];
        argv.push("\0");
        let code = code_in_command(&argv);
        assert!(
            code.arguments.iter().any(|(at, _)| *at == 20_000),
            "{wrapper}"
        );
    }
    let mut argv = vec!["x"];
    argv.extend(["sh"; 20_000]);
    argv.push("\0");
    assert!(
        code_in_command(&argv)
            .arguments
            .iter()
            .any(|(at, _)| *at == 20_001)
    );
}
