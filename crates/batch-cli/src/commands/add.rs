//! `bex add`: tasks into a batch, to be run later or by whoever works on it.

use batch_actions::{
    ActionError, AddReply, AddRequest, BatchRequest, Home, Target, add, end_outlived, place_tasks,
    status,
};
use batch_core::{BatchSettings, TaskId, TaskOptions, TaskSpec, ids::FullTaskId, text::Counted};
use batch_input::{CommandTemplate, FileSettings, Row, TaskFile};
use batch_process::remove_dead_scratch;
use batch_runtime::Registry;
use batch_store::{BatchFile, Origin};

use crate::args::AddArgs;
use crate::exit::{CliError, Exit};
use crate::functions::Functions;
use crate::hints::{self, Naming};
use crate::leftovers::tell_outlived;
use crate::reply::{print, tell};
use crate::request::{current_folder, read_file, same_everywhere, settled, texts};
use crate::runtime::runtime;

pub(crate) fn run(args: AddArgs) -> Result<Exit, CliError> {
    let home = Home::of_environment();
    let registry = Functions::of_environment().registry();
    let (mut tasks, file) = tasks(&args, &registry)?;
    place_tasks(&mut tasks, &current_folder()?);
    let target = target(&home, &args, file.as_ref())?;
    let request = AddRequest {
        tasks,
        target,
        catalog: &registry,
    };
    let reply = add(&home, request).map_err(|error| explain(error, file))?;
    tell_outlived(&runtime()?.block_on(end_outlived(&BatchFile::new(&reply.file))));
    remove_dead_scratch();
    print(args.json, &reply, || ids(&reply))?;
    if !args.json {
        tell(format_args!("bex: {}", sentence(&reply)?));
    }
    Ok(Exit::Completed)
}

/// What is to be added, and the file it comes from.
fn tasks(
    args: &AddArgs,
    registry: &Registry,
) -> Result<(Vec<TaskSpec>, Option<TaskFile>), CliError> {
    let given = [
        args.file.is_some(),
        !args.command.is_empty(),
        args.shell.is_some(),
        args.function.function.is_some(),
    ];
    if given.iter().filter(|given| **given).count() != 1 {
        let message = "give one of: -- CMD, --shell, --function, --file";
        return Err(CliError::Usage(message.to_owned()));
    }
    let Some(path) = &args.file else {
        return Ok((vec![one_task(args)?], None));
    };
    let options = args
        .attempt
        .read_options(args.template.as_deref(), args.sep.as_deref(), registry)
        .map_err(CliError::Usage)?;
    let format = args.input.map(Into::into);
    let mut file = read_file(path, format, &options)?;
    if file.problems.is_empty() {
        return Ok((std::mem::take(&mut file.tasks), Some(file)));
    }
    // The plan is checked as well, so that all problems are reported together.
    let checked = file.plan(registry, &file.settings.limits);
    Err(CliError::Input(checked.err().unwrap_or_default()))
}

fn one_task(args: &AddArgs) -> Result<TaskSpec, CliError> {
    let mut task = if let Some(script) = &args.shell {
        TaskSpec::new("shell").with_params(&serde_json::json!({ "script": script }))
    } else if let Some(function) = &args.function.function {
        let params = args.function.params()?;
        Ok(TaskSpec {
            params,
            ..TaskSpec::new(function.as_str())
        })
    } else {
        return command_task(args);
    }
    .expect("texts are JSON");
    apply_options(&mut task, args);
    Ok(task)
}

/// A command as it stands: nothing in it is replaced. Its words are bytes, and not all are text.
fn command_task(args: &AddArgs) -> Result<TaskSpec, CliError> {
    let template = CommandTemplate::literal(args.command.clone());
    let none = Row::of(1, [b"".as_slice()]);
    let params = template.params(&none);
    let mut task = TaskSpec {
        params: params.map_err(|problem| CliError::Usage(problem.to_string()))?,
        ..TaskSpec::new("command")
    };
    apply_options(&mut task, args);
    Ok(task)
}

fn apply_options(task: &mut TaskSpec, args: &AddArgs) {
    task.id = args.id.as_deref().map(Into::into);
    task.name = args.name.as_deref().map(Into::into);
    let needed = args.depends_on.iter().flat_map(|text| each_of(text));
    task.depends_on = needed.map(|task| task.as_str().into()).collect();
    task.options = TaskOptions {
        priority: args.priority.unwrap_or_default(),
        max_retries: args.attempt.max_retries.unwrap_or(0),
        timeout: args.attempt.timeout,
        tags: args.tag.clone(),
        allow_code: args.attempt.allow_code,
        ..TaskOptions::default()
    }
    .into();
}

/// The tasks that a text names: an id, or as `bex add` prints it a task or a range of tasks, `b7.1 to b7.3`.
fn each_of(text: &str) -> Vec<String> {
    let range = text.split_once(" to ").and_then(|(first, last)| {
        let (first, last): (FullTaskId, FullTaskId) = (first.parse().ok()?, last.parse().ok()?);
        (first.batch == last.batch && first.task <= last.task).then_some((first, last))
    });
    let Some((first, last)) = range else {
        return vec![text.to_owned()];
    };
    (first.task.get()..=last.task.get())
        .filter_map(TaskId::new)
        .map(|task| first.batch.task(task).to_string())
        .collect()
}

/// The batch they go to: the one named, else the latest; a new one where there is none, or where a key asks for it.
fn target(home: &Home, args: &AddArgs, file: Option<&TaskFile>) -> Result<Target, CliError> {
    let key = args
        .key
        .clone()
        .or_else(|| file.and_then(|file| file.settings.key.clone()));
    // A batch that is named wins over the key that a file says.
    let named = args.batch.batch.is_some() || args.batch.store.is_some();
    if named || !(args.new || key.is_some()) {
        if let Some(path) = args.batch.store.as_ref().filter(|path| !path.exists()) {
            let mut request = new_batch(args, file, None);
            request.file = Some(path.clone());
            return Ok(Target::New(request));
        }
        match args.batch.find_with(home, &args.depends_on) {
            Ok(file) => return Ok(Target::Batch(file)),
            Err(ActionError::NoBatch) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Target::New(new_batch(args, file, key)))
}

fn new_batch(args: &AddArgs, file: Option<&TaskFile>, key: Option<String>) -> BatchRequest {
    let from = file.map(|file| file.settings.clone()).unwrap_or_default();
    let given = FileSettings {
        name: file.and(args.name.clone()),
        ..FileSettings::default()
    };
    BatchRequest {
        settings: BatchSettings {
            key,
            ..settled(given.or(&from))
        },
        origin: Origin {
            way: "add".to_owned(),
            file: args.file.as_deref().and_then(same_everywhere),
            format: Some("text".to_owned()),
            ..Origin::default()
        },
        ..BatchRequest::default()
    }
}

/// Names the lines of what is wrong in a file.
fn explain(error: ActionError, file: Option<TaskFile>) -> CliError {
    match (error, file) {
        (ActionError::Invalid(problems), Some(file)) => {
            CliError::Input(file.all_problems(problems))
        }
        (ActionError::Invalid(problems), None) => CliError::Usage(texts(&problems)),
        (error, _) => error.into(),
    }
}

fn ids(reply: &AddReply) -> String {
    match (&reply.first, &reply.last) {
        (Some(first), Some(last)) if first == last => first.clone(),
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => reply.batch.clone(),
    }
}

fn sentence(reply: &AddReply) -> Result<String, CliError> {
    let (batch, naming) = (&reply.batch, Naming::new(&reply.batch, &reply.file));
    let added = Counted(reply.added.into(), "task");
    let there = match reply.existing {
        0 => String::new(),
        n => format!(", {n} already there"),
    };
    let them = if reply.added == 1 { "it" } else { "them" };
    let next = match (reply.running, reply.added) {
        (_, 0) => String::new(),
        (true, _) => match status(&BatchFile::new(&reply.file), false)? {
            silent if silent.silence.is_some() => {
                let why = hints::reason_text(&silent);
                format!("; the batch is running, but {why}")
            }
            _ => format!("; the batch is running and picks {them} up"),
        },
        (false, _) if is_worked_on(reply)? => format!(
            "; its run is being stopped and starts no new tasks; when it has ended, start {them} with: bex start {naming}"
        ),
        (false, _) => format!("; start {them} with: bex start {naming}"),
    };
    Ok(format!("{added} added to {batch}{there}{next}"))
}

fn is_worked_on(reply: &AddReply) -> Result<bool, CliError> {
    let status = status(&BatchFile::new(&reply.file), false)?;
    Ok(status.pid.is_some())
}
