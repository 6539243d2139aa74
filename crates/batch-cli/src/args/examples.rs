//! The examples in the help of the verbs over stored batches.

pub(super) const ADD_EXAMPLES: &str = "\
Examples:
  bex add -- ffmpeg -i a.mkv a.mp4                  a command, to the latest batch
  bex add --new --shell 'make 2>&1 | tail -5'       a shell script, to a new batch
  bex add --id load --depends-on fetch -- ./load    after another task
  bex add --file tasks.yaml --key nightly           all tasks of a file, once for this key

A task runs in the folder it was added from. bex start runs what was added; a running batch picks it up.";

pub(super) const CANCEL_EXAMPLES: &str = "\
Examples:
  bex cancel b7.42                          one task, also a running one
  bex cancel --filter 'tag:slow'            all that match
  bex cancel --all                          all that are not finished

What depends on a cancelled task is cancelled, too.";

pub(super) const RETRY_EXAMPLES: &str = "\
Examples:
  bex retry                                 all that failed, and those that were held
  bex retry b7.42                           one task
  bex retry --cause c3fa21b                 all that failed for one cause
  bex retry --status cancelled              all that were cancelled

What was cancelled because of them runs again, too. Where nothing runs the batch, bex start or bex resume runs them.";

pub(super) const RELEASE_EXAMPLES: &str = "\
Examples:
  bex release b7.42                         one held task
  bex release --all                         all held tasks";

pub(super) const CLEAR_EXAMPLES: &str = "\
Examples:
  bex clear                                 all that is finished
  bex clear --status completed              what completed
  bex clear --filter 'tag:slow'             what matches and is finished

A task stays as long as one depends on it that stays and has not completed. Cleared tasks cannot be brought back.";

pub(super) const SET_EXAMPLES: &str = "\
Examples:
  bex set -j 16                             16 tasks at once from now on
  bex set --priority critical b7.42         one task first
  bex set --priority low --filter 'tag:slow'   all that match last";

pub(super) const RESULTS_EXAMPLES: &str = "\
Examples:
  bex results --failed                      what failed, and why
  bex results --cause c3fa21b --limit 3     three of those that failed for one cause
  bex results --format raw 42               what a task printed, as it is
  bex results --json | jq '.tasks[].result'
  bex results --format summary              the totals only";

pub(super) const WAIT_EXAMPLES: &str = "\
Examples:
  bex wait && bex export -o results.csv     continue when all have completed
  bex wait --until first-failure            or at the first failure
  bex wait --until 100 --timeout 10m        until 100 are finished, for ten minutes at most

Exit codes: 0 all completed, 1 some failed, 5 nothing runs the batch and it is not finished, or its batch_timeout was
reached, 6 the wait timed out.";

pub(super) const STOP_EXAMPLES: &str = "\
Examples:
  bex stop                                  running tasks finish, queued ones stay queued
  bex stop --now                            end running tasks; bex resume runs them again";
