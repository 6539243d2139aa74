//! A conversation with a server: [`Connection`].

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use batch_core::{Failure, FailureKind, Output, text::did_you_mean};
use batch_process::SpawnError;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ClientCapabilities, ClientConfig, Implementation,
    JsonObject, PaginatedRequestParams, ProtocolVersion,
};
use rmcp::service::{ClientInitializeError, ClientLifecycleMode, ClientServiceExt, RunningService};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::{ClientHandler, Peer, RoleClient, ServiceError};
use tokio::time::timeout;

use crate::answer::{no_handshake, outcome, refused};
use crate::config::{Endpoint, ServerConfig};
use crate::http::{self, HttpError, MAX_MESSAGE};
use crate::stdio::{self, ServerProcess, StdioError};

/// How long closing the conversation may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an answer is read that the server gave before it ended.
const LAST_ANSWER_TIMEOUT: Duration = Duration::from_millis(200);

/// The most pages of tools that are read: a server may give pages without end.
const MAX_PAGES: usize = 100;

/// How many tools of a server are named where it has not the one asked for.
const NAMES_SHOWN: usize = 20;

/// A server that has been started and has answered. Many calls go through it at once.
pub(crate) struct Connection {
    server: Arc<str>,
    peer: Peer<RoleClient>,
    /// Ended when dropped.
    service: tokio::sync::Mutex<RunningService<RoleClient, Client>>,
    process: Option<ServerProcess>,
    /// `None` where the server does not list them.
    tools: Mutex<Option<BTreeSet<String>>>,
    answered: AtomicBool,
}

/// Why a server was not started.
#[derive(Clone, Debug)]
pub(crate) enum StartError {
    /// For lack of resources.
    Busy(String),
    /// For another reason.
    Failed(Failure),
}

/// What servers learn of this client, which has no capabilities.
#[derive(Clone, Debug)]
struct Client;

impl ClientHandler for Client {
    fn get_info(&self) -> ClientConfig {
        let name = Implementation::new("bex", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), name)
    }
}

impl Connection {
    /// Starts a server and begins the conversation.
    ///
    /// The current protocol is tried first and the one before it next. A server that ends at what it does not
    /// know is started a second time, for the older protocol alone.
    pub(crate) async fn open(server: &Arc<str>, config: &ServerConfig) -> Result<Self, StartError> {
        let both = ClientLifecycleMode::Auto {
            preferred_versions: vec![ProtocolVersion::LATEST],
            legacy_version: Some(ProtocolVersion::LATEST_WITH_INITIALIZE),
        };
        match Self::begin(server, config, both).await {
            Err(BeginError::NoHandshake(_))
                if matches!(config.endpoint, Endpoint::Command { .. }) =>
            {
                Self::begin(server, config, ClientLifecycleMode::Initialize).await
            }
            begun => begun,
        }
        .map_err(|error| match error {
            BeginError::Start(error) => error,
            BeginError::NoHandshake(failure) => StartError::Failed(failure),
        })
    }

    async fn begin(
        server: &Arc<str>,
        config: &ServerConfig,
        lifecycle: ClientLifecycleMode,
    ) -> Result<Self, BeginError> {
        let wait = config.start_timeout;
        let (service, process) = match &config.endpoint {
            Endpoint::Url { url, headers } => {
                let transport = http::transport(url, headers, config.max_concurrent)
                    .map_err(|error| of_http(server, &error))?;
                let service =
                    timeout(wait, Client.serve_with_lifecycle(transport, lifecycle)).await;
                (service, None)
            }
            command @ Endpoint::Command { .. } => {
                let spawned = stdio::spawn(server, command).await;
                let spawned = spawned.map_err(|error| of_stdio(server, &error))?;
                let (attendant, talk) = spawned.expect("the endpoint is a command");
                let transport = AsyncRwTransport::new_client(talk.stdout, talk.stdin)
                    .with_max_line_length(MAX_MESSAGE);
                let service =
                    timeout(wait, Client.serve_with_lifecycle(transport, lifecycle)).await;
                (service, Some(attendant))
            }
        };
        let service = match service {
            Ok(Ok(service)) => service,
            Ok(Err(error)) => return Err(handshake_failed(server, &error, process.as_ref()).await),
            Err(_) => return Err(too_slow(server, wait)),
        };
        let tools = timeout(wait, tool_names(service.peer())).await;
        let tools = tools.map_err(|_| too_slow(server, wait))?;
        Ok(Self {
            server: Arc::clone(server),
            peer: service.peer().clone(),
            service: tokio::sync::Mutex::new(service),
            process,
            tools: Mutex::new(tools),
            answered: AtomicBool::new(false),
        })
    }

    /// Whether a call has a chance.
    pub(crate) fn is_alive(&self) -> bool {
        let running = self.process.as_ref().is_none_or(ServerProcess::is_running);
        running && !self.peer.is_transport_closed()
    }

    /// Whether a call has been answered.
    pub(crate) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Acquire)
    }

    /// Calls a tool. When the future is dropped or the time is up, the server is told that nobody waits for
    /// the answer any more.
    pub(crate) async fn call(
        &self,
        tool: &str,
        args: JsonObject,
        wait: Duration,
    ) -> Result<Output, Failure> {
        let call = async {
            self.check_tool(tool).await?;
            let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(args);
            self.peer
                .call_tool_once(request)
                .await
                .map_err(CallError::Service)
        };
        let mut call = pin!(timeout(wait, call));
        let answered = tokio::select! {
            biased;
            answered = &mut call => Some(answered),
            () = self.lost() => timeout(LAST_ANSWER_TIMEOUT, call).await.ok(),
        };
        match answered {
            Some(Ok(Ok(response))) => {
                self.answered.store(true, Ordering::Release);
                self.judge(tool, response)
            }
            Some(Ok(Err(CallError::Service(ServiceError::TransportClosed)))) | None => {
                Err(self.lost_on(tool).await)
            }
            Some(Ok(Err(CallError::Service(error)))) => {
                let said = matches!(error, ServiceError::McpError(_));
                self.answered.fetch_or(said, Ordering::AcqRel);
                Err(refused(&self.server, tool, error))
            }
            Some(Ok(Err(CallError::NoTool(failure)))) => {
                self.answered.store(true, Ordering::Release);
                Err(*failure)
            }
            Some(Err(_)) => {
                let message = format!(
                    "the MCP server {:?} did not answer {tool:?} within {}",
                    self.server,
                    seconds(wait)
                );
                Err(Failure::new(FailureKind::Timeout, message))
            }
        }
    }

    fn judge(&self, tool: &str, response: CallToolResponse) -> Result<Output, Failure> {
        let what = match response {
            CallToolResponse::Complete(result) => return outcome(result),
            CallToolResponse::InputRequired(_) => "asks for input, which is not supported",
            CallToolResponse::Task(_) => "answers with a task, which was not asked for",
            _ => "gives an answer of an unknown kind",
        };
        let message = format!("{tool:?} of the MCP server {:?} {what}", self.server);
        Err(Failure::error(message).permanent())
    }

    /// Waits until no answer can come any more.
    async fn lost(&self) {
        match &self.process {
            Some(process) => process.ended().await,
            None => std::future::pending().await,
        }
    }

    async fn lost_on(&self, tool: &str) -> Failure {
        let fate = match &self.process {
            Some(process) => process.fate().await,
            None => None,
        };
        let how = match fate {
            Some(fate) => format!("ended ({fate})"),
            None => "closed the connection".to_owned(),
        };
        Failure::error(format!(
            "the MCP server {:?} {how} before it answered {tool:?}",
            self.server
        ))
    }

    /// Refuses a tool that the server does not have; asks once more first, since tools come and go.
    async fn check_tool(&self, tool: &str) -> Result<(), CallError> {
        if self.has_tool(tool) {
            return Ok(());
        }
        if let Some(names) = tool_names(&self.peer).await {
            *self.tools() = Some(names);
        }
        if self.has_tool(tool) {
            return Ok(());
        }
        let tools = self.tools();
        let names = tools.iter().flatten().map(String::as_str);
        let help = did_you_mean(tool, names.clone()).unwrap_or_else(|| list(names));
        let message = format!(
            "the MCP server {:?} has no tool {tool:?}; {help}",
            self.server
        );
        let failure = Failure::new(FailureKind::InputError, message).permanent();
        Err(CallError::NoTool(Box::new(failure)))
    }

    fn has_tool(&self, tool: &str) -> bool {
        self.tools()
            .as_ref()
            .is_none_or(|tools| tools.contains(tool))
    }

    fn tools(&self) -> std::sync::MutexGuard<'_, Option<BTreeSet<String>>> {
        self.tools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says goodbye and ends the server's process: closes its input, then SIGTERM, then SIGKILL.
    pub(crate) async fn close(&self) {
        // Errors of a conversation that is over do not matter.
        let _ = self
            .service
            .lock()
            .await
            .close_with_timeout(CLOSE_TIMEOUT)
            .await;
        if let Some(process) = &self.process {
            process.close().await;
        }
    }
}

enum BeginError {
    Start(StartError),
    /// It runs, but did not begin as it should.
    NoHandshake(Failure),
}

enum CallError {
    NoTool(Box<Failure>),
    Service(ServiceError),
}

/// The names of the tools; `None` when the server does not list them.
async fn tool_names(peer: &Peer<RoleClient>) -> Option<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let mut cursor = None;
    for _ in 0..MAX_PAGES {
        let page = PaginatedRequestParams::default().with_cursor(cursor);
        let page = peer.list_tools(Some(page)).await.ok()?;
        names.extend(page.tools.into_iter().map(|tool| tool.name.into_owned()));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Some(names);
        }
    }
    None
}

fn list<'a>(names: impl Iterator<Item = &'a str> + Clone) -> String {
    let count = names.clone().count();
    let first: Vec<_> = names.take(NAMES_SHOWN).collect();
    match count.checked_sub(first.len()) {
        _ if count == 0 => "it has none".to_owned(),
        Some(more @ 1..) => format!("it has {} and {more} more", first.join(", ")),
        _ => format!("it has {}", first.join(", ")),
    }
}

async fn handshake_failed(
    server: &str,
    error: &ClientInitializeError,
    process: Option<&ServerProcess>,
) -> BeginError {
    let closed = !matches!(error, ClientInitializeError::JsonRpcError(_));
    let fate = match process {
        Some(process) if closed => process.fate().await,
        _ => None,
    };
    BeginError::NoHandshake(match fate {
        Some(fate) => Failure::new(
            FailureKind::SpawnError,
            format!("the MCP server {server:?} ended at its start: {fate}"),
        ),
        None => no_handshake(server, error),
    })
}

fn too_slow(server: &str, wait: Duration) -> BeginError {
    let message = format!(
        "the MCP server {server:?} did not answer within {} of its start",
        seconds(wait)
    );
    BeginError::Start(StartError::Failed(Failure::new(
        FailureKind::SpawnError,
        message,
    )))
}

fn of_stdio(server: &str, error: &StdioError) -> BeginError {
    let message = format!("the MCP server {server:?} cannot be started: {error}");
    let permanent = match error {
        StdioError::Spawn(error) if error.is_busy() => {
            let what = error.shortage().unwrap_or(message);
            return BeginError::Start(StartError::Busy(what));
        }
        StdioError::Spawn(error) => SpawnError::is_permanent(error),
        StdioError::Variable(_) => true,
    };
    let mut failure = Failure::new(FailureKind::SpawnError, message);
    failure.permanent = permanent;
    BeginError::Start(StartError::Failed(failure))
}

fn of_http(server: &str, error: &HttpError) -> BeginError {
    let message = format!("the MCP server {server:?} cannot be reached: {error}");
    let mut failure = Failure::new(FailureKind::InputError, message);
    failure.permanent = !matches!(error, HttpError::Client(_));
    BeginError::Start(StartError::Failed(failure))
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}
