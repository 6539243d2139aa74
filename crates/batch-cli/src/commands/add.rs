//! `bex add`: tasks into a batch, to be run later or by the process that works on it.

use batch_actions::{
    ActionError, AddReply, AddRequest, BatchRequest, Home, Target, add, end_outlived, place_tasks,
    status,
};
use batch_core::{SettingsRequest, TaskId, TaskSpec, ids::FullTaskId, text::Counted};
use batch_input::{CommandTemplate, Row, TaskFile};
use batch_process::remove_dead_scratch;
use batch_runtime::Registry;
use batch_store::{BatchFile, Origin};
use serde::Serialize;

use crate::args::AddArgs;
use crate::background::{Background, InBackground, Reply, in_background};
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
    let settings = settings(&args, file.as_ref());
    let request = AddRequest {
        tasks,
        target: target(&home, &args, &settings)?,
        settings,
        catalog: &registry,
    };
    let mut reply = add(&home, request).map_err(|error| explain(error, file))?;
    let batch = BatchFile::new(&reply.file);
    tell_outlived(&runtime()?.block_on(end_outlived(&batch)));
    remove_dead_scratch();
    let started = match args.start && !reply.running {
        true => Some(in_background(&batch, Background::default())?),
        false => None,
    };
    reply.running |= started.as_ref().is_some_and(InBackground::is_running);
    let json = Added {
        reply: &reply,
        started: started.as_ref().map(InBackground::json),
    };
    print(args.json, &json, || ids(&reply))?;
    if !args.json {
        tell(format_args!("bex: {}", sentence(&reply, started.as_ref())?));
    }
    Ok(Exit::Completed)
}

/// The reply, and what was started then.
#[derive(Serialize)]
struct Added<'a> {
    #[serde(flatten)]
    reply: &'a AddReply,
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<Reply>,
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
    if let Some(option) = args.task.first_given() {
        return Err(CliError::Usage(format!(
            "{option} is for one task; with --file write it into the tasks, or into \"defaults\""
        )));
    }
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
    if args.task.shell_program.is_some() && args.shell.is_none() {
        let message = "--shell-program goes with --shell, whose script it runs";
        return Err(CliError::Usage(message.to_owned()));
    }
    let mut task = if let Some(script) = &args.shell {
        let params = match &args.task.shell_program {
            Some(program) => serde_json::json!({ "script": script, "shell": program }),
            None => serde_json::json!({ "script": script }),
        };
        TaskSpec::new("shell").with_params(&params)
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
    dress(&mut task, args)?;
    Ok(task)
}

/// A command as it is: nothing in it is replaced. Its words are bytes, and not all are text.
fn command_task(args: &AddArgs) -> Result<TaskSpec, CliError> {
    let template = CommandTemplate::literal(args.command.clone());
    let none = Row::of(1, [b"".as_slice()]);
    let params = template.params(&none);
    let mut task = TaskSpec {
        params: params.map_err(|problem| CliError::Usage(problem.to_string()))?,
        ..TaskSpec::new("command")
    };
    dress(&mut task, args)?;
    Ok(task)
}

fn dress(task: &mut TaskSpec, args: &AddArgs) -> Result<(), CliError> {
    let given = &args.task;
    task.id = given.id.as_deref().map(Into::into);
    task.name = given.task_name.as_deref().map(Into::into);
    let needed = given.depends_on.iter().flat_map(|text| each_of(text));
    task.depends_on = needed.map(|task| task.as_str().into()).collect();
    task.options = given.options(&args.attempt)?.into();
    Ok(())
}

/// The task that a text begins with, with its batch, if it says it so.
fn full_name(text: &str) -> Option<FullTaskId> {
    text.split(' ').next()?.parse().ok()
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

/// What is asked of the batch: the command line wins over the file.
fn settings(args: &AddArgs, file: Option<&TaskFile>) -> SettingsRequest {
    let from = file.map(|file| file.settings.clone()).unwrap_or_default();
    let given = SettingsRequest {
        name: args.name.clone(),
        key: args.key.clone(),
        delay: args.delay,
        limits: args.task.limits(),
        ..SettingsRequest::default()
    };
    given.or(&from)
}

/// The batch they go to: the one named; with a key, or where it is asked for, a new one; else the one that tasks are
/// added to.
fn target(home: &Home, args: &AddArgs, settings: &SettingsRequest) -> Result<Target, CliError> {
    let new = |keyed: bool| BatchRequest {
        settings: settled(SettingsRequest {
            key: settings.key.clone().filter(|_| keyed),
            ..settings.clone()
        }),
        origin: Origin {
            way: "add".to_owned(),
            file: args.file.as_deref().and_then(same_everywhere),
            format: Some("text".to_owned()),
            ..Origin::default()
        },
        ..BatchRequest::default()
    };
    if let Some(path) = args.batch.store.as_ref().filter(|path| !path.exists()) {
        // A batch that is named wins over the key that a file says.
        return Ok(Target::New(BatchRequest {
            file: Some(path.clone()),
            ..new(false)
        }));
    }
    if args.new || args.key.is_some() {
        return Ok(Target::New(new(true)));
    }
    let full = args.task.depends_on.iter().find_map(|text| full_name(text));
    let of_needed = full.map(|needed| home.find(Some(needed.batch)));
    if let Some(file) = args
        .batch
        .chosen(home)?
        .map_or(of_needed.transpose()?, Some)
    {
        return Ok(Target::Batch(file));
    }
    Ok(match settings.key.is_some() {
        true => Target::New(new(true)),
        false => Target::Queue(new(false)),
    })
}

/// Names the lines of what is wrong in a file.
fn explain(error: ActionError, file: Option<TaskFile>) -> CliError {
    match (error, file) {
        (ActionError::Invalid(problems), Some(file)) => {
            CliError::Input(file.all_problems(problems))
        }
        (ActionError::Invalid(mut problems), None) => {
            for problem in problems
                .iter_mut()
                .filter(|problem| problem.field == "limit")
            {
                problem.help = Some("say how many run at once, as in --limit NAME=2".to_owned());
            }
            CliError::Usage(texts(&problems))
        }
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

fn sentence(reply: &AddReply, started: Option<&InBackground>) -> Result<String, CliError> {
    let (batch, naming) = (&reply.batch, Naming::new(&reply.batch, &reply.file));
    let added = Counted(reply.added.into(), "task");
    let there = match reply.existing {
        0 => String::new(),
        n => format!(", {n} already there"),
    };
    let them = if reply.added == 1 { "it" } else { "them" };
    if let Some(started) = started {
        return Ok(format!("{added} added to {batch}{there}; {started}"));
    }
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
