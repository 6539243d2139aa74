//! `bex man`.

use std::io::Write as _;

use clap::CommandFactory;

use crate::args::Cli;
use crate::exit::{CliError, Exit};
use crate::reply::quiet;
use crate::terminal::stdout;

pub(crate) fn run() -> Result<Exit, CliError> {
    let mut text = Vec::new();
    let command = Cli::command();
    let pages = command
        .get_subcommands()
        .filter(|page| page.get_name() != "help" && !page.is_hide_set());
    let mut render = |page: clap::Command| clap_mangen::Man::new(page).render(&mut text);
    let mut rendered = render(command.clone());
    for page in pages {
        let name: &'static str = format!("bex-{}", page.get_name()).leak();
        rendered = rendered.and_then(|()| render(page.clone().name(name)));
    }
    rendered.map_err(|error| CliError::System("write the manual page", error))?;
    quiet(stdout().write_all(&text))?;
    Ok(Exit::Completed)
}
