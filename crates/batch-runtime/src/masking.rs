//! What an attempt left, made fit to keep: secrets masked, messages short.

use std::borrow::Cow;
use std::sync::Arc;

use batch_core::{Failure, Json, Outcome, Output, outcome::Stream};
use batch_template::Secrets;
use serde_json::Value;

/// The longest message of a failure that is kept, in bytes. What a task raises can be of any length.
const LONGEST_MESSAGE: usize = 16 * 1024;

/// How many bytes there are to go through.
pub(crate) fn size_of(outcome: &Outcome) -> usize {
    let message = match outcome {
        Outcome::Failed(failure) => failure.message.len(),
        _ => 0,
    };
    message + outcome.output().map_or(0, |output| output.in_memory())
}

/// The outcome with its message cut where that is too long to be one. Comes after the masking: a part of a secret is
/// not found.
pub(crate) fn shortened(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Failed(failure) if failure.message.len() > LONGEST_MESSAGE => {
            let mut failure = Arc::unwrap_or_clone(failure);
            let mut ends = (0..=LONGEST_MESSAGE).rev();
            let end = ends.find(|at| failure.message.is_char_boundary(*at));
            failure.message.truncate(end.unwrap_or_default());
            failure.message.push('…');
            Outcome::Failed(Arc::new(failure))
        }
        outcome => outcome,
    }
}

/// The outcome without secrets. Outputs that are in files are left as they are.
pub(crate) fn mask(outcome: Outcome, secrets: &Secrets) -> Outcome {
    let masked = |output: Option<Arc<Output>>| output.map(|output| mask_output(output, secrets));
    match outcome {
        Outcome::Completed(output) => Outcome::Completed(masked(output)),
        Outcome::Cancelled(output) => Outcome::Cancelled(masked(output)),
        Outcome::Interrupted(output) => Outcome::Interrupted(masked(output)),
        Outcome::Failed(failure) => {
            let failure = Arc::unwrap_or_clone(failure);
            Outcome::Failed(Arc::new(Failure {
                message: secrets.mask(&failure.message).into_owned(),
                output: masked(failure.output),
                ..failure
            }))
        }
    }
}

fn mask_output(output: Arc<Output>, secrets: &Secrets) -> Arc<Output> {
    let output = Arc::unwrap_or_clone(output);
    Arc::new(Output {
        value: output.value.map(|value| mask_value(value, secrets)),
        stdout: mask_stream(output.stdout, secrets),
        stderr: mask_stream(output.stderr, secrets),
        ..output
    })
}

fn mask_value(value: Json, secrets: &Secrets) -> Json {
    match secrets.mask_json(value.as_str()) {
        Cow::Borrowed(_) => value,
        // Where the secret began with what was escaped, what is left is no document any more.
        Cow::Owned(masked) => {
            Json::compact(masked).unwrap_or_else(|masked| Json::from(Value::from(masked)))
        }
    }
}

fn mask_stream(stream: Stream, secrets: &Secrets) -> Stream {
    match stream {
        Stream::Inline(bytes) => Stream::Inline(secrets.mask_bytes(&bytes).into()),
        file @ Stream::File { .. } => file,
    }
}
