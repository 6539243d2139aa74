//! The tools as clients list them, in few words, as every session pays for them.

use serde_json::{Map, Value, json};

use crate::answer::ToolInfo;

/// The tools, always in the same order.
pub(crate) fn tools() -> Vec<ToolInfo> {
    vec![run(), wait(), status(), results(), control(), executor()]
}

/// The arguments of a tool; `None` where there is no such tool.
pub(crate) fn known(tool: &str) -> Option<Vec<String>> {
    let info = tools().into_iter().find(|info| info.name == tool)?;
    let properties = info.input_schema.get("properties")?.as_object()?;
    Some(properties.keys().cloned().collect())
}

fn run() -> ToolInfo {
    tool(
        "bex_run",
        "Run many tasks as a batch that survives this connection. Give tasks, or shell/command with items ({} is the item), or template with items, or file. Returns when the batch is done or after wait_s.",
        json!({
            "tasks": {"type": "array", "items": {"type": "object"}, "description": "{\"shell\":\"…\"} | {\"command\":[…]} | {\"python\":\"…\"} | {\"http\":{\"url\":…}} | {\"function\",\"params\"}; also id, name, priority, max_retries, timeout, depends_on, tags, cwd, env"},
            "shell": {"type": "string"},
            "command": {"type": "array", "items": {"type": "string"}},
            "template": {"type": "string", "description": "name of a saved template"},
            "items": {"type": "array", "description": "texts; for a template objects with its parameters"},
            "file": {"type": "string", "description": "a task file: .json .jsonl .yaml"},
            "key": {"type": "string", "description": "idempotency key: the same key and tasks return the existing batch"},
            "name": {"type": "string"},
            "max_concurrent": {"type": "integer"},
            "max_retries": {"type": "integer"},
            "timeout": {"type": ["number", "string"], "description": "per attempt"},
            "fail_fast": {"type": "boolean"},
            "wait_s": {"type": "number", "description": "0 to 45, default 20"},
            "plan": {"type": "boolean", "description": "only show what would run"},
        }),
        Kind::Changes,
    )
}

fn wait() -> ToolInfo {
    tool(
        "bex_wait",
        "Wait for a batch. Returns what changed since the cursor, and the next call.",
        json!({
            "batch": {"type": "string"},
            "until": {"type": "string", "enum": ["done", "first_failure", "new_cause", "n", "stalled"]},
            "n": {"type": "integer", "description": "finished tasks, for until n"},
            "timeout_s": {"type": "number", "description": "0 to 45, default 40"},
            "cursor": {"type": "string"},
        }),
        Kind::Reads,
    )
}

fn status() -> ToolInfo {
    tool(
        "bex_status",
        "Show the status of a batch, by default the latest. all lists the batches, task explains one task.",
        json!({
            "batch": {"type": "string"},
            "task": {"type": "string"},
            "all": {"type": "boolean"},
        }),
        Kind::Reads,
    )
}

fn results() -> ToolInfo {
    tool(
        "bex_results",
        "Show the results of tasks, or export them to a file.",
        json!({
            "batch": {"type": "string"},
            "tasks": {"type": "array", "items": {"type": "string"}},
            "status": {"type": "array", "items": {"type": "string"}},
            "cause": {"type": "string"},
            "filter": {"type": "string", "description": "such as status:failed time>10 name:~page"},
            "fields": {"type": "array", "items": {"type": "string"}},
            "output": {"type": "string", "enum": ["none", "head", "tail", "full"]},
            "limit": {"type": "integer"},
            "cursor": {"type": "string"},
            "path": {"type": "string", "description": "export to .json .jsonl .csv .txt"},
        }),
        // With a path it writes a file.
        Kind::Changes,
    )
}

fn control() -> ToolInfo {
    tool(
        "bex_control",
        "Change a batch: cancel, retry, pause, resume (also an interrupted one), stop, set, remove (finished tasks).",
        json!({
            "batch": {"type": "string"},
            "action": {"type": "string", "enum": ["cancel", "retry", "pause", "resume", "stop", "set", "remove"]},
            "tasks": {"type": "array", "items": {"type": "string"}},
            "status": {"type": "array", "items": {"type": "string"}},
            "cause": {"type": "string"},
            "filter": {"type": "string"},
            "all": {"type": "boolean"},
            "max_concurrent": {"type": "integer"},
            "priority": {"type": "string"},
            "now": {"type": "boolean", "description": "with stop: end running tasks"},
            "dry_run": {"type": "boolean"},
        }),
        Kind::Ends,
    )
}

fn executor() -> ToolInfo {
    tool(
        "batch_executor",
        "The former tool, with a queue of its own: add or add_batch, start, status until 100.0%, then results or export.",
        json!({
            "action": {"type": "string", "enum": ["add", "add_batch", "start", "stop", "status", "results", "export", "clear", "cancel"]},
            "name": {"type": "string"},
            "function": {"type": "string"},
            "params": {"type": "object"},
            "priority": {"type": "string"},
            "max_retries": {"type": "integer"},
            "tasks": {"type": "array", "items": {"type": "object"}},
            "max_concurrent": {"type": "integer"},
            "timeout": {"type": "number"},
            "detailed": {"type": "boolean"},
            "format": {"type": "string"},
            "filter_status": {"type": ["string", "array"]},
            "output_file": {"type": "string"},
            "limit": {"type": "integer"},
            "id": {"type": "string"},
            "task_id": {"type": "string"},
            "task_ids": {"type": "array", "items": {"type": "string"}},
        }),
        Kind::Ends,
    )
}

enum Kind {
    Reads,
    Changes,
    Ends,
}

fn tool(name: &'static str, description: &'static str, properties: Value, kind: Kind) -> ToolInfo {
    let mut schema = Map::new();
    schema.insert("type".to_owned(), "object".into());
    schema.insert("properties".to_owned(), properties);
    if matches!(name, "bex_control" | "batch_executor") {
        schema.insert("required".to_owned(), json!(["action"]));
    }
    // Clients may check calls by the schema, and prompts written for the former tool may have more arguments.
    let takes_more = name == "batch_executor";
    schema.insert("additionalProperties".to_owned(), takes_more.into());
    ToolInfo {
        name,
        description,
        input_schema: schema,
        read_only: matches!(kind, Kind::Reads),
        destructive: matches!(kind, Kind::Ends),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_schemas_together_are_small() {
        let tools = tools();
        let listed: Vec<Value> = tools
            .iter()
            .map(|tool| {
                json!({
                    "name": tool.name,
                    "description": tool.description,
                    "inputSchema": tool.input_schema,
                    "annotations": { "readOnlyHint": tool.read_only, "destructiveHint": tool.destructive },
                })
            })
            .collect();
        let tokens = serde_json::to_string(&listed).unwrap().len().div_ceil(4);
        assert!(tokens < 2_000, "{tokens} tokens");
    }
}
