//! `bex template`: saved templates.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use batch_actions::Home;
use batch_core::text::Counted;
use batch_export::Visible;
use batch_handlers::{HandlerConfig, standard_registry};
use batch_input::{
    Format, OpenTemplateError, Param, Problem, SaveTemplateError, TemplateContents, TemplateFolder,
    TemplateInfo,
};
use batch_template::Datum;
use serde_json::{Value, json};

use crate::args::TemplateCommand;
use crate::exit::{CliError, Exit};
use crate::hints::quoted;
use crate::reply::print;

pub(crate) fn run(command: TemplateCommand) -> Result<Exit, CliError> {
    let functions = standard_registry(&HandlerConfig::new(std::env::temp_dir()));
    let folder = TemplateFolder::new(Home::of_environment().templates(), Arc::new(functions));
    match command {
        TemplateCommand::Save {
            name,
            file,
            replace,
            json,
        } => save(&folder, &name, &file, replace, json),
        TemplateCommand::List { json } => list(&folder, json),
        TemplateCommand::Show { name, json } => show(&folder, &name, json),
        TemplateCommand::Rm { name, json } => {
            folder.remove(&name).map_err(cannot_open)?;
            print(json, &json!({ "removed": name }), || {
                format!("{name} removed")
            })
        }
    }?;
    Ok(Exit::Completed)
}

fn save(
    folder: &TemplateFolder,
    name: &str,
    file: &Path,
    replace: bool,
    json: bool,
) -> Result<(), CliError> {
    let format = Format::of(file)?;
    let bytes = std::fs::read(file).map_err(|source| batch_input::ReadError::Io {
        file: file.display().to_string(),
        source,
    })?;
    let saved = folder
        .save(name, &bytes, format, replace)
        .map_err(|error| match error {
            SaveTemplateError::Broken { problems, .. } => CliError::Input(problems),
            other => CliError::Usage(other.to_string()),
        })?;
    let params: Vec<Value> = saved.params().iter().map(param_json).collect();
    let reply = json!({ "name": name, "tasks": saved.task_count(), "params": params });
    print(json, &reply, || {
        let tasks = Counted(saved.task_count() as u64, "task");
        let params = Counted(saved.params().len() as u64, "parameter");
        format!(
            "{name} saved: {tasks}, {params}; run it with: bex run --template {}",
            quoted(name)
        )
    })
}

fn list(folder: &TemplateFolder, json: bool) -> Result<(), CliError> {
    let templates = folder
        .list()
        .map_err(|error| CliError::System("read the folder of templates", error))?;
    let entries: Vec<Value> = templates.iter().map(entry).collect();
    print(json, &entries, || match templates.is_empty() {
        true => "no templates; save one with: bex template save NAME FILE".to_owned(),
        false => templates.iter().map(line).collect::<Vec<_>>().join("\n"),
    })
}

fn entry(info: &TemplateInfo) -> Value {
    let name = &info.name;
    match &info.contents {
        Ok(contents) => json!({
            "name": name,
            "description": contents.description,
            "tasks": contents.tasks,
            "params": contents.params.iter().map(param_json).collect::<Vec<_>>(),
        }),
        Err(problems) => json!({ "name": name, "problems": texts(problems) }),
    }
}

fn line(info: &TemplateInfo) -> String {
    match &info.contents {
        Ok(TemplateContents {
            description,
            params,
            tasks,
        }) => {
            let names: Vec<&str> = params.iter().map(|param| param.name.as_str()).collect();
            let what = description.as_deref().unwrap_or_default();
            let line = format!(
                "{:<20} {:>8}  {:<30} {}",
                info.name,
                Counted(*tasks as u64, "task"),
                names.join(", "),
                Visible(what)
            );
            line.trim_end().to_owned()
        }
        Err(problems) => format!("{:<20} broken: {}", info.name, texts(problems).join("; ")),
    }
}

fn show(folder: &TemplateFolder, name: &str, json: bool) -> Result<(), CliError> {
    let source = folder.read_text(name).map_err(cannot_open)?;
    let template = folder.load(name).map_err(cannot_open)?;
    let params: Vec<Value> = template.params().iter().map(param_json).collect();
    let reply = json!({
        "name": name,
        "description": template.description(),
        "tasks": template.task_count(),
        "params": params,
        "source": source,
    });
    print(json, &reply, || {
        let mut text = format!("{name}: {}", Counted(template.task_count() as u64, "task"));
        if let Some(description) = template.description() {
            let _ = write!(text, "\n{}", Visible(description));
        }
        for param in template.params() {
            let _ = write!(text, "\n  --param {}", param_line(param));
        }
        let _ = write!(text, "\n\n{}", source.trim_end());
        text
    })
}

fn param_json(param: &Param) -> Value {
    json!({
        "name": param.name,
        "type": param.kind.name(),
        "default": param.default,
        "choices": param.choices,
        "description": param.description,
    })
}

fn param_line(param: &Param) -> String {
    let mut line = format!("{}=<{}>", param.name, param.kind);
    if let Some(default) = &param.default {
        let _ = write!(line, "  [default: {}]", default.to_json());
    }
    if !param.choices.is_empty() {
        let choices: Vec<String> = param.choices.iter().map(Datum::to_json).collect();
        let _ = write!(line, "  one of {}", choices.join(", "));
    }
    if let Some(description) = &param.description {
        let _ = write!(line, "  {}", Visible(description));
    }
    line
}

fn texts(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

fn cannot_open(error: OpenTemplateError) -> CliError {
    match error {
        OpenTemplateError::Broken { problems, .. } => CliError::Input(problems),
        other => CliError::Usage(other.to_string()),
    }
}
