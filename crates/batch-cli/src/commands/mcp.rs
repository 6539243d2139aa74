//! `bex mcp`: the server for agents.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use batch_mcp_server::{HttpOptions, ServeHttpError, new_token, serve_http, serve_stdio};
use batch_runtime::start_runtime;

use crate::agent::dispatcher;
use crate::args::{HttpAddress, McpArgs};
use crate::exit::{CliError, Exit};
use crate::reply::tell;

/// A file with more bytes holds something else.
const LONGEST_TOKEN: u64 = 4096;

pub(crate) fn run(args: McpArgs) -> Result<Exit, CliError> {
    let dispatcher = dispatcher(&args.limits)?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = start_runtime(builder.worker_threads(2).enable_all())
        .map_err(|error| CliError::System("start the runtime", error))?;
    let served = runtime.block_on(async {
        match args.http {
            None => serve_stdio(dispatcher)
                .await
                .map_err(|error| CliError::System("serve", std::io::Error::other(error))),
            Some(_) => {
                let (options, is_new) = http_options(args)?;
                // A token that was given is known, and may be a secret.
                let told = if is_new {
                    options.token.clone()
                } else {
                    "TOKEN".to_owned()
                };
                let ready = |address| {
                    tell(format_args!(
                        "bex: serving http://{address}/ with Authorization: Bearer {told}"
                    ));
                };
                serve_http(dispatcher, options, ready)
                    .await
                    .map_err(cannot_serve)
            }
        }
    });
    // A call may still wait in vain for a batch; nobody is left to be told.
    runtime.shutdown_background();
    served.map(|()| Exit::Completed)
}

/// How HTTP is served, and whether the token is a new one.
fn http_options(args: McpArgs) -> Result<(HttpOptions, bool), CliError> {
    let of_environment = || {
        std::env::var("BEX_MCP_TOKEN")
            .ok()
            .filter(|token| !token.is_empty())
    };
    let given = match args.token_file {
        Some(path) => Some(token_of(&path)?),
        None => args.token.or_else(of_environment),
    };
    let is_new = given.is_none();
    let HttpAddress { address, name } = args.http.expect("only called for HTTP");
    // Who lets other machines in does so on purpose, and with a token that they know.
    if is_new && !address.ip().is_loopback() {
        return Err(CliError::Usage(format!(
            "--http: other machines reach {address}; give a token with --token-file or BEX_MCP_TOKEN"
        )));
    }
    let token = match given {
        Some(token) => token,
        None => new_token().map_err(|error| CliError::System("make a token", error))?,
    };
    let options = HttpOptions {
        address,
        token,
        hosts: args.host.into_iter().chain(name).collect(),
        origins: args.origin,
    };
    Ok((options, is_new))
}

/// Reads a token from a file, which must be nobody else's to read.
fn token_of(path: &Path) -> Result<String, CliError> {
    let wrong = |why: &str| CliError::Usage(format!("--token-file {}: {why}", path.display()));
    let unread = |error: std::io::Error| wrong(&format!("cannot be read: {error}"));
    // Opening a pipe would wait for someone to write.
    if !std::fs::metadata(path).map_err(unread)?.is_file() {
        return Err(wrong("it is not a regular file"));
    }
    let mut file = File::open(path).map_err(unread)?;
    // Of what is open, as the name may lead elsewhere by now.
    let found = file.metadata().map_err(unread)?;
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let why =
            format!("others may use it (mode {mode:04o}); make it yours alone with: chmod 600");
        return Err(wrong(&why));
    }
    let mut token = String::new();
    let read = file
        .by_ref()
        .take(LONGEST_TOKEN + 1)
        .read_to_string(&mut token);
    read.map_err(unread)?;
    match token.trim() {
        "" => Err(wrong("it is empty")),
        _ if token.len() as u64 > LONGEST_TOKEN => Err(wrong("it is too long to be a token")),
        token if token.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            Err(wrong("it holds more than one word"))
        }
        token => Ok(token.to_owned()),
    }
}

fn cannot_serve(error: ServeHttpError) -> CliError {
    match error {
        ServeHttpError::ShortToken => CliError::Usage(error.to_string()),
        ServeHttpError::Listen(..) => CliError::System("serve", std::io::Error::other(error)),
    }
}
