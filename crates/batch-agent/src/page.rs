//! The text of an answer, kept short: [`Page`].

use batch_actions::{BatchStatus, CauseStatus, State};
use batch_core::ShortDuration;
use batch_export::Visible;
use serde_json::Value;

/// The most characters of an answer: 1,500 tokens of four.
pub(crate) const USUAL: usize = 6_000;

/// The most that can be asked for: 8,000 tokens.
pub(crate) const MOST: usize = 32_000;

/// Room that stays free for what must stand at the end.
const END: usize = 900;

/// A text that grows to a limit and then only counts.
pub(crate) struct Page {
    text: String,
    limit: usize,
    cut: usize,
    end: String,
}

impl Page {
    /// A page that begins with a sentence.
    pub(crate) fn new(limit: usize, sentence: &str) -> Self {
        Self {
            text: shorten(sentence, 800),
            limit,
            cut: 0,
            end: String::new(),
        }
    }

    /// Adds a line if there is room, else counts it.
    pub(crate) fn line(&mut self, line: &str) -> bool {
        let length = line.chars().count() + 1;
        if self.cut > 0 || self.text.chars().count() + length + END > self.limit {
            self.cut += 1;
            return false;
        }
        self.text.push('\n');
        self.text.push_str(line);
        true
    }

    /// How many characters still fit.
    pub(crate) fn room(&self) -> usize {
        let used = self.text.chars().count() + END;
        self.limit.saturating_sub(used)
    }

    /// How many lines did not fit.
    pub(crate) fn cut(&self) -> usize {
        self.cut
    }

    /// Says at the end what to call next.
    pub(crate) fn next(&mut self, tool: &str, arguments: &Value, what: &str) {
        let lead = if self.end.is_empty() {
            "Next:"
        } else {
            "  or:"
        };
        self.end
            .push_str(&format!("\n{lead} {tool} {arguments}  ({what})"));
    }

    /// Says something at the end.
    pub(crate) fn note(&mut self, note: &str) {
        self.end.push('\n');
        self.end.push_str(&shorten(note, 400));
    }

    /// The text.
    pub(crate) fn finish(self, how_to_get_more: &str) -> String {
        let mut text = self.text;
        if self.cut > 0 {
            text.push_str(&format!("\n… {} lines cut; {how_to_get_more}", self.cut));
        }
        text.push_str(&self.end);
        text
    }
}

/// The counts of a batch in a sentence.
pub(crate) fn sentence(status: &BatchStatus) -> String {
    let name = match &status.name {
        Some(name) => format!(" ({})", Visible(&shorten(name, 60))),
        None => String::new(),
    };
    let state = status.state.in_words();
    let mut text = format!(
        "{}{name} is {state}: {} of {} tasks finished ({})",
        status.batch,
        status.finished(),
        status.total,
        status.counts()
    );
    if status.flaky > 0 {
        text.push_str(&format!(", {} flaky", status.flaky));
    }
    if let Some(left) = status.seconds_left {
        let left = std::time::Duration::try_from_secs_f64(left).unwrap_or_default();
        text.push_str(&format!(", about {} left", ShortDuration(left)));
    }
    if let Some(reason) = &status.reason {
        text.push_str(&format!("; {reason}"));
    }
    text.push('.');
    text
}

/// The causes of the failures, a line or two each.
pub(crate) fn add_causes(page: &mut Page, status: &BatchStatus, most: usize) {
    let causes = &status.causes;
    if causes.is_empty() {
        return;
    }
    let plural = if causes.len() == 1 { "" } else { "s" };
    page.line(&format!(
        "{} failed, {} cause{plural}:",
        status.failed,
        causes.len()
    ));
    for cause in causes.iter().take(most) {
        page.line(&cause_line(cause));
    }
    if causes.len() > most {
        let rest: u64 = causes[most..].iter().map(|cause| cause.count).sum();
        page.line(&format!(
            "  … and {} more causes ({rest} tasks)",
            causes.len() - most
        ));
    }
}

/// A cause with its count and a sample, in a line.
pub(crate) fn cause_line(cause: &CauseStatus) -> String {
    format!(
        "  {} {} x {} (e.g. {}: {})",
        cause.cause,
        cause.count,
        Visible(&shorten(&cause.label, 160)),
        cause.sample_task,
        Visible(&shorten(&cause.sample, 160))
    )
}

/// What to call after one has seen how a batch stands.
pub(crate) fn add_next(page: &mut Page, status: &BatchStatus, cursor: &str) {
    let batch = &status.batch;
    let call = |fields: Value| fields;
    match status.state {
        State::Running | State::Paused if status.pid.is_some() => {
            let wait =
                call(serde_json::json!({ "batch": batch, "cursor": cursor, "timeout_s": 40 }));
            page.next("bex_wait", &wait, "waits for more");
        }
        State::New | State::Stopped | State::Interrupted | State::Paused | State::Running => {
            let resume = call(serde_json::json!({ "batch": batch, "action": "resume" }));
            page.next("bex_control", &resume, "runs what is left");
        }
        State::Completed | State::Failed => {}
    }
    if let Some(cause) = status.causes.first() {
        let cause = &cause.cause;
        let see = serde_json::json!({ "batch": batch, "cause": cause, "limit": 5 });
        page.next("bex_results", &see, "shows failures of the first cause");
        let retry = serde_json::json!({ "batch": batch, "action": "retry", "cause": cause });
        page.next("bex_control", &retry, "runs them again");
    } else if matches!(status.state, State::Completed | State::Failed) {
        let see = serde_json::json!({ "batch": batch });
        page.next("bex_results", &see, "shows the results");
    }
}

/// A text, cut where it grows long.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
