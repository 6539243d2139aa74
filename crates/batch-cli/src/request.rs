//! What is asked of `bex run`, decided: the second pass over the arguments.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use batch_actions::{Home, default_slots, place_tasks};
use batch_core::{
    BatchId, BatchSettings, Plan, SettingsRequest, TaskId, TaskOptions, TaskSpec, Time,
    plan::{PlanContext, PlanProblem},
    settings::Halt,
    text::first_of,
};
use batch_export::{Format, TaskFilter, TaskRecord};
use batch_input::{
    Columns, CommandTemplate, FunctionTemplate, ItemTemplate, ItemTemplateError, ReadError,
    ReadOptions, SavedTemplate, ShellTemplate, StdinTemplate, TaskFile, TaskStream, TemplateFolder,
    read_task_file, read_tasks,
};
use batch_runtime::Registry;
use batch_template::shown_params;

use crate::args::{ResultArgs, RunArgs, SourceWords, no_such_file};
use crate::beside::Beside;
use crate::exit::CliError;
use crate::hints::quoted;
use crate::item_sources::items;
use crate::output::OutputPlan;
use crate::paint::paints;
use crate::same_file::refuse_over_input;
use crate::step_summary;
use crate::terminal::stdin;

/// Where tasks come from.
pub(crate) enum Source {
    /// A task file.
    File {
        path: PathBuf,
        format: Option<batch_input::Format>,
        options: ReadOptions,
    },
    /// A saved template.
    Template {
        template: Box<SavedTemplate>,
        values: BTreeMap<String, String>,
        rows: Option<PathBuf>,
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

impl Work {
    /// Whether it is one task alone, as far as that is known.
    pub(crate) fn is_single(&self) -> bool {
        match self {
            Self::Plan(plan) => plan.len() == 1,
            Self::Stream(stream) => stream.is_single(),
        }
    }
}

impl Source {
    /// Finds out where tasks come from.
    pub(crate) fn of(
        args: &RunArgs,
        sources: Vec<SourceWords>,
        registry: &Registry,
    ) -> Result<Self, CliError> {
        let saved = args.template.as_ref().filter(|_| args.file.is_none());
        check_together(args, saved.is_some())?;
        let written = [
            ("-o", args.results.output.as_deref()),
            ("--joblog", args.results.shown.joblog.as_deref()),
        ];
        for (option, file) in written {
            refuse_over_input(option, file, inputs(args, &sources))?;
        }
        let (output, log) = (written[0].1, written[1].1);
        refuse_over_input("--joblog", log.filter(|_| output.is_some()), output)?;
        if let Some(name) = saved {
            if let Some(source) = sources.first() {
                return Err(goes_with_commands(source.separator));
            }
            return Self::of_template(&name.to_string_lossy(), args, registry);
        }
        if let Some(path) = &args.file {
            return Self::of_file(path, args, &sources, registry);
        }
        check_command(args)?;
        let template = item_template(args, registry)?;
        let items = items(&args.items, sources)?;
        let stream = TaskStream::new(items, item_options(args)?, template);
        let stream = stream.map_err(|error| match (&args.shell, &args.function.function) {
            (Some(_), _) => usage(format!("--shell: {error}")),
            (None, Some(_)) => usage(format!("--params: {error}")),
            (None, None) => usage(error.to_string()),
        });
        let labels = &args.task;
        let stream = stream?.with_labels(labels.id.as_deref(), labels.task_name.as_deref());
        let stream = stream.map_err(|error| usage(error.to_string()))?;
        Ok(Self::Items(Box::new(stream)))
    }

    fn of_file(
        path: &Path,
        args: &RunArgs,
        sources: &[SourceWords],
        registry: &Registry,
    ) -> Result<Self, CliError> {
        let name = path.to_string_lossy();
        if name != "-" && !path.exists() {
            let items = sources.first().map(|source| &*source.words);
            return Err(usage(no_such_file(&name, items)));
        }
        if let Some(source) = sources.first() {
            return Err(goes_with_commands(source.separator));
        }
        Ok(Self::File {
            path: path.to_owned(),
            format: args.input.map(Into::into),
            options: args
                .attempt
                .read_options(
                    args.template.as_deref(),
                    args.items.colsep.as_deref(),
                    registry,
                )
                .map_err(usage)?,
        })
    }

    fn of_template(name: &str, args: &RunArgs, registry: &Registry) -> Result<Self, CliError> {
        let functions = Arc::new(registry.clone());
        let folder = TemplateFolder::new(Home::of_environment().templates(), functions);
        let template = folder
            .load(name)
            .map_err(|error| usage(error.to_string()))?;
        let options = args
            .attempt
            .read_options(None, args.items.colsep.as_deref(), registry);
        Ok(Self::Template {
            template: Box::new(template),
            values: params(&args.param)?,
            rows: args.rows.clone(),
            options: options.map_err(usage)?,
        })
    }

    /// Reads and checks what can be read before anything runs.
    pub(crate) fn load(
        self,
        args: &RunArgs,
        registry: &Registry,
    ) -> Result<(BatchSettings, Work), CliError> {
        match self {
            Self::Items(stream) => {
                let settings = settings(args, &SettingsRequest::default());
                let work = match settings.key {
                    Some(_) => Work::Plan(keyed(*stream, &settings, registry)?),
                    None => Work::Stream(stream),
                };
                Ok((settings, work))
            }
            Self::File {
                path,
                format,
                options,
            } => checked(read_file(&path, format, &options)?, args, registry),
            Self::Template {
                template,
                values,
                rows,
                options,
            } => {
                let file = expand(&template, &values, rows.as_deref(), &options)?;
                checked(file, args, registry)
            }
        }
    }
}

/// Refuses what goes with task files, or with a batch that there is, for a command.
fn check_command(args: &RunArgs) -> Result<(), CliError> {
    if args.only.is_some() {
        return Err(usage(
            "--only goes with a task file, of which it chooses tasks; of a command leave items out",
        ));
    }
    if args.task.shell_program.is_some() && args.shell.is_none() {
        return Err(usage(
            "--shell-program goes with --shell, whose script it runs",
        ));
    }
    if let Some(id) = args.task.depends_on.first() {
        return Err(usage(format!(
            "--depends-on {id}: no task has this id, as a run is a batch of its own; add tasks that need each other to one \
             batch with: bex add, or write a task file"
        )));
    }
    if let Some(limit) = args
        .task
        .limit
        .as_ref()
        .filter(|limit| limit.most.is_none())
    {
        let name = quoted(&limit.name);
        return Err(usage(format!(
            "--limit {name}: say how many of them run at once, as in --limit {name}=2; a run is a batch of its own"
        )));
    }
    Ok(())
}

/// The files that a run reads.
fn inputs<'a>(args: &'a RunArgs, sources: &'a [SourceWords]) -> impl Iterator<Item = &'a Path> {
    let files = [&args.file, &args.template, &args.rows, &args.store];
    let files = files.into_iter().flatten().map(PathBuf::as_path);
    let stdin = args.items.stdin.iter().map(Path::new);
    let sources = SourceWords::files(sources).map(Path::new);
    files.chain(sources).chain(stdin)
}

fn goes_with_commands(what: &str) -> CliError {
    usage(format!(
        "{what} goes with -- CMD, --shell or --function, not with a task file"
    ))
}

/// Refuses arguments of `bex run` that do not go together.
fn check_together(args: &RunArgs, is_saved: bool) -> Result<(), CliError> {
    if args.resume && args.file.is_none() {
        return Err(usage(
            "--resume needs a task file, whose last batch it continues; to continue any batch: bex resume -b ID",
        ));
    }
    if args.results.step_summary && args.durability.of_store().is_none() {
        return Err(usage(
            "--step-summary is made of the batch file; leave --durability none out",
        ));
    }
    if args.resume && args.durability.of_store().is_none() {
        return Err(usage(
            "--resume continues a stored batch; --durability none keeps none",
        ));
    }
    if args.durability.of_store().is_none() && (args.key.is_some() || args.store.is_some()) {
        return Err(usage(
            "--key and --store are for batches that are kept; --durability none keeps none",
        ));
    }
    if let (true, Some(option)) = (args.file.is_some() || is_saved, args.task.first_given()) {
        return Err(usage(match option {
            "--tag" | "--priority" => format!(
                "{option} sets a field of the tasks of a command; of a task file, --only 'tag:smoke' runs the tasks that \
                 fit and what they depend on, and --show 'tag:smoke' chooses which results are shown"
            ),
            _ => format!(
                "{option} is for the tasks of a command; in a task file write it into the task, or into \"defaults\""
            ),
        }));
    }
    if args.file.is_some() && !(args.param.is_empty() && args.rows.is_none()) {
        return Err(usage(
            "--param and --rows go with a saved template; leave the task file out",
        ));
    }
    check_items(args, is_saved)?;
    let is_stdin = args.file.as_deref() == Some(Path::new("-"));
    if args.resume && is_stdin && args.store.is_none() {
        return Err(usage(
            "--resume goes with a file that has a name, by which its last batch is found, or with --store FILE",
        ));
    }
    let wanted = [
        args.file.is_some() || is_saved,
        !args.command.is_empty(),
        args.shell.is_some(),
        args.function.function.is_some(),
    ];
    match wanted.iter().filter(|given| **given).count() {
        0 => Err(usage(
            "nothing to run; give a task file, -- CMD, --shell or --function",
        )),
        1 => Ok(()),
        _ => Err(usage(
            "give one of: a task file, -- CMD, --shell, --function",
        )),
    }
}

/// Refuses what says how items come where there are none, or where it does not go together.
fn check_items(args: &RunArgs, is_saved: bool) -> Result<(), CliError> {
    // A file that is not there is told first: it may be a command.
    let has_file = args.file.as_ref().is_some_and(|file| file.exists());
    if let (Some(option), true) = (args.items.given(), has_file || is_saved) {
        return Err(goes_with_commands(option));
    }
    let has_table = args.rows.is_some() || args.file.is_some() && args.template.is_some();
    if args.items.colsep.is_some() && !has_table && (args.file.is_some() || is_saved) {
        return Err(usage(
            "--colsep goes with items, or as --sep with a table: a FILE with --template, or --rows",
        ));
    }
    if args.items.pipe && args.task.id.is_some() {
        return Err(usage(
            "--pipe numbers its tasks itself: block-1, block-2 …; leave --id out",
        ));
    }
    if args.items.pipe && args.key.is_some() {
        return Err(usage(
            "--key knows a batch by its tasks, and those of --pipe are not known beforehand",
        ));
    }
    Ok(())
}

/// Reads a task file; `-` is standard input.
pub(crate) fn read_file(
    path: &Path,
    format: Option<batch_input::Format>,
    options: &ReadOptions,
) -> Result<TaskFile, ReadError> {
    if path.as_os_str() != "-" {
        return read_task_file(path, format, options);
    }
    let format = format.unwrap_or(batch_input::Format::Json);
    read_tasks(stdin(), "standard input", format, options)
}

/// The tasks of a saved template, once or for each row of a table.
fn expand(
    template: &SavedTemplate,
    values: &BTreeMap<String, String>,
    rows: Option<&Path>,
    options: &ReadOptions,
) -> Result<TaskFile, CliError> {
    let Some(path) = rows else {
        return template.expand(values, options).map_err(CliError::Input);
    };
    let name = path.display().to_string();
    let table = std::fs::File::open(path).map_err(|source| ReadError::Io {
        file: name.clone(),
        source,
    })?;
    let by_name = batch_input::Format::of(path).map(batch_input::Format::separator);
    let options = ReadOptions {
        separator: options.separator.or(by_name.ok()),
        ..options.clone()
    };
    Ok(template.expand_rows(table, &name, values, &options)?)
}

/// The tasks of all items, which have to be known before it can be told whether a key has the same ones.
fn keyed(
    stream: TaskStream,
    settings: &BatchSettings,
    registry: &Registry,
) -> Result<Plan, CliError> {
    let tasks = stream.collect::<Result<Vec<_>, _>>();
    let tasks = tasks.map_err(|error| usage(error.to_string()))?;
    let context = PlanContext {
        catalog: registry,
        limits: &settings.limits,
        submitted: &|_| None,
    };
    Plan::check_in(tasks, &context).map_err(|problems| usage(texts(&problems)))
}

/// The tasks of a file, placed where we are and checked together.
fn checked(
    mut file: TaskFile,
    args: &RunArgs,
    registry: &Registry,
) -> Result<(BatchSettings, Work), CliError> {
    place_tasks(&mut file.tasks, &current_folder()?);
    let settings = settings(args, &file.settings);
    let plan = file.plan(registry, &settings.limits);
    let plan = plan.map_err(CliError::Input)?;
    let plan = match &args.only {
        Some(filter) => only(plan, filter, &file.name)?,
        None => plan,
    };
    Ok((settings, Work::Plan(plan)))
}

/// The tasks that fit a filter, and what they depend on.
fn only(plan: Plan, filter: &str, file: &str) -> Result<Plan, CliError> {
    let parsed = TaskFilter::parse(filter).map_err(|error| usage(format!("--only: {error}")))?;
    let had_tasks = !plan.is_empty();
    let wanted = |spec: &TaskSpec| {
        // As it is before anything has happened.
        let task = TaskId::from_index(0);
        let spec = Arc::new(spec.clone());
        parsed.matches(&TaskRecord::queued(
            BatchId::default(),
            task,
            spec,
            Time::from_micros(0),
        ))
    };
    let plan = plan.only(wanted);
    match had_tasks && plan.is_empty() {
        true => Err(usage(format!(
            "no task of {file} fits --only {}",
            quoted(filter)
        ))),
        false => Ok(plan),
    }
}

/// The name of a file that is the same from everywhere; `None` for standard input.
pub(crate) fn same_everywhere(file: &Path) -> Option<String> {
    let whole = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    (file.as_os_str() != "-").then(|| whole.to_string_lossy().into_owned())
}

/// Where tasks run that say nothing of it.
pub(crate) fn current_folder() -> Result<PathBuf, CliError> {
    std::env::current_dir().map_err(|error| CliError::System("tell the current folder", error))
}

/// The values of `--param NAME=VALUE`.
fn params(given: &[String]) -> Result<BTreeMap<String, String>, CliError> {
    let mut values = BTreeMap::new();
    for param in given {
        let Some((name, value)) = param.split_once('=') else {
            return Err(usage(format!("--param {param}: write it as NAME=VALUE")));
        };
        if values.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(usage(format!("--param {name} was given twice")));
        }
    }
    Ok(values)
}

fn usage(message: impl Into<String>) -> CliError {
    CliError::Usage(message.into())
}

/// How the template is made of what is given, once the columns of the items are known.
fn item_template(
    args: &RunArgs,
    registry: &Registry,
) -> Result<impl FnOnce(&Columns) -> Result<ItemTemplate, ItemTemplateError> + Send + use<>, CliError>
{
    let allow_code = args.attempt.allow_code;
    let function = match &args.function.function {
        None => None,
        Some(function) => {
            let params = args.function.params()?;
            let spec = TaskSpec {
                params: FunctionTemplate::unfilled(&params),
                ..TaskSpec::new(function.as_str())
            };
            Plan::check(vec![spec], registry).map_err(|problems| usage(texts(&problems)))?;
            if args.items.fill || args.items.pipe || args.items.stdin.is_some() {
                return Err(usage("-X, --pipe and --stdin go with -- CMD or --shell"));
            }
            Some((function.clone(), params, Arc::new(registry.clone())))
        }
    };
    let (script, argv) = (args.shell.clone(), args.command.clone());
    let program = args.task.shell_program.clone();
    let (stdin, pipe) = (args.items.stdin.clone(), args.items.pipe);
    if let Some(file) = &stdin
        && !file.to_string_lossy().contains('{')
        && file != "item"
        && !Path::new(file).exists()
    {
        let file = file.to_string_lossy();
        return Err(usage(format!("--stdin: there is no file {file}")));
    }
    Ok(move |columns: &Columns| {
        let stdin = match stdin {
            Some(stdin) => Some(StdinTemplate::new(&stdin, columns)?),
            None => pipe.then(StdinTemplate::block),
        };
        let columns = &match stdin.as_ref().is_some_and(StdinTemplate::uses_item) {
            true => columns.used_elsewhere(),
            false => columns.clone(),
        };
        match (script, function) {
            (Some(script), _) => {
                let program = program.as_deref();
                let template = ShellTemplate::for_program(script, program, columns, allow_code)?;
                template.with_stdin(stdin).map(ItemTemplate::Shell)
            }
            (None, Some((name, params, functions))) => {
                FunctionTemplate::new(&name, &params, functions, columns, allow_code)
                    .map(ItemTemplate::Function)
            }
            (None, None) => {
                let template = CommandTemplate::new(argv, columns, allow_code)?;
                template.with_stdin(stdin).map(ItemTemplate::Command)
            }
        }
    })
}

/// Problems of tasks given on the command line, in one line.
pub(crate) fn texts(problems: &[PlanProblem]) -> String {
    let text = |problem: &PlanProblem| match &problem.help {
        Some(help) => format!("{}: {}; {help}", problem.field, problem.message),
        None => format!("{}: {}", problem.field, problem.message),
    };
    first_of(problems, text, "; ")
}

/// How tasks made of items are treated.
fn item_options(args: &RunArgs) -> Result<Arc<TaskOptions>, CliError> {
    let mut tasks = [TaskSpec {
        options: args.task.options(&args.attempt)?.into(),
        ..TaskSpec::new("")
    }];
    place_tasks(&mut tasks, &current_folder()?);
    let [task] = tasks;
    Ok(task.options)
}

/// The command that tasks are made of, with its placeholders.
pub(crate) fn command_text(args: &RunArgs) -> Option<String> {
    let text = |word: &OsString| word.to_string_lossy().into_owned();
    if let Some(script) = &args.shell {
        return Some(text(script));
    }
    if let Some(function) = &args.function.function {
        let params = args.function.params().ok()?;
        let spec = TaskSpec {
            params,
            ..TaskSpec::new(function.as_str())
        };
        return Some(format!("{function} {}", shown_params(&spec)));
    }
    let word = |word: &OsString| {
        let word = text(word);
        // Braces would be quoted, and nothing of them is meant for a shell.
        let is_plain = |c: char| c.is_alphanumeric() || "{}/._-+=:@%^,#".contains(c);
        match !word.is_empty() && word.chars().all(is_plain) {
            true => word,
            false => quoted(&word),
        }
    };
    let words: Vec<String> = args.command.iter().map(word).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// The settings of the batch: the command line wins over the file.
fn settings(args: &RunArgs, file: &SettingsRequest) -> BatchSettings {
    let given = SettingsRequest {
        name: args.name.clone(),
        key: args.key.clone(),
        max_concurrent: args.max_concurrent,
        batch_timeout: args.batch_timeout,
        limits: args.task.limits(),
        halt: args.halt.or(args.fail_fast.then_some(Halt::FAIL_FAST)),
        delay: args.delay,
    };
    settled(given.or(file))
}

/// The settings of a batch, with the default number of slots.
pub(crate) fn settled(settings: SettingsRequest) -> BatchSettings {
    settings.settled(|asked| asked.unwrap_or_else(default_slots))
}

/// What becomes of the results.
pub(crate) fn output_plan(args: &ResultArgs, default: Format) -> Result<OutputPlan, CliError> {
    let by_name = args.output.as_deref().and_then(Format::of_file);
    // To a file nothing is never written: `none` keeps the terminal quiet then, as the file takes its place.
    let given = args
        .format
        .filter(|format| args.output.is_none() || *format != Format::None);
    if let (Some(path), None, None) = (&args.output, by_name, given) {
        let message = format!(
            "cannot tell the format of {}; name it .json, .jsonl, .csv, .txt, .xml, .md or .pftrace, or give --format",
            path.display()
        );
        return Err(usage(message));
    }
    let shown = &args.shown;
    let format = match shown.live && args.output.is_none() {
        true => live_format(given)?,
        false => given.or(by_name).unwrap_or(default),
    };
    if shown.tag_output && !shown.live && format != Format::Raw {
        return Err(usage(
            "--tag-output goes with raw output: add --format raw, or --live",
        ));
    }
    let filter = args.show.as_deref().map(TaskFilter::parse).transpose();
    let filter = filter.map_err(|error| usage(format!("--show: {error}")))?;
    let mut options = args.cells.options(format);
    options.keep_order = args.keep_order;
    options.tag = shown.tag_output;
    options.color = args.output.is_none() && paints(&std::io::stdout());
    options.escape_control =
        format == Format::Text || args.output.is_none() && std::io::stdout().is_terminal();
    Ok(OutputPlan {
        options,
        file: args.output.clone(),
        opened: None,
        beside: Beside::new(shown),
        filter: filter.unwrap_or_default(),
        step_summary: match args.step_summary {
            true => Some(step_summary::target()?),
            false => None,
        },
    })
}

/// What tasks print goes to standard output while they run, so their results do not.
fn live_format(given: Option<Format>) -> Result<Format, CliError> {
    match given {
        None | Some(Format::Raw | Format::None) => Ok(Format::None),
        Some(format) => Err(usage(format!(
            "--live prints what the tasks print; for their results as {format} besides, name a file: -o FILE"
        ))),
    }
}
