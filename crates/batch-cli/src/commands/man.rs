//! `bex man`.

use clap::CommandFactory;

use crate::args::Cli;
use crate::exit::{CliError, Exit};

pub(crate) fn run() -> Result<Exit, CliError> {
    let mut out = std::io::stdout();
    let command = Cli::command();
    let pages = command.get_subcommands().filter(|page| page.get_name() != "help");
    let rendered = clap_mangen::Man::new(command.clone()).render(&mut out).and_then(|()| {
        pages
            .map(|page| {
                let name: &'static str = format!("bex-{}", page.get_name()).leak();
                clap_mangen::Man::new(page.clone().name(name)).render(&mut out)
            })
            .collect()
    });
    rendered.map_err(|error| CliError::System("write the manual page", error))?;
    Ok(Exit::Completed)
}
