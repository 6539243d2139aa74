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

/// Holds each line against the positions expected, and names all that differ.
fn check(lines: &[(&str, &[usize])]) {
    check_with(lines, places);
}

fn check_with(lines: &[(&str, &[usize])], places: impl Fn(&str) -> Vec<usize>) {
    let found = lines
        .iter()
        .map(|(line, expected)| (line, places(line), expected));
    let wrong: Vec<_> = found
        .filter(|(_, found, expected)| found != **expected)
        .collect();
    assert!(wrong.is_empty(), "line, found, expected: {wrong:#?}");
}

const INTERPRETERS: &[(&str, &[usize])] = &[
    ("bash -c 'echo @'", &[2]),
    ("bash -lc 'echo @'", &[2]),
    ("bash -exc 'echo @'", &[2]),
    ("bash -euo pipefail -c 'echo @'", &[4]),
    ("bash -ceuo pipefail 'echo @'", &[3]),
    ("bash -c -x -- 'echo @' _ @", &[4]),
    ("bash +e -o pipefail -c 'echo @'", &[5]),
    ("bash --rcfile x -c @", &[4]),
    ("bash -c - @", &[3]),
    ("sh +e -c '@'", &[3]),
    ("/bin/sh -c @", &[2]),
    ("dash -c 'echo \"$1\"' _ @", &[2]),
    ("bash -c 'eval \"$1\"' _ @", &[2, 3, 4]),
    ("bash -c 'echo $(( $1 ))' _ @", &[2, 3, 4]),
    ("bash -c 'for i; do sh -c \"$i\"; done' _ @", &[2, 3, 4]),
    ("zsh -fc @", &[2]),
    ("/opt/bash5.2/bin/bash-5.2 -c @", &[2]),
    ("fish --command=@", &[1]),
    ("pwsh -NoProfile -Command @", &[3]),
    ("python3 -c 'print(@)' @", &[2]),
    ("python3.11 -Ic 'print(@)'", &[2]),
    ("python -uc 'print(@)' -c @", &[2]),
    ("python3 -c'print(@)'", &[1]),
    ("python3 -W ignore -X dev -c @", &[6]),
    ("perl -e 'print @'", &[2]),
    ("perl -lne 'print @' f", &[2]),
    ("perl -F: -lanE 'say @'", &[3]),
    ("perl -Mstrict -e @", &[1, 3]),
    ("ruby -ne 'puts @'", &[2]),
    ("node -e 'f(@)'", &[2]),
    ("node -pe 'f(@)'", &[2]),
    ("node --eval=f(@)", &[1]),
    ("node --input-type=module --eval @", &[3]),
    ("node --print @", &[2]),
    ("deno eval @", &[2]),
    ("bun -e @", &[2]),
    ("php -r 'echo @;'", &[2]),
    ("lua5.4 -e @", &[2]),
    ("Rscript --vanilla -e @", &[3]),
    ("osascript -e @", &[2]),
    ("perl -i.save -pe 's/x/@/' f", &[3]),
    ("perl -i -pe @ f", &[3]),
    ("perl -Fe -lane @ f", &[3]),
    ("perl -0777 -ne @ f", &[3]),
    ("perl -l012 -0 -ne @ f", &[4]),
    ("perl -CSD -e @", &[3]),
    ("ruby -i.e -e @", &[3]),
    ("ruby -W -e @", &[3]),
    ("ruby -W0 -e @", &[3]),
    ("ruby -F, -ane @ f", &[3]),
    ("ruby -r json -e @", &[4]),
    ("ruby --yjit-exec-mem-size 8 -e @", &[4]),
    ("node --max-old-space-size 8 -e @", &[4]),
    ("node --experimental-vm-modules -p @", &[3]),
    ("nodemon --exec @", &[2]),
    ("python3 -m pdb -c @ x.py", &[3, 4, 5]),
    ("python3 -m timeit @", &[3]),
    ("python3 -mtimeit -s @ x", &[2, 3, 4]),
    ("python3 -OO -m IPython -c @", &[4, 5]),
    ("julia -E @", &[2]),
    ("jrunscript -e @", &[2]),
    ("fish -C @", &[2]),
    ("nu -c @", &[2]),
    ("pwsh -c @", &[2]),
    ("tclsh-8.6 -c @", &[2]),
    ("emacs -Q --batch --eval=@", &[3]),
];

#[test]
fn the_code_of_an_interpreter_is_found() {
    check(INTERPRETERS);
}

const OTHER_PROGRAMS: &[(&str, &[usize])] = &[
    ("awk '/@/ {print}' f", &[1]),
    ("gawk -F, -v x=1 '@' f", &[4]),
    ("sed 's/a/@/' f", &[1]),
    ("sed -n -e p -e 's/@/b/e' f", &[3, 5]),
    ("sed f -e @", &[3]),
    ("sed -i.save -e @ f", &[3]),
    ("sed -i '' 's/a/@/' f", &[3]),
    ("sed -ni @ f", &[2]),
    ("sed -Ei @ f", &[2]),
    ("sed --in-place=.bak @ f", &[2]),
    ("sed -l 5 @ f", &[3]),
    ("gsed --expression=@ f", &[1]),
    ("awk -v a=1 -F : @ f", &[5]),
    ("gawk -i inplace @ f", &[3]),
    ("gawk -e @ f", &[2]),
    ("jq --arg a 1 @ f", &[4]),
    ("jq -r --argjson a 1 --slurpfile b f @", &[8]),
    ("jq -n --indent 2 @", &[4]),
    ("yq eval @ f", &[2]),
    ("yq -i @ f", &[2]),
    ("psql -q -c @", &[3]),
    ("psql -qc @", &[2]),
    ("psql -qAtc @", &[2]),
    ("psql --command=@ x", &[1]),
    ("mysql -u root -pX x -e @", &[6]),
    ("mysql -e@ x", &[1]),
    ("mariadb --execute @", &[2]),
    ("clickhouse-client -q @", &[2]),
    ("sqlite3 -cmd @ x.db", &[2]),
    ("duckdb -c @", &[2]),
    ("mongosh --eval @", &[2]),
    ("redis-cli -h x EVAL @ 0", &[4, 5]),
    ("rails runner @", &[2]),
    ("dc -e @", &[2]),
    ("socat - EXEC:@", &[1, 2]),
    ("tmux new-session -d @", &[1, 2, 3]),
    ("nix-shell -p x --run @", &[4]),
    ("npx -c @", &[2]),
    ("jq '.[\"@\"]' f", &[1]),
    ("sqlite3 x.db 'select @'", &[2]),
    ("psql -d x -c 'select @'", &[4]),
    ("mysql x -e 'select @'", &[3]),
    ("vim -es -c @", &[3]),
    ("gdb -batch -ex @", &[3]),
    ("emacs --batch --eval @", &[3]),
    ("make CC=@ all", &[1]),
    ("tar cf x --checkpoint-action=exec=@ f", &[3]),
    ("rsync -e @ a b", &[2]),
    ("git -c core.pager=@ log", &[2]),
    ("git rebase --exec @ main", &[3]),
    ("git rebase -x @ main", &[3]),
    ("git filter-branch --tree-filter @ HEAD", &[3]),
    ("git filter-branch --msg-filter=@ HEAD", &[2]),
    ("git submodule foreach --recursive @", &[3, 4]),
    ("git bisect run @", &[3]),
    ("git config alias.x @", &[2, 3]),
    ("git clone -u x --config a=@ u", &[5]),
    ("git ls-remote --upload-pack=@ .", &[2]),
    ("debugfs -R @ x", &[2]),
    ("split --filter=@ f", &[1]),
    ("scp -o ProxyCommand=@ a h:", &[2]),
];

#[test]
fn the_code_of_other_programs_is_found() {
    check(OTHER_PROGRAMS);
}

const WRAPPERS: &[(&str, &[usize])] = &[
    ("env bash -c @", &[3]),
    ("/usr/bin/env -i -u X A=1 bash -c @", &[7]),
    ("env -S 'bash -c' @", &[2, 3]),
    ("su root -- -c @", &[4]),
    ("su -- root -c @", &[4]),
    ("capsh --drop=x -- -c @", &[4]),
    ("npm exec -c @", &[3]),
    ("env -S 'bash -c @'", &[2]),
    ("env --split-string='bash -c' @", &[1, 2]),
    ("env -vS 'A=1 python3 -c' @ x", &[2, 3]),
    ("env BASH_ENV=@ bash x", &[1]),
    ("sudo -u bash bash -c @", &[5]),
    ("sudo -E X=1 sh -c @", &[5]),
    ("doas -u x sh -c @", &[5]),
    ("nice -n 5 sh -c @", &[5]),
    ("nice -5 sh -c @", &[4]),
    ("nohup setsid ionice -c 3 bash -c @", &[7]),
    ("timeout -k 1 5 bash -c @", &[6]),
    ("timeout --signal=KILL 5 python3 -c @", &[5]),
    ("stdbuf -oL perl -e @", &[4]),
    ("time -f %e sh -c @", &[5]),
    ("busybox sh -c @", &[3]),
    ("xargs -n 1 sh -c @", &[5]),
    ("find . -name x -exec sh -c @ ;", &[4, 7]),
    ("find . -exec echo @ ; -execdir bash -c @ _ +", &[2, 6, 9]),
    ("chroot /x bash -c @", &[4]),
    ("docker run --rm -it image bash -lc @", &[7]),
    ("podman exec c sh -c @", &[5]),
    ("kubectl exec pod -- sh -c @", &[6]),
    ("some-wrapper --x bash -c @", &[4]),
    ("su -c @ user", &[2]),
    ("su - user -c @", &[4]),
    ("script -qc @ /dev/null", &[2]),
    ("flock /tmp/l -c @", &[3]),
    ("flock /tmp/l bash -c @", &[4]),
    ("watch -n 1 ls @", &[3, 4]),
    ("parallel -j 2 echo @ ::: @", &[3, 4]),
    ("ssh h ls @", &[2, 3]),
    ("ssh -p 22 -o User=@ h -- ls @", &[7, 8]),
    ("ssh -o ProxyCommand=@ h", &[2]),
    ("ssh h -p 22 ls", &[4]),
    ("timeout 5 ssh h @", &[4]),
    ("time -p sh -c @", &[4]),
    ("/usr/bin/time -vo log sh -c @", &[5]),
    ("xargs -l sh -c @", &[4]),
    ("xargs -i sh -c @", &[4]),
    ("xargs -P4 -I% -- bash -c @", &[6]),
    ("runuser -u nobody -- bash -c @", &[6]),
    ("su - x -- -c @", &[5]),
    ("su x -s /bin/bash -c @", &[5]),
    ("script -q -- bash -c @", &[5]),
    ("script -qec @ /dev/null", &[2]),
    ("schroot -c c -- bash -c @", &[6]),
    ("ssh -t h @", &[3]),
    ("ssh -x h @", &[3]),
    ("ssh -4tt -p22 h @", &[4]),
    ("ssh -tth @ x", &[3]),
    ("docker run img psql -c @", &[5]),
    ("docker exec -it c mysql -e @", &[6]),
    ("docker run -e A=1 --entrypoint python3 img -c @", &[8]),
    ("docker run --entrypoint=sh -v a:b img -c @", &[7]),
    ("env - sed -e @", &[4]),
    ("env -i PATH=/bin jq @ f", &[4]),
    ("sudo --preserve-env=X --login bash -c @", &[5]),
    ("sudo -iu x -- sh -c @", &[6]),
    ("sudo --new-option value python3 -c @", &[5]),
    ("chrt -f 10 sh -c @", &[5]),
    ("chrt --rr 10 sh -c @", &[5]),
    ("taskset -c 0 sh -c @", &[5]),
    ("taskset 0x1 sh -c @", &[4]),
    ("numactl -N 0 -m 0 python3 -c @", &[7]),
    ("unshare -rn bash -c @", &[4]),
    ("nsenter -t 1 -m sh -c @", &[6]),
    ("strace -f -e trace=open sh -c @", &[6]),
    ("prlimit --nofile=9 sh -c @", &[4]),
    ("setpriv --reuid 1 --clear-groups sh -c @", &[6]),
    ("systemd-run --user --scope -p X=1 bash -c @", &[7]),
    ("bwrap --ro-bind / / sh -c @", &[6]),
    ("kubectl -n x exec p -c main -- sh -c @", &[10]),
    ("lxc exec c -- su x -c @", &[7]),
    ("uv run python -c @", &[4]),
    ("conda run -n x python -c @", &[6]),
    ("nice -n 5 psql -qc @", &[5]),
    ("stdbuf -o 0 sed @ f", &[4]),
    ("nohup jq @ f", &[2]),
    ("flock -n /tmp/l -c @", &[4]),
    ("sg group @", &[2]),
    ("sg group -c @", &[3]),
];

#[test]
fn what_starts_an_interpreter_is_seen_through() {
    check(WRAPPERS);
}

const DATA: &[&str] = &[
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
    "git config user.name @",
    "git rebase @",
    "scp -o User=@ a h:",
    "scp @ h:",
    "split -n 3 @",
    "find @ -exec gzip @ ;",
    "ed -s @",
    "tar -xf - @",
    "rsync -a @ h:",
    "docker run -e X=@ image ls",
    "psql -v x=@ -f q.sql",
    "grep -c @ f",
    "echo -c @",
    "cp -e @ x",
    "rsync -e ssh @ h:",
    "gcc -c @",
    "curl -e @ u",
    "curl --data @ u",
    "bash script.sh @",
    "python3 tool.py -c @",
    "python3 -m http.server @",
    "python3 -m pytest -k @",
    "bash -c 'echo \"$1\"' _ @",
    "sh -c 'cat -- \"$*\"' sh @",
    "awk -v x=@ '{print x}'",
    "awk '{print}' @",
    "jq --arg a @ '.[$a]' f",
    "jq . @",
    "jq -r .x @",
    "yq e .a @",
    "sed s/a/b/ @",
    "sed -i.@ s/a/b/ f",
    "sed -i -e s/a/b/ @",
    "perl -pe s/a/b/ -- f",
    "perl -i.save script.pl @",
    "ruby -W0 script.rb -e @",
    "node --inspect script.js -e @",
    "node --max-old-space-size=8 script.js -e @",
    "mysql -u @ -h @ -e 'select 1'",
    "mysql -p@ -e 'select 1'",
    "psql -d @ -U @ -c 'select 1'",
    "psql -h @ -qf x.sql",
    "sqlite3 @ 'select 1'",
    "ssh -p @ h",
    "ssh -i @ -t h",
    "sudo -u bash cp @ x",
    "sudo -u postgres psql -f @",
    "time -o @ ls",
    "xargs -n @ cat",
    "timeout @ cp a b",
    "flock @ cp a b",
    "su - @",
    "docker cp @ c:/x",
    "docker run img gzip @",
    "kubectl get pod @",
    "find . -newer @ -print",
    "env bash script.sh @",
    "nice bash script.sh -c @",
    "taskset -c @ ls",
    "ffmpeg -i @ -c copy x.mp4",
    "convert @ -resize 50% x",
    "git clone @",
    "make -j @",
    "tool train batch @",
    "nohup tool time @",
];

#[test]
fn arguments_of_scripts_and_programs_are_none() {
    let unknown = |line: &str| {
        let words = shlex::split(line).unwrap();
        let places = places(line).into_iter();
        places.filter(|at| words[*at].contains('@')).collect()
    };
    let lines: Vec<(&str, &[usize])> = DATA.iter().map(|line| (*line, &[][..])).collect();
    check_with(&lines, unknown);
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
        ("unshare -r", true, false),
        ("setarch x86_64", true, false),
        ("setarch x86_64 cat", false, false),
        ("chroot /", true, false),
        ("sudo -s", true, false),
        ("sed -f -", true, false),
        ("awk -f /dev/stdin", true, false),
        ("make -f -", true, false),
        ("gdb -x /dev/stdin", true, false),
        ("bash -c 'cat | sh'", true, false),
        ("bash -c 'read x; eval $x'", true, true),
        ("bash -c 'cat > f'", false, false),
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
    assert_eq!(places("env '-Stouch x'"), [1]);
    assert_eq!(places("nice env '--split-string=touch x'"), [2]);
    assert_eq!(places("sftp '-oProxyCommand=touch x' h"), [1]);
    assert_eq!(places("git ls-remote '--exec=touch x' ."), [2]);
    assert_eq!(places("split '--filter=touch x' f"), [1]);
    assert_eq!(places("node --require=./evil.js -e 1"), [1, 3]);
    assert_eq!(places("find . -exec touch x ;"), [2]);
    assert_eq!(places("ed -s '!touch x'"), [2]);
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
