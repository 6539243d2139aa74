//! What an answer of a tool becomes: [`outcome`] of a result, [`refused`] of an error.

use std::error::Error;
use std::time::Duration;

use batch_core::{Failure, FailureKind, Json, Output};
use rmcp::ServiceError;
use rmcp::model::{CallToolResult, ContentBlock, ErrorCode, ErrorData};
use rmcp::service::ClientInitializeError;
use rmcp::transport::DynamicTransportError;
use rmcp::transport::streamable_http_client::{HttpStatusError, StreamableHttpError};
use serde_json::{Value, json};

/// How many characters of a server's text become part of a message; the output has all of it.
const MESSAGE: usize = 500;

/// The output of a call, or its failure where the tool reports one.
///
/// The value is the structured content where there is some; else one text as it is, or as what it says where
/// it is a JSON object or list; else `{"content": […]}` as the server gave it.
pub(crate) fn outcome(result: CallToolResult) -> Result<Output, Failure> {
    let failed = result.is_error == Some(true);
    let message = failed.then(|| error_text(&result));
    let output = match value(result) {
        Some(value) => Output::from_value(value),
        None => Output::default(),
    };
    match message {
        None => Ok(output),
        Some(message) => Err(Failure::error(message).with_output(output)),
    }
}

fn value(mut result: CallToolResult) -> Option<Json> {
    if let Some(structured) = result.structured_content {
        return Some(Json::from(structured));
    }
    match result.content.as_mut_slice() {
        [] => None,
        [ContentBlock::Text(only)] => Some(parsed(std::mem::take(&mut only.text))),
        // What was read from JSON is written as JSON.
        several => serde_json::to_value(several)
            .ok()
            .map(|content| Json::from(json!({ "content": content }))),
    }
}

/// Many servers give their objects as text. A text that is a number or a word stays a text.
fn parsed(text: String) -> Json {
    let begin = text.trim_start_matches('\u{feff}').trim_start();
    let document = match begin.starts_with(['{', '[']) {
        true => Json::compact(text),
        false => Err(text),
    };
    document.unwrap_or_else(|text| Json::from(Value::from(text)))
}

/// What the tool says went wrong.
fn error_text(result: &CallToolResult) -> String {
    let texts = result.content.iter().filter_map(|block| match block {
        ContentBlock::Text(text) => Some(text.text.trim()),
        _ => None,
    });
    let text = texts.collect::<Vec<_>>().join("\n");
    match (text.is_empty(), &result.structured_content) {
        (false, _) => shortened(&text),
        (true, Some(structured)) => shortened(&structured.to_string()),
        (true, None) => "the tool reported an error and no more".to_owned(),
    }
}

/// The failure of a call that was not answered with a result.
pub(crate) fn refused(server: &str, tool: &str, error: ServiceError) -> Failure {
    match error {
        ServiceError::McpError(error) => rejected(server, tool, &error),
        ServiceError::TransportSend(error) => undelivered(server, &error),
        other => {
            let message = format!(
                "the MCP server {server:?} gave {tool:?} an answer that cannot be used: {other}"
            );
            Failure::error(shortened(&message))
        }
    }
}

/// The server says that the call is wrong, or that it failed itself.
fn rejected(server: &str, tool: &str, error: &ErrorData) -> Failure {
    let message = format!(
        "the MCP server {server:?} refused {tool:?}: {} (error {})",
        shortened(error.message.trim()),
        error.code.0
    );
    let hopeless = [
        ErrorCode::INVALID_PARAMS,
        ErrorCode::METHOD_NOT_FOUND,
        ErrorCode::INVALID_REQUEST,
    ];
    let mut failure = if hopeless.contains(&error.code) {
        Failure::new(FailureKind::InputError, message).permanent()
    } else {
        Failure::error(message)
    };
    if let Some(data) = &error.data {
        failure = failure.with_output(Output::from_value(Json::from(data.clone())));
    }
    failure
}

/// The failure of a request that did not get through, or whose answer is invalid: mostly HTTP errors.
pub(crate) fn undelivered(server: &str, error: &DynamicTransportError) -> Failure {
    let inner = error.error.downcast_ref();
    let status = inner.and_then(http_status);
    let what = inner.map_or_else(|| chain(error.error.as_ref()), without_url);
    let message = format!(
        "the MCP server {server:?} was not reached: {}",
        shortened(&what)
    );
    let Some((status, retry_after)) = status else {
        let failure = Failure::error(message);
        return match inner {
            Some(
                StreamableHttpError::AuthRequired(_) | StreamableHttpError::InsufficientScope(_),
            ) => unauthorized(failure),
            _ => failure,
        };
    };
    let mut failure = Failure::new(FailureKind::HttpStatus(status), message);
    failure.permanent = (400..500).contains(&status) && !matches!(status, 408 | 425 | 429);
    failure.retry_after = retry_after;
    failure
}

/// Why the beginning of the conversation went wrong.
pub(crate) fn no_handshake(server: &str, error: &ClientInitializeError) -> Failure {
    match error {
        ClientInitializeError::TransportError { error, .. } => undelivered(server, error),
        ClientInitializeError::LegacyFallbackFailed { fallback, .. } => {
            no_handshake(server, fallback)
        }
        ClientInitializeError::JsonRpcError(error) => Failure::error(format!(
            "the MCP server {server:?} refused to begin: {} (error {})",
            shortened(error.message.trim()),
            error.code.0
        )),
        ClientInitializeError::ConnectionClosed(_) => Failure::error(format!(
            "the MCP server {server:?} closed the connection before it answered"
        )),
        other => Failure::error(format!(
            "the MCP server {server:?} does not begin as MCP servers do: {}",
            shortened(&other.to_string())
        )),
    }
}

fn unauthorized(failure: Failure) -> Failure {
    let message = format!(
        "{}; it needs authentication: add headers = {{ Authorization = \"Bearer ${{TOKEN}}\" }}",
        failure.message
    );
    Failure { message, ..failure }.permanent()
}

type HttpError = StreamableHttpError<reqwest::Error>;

fn http_status(error: &HttpError) -> Option<(u16, Option<Duration>)> {
    match error {
        StreamableHttpError::HttpStatus(HttpStatusError {
            status,
            retry_after,
            ..
        }) => {
            let seconds = retry_after
                .as_ref()
                .and_then(|text| text.trim().parse().ok());
            Some((*status, seconds.map(Duration::from_secs)))
        }
        StreamableHttpError::Client(error) => Some((error.status()?.as_u16(), None)),
        _ => None,
    }
}

/// An error in words. Those of the HTTP client repeat the whole URL, which may hold a secret: what happened is
/// told by its causes.
fn without_url(error: &HttpError) -> String {
    match error {
        StreamableHttpError::Client(error) => match error.source() {
            Some(cause) => chain(cause),
            None => error.status().map_or_else(
                || "the HTTP client gave up".to_owned(),
                |status| status.to_string(),
            ),
        },
        other => other.to_string(),
    }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The beginning of a text.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(MESSAGE) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(value: Value) -> CallToolResult {
        serde_json::from_value(value).unwrap()
    }

    fn value_of(content: Value) -> Option<Value> {
        let output = outcome(result(content)).unwrap();
        output.value.map(|value| value.to_value())
    }

    fn texts(texts: &[&str]) -> Value {
        let block = |text: &&str| json!({"type": "text", "text": text});
        json!({"content": texts.iter().map(block).collect::<Vec<_>>()})
    }

    #[test]
    fn structured_content_comes_first() {
        let both =
            json!({"content": [{"type": "text", "text": "a"}], "structuredContent": {"b": 1}});
        assert_eq!(value_of(both), Some(json!({"b": 1})));
        assert_eq!(
            value_of(json!({"content": [], "structuredContent": null})),
            Some(Value::Null)
        );
    }

    #[test]
    fn one_text_is_itself_or_the_object_it_holds() {
        for (text, value) in [
            ("plain", json!("plain")),
            (" {\"a\": [1]}\n", json!({"a": [1]})),
            ("[]", json!([])),
            ("[not json", json!("[not json")),
            ("42", json!("42")),
            ("true", json!("true")),
            ("\"a\"", json!("\"a\"")),
            ("", json!("")),
        ] {
            assert_eq!(value_of(texts(&[text])), Some(value), "{text}");
        }
    }

    #[test]
    fn anything_else_is_kept_as_it_came() {
        assert_eq!(value_of(json!({"content": []})), None);
        assert_eq!(value_of(texts(&["a", "b"])), Some(texts(&["a", "b"])));
        let image =
            json!({"content": [{"type": "image", "data": "AA==", "mimeType": "image/png"}]});
        assert_eq!(value_of(image.clone()), Some(image));
    }

    #[test]
    fn a_reported_error_is_a_failure_with_all_of_its_text_in_the_output() {
        let long = "x".repeat(1000);
        for (content, message) in [
            (
                texts(&["no such file", "a.txt"]),
                "no such file\na.txt".to_owned(),
            ),
            (texts(&[&long]), format!("{}…", "x".repeat(500))),
            (
                json!({"content": [], "structuredContent": {"code": 7}}),
                "{\"code\":7}".to_owned(),
            ),
            (
                json!({"content": []}),
                "the tool reported an error and no more".to_owned(),
            ),
        ] {
            let mut content = content;
            content["isError"] = json!(true);
            let failure = outcome(result(content.clone())).unwrap_err();
            assert_eq!(failure.message, message);
            assert_eq!(
                (failure.kind, failure.permanent),
                (FailureKind::Error, false)
            );
            let kept = failure.output.unwrap().value.clone();
            assert_eq!(kept, value(result(content)));
        }
    }

    #[test]
    fn what_another_attempt_cannot_mend_is_permanent() {
        for (code, permanent) in [
            (-32601, true),
            (-32602, true),
            (-32600, true),
            (-32603, false),
            (-1, false),
        ] {
            let error = ErrorData::new(ErrorCode(code), "no", None);
            let failure = refused("files", "read", ServiceError::McpError(error));
            assert_eq!(failure.permanent, permanent, "{code}");
            assert_eq!(
                failure.message,
                format!("the MCP server \"files\" refused \"read\": no (error {code})")
            );
        }
    }
}
