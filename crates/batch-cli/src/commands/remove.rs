//! `bex rm` and `bex prune`: whole batches.

use std::collections::BTreeSet;

use batch_actions::{Home, prune, remove};

use crate::args::{PruneArgs, RmArgs, all_named};
use crate::exit::{CliError, Exit};
use crate::hints;
use crate::leftovers::tell_outlived;
use crate::reply::{print, tell};
use crate::runtime::runtime;

/// `bex rm`.
pub(crate) fn rm(args: &RmArgs) -> Result<Exit, CliError> {
    let home = Home::of_environment();
    // All of them are looked for before the first goes.
    let batches: BTreeSet<_> = all_named(&home, &args.batches)?.into_iter().collect();
    let files = batches
        .iter()
        .map(|batch| home.find_to_remove(*batch))
        .collect::<Result<Vec<_>, _>>()?;
    tell_outlived(&runtime()?.block_on(remove(&files))?);
    let names: Vec<String> = batches.iter().map(ToString::to_string).collect();
    print(args.json, &names, || {
        format!("{} removed", names.join(", "))
    })?;
    Ok(Exit::Completed)
}

/// `bex prune`.
pub(crate) fn run_prune(args: &PruneArgs) -> Result<Exit, CliError> {
    let home = Home::of_environment();
    let pruned = runtime()?.block_on(prune(&home, args.older_than, args.dry_run))?;
    tell_outlived(&pruned.leftovers);
    for (batch, error) in &pruned.failed {
        let why = hints::with_hint_for(error);
        tell(format_args!("bex: {batch} was left as it is: {why}"));
    }
    let names: Vec<String> = pruned.removed.iter().map(ToString::to_string).collect();
    print(args.json, &names, || match (names.len(), args.dry_run) {
        (0, _) => "nothing to remove".to_owned(),
        (_, true) => format!("would remove {}", names.join(", ")),
        (_, false) => format!("removed {}", names.join(", ")),
    })?;
    match pruned.failed.is_empty() {
        true => Ok(Exit::Completed),
        false => Ok(Exit::Broken),
    }
}
