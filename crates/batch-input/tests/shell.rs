//! Items through a real shell.

use std::process::{Command, Stdio};

use batch_input::{ItemTemplate, Items, ShellTemplate, TaskStream};

/// What `sh -c` prints for the script made of an item.
fn run(template: &str, item: &str) -> Vec<u8> {
    let script = template.into();
    let items = Items::list(vec![item.into()]);
    let stream = TaskStream::new(items, Default::default(), |columns| {
        ShellTemplate::new(script, columns, false).map(ItemTemplate::Shell)
    });
    let task = stream.unwrap().next().unwrap().unwrap();
    let none = |_: &batch_template::Placeholder| Err("none".to_owned());
    let params =
        batch_template::fill(&task.params, &none, &|_| batch_template::Encodings::text()).unwrap();
    let script = params.to_value()["script"].as_str().unwrap().to_owned();
    let output = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    output.stdout
}

fn has_shell() -> bool {
    let found = Command::new("sh")
        .args(["-c", ":"])
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        eprintln!("SKIPPED: there is no sh here, so quoting was not tried in a real shell");
    }
    found
}

#[test]
fn spiteful_items_stay_data() {
    if !has_shell() {
        return;
    }
    for item in [
        "$(echo x)",
        "`echo x`",
        "'; echo x; '",
        "\"",
        "a\nb",
        "-n",
        "*",
        "~",
        "{{ tasks.a }}",
        "\\",
        "",
    ] {
        assert_eq!(run("printf %s {}", item), item.as_bytes());
        assert_eq!(run("printf %s \"$(printf %s {})\"", item), item.as_bytes());
        assert_eq!(run("x={}; printf %s \"$x\"", item), item.as_bytes());
        assert_eq!(run("printf '%s'", item), item.as_bytes());
    }
    assert_eq!(run("printf %s a{}b 2>/dev/null", "2"), b"a2b");
    assert_eq!(run("echo {}>&2", "1"), b"");
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]
    #[test]
    fn any_item_comes_back_unchanged(item in "[^\\x00]{0,40}", odd in "[$`'\"\\\\ \\n!*?~#;&|<>(){}=-]{0,12}") {
        if has_shell() {
            let item = odd + &item;
            proptest::prop_assert_eq!(run("printf '%s' {}", &item), item.as_bytes());
        }
    }
}
