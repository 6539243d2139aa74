//! The examples of `docs/task-files.md`: files that are said to be right have no problems, and the problems shown are
//! those that are told.

use std::path::Path;

use batch_input::{Format, ReadOptions, RowTemplate, TaskFile, read_csv, read_tasks};

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
    let options = ReadOptions::default();
    match Format::of(Path::new(name)).unwrap() {
        Format::Csv => read_csv(text.as_bytes(), name, template.unwrap(), &options).unwrap(),
        format => read_tasks(text.as_bytes(), name, format, &options).unwrap(),
    }
}

#[test]
fn the_examples_are_as_they_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/task-files.md");
    let page = std::fs::read_to_string(path).unwrap();
    let blocks = blocks(&page);
    let mut template = None;
    let mut checked = 0;
    for (index, block) in blocks.iter().enumerate() {
        if let Some(name) = block.comment.strip_prefix("template: ") {
            let format = Format::of(Path::new(name)).unwrap();
            template = Some(RowTemplate::parse(block.text.as_bytes(), name, format));
        } else if let Some(name) = block.comment.strip_prefix("check: ") {
            let file = read(name, &block.text, template.as_ref());
            let told: String = file
                .problems
                .iter()
                .map(|problem| format!("{problem}\n"))
                .collect();
            let next = blocks
                .get(index + 1)
                .filter(|next| next.comment == "problems");
            assert_eq!(told, next.map_or("", |next| next.text.as_str()), "{name}");
            checked += 1;
        }
    }
    assert!(checked >= 14, "{checked}");
}
