//! What becomes of commands and scripts.

use super::*;

fn command_of(argv: &[&str], columns: &Columns) -> Result<CommandTemplate, String> {
    let argv = argv.iter().map(Into::into).collect();
    CommandTemplate::new(argv, columns, false).map_err(|error| error.to_string())
}

fn row<'v>(values: impl IntoIterator<Item = &'v str>) -> Row {
    Row::of(3, values.into_iter().map(str::as_bytes))
}

fn command(argv: &[&str], item: &str) -> String {
    command_of(argv, &Columns::one())
        .unwrap()
        .params(&Row::of(7, [item.as_bytes()]))
        .unwrap()
        .as_str()
        .to_owned()
}

fn shell(script: &str, item: &str) -> Result<String, String> {
    let template =
        ShellTemplate::new(script.into(), &Columns::one(), false).map_err(|e| e.to_string())?;
    let params: serde_json::Value = template
        .params(&Row::of(7, [item.as_bytes()]))
        .unwrap()
        .to_value();
    Ok(params["script"].as_str().unwrap().to_owned())
}

#[test]
fn placeholders_are_replaced_everywhere() {
    assert_eq!(
        command(
            &["cp", "{}", "{//}/{#}-{/.}.bak", "{.}", "x{/}y{}"],
            "a/b/c.tar.gz"
        ),
        r#"{"argv":["cp","a/b/c.tar.gz","a/b/7-c.tar.bak","a/b/c.tar","xc.tar.gzya/b/c.tar.gz"]}"#
    );
    assert_eq!(
        command(&["gzip", "-k"], "a b"),
        r#"{"argv":["gzip","-k","a b"]}"#
    );
    assert_eq!(command(&["{}"], "ls"), r#"{"argv":["ls"]}"#);
    assert_eq!(
        command(&["echo", "", "{#}"], "x"),
        r#"{"argv":["echo","","7"]}"#
    );
}

#[test]
fn other_braces_and_special_characters_stay() {
    assert_eq!(
        command(&["awk", "{print $1}", "{x}"], "\"\\\n"),
        r#"{"argv":["awk","{print $1}","{x}","\"\\\n"]}"#
    );
}

#[test]
fn neither_items_nor_commands_become_placeholders_of_a_plan() {
    let params = command(
        &["docker", "--format", "{{.Names}}", "{{}}"],
        "{{ tasks.a.result }}",
    );
    let none = |_: &batch_template::Placeholder| Err("none".to_owned());
    let filled = batch_template::fill(&Json::parse(&params).unwrap(), &none, &|_| {
        batch_template::Encodings::text()
    });
    assert_eq!(
        filled.unwrap().to_value(),
        serde_json::json!({"argv": ["docker", "--format", "{{.Names}}", "{{{ tasks.a.result }}}"]})
    );
}

#[test]
fn bytes_that_are_no_text_are_kept() {
    let template = command_of(&["cat", "x{}"], &Columns::one()).unwrap();
    let params = template
        .params(&Row::of(1, [b"\xff{{".as_slice()]))
        .unwrap();
    assert_eq!(params.as_str(), r#"{"argv":["cat",{"base64":"eP97ew=="}]}"#);
    let template = ShellTemplate::new("cat {}".into(), &Columns::one(), false).unwrap();
    let params = template.params(&Row::of(1, [b"\xff".as_slice()])).unwrap();
    assert_eq!(params.as_str(), r#"{"script":{"base64":"Y2F0ICf/Jw=="}}"#);
}

#[test]
fn replacements_in_scripts_are_quoted() {
    assert_eq!(
        shell("wc -l {} > {/.}.n", "a b.txt"),
        Ok("wc -l 'a b.txt' > 'a b'.n".into())
    );
    assert_eq!(
        shell("awk '{print $1}' \n", "$(x)"),
        Ok("awk '{print $1}' '$(x)'".into())
    );
    assert_eq!(
        shell("echo {#} {}", "it's"),
        Ok("echo '7' 'it'\\''s'".into())
    );
}

#[test]
fn places_that_are_not_safe_are_refused() {
    for (script, message) in [
        (
            "echo '{}'",
            "{} is in single quotes; remove the quotes: the value is quoted when it is filled in",
        ),
        (
            "echo \"x {/.}\"",
            "{/.} is in double quotes; remove the quotes: the value is quoted when it is filled in",
        ),
        (
            "echo `ls {}`",
            "{} is in backticks; write $(…) in place of the backticks",
        ),
    ] {
        assert_eq!(shell(script, "x"), Err(message.to_owned()));
    }
    for script in [
        "cat <<E\n{}\nE",
        "# {}",
        "",
        "ls;",
        "ls # all",
        "(ls)",
        "echo \"a",
        "cat <<E\nx\n",
    ] {
        assert!(shell(script, "x").is_err(), "{script}");
    }
}

#[test]
fn what_becomes_too_long_is_refused() {
    let template = command_of(&["echo", "{}{}"], &Columns::one()).unwrap();
    let item = vec![b'x'; MAX_ARGUMENT / 2 + 1];
    assert!(matches!(
        template.params(&Row::of(1, [item.as_slice()])),
        Err(ItemProblem::TooLong { length: 131_072 })
    ));
}

/// The arguments of a command, or why there is none.
fn made(argv: &[&str], columns: &Columns, values: &[&str]) -> Result<serde_json::Value, String> {
    let template = command_of(argv, columns)?;
    let params = template.params(&row(values.iter().copied()));
    let params = params.map_err(|problem| problem.to_string())?;
    Ok(params.to_value()["argv"].clone())
}

#[test]
fn several_values_are_named_or_become_arguments() {
    let two = Columns::count(2);
    let is = |argv: &[&str], expected: serde_json::Value| {
        assert_eq!(made(argv, &two, &["a/b.c", "1"]), Ok(expected), "{argv:?}");
    };
    is(&["x"], serde_json::json!(["x", "a/b.c", "1"]));
    is(
        &["x", "{}", "y"],
        serde_json::json!(["x", "a/b.c", "1", "y"]),
    );
    is(&["x", "{/}"], serde_json::json!(["x", "b.c", "1"]));
    is(&["x", "{2}-{1/.}{#}"], serde_json::json!(["x", "1-b3"]));
    for argv in [&["x", "{3}"], &["x", "a{}"], &["x", "{}{1}"]] {
        assert!(made(argv, &two, &["a", "1"]).is_err(), "{argv:?}");
    }
}

#[test]
fn items_for_a_command_repeat_its_argument() {
    let three = Columns::items(Some(3));
    assert_eq!(
        made(&["x", "-i{.}", "{1}"], &three, &["a.c", "b"]),
        Ok(serde_json::json!(["x", "-ia", "-ib", "a.c"]))
    );
    assert!(
        made(&["x", "{3}"], &three, &["a", "b"])
            .unwrap_err()
            .contains("{3} stands for nothing here")
    );
    assert!(made(&["x", "{4}"], &three, &["a"]).is_err());
    let none = Columns::items(Some(0));
    assert_eq!(
        made(&["x", "{#}"], &none, &[]),
        Ok(serde_json::json!(["x", "3"]))
    );
    assert_eq!(made(&["x"], &none, &[]), Ok(serde_json::json!(["x"])));
    assert!(made(&["x", "{}"], &none, &[]).is_err());
}

#[test]
fn values_that_become_code_are_refused_however_many_there_are() {
    let unknown = Columns::unknown();
    for (argv, values) in [
        (&["bash", "-c", "echo {2}"][..], &["a", "b"][..]),
        (&["{}"], &["bash", "-c", "touch x"]),
        (&["bash", "{}"], &["-c", "touch x"]),
        (&["env", "{}"], &["bash", "-c", "touch x"]),
        (&["perl", "-w", "{2}", "{1}"], &["system('x')", "-e"]),
    ] {
        let refused = made(argv, &unknown, values);
        assert!(refused.is_err(), "{argv:?}: {refused:?}");
    }
    let script = ShellTemplate::new("perl {}".into(), &unknown, false);
    let refused = script
        .map_err(|error| error.to_string())
        .and_then(|script| {
            script
                .params(&row(["-e", "system('x')"]))
                .map_err(|problem| problem.to_string())
        });
    assert!(refused.is_err(), "{refused:?}");
}

#[test]
fn scripts_take_several_values_as_words() {
    let two = Columns::count(2);
    let made = |script: &str| {
        let template = ShellTemplate::new(script.into(), &two, false).map_err(|e| e.to_string())?;
        let params = template
            .params(&row(["a b", "$(x)"]))
            .map_err(|e| e.to_string())?;
        Ok::<_, String>(params.to_value()["script"].as_str().unwrap().to_owned())
    };
    assert_eq!(made("ls"), Ok("ls 'a b' '$(x)'".to_owned()));
    assert_eq!(
        made("ls {} | wc > {1}"),
        Ok("ls 'a b' '$(x)' | wc > 'a b'".to_owned())
    );
    assert_eq!(made("x=${1}; ls {2}"), Ok("x=${1}; ls '$(x)'".to_owned()));
    for refused in [
        "ls x{}",
        "ls {}x",
        "ls > {}",
        "ls \"{1}\"",
        "ls {}{1}",
        "ls {3}",
        "x={}",
    ] {
        assert!(made(refused).is_err(), "{refused}");
    }
}

#[test]
fn the_slot_is_left_for_the_start_of_a_task() {
    let one = Columns::one();
    let filled = |argv: &[&str]| {
        let params = command_of(argv, &one)
            .unwrap()
            .params(&row(["i{{"]))
            .unwrap();
        let slot = |_: &batch_template::Placeholder| Ok(serde_json::json!("5").into());
        let text = |_: &Json| batch_template::Encodings::text();
        batch_template::fill(&params, &slot, &text)
            .unwrap()
            .to_value()["argv"]
            .clone()
    };
    assert_eq!(filled(&["x", "{%}"]), serde_json::json!(["x", "5"]));
    assert_eq!(
        filled(&["x", "a{{%}}{%}{{ x }}{}", "{{{%}{"]),
        serde_json::json!(["x", "a{5}5{{ x }}i{{", "{{5{"])
    );
    let template = command_of(&["x", "{}{%}"], &one).unwrap();
    assert!(template.params(&Row::of(1, [b"\xff".as_slice()])).is_err());
    let refused = ShellTemplate::new("echo \"{%}\"".into(), &one, false).unwrap_err();
    assert!(
        refused.to_string().starts_with("{%} is in double quotes"),
        "{refused}"
    );
}

#[test]
fn a_command_line_is_counted_as_it_becomes() {
    let fill = Columns::items(None);
    let template = command_of(&["echo", "-x", "{/}", "p{}"], &fill).unwrap();
    assert_eq!(template.size(None), (4 + 9) + (2 + 9));
    assert_eq!(template.size(Some(b"a/bc")), (2 + 9) + (1 + 4 + 9));
    let script = ShellTemplate::new("ls {}".into(), &fill, false).unwrap();
    assert_eq!(
        script.size(None) + script.size(Some(b"a b")) * 2,
        "ls 'a b' 'a b' ".len()
    );
}

#[test]
fn a_script_is_for_the_shell_that_is_named() {
    let made = |program: &str, allow_code: bool| {
        let columns = Columns::one();
        let template =
            ShellTemplate::for_program("echo {/}".into(), Some(program), &columns, allow_code);
        let template = template.map_err(|error| error.to_string())?;
        Ok::<_, String>(
            template
                .params(&row(["a/b c"]))
                .unwrap()
                .as_str()
                .to_owned(),
        )
    };
    assert_eq!(
        made("bash -o pipefail", false).unwrap(),
        r#"{"shell":"bash -o pipefail","script":"echo 'b c'"}"#
    );
    let refused = made("fish", false).unwrap_err();
    assert!(refused.starts_with("{/} "), "{refused}");
    assert!(made("fish", true).is_ok());
}

#[test]
fn ids_and_names_are_made_of_values() {
    let text = |text: &str| {
        let template = TextTemplate::new(text, &Columns::count(2)).map_err(|e| e.to_string())?;
        Ok::<_, String>(template.text(&row(["a/b.c", "1"])))
    };
    assert_eq!(text("{1/.}-{2}{#}"), Ok("b-13".to_owned()));
    assert_eq!(text("x {}"), Ok("x a/b.c 1".to_owned()));
    assert!(text("{3}").is_err() && text("{%}").is_err());
}
