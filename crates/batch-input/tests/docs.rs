//! The examples of `docs/task-files.md` and `docs/templates.md`: files that are said to be right have no problems, and
//! the problems shown are those that are told.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use batch_input::{
    Format, Problem, ReadOptions, RowTemplate, SavedTemplate, TaskFile, read_csv, read_tasks,
};

use common::functions;

/// A fenced block with the comment before it, such as `check: tasks.json`.
struct Block {
    comment: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut comment = None;
    let mut open: Option<(usize, Block)> = None;
    for line in page.lines() {
        let trimmed = line.trim_start();
        if let Some((indent, block)) = &mut open {
            if trimmed == "```" {
                blocks.extend(open.take().map(|(_, block)| block));
            } else {
                block.text.push_str(line.get(*indent..).unwrap_or_default());
                block.text.push('\n');
            }
        } else if let Some(rest) = trimmed.strip_prefix("<!-- ") {
            comment = rest.strip_suffix(" -->").map(str::to_owned);
        } else if trimmed.starts_with("```") {
            let comment = comment.take().expect("every block has a comment before it");
            open = Some((
                line.len() - trimmed.len(),
                Block {
                    comment,
                    text: String::new(),
                },
            ));
        }
    }
    blocks
}

fn read(name: &str, text: &str, template: Option<&RowTemplate>) -> TaskFile {
    let options = ReadOptions {
        functions: Some(functions()),
        ..ReadOptions::default()
    };
    match Format::of(Path::new(name)).unwrap() {
        Format::Csv => read_csv(text.as_bytes(), name, template.unwrap(), &options).unwrap(),
        format => read_tasks(text.as_bytes(), name, format, &options).unwrap(),
    }
}

fn read_file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path);
    std::fs::read_to_string(path).unwrap()
}

fn told(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|problem| format!("{problem}\n"))
        .collect()
}

/// The problems that the block after an example shows.
fn problems_after(blocks: &[Block], index: usize) -> &str {
    let next = blocks.get(index + 1);
    let next = next.filter(|next| next.comment == "problems");
    next.map_or("", |next| next.text.as_str())
}

/// `city=Rome times=2` as values; the last one may have spaces.
fn values(flags: &str) -> BTreeMap<String, String> {
    let mut values = BTreeMap::<String, String>::new();
    let mut last = String::new();
    for word in flags.split(' ') {
        if let Some((name, value)) = word.split_once('=') {
            name.clone_into(&mut last);
            values.insert(last.clone(), value.to_owned());
        } else if let Some(value) = values.get_mut(&last) {
            *value = format!("{value} {word}");
        }
    }
    values
}

#[test]
fn the_templates_are_as_they_say() {
    let blocks = blocks(&read_file("docs/templates.md"));
    let options = ReadOptions::default();
    let text = &blocks[0].text;
    assert_eq!(blocks[0].comment, "template: greet.yaml");
    assert!(read_file("examples/templates/greet.yaml").ends_with(text));
    let greet = SavedTemplate::parse(text.as_bytes(), "greet", Format::Yaml, functions()).unwrap();
    let mut checked = 0;
    for (index, block) in blocks.iter().enumerate() {
        let Some((kind, name)) = block.comment.split_once(": ") else {
            continue;
        };
        match kind {
            "run" => {
                let file = greet.expand(&values(name), &options).unwrap();
                assert_eq!(file.tasks[1].params.as_str(), block.text.trim_end());
            }
            "wrong" => {
                let problems = greet.expand(&values(name), &options).unwrap_err();
                assert_eq!(told(&problems), block.text);
            }
            "rows" => {
                let fixed = BTreeMap::new();
                let file = greet.expand_rows(block.text.as_bytes(), name, &fixed, &options);
                assert_eq!(
                    told(&file.unwrap().problems),
                    problems_after(&blocks, index)
                );
            }
            "broken" => {
                let broken =
                    SavedTemplate::parse(block.text.as_bytes(), name, Format::Yaml, functions());
                assert_eq!(told(&broken.unwrap_err()), problems_after(&blocks, index));
            }
            _ => continue,
        }
        checked += 1;
    }
    assert_eq!(checked, 6);
}

#[test]
fn the_examples_are_as_they_say() {
    let blocks = blocks(&read_file("docs/task-files.md"));
    let mut template = None;
    let mut checked = 0;
    for (index, block) in blocks.iter().enumerate() {
        if let Some(name) = block.comment.strip_prefix("template: ") {
            let format = Format::of(Path::new(name)).unwrap();
            template = Some(RowTemplate::parse(
                block.text.as_bytes(),
                name,
                format,
                functions(),
            ));
        } else if let Some(name) = block.comment.strip_prefix("check: ") {
            let file = read(name, &block.text, template.as_ref());
            assert_eq!(
                told(&file.problems),
                problems_after(&blocks, index),
                "{name}"
            );
            checked += 1;
        }
    }
    assert!(checked >= 14, "{checked}");
}
