//! What is asked of `bex run`, decided: the second pass over the arguments.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use batch_core::{BatchSettings, Json, Plan, PlanProblem, Surroundings, TaskOptions, TaskSpec};
use batch_export::{Filter, Format, WriterOptions};
use batch_input::{
    CommandTemplate, FileSettings, FunctionTemplate, ItemTemplate, Items, ReadOptions,
    ShellTemplate, TaskFile, TaskStream, read_task_file, read_tasks,
};
use batch_runtime::Registry;

use crate::args::RunArgs;
use crate::exit::CliError;
use crate::output::OutputPlan;

/// Where tasks come from.
pub(crate) enum Source {
    /// A task file.
    File {
        path: PathBuf,
        format: Option<batch_input::Format>,
        options: ReadOptions,
    },
    /// One task for each item.
    Items(Box<TaskStream>),
}

/// Tasks and settings, ready to run.
pub(crate) enum Work {
    /// All of them, checked together.
    Plan(Plan),
    /// One after the other, as they come.
    Stream(Box<TaskStream>),
}

impl Source {
    /// Finds out where tasks come from.
    pub(crate) fn of(
        args: &RunArgs,
        items: Option<Vec<OsString>>,
        registry: &Registry,
    ) -> Result<Self, CliError> {
        let wanted = [
            args.file.is_some(),
            !args.command.is_empty(),
            args.shell.is_some(),
            args.function.is_some(),
        ];
        match wanted.iter().filter(|given| **given).count() {
            0 => {
                return Err(usage(
                    "nothing to run; give a task file, -- CMD, --shell or --function",
                ));
            }
            1 => {}
            _ => {
                return Err(usage(
                    "give one of: a task file, -- CMD, --shell, --function",
                ));
            }
        }
        if let Some(path) = &args.file {
            return Self::of_file(path, args, items.is_some());
        }
        let template = item_template(args, registry)?;
        let items = match items {
            Some(items) => Items::list(items),
            None if std::io::stdin().is_terminal() => {
                return Err(usage(
                    "no items; pipe them in, one a line, or give them after ::: (bex run -- CMD ::: ITEM…)",
                ));
            }
            None if args.null => Items::nul_separated(std::io::BufReader::new(std::io::stdin())),
            None => Items::lines(std::io::BufReader::new(std::io::stdin())),
        };
        Ok(Self::Items(Box::new(TaskStream::new(
            items,
            template,
            item_options(args),
        ))))
    }

    fn of_file(path: &std::path::Path, args: &RunArgs, items: bool) -> Result<Self, CliError> {
        if items {
            return Err(usage(
                "::: goes with -- CMD, --shell or --function, not with a task file",
            ));
        }
        Ok(Self::File {
            path: path.to_owned(),
            format: args.input.map(Into::into),
            options: ReadOptions {
                timeout: args.timeout,
                max_retries: args.max_retries,
                template: args.template.clone(),
            },
        })
    }

    /// Reads and checks what can be read before anything runs.
    pub(crate) fn load(
        self,
        args: &RunArgs,
        registry: &Registry,
    ) -> Result<(BatchSettings, Work), CliError> {
        match self {
            Self::Items(stream) => Ok((
                settings(args, &FileSettings::default()),
                Work::Stream(stream),
            )),
            Self::File {
                path,
                format,
                options,
            } => {
                let file = if path.as_os_str() == "-" {
                    let format = format.unwrap_or(batch_input::Format::Json);
                    read_tasks(std::io::stdin().lock(), "standard input", format, &options)?
                } else {
                    read_task_file(&path, format, &options)?
                };
                let settings = settings(args, &file.settings);
                Ok((
                    settings.clone(),
                    Work::Plan(plan(file, &settings, registry)?),
                ))
            }
        }
    }
}

fn usage(message: impl Into<String>) -> CliError {
    CliError::Usage(message.into())
}

fn item_template(args: &RunArgs, registry: &Registry) -> Result<ItemTemplate, CliError> {
    if let Some(script) = &args.shell {
        let template = ShellTemplate::new(script.clone());
        return template
            .map(ItemTemplate::Shell)
            .map_err(|error| usage(format!("--shell: {error}")));
    }
    if let Some(function) = &args.function {
        let params = args.params.as_deref().unwrap_or("{}");
        let params =
            Json::parse(params).map_err(|error| usage(format!("--params is not JSON: {error}")))?;
        let spec = TaskSpec {
            params: params.clone(),
            ..TaskSpec::new(function.as_str())
        };
        Plan::check(vec![spec], registry).map_err(|problems| usage(texts(&problems)))?;
        let handler = registry.get(function).expect("the plan found the function");
        let template =
            FunctionTemplate::new(function, &params, &|path| handler.encoding(&params, path));
        return template
            .map(ItemTemplate::Function)
            .map_err(|error| usage(format!("--params: {error}")));
    }
    Ok(ItemTemplate::Command(CommandTemplate::new(
        args.command.clone(),
    )))
}

/// Problems of a function given on the command line, in one line.
fn texts(problems: &[PlanProblem]) -> String {
    let text = |problem: &PlanProblem| match &problem.help {
        Some(help) => format!("{}: {}; {help}", problem.field, problem.message),
        None => format!("{}: {}", problem.field, problem.message),
    };
    problems.iter().map(text).collect::<Vec<_>>().join("; ")
}

/// How tasks made of items are treated.
fn item_options(args: &RunArgs) -> Arc<TaskOptions> {
    Arc::new(TaskOptions {
        max_retries: args.max_retries.unwrap_or(0),
        timeout: args.timeout,
        ..TaskOptions::default()
    })
}

/// The settings of the batch: the command line wins over the file.
fn settings(args: &RunArgs, file: &FileSettings) -> BatchSettings {
    let cpus = || {
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        NonZeroU32::new(u32::try_from(cpus).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MIN)
    };
    BatchSettings {
        name: file.name.clone(),
        key: file.key.clone(),
        max_concurrent: args
            .max_concurrent
            .or(file.max_concurrent)
            .unwrap_or_else(cpus),
        batch_timeout: args.batch_timeout.or(file.batch_timeout),
        limits: file.limits.clone(),
        fail_fast: args.fail_fast || file.fail_fast.unwrap_or(false),
    }
}

/// Checks the tasks of a file together; tells all that is wrong with it at once.
fn plan(
    mut file: TaskFile,
    settings: &BatchSettings,
    registry: &Registry,
) -> Result<Plan, CliError> {
    let surroundings = Surroundings {
        catalog: registry,
        limits: &settings.limits,
        submitted: &|_| None,
    };
    let mut problems = std::mem::take(&mut file.problems);
    match Plan::check_in(file.tasks.clone(), &surroundings) {
        Ok(plan) if problems.is_empty() => return Ok(plan),
        Ok(_) => {}
        Err(found) => problems.extend(
            found
                .into_iter()
                .map(|p| file.problem(p.index, &p.field, p.message, p.help)),
        ),
    }
    problems.sort_by_key(|problem| problem.line);
    Err(CliError::Input(problems))
}

/// What becomes of the results.
pub(crate) fn output_plan(args: &RunArgs) -> Result<OutputPlan, CliError> {
    let by_name = args.output.as_deref().and_then(Format::of_file);
    if let (Some(path), None, None) = (&args.output, by_name, args.format) {
        let message = format!(
            "cannot tell the format of {}; name it .json, .jsonl, .csv or .txt, or give --format",
            path.display()
        );
        return Err(usage(message));
    }
    let default = if args.file.is_some() {
        Format::Text
    } else {
        Format::Raw
    };
    let filter = Filter::parse(args.filter.as_deref().unwrap_or(""))
        .map_err(|error| usage(format!("--filter: {error}")))?
        .with_statuses(args.status.iter().copied())
        .with_priorities(args.priority.iter().copied())
        .with_tags(args.tag.iter().map(String::as_str));
    Ok(OutputPlan {
        options: WriterOptions {
            keep_order: args.keep_order,
            guard_formulas: args.guard_formulas,
            escape_control: args.output.is_none() && std::io::stdout().is_terminal(),
            ..WriterOptions::new(args.format.or(by_name).unwrap_or(default))
        },
        file: args.output.clone(),
        filter,
    })
}
