//! Scripts that nest without end: they are refused or read, on a small stack and in a time that grows with their length.

use batch_template::{Encoding, Encodings, Quoting, ShellRules, ShellScan, fill};
use serde_json::json;

/// A square of it would take minutes.
const LEVELS: usize = 50_000;

/// Runs on a stack on which no call for each level would fit.
fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(256 * 1024);
    thread.spawn(run).unwrap().join().unwrap();
}

/// What a place is in after this many openings, without and with what closes them.
fn quoting(opening: &str, closing: &str) -> [Quoting; 2] {
    let open = opening.repeat(LEVELS);
    let closed = format!("{open}x{}", closing.repeat(LEVELS));
    [open.clone() + "x", closed].map(|script| {
        let scan = ShellScan::new(script.as_bytes(), &[open.len()], ShellRules::default());
        let _ = scan.code_in(&[b"value"]);
        assert_eq!(scan.quoting.len(), 1, "{opening}");
        scan.quoting[0]
    })
}

#[test]
fn nested_shell_is_refused_or_read() {
    on_a_small_stack(|| {
        for (opening, closing) in [
            ("$(", ")"),
            ("\"$(", ")\""),
            ("${x:-", "}"),
            ("\"${x:-", "}\""),
            ("$((", "))"),
            ("((", "))"),
            ("$[", "]"),
            ("(", ")"),
            ("<(", ")"),
            ("x=(", ")"),
            ("case a in (", ") ;; esac"),
            ("`$(", ")`"),
        ] {
            for found in quoting(opening, closing) {
                assert_ne!(found, Quoting::Bare, "{opening}");
            }
        }
        // No two of these are inside each other: words, and strings one after the other.
        for (opening, closing) in [
            ("`", "`"),
            ("\\`", "\\`"),
            ("[[ ", " ]]"),
            ("{ ", " }"),
            ("! ", ""),
            ("\"", "\""),
            ("'", "'"),
            ("<<a ", "\na"),
            ("f() ", ""),
            ("if ", " fi"),
        ] {
            quoting(opening, closing);
        }
    });
}

#[test]
fn nested_code_is_refused_or_read() {
    on_a_small_stack(|| {
        let none = |_: &batch_template::Placeholder| Ok("v".into());
        for (encoding, opening) in [
            (Encoding::Python, "f\"{"),
            (Encoding::Python, "("),
            (Encoding::Python, "'''\""),
            (Encoding::JavaScript, "`${"),
            (Encoding::JavaScript, "{("),
            (Encoding::JavaScript, "/["),
        ] {
            let code = opening.repeat(LEVELS) + "{{ row.x }}";
            let params = json!({ "code": code }).into();
            let encodings = |_: &_| Encodings::text().with("code", encoding);
            let _ = fill(&params, &none, &encodings);
        }
    });
}

#[test]
fn nested_braces_are_refused_or_read() {
    on_a_small_stack(|| {
        for text in ["{{", "{{ a[", "{{ a | ", "{{ \"{{\" }} ", "{{ a }} "] {
            let _ = batch_template::Template::parse(&text.repeat(LEVELS));
        }
        let command: Vec<&str> = ["sudo", "env", "nice"]
            .into_iter()
            .cycle()
            .take(LEVELS)
            .collect();
        assert!(batch_template::code_in_command(&command).is_open);
    });
}
