//! Changes a batch within the time that a call has: [`Change`].

use std::sync::mpsc;
use std::time::{Duration, Instant};

use batch_actions::{
    BatchStatus, Control, ControlReply, Stop, Until, request, start, status as read_status, wait,
};
use batch_store::{BatchFile, Durability, Store};
use serde_json::json;

use crate::call_error::{CallError, Example};
use crate::page::sentence;
use crate::session::{Session, block_on};
use crate::truncate::visible;

/// How long a call waits for a change. The executor may be stuck, and clients cut off a call that does not answer.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(40);

/// A batch that a call changes.
pub(crate) struct Change<'a> {
    session: &'a Session,
    pub(crate) file: BatchFile,
    until: Instant,
    /// Notes for the answer.
    pub(crate) notes: Vec<String>,
}

impl<'a> Change<'a> {
    /// For a call that began at this time.
    pub(crate) fn new(session: &'a Session, file: BatchFile, began: Instant) -> Self {
        Self {
            session,
            file,
            until: began + CHANGE_TIMEOUT,
            notes: Vec::new(),
        }
    }

    /// The time left.
    pub(crate) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// Requests a change, and says how much it changed.
    pub(crate) fn ask(&self, control: Control, what: &str) -> Result<String, CallError> {
        let within = self.left();
        // Inside, as a timeout needs the clock of a runtime.
        let asked =
            block_on(async { tokio::time::timeout(within, request(&self.file, control)).await });
        match asked? {
            Ok(reply) => Ok(describe(&reply?, what)),
            Err(_) => Err(self.no_answer()?),
        }
    }

    /// Stops the run, and says whether there was one.
    pub(crate) fn stop(&self, how: Stop) -> Result<bool, CallError> {
        let is_running = || Ok::<_, CallError>(read_status(&self.file, false)?.pid.is_some());
        if !is_running()? {
            return Ok(false);
        }
        match self.ask(Control::Stop { how }, "stopped") {
            Ok(_) => Ok(true),
            // It ended by itself meanwhile.
            Err(_) if !is_running()? => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn no_answer(&self) -> Result<CallError, CallError> {
        let status = read_status(&self.file, false)?;
        let batch = &status.batch;
        let look = json!({ "batch": batch });
        let resume = json!({ "action": "resume", "batch": batch });
        let (who, help) = match status.pid {
            Some(pid) => (
                format!("process {pid} runs {batch} and does not answer"),
                format!(
                    " If this persists, end process {pid}, then continue with bex_control {resume}."
                ),
            ),
            None => (format!("{batch} takes too long to load"), String::new()),
        };
        let error = CallError::new(format!(
            "{who}; the request was withdrawn, unless it is being handled already. {} Check with bex_status {look}.{help}",
            sentence(&status)
        ));
        Ok(error.with_example(Example {
            tool: Some("bex_control"),
            arguments: resume,
        }))
    }

    /// Starts an executor for what is not finished, unless one is at work.
    pub(crate) fn start_if_needed(&mut self) -> Result<(), CallError> {
        let status = self.after_a_stop()?;
        if status.pid.is_some() || status.queued + status.running == 0 {
            return Ok(());
        }
        self.lower_concurrency()?;
        let (file, command) = (self.file.clone(), (self.session.executor)(self.file.path()));
        let (sender, started) = mpsc::channel();
        let start = move || {
            // The receiver may have given up waiting.
            let _ = sender.send(start(&file, command));
        };
        std::thread::Builder::new()
            .spawn(start)
            .map_err(|error| CallError::new(format!("cannot start the executor: {error}")))?;
        match started.recv_timeout(self.left()) {
            Ok(Ok(_)) => Ok(()),
            // Another process was faster.
            Ok(Err(_)) if read_status(&self.file, false)?.pid.is_some() => Ok(()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => {
                let note = "its executor is still starting; bex_status shows when it runs";
                self.notes.push(note.to_owned());
                Ok(())
            }
        }
    }

    /// The status once a run that is being stopped has ended, or the time is up.
    fn after_a_stop(&mut self) -> Result<BatchStatus, CallError> {
        let status = read_status(&self.file, false)?;
        if !status.is_stopping() {
            return Ok(status);
        }
        let (_, status) = block_on(wait(&self.file, Until::AtRest, Some(self.left())))??;
        if status.is_stopping() {
            let resume = json!({ "action": "resume", "batch": &status.batch });
            let note = format!(
                "its last run is stopping and its running tasks have not ended yet; once they have, continue with bex_control {resume}"
            );
            self.notes.push(note);
        }
        Ok(status)
    }

    /// A batch that another client created may have more slots than the operator allows here.
    fn lower_concurrency(&mut self) -> Result<(), CallError> {
        let settings = Store::open_read(self.file.clone())?.info()?.settings;
        let limits = &self.session.limits;
        let slots = limits.concurrency(settings.max_concurrent, &mut self.notes);
        if slots < settings.max_concurrent {
            let mut store = Store::open(self.file.clone(), Durability::Full)?;
            store.change_settings(|settings| settings.max_concurrent = slots)?;
        }
        Ok(())
    }
}

fn describe(reply: &ControlReply, what: &str) -> String {
    let changed = reply.changed;
    let plural = if changed == 1 { "" } else { "s" };
    let mut text = format!("{changed} task{plural} {what}.");
    if reply.refused_in_all > 0 {
        let first = reply.refused.first().map_or("", |first| first.why.as_str());
        let (count, first) = (reply.refused_in_all, visible(first, 200));
        text.push_str(&format!(" {count} were refused, the first: {first}."));
    }
    if let Some(first) = reply.leftovers.first() {
        let (count, first) = (reply.leftovers.len(), visible(&first.to_string(), 200));
        let (processes, were) = match count {
            1 => ("process", "was"),
            _ => ("processes", "were"),
        };
        text.push_str(&format!(
            " {count} {processes} left by a dead executor {were} ended, the first: {first}."
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::process::Command;

    use super::*;
    use crate::session::Session;
    use batch_actions::{BatchRequest, Home, create};
    use batch_core::{BatchSettings, Plan, TaskSpec};
    use batch_runtime::Registry;
    use batch_store::{Holder, Lease};

    fn batch_with_a_task(home: &Home) -> BatchFile {
        let registry = Registry::new().with_fn("x", |_| async { Ok(Default::default()) });
        let plan = Plan::check(vec![TaskSpec::new("x")], &registry).unwrap();
        let request = BatchRequest {
            settings: BatchSettings::with_slots(NonZeroU32::MIN),
            ..BatchRequest::default()
        };
        BatchFile::new(create(home, &request, &plan).unwrap().file)
    }

    #[test]
    fn an_executor_that_does_not_answer_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("home"));
        let file = batch_with_a_task(&home);
        let session = Session::new(home, Registry::new(), |_| Command::new("false"));
        let pid = std::process::id();
        let holder = Holder {
            pid,
            run: 1,
            ..Holder::default()
        };
        // As an executor that hangs.
        let (mut lease, _) = Lease::take(&file, &holder).unwrap();
        lease.sign(&holder).unwrap();
        let long_ago = Instant::now().checked_sub(CHANGE_TIMEOUT).unwrap();
        let change = Change::new(&session, file, long_ago);
        let text = change
            .ask(Control::Pause, "paused")
            .unwrap_err()
            .to_string();
        for part in [
            format!("process {pid} runs b1 and does not answer"),
            "0 of 1 tasks finished".to_owned(),
            r#"bex_status {"batch":"b1"}"#.to_owned(),
            r#"bex_control {"action":"resume","batch":"b1"}"#.to_owned(),
        ] {
            assert!(text.contains(&part), "{text}");
        }
    }

    #[test]
    fn a_start_that_hangs_is_noted() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("home"));
        let file = batch_with_a_task(&home);
        let session = Session::new(home, Registry::new(), |_| {
            let mut command = Command::new("sleep");
            command.arg("1");
            command
        });
        let long_ago = Instant::now().checked_sub(CHANGE_TIMEOUT).unwrap();
        let mut change = Change::new(&session, file, long_ago);
        change.start_if_needed().unwrap();
        assert!(
            change.notes[0].contains("still starting"),
            "{:?}",
            change.notes
        );
    }
}
