//! Data stays data: items, cells, parameters and results that want to be code, driven through the built binary.
//!
//! Each payload makes the file `PWN` when it is run. A form is right when it is refused with exit code 2, or runs and
//! leaves no such file.

use crate::common::{Ended, Place};
use serde_json::{Value, json};

/// What makes `PWN` when it is read as code, or as the operand of a calculation.
const PAYLOADS: [&str; 12] = [
    "$(touch PWN)",
    "`touch PWN`",
    "x; touch PWN",
    "'; touch PWN; '",
    "\"; touch PWN; \"",
    "a[$(touch PWN)]",
    "PATH[$(touch PWN)]",
    "touch PWN",
    "-c touch${IFS}PWN",
    "\ntouch PWN\n",
    "__import__('os').system('touch PWN')",
    "require('child_process').execSync('touch PWN')",
];

#[track_caller]
fn refused(ended: Ended, place: &Place) {
    let ended = ended.expect(2);
    assert!(!place.has("PWN"), "{ended:#?}");
    assert!(!place.has("home/batches/b1.db"), "{ended:#?}");
}

#[test]
fn an_item_in_the_code_of_an_interpreter_is_refused() {
    let place = Place::new();
    for (command, program) in [
        (&["bash", "-c", "echo {}"][..], "bash"),
        (&["bash", "-c"], "bash"),
        (&["sh", "-c", "{}"], "sh"),
        (&["/bin/sh", "-ec", "echo '{}'"], "sh"),
        (&["bash", "-lc", "echo \"{}\""], "bash"),
        (&["bash", "-o", "pipefail", "-c", "echo {/}"], "bash"),
        (&["python3", "-c", "print({})"], "python"),
        (&["python3", "-Ic", "print('{}')"], "python"),
        (&["perl", "-lne", "print '{}'"], "perl"),
        (&["node", "--eval=console.log({})"], "node"),
        (&["node", "-pe", "{}"], "node"),
        (&["ruby", "-e", "puts {}"], "ruby"),
        (&["awk", "BEGIN { print {} }"], "awk"),
        (&["sed", "s/x/{}/", "tasks.json"], "sed"),
        (&["env", "-u", "X", "A=1", "bash", "-c", "echo {}"], "bash"),
        (&["env", "-S", "bash -c", "echo {}"], "bash"),
        (&["sudo", "-u", "me", "sh", "-c", "echo {}"], "sh"),
        (&["nice", "-n", "5", "sh", "-c", "echo {}"], "sh"),
        (&["timeout", "-k", "1", "5", "sh", "-c", "echo {}"], "sh"),
        (
            &["nohup", "setsid", "stdbuf", "-oL", "sh", "-c", "{}"],
            "sh",
        ),
        (&["xargs", "-n", "1", "sh", "-c", "{}"], "sh"),
        (&["ssh", "host", "ls {}"], "ssh"),
        (&["ssh", "-p", "22", "host", "--", "ls", "{}"], "ssh"),
        (&["find", ".", "-exec", "sh", "-c", "x {}", ";"], "sh"),
        (&["some-wrapper", "--flag", "bash", "-c", "{}"], "bash"),
    ] {
        let mut args = vec!["run", "--"];
        args.extend(command);
        args.extend([":::", "$(touch PWN)"]);
        let ended = place.bex(&args).expect(2);
        let told = format!("is in code that {program} runs; ");
        assert!(ended.stderr.contains(&told), "{ended:#?}");
        assert!(ended.stderr.contains("--allow-code"), "{ended:#?}");
        refused(ended, &place);
    }
    let ended = place.bex(&["run", "--", "bash", "-c", "echo {}", ":::", "a"]);
    assert_eq!(
        ended.expect(2).stderr,
        "bex: {} is in code that bash runs; pass it as an argument: sh -c 'echo \"$1\"' _ {}; or write it for a \
         shell, which quotes it: --shell 'echo {}'; --allow-code, or allow_code in a task, runs it as code\n"
    );
}

#[test]
fn an_item_that_is_an_argument_arrives_as_it_is() {
    let place = Place::new();
    std::fs::write(place.path("script.sh"), "printf '<%s>' \"$@\"").unwrap();
    for (command, expected) in [
        (
            &["bash", "-c", "printf '<%s>' \"$1\"", "_", "{}"][..],
            "<ITEM>",
        ),
        (&["bash", "-c", "printf '<%s>' \"$1\"", "_"], "<ITEM>"),
        (&["bash", "script.sh", "-c", "{}"], "<-c><ITEM>"),
        (
            &["timeout", "5", "bash", "script.sh", "-c", "{}"],
            "<-c><ITEM>",
        ),
        (
            &[
                "python3",
                "-c",
                "import sys; print(sys.argv[1], end='')",
                "{}",
            ],
            "ITEM",
        ),
        (&["env", "A={}", "sh", "-c", "printf %s \"$A\""], "ITEM"),
        (&["printf", "%s", "{}"], "ITEM"),
        (&["{}"], ""),
    ] {
        for payload in PAYLOADS {
            let mut args = vec!["run", "--"];
            args.extend(command);
            args.extend([":::", payload]);
            let ended = place.bex(&args);
            assert!(!place.has("PWN"), "{command:?} {ended:#?}");
            if !expected.is_empty() {
                let expected = expected.replace("ITEM", payload);
                assert_eq!(
                    ended.expect(0).stdout.trim_end_matches('\n'),
                    expected.trim_end_matches('\n')
                );
            }
        }
    }
}

#[test]
fn an_item_that_makes_itself_code_is_refused() {
    let place = Place::new();
    for (command, item) in [
        (&["{}", "-c", "touch {/}"][..], "/bin/sh"),
        (&["{}", "-c", "echo {}"], "bash"),
        (&["perl", "{}"], "-eopen F, '>PWN'"),
        (&["python3", "{}"], "-cimport os; os.system('touch PWN')"),
        (&["perl", "-ne", "print", "{}"], "touch PWN|"),
        (&["ssh", "{}", "uptime"], "-oProxyCommand=touch PWN"),
        (
            &["tar", "-cf", "x.tar", "{}"],
            "--checkpoint-action=exec=touch PWN",
        ),
        (&["make", "{}"], "--eval=$(shell touch PWN)"),
    ] {
        let mut args = vec!["run", "--"];
        args.extend(command);
        args.extend([":::", item]);
        let ended = place.bex(&args);
        assert!(!place.has("PWN"), "{command:?} {ended:#?}");
        assert!(
            ended.stderr.contains("it becomes code that"),
            "{command:?} {ended:#?}"
        );
        ended.expect(2);
    }
    let script = "perl -ne print {}";
    let ended = place.bex(&["run", "--shell", script, ":::", "touch PWN|"]);
    assert!(
        ended.stderr.contains("it becomes code that perl runs"),
        "{ended:#?}"
    );
    assert!(!place.has("PWN"));
}

#[test]
fn who_means_it_allows_it() {
    let place = Place::new();
    let ended = place.bex(&[
        "run",
        "--allow-code",
        "--",
        "bash",
        "-c",
        ":::",
        "echo $((6 * 7))",
    ]);
    assert_eq!(ended.expect(0).stdout, "42\n");
    let ended = place.bex(&[
        "run",
        "--allow-code",
        "--shell",
        "sh -c {}",
        ":::",
        "echo one two > out",
    ]);
    ended.expect(0);
    assert_eq!(place.read("out"), "one two\n");
    // Quotes stay what they are.
    let quoted = place.bex(&["run", "--allow-code", "--shell", "echo '{}'", ":::", "a"]);
    assert!(quoted.expect(2).stderr.contains("is in single quotes"));
    for tasks in [
        json!([{"id": "a", "command": ["echo", "echo 42"]},
            {"command": ["sh", "-c", "{{ tasks.a.result.stdout }}"], "allow_code": true}]),
        json!({"defaults": {"allow_code": true}, "tasks": [{"id": "a", "command": ["echo", "echo 42"]},
            {"command": ["sh", "-c", "{{ tasks.a.result.stdout }}"]}]}),
    ] {
        place.tasks(&tasks);
        // It is kept with the task.
        place
            .bex(&["add", "--new", "--file", "tasks.json"])
            .expect(0);
        let ended = place.bex(&["resume", "--format", "raw"]);
        assert_eq!(ended.expect(0).stdout, "echo 42\n42\n");
    }
    let strict = json!({"defaults": {"allow_code": true}, "tasks": [{"id": "a", "command": ["echo", "x"]},
        {"command": ["sh", "-c", "{{ tasks.a.result.stdout }}"], "allow_code": false}]});
    place.tasks(&strict);
    place.bex(&["run", "tasks.json"]).expect(2);
    place.bex(&["run", "--allow-code", "tasks.json"]).expect(2);
}

#[test]
fn a_task_file_names_the_task_with_data_in_code() {
    let place = Place::new();
    let text = "- id: a\n  command: [echo, x]\n- name: bad\n  command: [sh, -c, 'echo {{ tasks.a.result.stdout }}']\n\
                - shell: 'sh -c {{ tasks.a.result.stdout }}'\n\
                - {command: [sh], stdin: '{{ tasks.a.result.stdout }}'}\n\
                - {function: command, params: {argv: [ls], env: {BASH_ENV: '{{ tasks.a.result.stdout }}'}}}\n\
                - shell: 'let x={{ tasks.a.result.stdout }}'\n";
    std::fs::write(place.path("tasks.yaml"), text).unwrap();
    let ended = place.bex(&["run", "tasks.yaml"]).expect(2);
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(
        lines[0], "bex: 5 problems in the input; nothing was run",
        "{ended:#?}"
    );
    for (line, place) in [
        (1, "tasks.yaml:3: task 2 (\"bad\"): "),
        (2, "tasks.yaml:5: task 3: "),
        (3, "tasks.yaml:6: "),
        (4, "tasks.yaml:7: "),
        (5, "tasks.yaml:8: "),
    ] {
        assert!(
            lines[line].trim_start().starts_with(place),
            "{}",
            lines[line]
        );
        assert!(lines[line].contains("allow_code"), "{}", lines[line]);
    }
    refused(ended, &place);
}

#[test]
fn cells_parameters_and_results_never_become_code() {
    let place = Place::new();
    let tasks = [
        json!({"command": ["bash", "-c", "echo {{ row.x }}"]}),
        json!({"command": ["env", "python3", "-c", "{{ row.x }}"]}),
        json!({"command": ["{{ row.sh }}", "-c", "{{ row.x }}"]}),
        json!({"command": ["bash", "{{ row.c }}", "{{ row.x }}"]}),
        json!({"function": "command", "params": {"argv": ["sh", "-c", "{{ row.x }}"]}}),
        json!({"function": "{{ row.f }}", "params": {"argv": ["sh", "-c", "{{ row.x }}"]}}),
        json!({"function": "command", "params": {"argv": "{{ row.argv | json }}"}}),
        json!({"function": "shell", "params": "{{ row.params | json }}"}),
        json!({"function": "shell", "params": {"script": "echo {{ row.x }}", "shell": "{{ row.sh }}"}}),
        json!({"shell": "sh -c {{ row.x }}"}),
        json!({"shell": "eval {{ row.x }}"}),
        json!({"command": ["sh"], "stdin": "{{ row.x }}"}),
        json!({"command": ["bash", "-c", "true"], "env": {"BASH_ENV": "{{ row.x }}"}}),
        json!({"command": ["sh", "-c", "{{ row.x }}"], "allow_code": "{{ row.yes | json }}"}),
    ];
    let row = |x: &str| {
        let cell = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let argv = json!(["sh", "-c", x]).to_string();
        let params = json!({"script": x}).to_string();
        let cells = ["bash", "-c", x, "command", &argv, &params, "true"].map(cell);
        format!("sh,c,x,f,argv,params,yes\n{}\n", cells.join(","))
    };
    for task in &tasks {
        std::fs::write(place.path("task.json"), task.to_string()).unwrap();
        for payload in ["touch PWN", "$(touch PWN)"] {
            std::fs::write(place.path("rows.csv"), row(payload)).unwrap();
            let ended = place.bex(&["run", "rows.csv", "--template", "task.json"]);
            assert_eq!(ended.code, Some(2), "{task} {ended:#?}");
            assert!(!place.has("PWN"), "{task}");
        }
        let text = task.to_string().replace("row.", "params.");
        let types = json!({"sh": {"default": "bash"}, "c": {"default": "-c"}, "x": {"default": "touch PWN"}, "f": {"default": "command"},
            "argv": {"default": "[\"sh\",\"-c\",\"touch PWN\"]"}, "params": {"default": "{\"script\":\"touch PWN\"}"}, "yes": {"default": "true"}});
        let task: Value = serde_json::from_str(&text).unwrap();
        let saved = json!({"params": types, "tasks": [task]});
        std::fs::create_dir_all(place.path("home/templates")).unwrap();
        std::fs::write(place.path("home/templates/t.json"), saved.to_string()).unwrap();
        let ended = place.bex(&["run", "--template", "t"]);
        assert_eq!(ended.code, Some(2), "{saved} {ended:#?}");
        assert!(!place.has("PWN"), "{saved}");
    }
    // Known only when the task starts.
    place.tasks(&json!([
        {"id": "sh", "command": ["printf", "bash"]},
        {"id": "x", "command": ["printf", "touch PWN"]},
        {"command": ["{{ tasks.sh.result.stdout }}", "-c", "{{ tasks.x.result.stdout }}"], "max_retries": 0}
    ]));
    let ended = place.bex(&["run", "tasks.json"]).expect(1);
    assert!(
        ended.stdout.contains("is in code that bash runs"),
        "{ended:#?}"
    );
    assert!(!place.has("PWN"));
}

/// Places in a script, `@` for the item. Those that begin with `!` are refused, the others take the item as data.
const SCRIPTS: [&str; 81] = [
    "echo @",
    "echo a@b",
    "x=@; echo \"$x\"",
    "for i in @; do echo \"$i\"; done",
    "case @ in x) echo @;; esac",
    "test -n @ && echo @",
    "[ @ = x ] || echo @",
    "cat <<< @",
    "echo @ > out",
    "printf %s @",
    "set -- @; echo \"$1\"",
    "echo @ | cat",
    "echo @ | while read x; do echo \"$x\"; done",
    "x=$(echo @); echo \"$x\"",
    "cat <(echo @)",
    "f() { echo \"$1\"; }; f @",
    "export X=@",
    "x=(@ b); echo \"${x[0]}\"",
    "sh -c 'echo \"$1\"' _ @",
    "x=@; echo ${x%.gz} ${#x}",
    "echo @ | xargs -0 echo",
    "trap 'echo' EXIT; echo @",
    "(cd .; echo @)",
    "!(echo @) | sh",
    "!{ echo @; } | sh",
    "!sh -c @",
    "!sh -c \"echo $(printf %s @)\"",
    "!eval @",
    "!x=@; eval \"$x\"",
    "!x=@; y=$x; sh -c \"$y\"",
    "!x=@; $x",
    "!$(echo @)",
    "!echo @ | sh",
    "!sh <<< @",
    "!bash <(echo @)",
    "!source <(echo @)",
    "!. /dev/stdin <<< @",
    "!x=@; sh <<E\n$x\nE",
    "!echo @ | xargs -I% sh -c 'echo %'",
    "!trap @ EXIT",
    "!alias x=@",
    "!f() { eval \"$1\"; }; f @",
    "!set -- @; eval \"$1\"",
    "!echo @ | while read x; do eval \"$x\"; done",
    "!x=@; y=`eval $x`",
    "!timeout 5 bash -c @",
    "!if true; then sh -c @; fi",
    "!bash 2>&1 -c @",
    "!PS4=@; set -x; :",
    "!BASH_ENV=@ bash -c true",
    "!awk @ /dev/null",
    "!python3 -c @",
    "!echo $((@))",
    "!((x = @))",
    "!echo $[ @ ]",
    "!x[@]=1",
    "!x=([@]=1)",
    "![[ @ -eq 1 ]]",
    "![[ -n a && 1 -lt @ ]]",
    "!let x=@",
    "!declare -i x=@",
    "!declare -i x; x=@",
    "!x=@; echo $((x + 1))",
    "!x=@; (( x > 1 ))",
    "!x=@; [[ $x -eq 1 ]]",
    "!x=@; echo ${PATH:x:1}",
    "!x=@; echo \"${y[$x]}\"",
    "!for i in @; do echo $((i)); done",
    "!for ((i = @; i < 1; i++)); do :; done",
    "!x=@; echo ${!x}",
    "!x=@; echo \"${x@P}\"",
    "!read @ < /dev/null",
    "!printf -v @ 1",
    "!unset @",
    "!export @",
    "![ -v @ ]",
    "!test -v @",
    "!SECONDS=@",
    "!declare -a x=@",
    "!getopts a @",
    "!set -- @; echo $(($1))",
];

#[test]
fn no_place_of_a_script_runs_an_item() {
    let shells = ["sh", "bash", "dash", "zsh", "ksh", "mksh"];
    let is_there = |shell: &&str| {
        Place::new()
            .command("sh")
            .args(["-c", &format!("command -v {shell}")])
            .status()
            .unwrap()
            .success()
    };
    let shells: Vec<&str> = shells.into_iter().filter(is_there).collect();
    for script in SCRIPTS {
        let (script, is_refused) = match script.strip_prefix('!') {
            Some(script) => (script, true),
            None => (script, false),
        };
        let script = script.replace('@', "{}");
        for shell in &shells {
            let place = Place::new();
            let params = json!({"script": script, "shell": shell}).to_string();
            let mut args = vec!["run", "--function", "shell", "--params", &params, ":::"];
            args.extend(PAYLOADS);
            let ended = place.bex(&args);
            assert!(!place.has("PWN"), "{shell} {script} {ended:#?}");
            assert_eq!(
                ended.code == Some(2),
                is_refused,
                "{shell} {script} {ended:#?}"
            );
        }
        let place = Place::new();
        let mut args = vec!["run", "--shell", &script, ":::"];
        args.extend(PAYLOADS);
        let ended = place.bex(&args);
        assert!(!place.has("PWN"), "{script} {ended:#?}");
        assert_eq!(ended.code == Some(2), is_refused, "{script} {ended:#?}");
    }
}

#[test]
fn a_variable_that_is_calculated_with_takes_whole_numbers() {
    let place = Place::new();
    let script = "n={}; echo $((n % 5))";
    let ended = place.bex(&["run", "-k", "--shell", script, ":::", "7", "-12"]);
    assert_eq!(ended.expect(0).stdout, "2\n-2\n");
    let ended = place.bex(&["run", "--shell", script, ":::", "a[$(touch PWN)]"]);
    assert!(
        ended
            .stderr
            .contains("it becomes code that the arithmetic of the shell runs")
    );
    ended.expect(2);
    assert!(!place.has("PWN"));
}

#[test]
fn shells_with_other_quotes_take_no_values() {
    let place = Place::new();
    for shell in ["fish", "csh", "python3", "{}"] {
        let params = json!({"script": "echo {}", "shell": shell}).to_string();
        let ended = place.bex(&[
            "run",
            "--function",
            "shell",
            "--params",
            &params,
            ":::",
            "a\\",
        ]);
        assert!(
            ended.stderr.contains("is in code that a shell"),
            "{ended:#?}"
        );
        refused(ended, &place);
    }
}
