//! The folder of saved templates.

mod common;

use std::fs;
use std::path::Path;

use batch_input::{Format, OpenTemplateError, SaveTemplateError, TemplateFolder};

use common::functions;

const GREET: &str =
    "description: Greets\nparams: {city: }\ntasks: [{shell: 'echo {{ params.city }}'}]\n";
const DATE: &str = r#"{"tasks": [{"shell": "date"}, {"shell": "uptime"}]}"#;

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn templates_are_kept_by_name() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("a/templates");
    let folder = TemplateFolder::new(&path, functions());
    assert!(folder.list().unwrap().is_empty());
    let error = folder.load("greet").unwrap_err().to_string();
    assert_eq!(error, "there is no template \"greet\"; none is saved yet");

    folder
        .save("greet", GREET.as_bytes(), Format::Yaml, false)
        .unwrap();
    folder
        .save("date", DATE.as_bytes(), Format::Json, false)
        .unwrap();
    assert_eq!(names(&path), ["date.json", "greet.yaml"]);
    assert_eq!(folder.read_text("greet").unwrap(), GREET);
    assert_eq!(folder.load("greet").unwrap().params()[0].name, "city");
    let list = folder.list().unwrap();
    assert_eq!((&*list[0].name, &*list[1].name), ("date", "greet"));
    assert_eq!(list[0].contents.as_ref().unwrap().tasks, 2);
    let greet = list[1].contents.as_ref().unwrap();
    assert_eq!(greet.description.as_deref(), Some("Greets"));
    assert_eq!(greet.params[0].name, "city");

    let error = folder.load("gret").unwrap_err().to_string();
    assert_eq!(
        error,
        "there is no template \"gret\"; did you mean \"greet\"?"
    );
    let error = folder.remove("other").unwrap_err().to_string();
    assert_eq!(
        error,
        "there is no template \"other\"; the templates are date, greet"
    );
    folder.remove("greet").unwrap();
    assert!(matches!(
        folder.remove("greet"),
        Err(OpenTemplateError::Unknown { .. })
    ));
    assert_eq!(names(&path), ["date.json"]);
}

#[cfg(unix)]
#[test]
fn templates_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("templates");
    let folder = TemplateFolder::new(&path, functions());
    folder
        .save("a", DATE.as_bytes(), Format::Json, false)
        .unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&path.join("a.json"))), (0o700, 0o600));
}

#[test]
fn an_older_one_stays_unless_it_is_replaced() {
    let home = tempfile::tempdir().unwrap();
    let folder = TemplateFolder::new(home.path(), functions());
    let save = |text: &str, format, replace| folder.save("a", text.as_bytes(), format, replace);
    save(GREET, Format::Yaml, false).unwrap();
    for format in [Format::Yaml, Format::Json] {
        let error = save(DATE, format, false).unwrap_err();
        assert!(matches!(error, SaveTemplateError::Exists { .. }), "{error}");
    }
    let error = save("tasks: 7", Format::Yaml, true).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the template \"a\" is not saved: a:1: tasks must be a list of tasks, not 7"
    );
    assert_eq!(folder.read_text("a").unwrap(), GREET);

    save(DATE, Format::Json, true).unwrap();
    assert_eq!(names(home.path()), ["a.json"]);
    assert_eq!(folder.read_text("a").unwrap(), DATE);
    let error = save(DATE, Format::Jsonl, true).unwrap_err();
    assert!(
        matches!(error, SaveTemplateError::BadFormat { .. }),
        "{error}"
    );
}

#[test]
fn of_a_replacement_that_was_cut_off_the_newer_one_counts() {
    let home = tempfile::tempdir().unwrap();
    let folder = TemplateFolder::new(home.path(), functions());
    for (old, new) in [("json", "yaml"), ("yaml", "json")] {
        for (extension, seconds) in [(old, 1_000), (new, 2_000)] {
            let path = home.path().join("a").with_extension(extension);
            let text = format!("{{\"description\": \"{extension}\", \"tasks\": []}}");
            fs::write(&path, text).unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_modified(time).unwrap();
        }
        assert_eq!(folder.load("a").unwrap().description(), Some(new));
        assert_eq!(folder.list().unwrap().len(), 1);
        folder.remove("a").unwrap();
        assert!(names(home.path()).is_empty());
    }
}

#[test]
fn a_broken_file_does_not_hide_the_others() {
    let home = tempfile::tempdir().unwrap();
    let folder = TemplateFolder::new(home.path(), functions());
    folder
        .save("good", DATE.as_bytes(), Format::Json, false)
        .unwrap();
    let broken = home.path().join("broken.yaml");
    fs::write(&broken, "tasks:\n  - shell: echo {{ params.x }}\n").unwrap();
    for other in [".hidden.yaml", "notes.txt", "with space.json"] {
        fs::write(home.path().join(other), DATE).unwrap();
    }
    fs::create_dir(home.path().join("folder.yaml")).unwrap();

    let list = folder.list().unwrap();
    let listed: Vec<_> = list
        .iter()
        .map(|info| (&*info.name, info.contents.is_ok()))
        .collect();
    assert_eq!(listed, [("broken", false), ("good", true)]);
    let problems = list[0].contents.as_ref().unwrap_err();
    let place = format!("{}:2: the parameter \"x\"", broken.display());
    assert!(
        problems[0].to_string().starts_with(&place),
        "{}",
        problems[0]
    );
    let error = folder.load("broken").unwrap_err();
    assert!(matches!(error, OpenTemplateError::Broken { .. }), "{error}");
    assert!(folder.read_text("broken").unwrap().contains("params.x"));
}

#[test]
fn a_name_never_leaves_the_folder() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("templates");
    let folder = TemplateFolder::new(&path, functions());
    fs::write(home.path().join("out.json"), DATE).unwrap();
    let long = "x".repeat(101);
    for name in [
        "", ".a", "..", "../out", "a/b", "a b", "ä", "a\0", "a\n", &long,
    ] {
        let saved = folder.save(name, DATE.as_bytes(), Format::Json, true);
        assert!(
            matches!(saved, Err(SaveTemplateError::BadName { .. })),
            "{name:?}"
        );
        assert!(
            matches!(folder.load(name), Err(OpenTemplateError::Unknown { .. })),
            "{name:?}"
        );
        assert!(folder.remove(name).is_err(), "{name:?}");
    }
    assert!(!path.exists());
    assert!(home.path().join("out.json").exists());
    for name in ["a", "A-1_b.c", &long[1..]] {
        folder
            .save(name, DATE.as_bytes(), Format::Json, false)
            .unwrap();
        folder.load(name).unwrap();
    }
}
