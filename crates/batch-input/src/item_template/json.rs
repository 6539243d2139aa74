//! Texts of parameters as JSON: [`Filled`].

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use batch_core::Json;
use batch_template::{SLOT_ROOT, escape_braces};
use serde_json::value::RawValue;

use crate::items::ItemProblem;

/// A text with its values filled in, but for the slots.
#[derive(Debug, Default)]
pub(super) struct Filled {
    pub(super) bytes: Vec<u8>,
    /// The bytes before which a slot is.
    pub(super) slots: Vec<usize>,
}

impl Filled {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.slots.clear();
    }

    /// Appends it as a JSON text in which nothing but the slots is a placeholder, or as `{"base64": …}` where it is
    /// not UTF-8.
    ///
    /// # Errors
    /// When it is not UTF-8 and has slots.
    pub(super) fn push(&self, json: &mut String) -> Result<(), ItemProblem> {
        let Ok(text) = std::str::from_utf8(&self.bytes) else {
            if !self.slots.is_empty() {
                return Err(ItemProblem::NotUtf8("an argument with {%} is"));
            }
            json.push_str("{\"base64\":\"");
            STANDARD.encode_string(&self.bytes, json);
            json.push_str("\"}");
            return Ok(());
        };
        let text = match self.slots.is_empty() {
            true => escape_braces(text),
            false => Cow::Owned(self.with_slots(text)),
        };
        if text
            .bytes()
            .all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\')
        {
            json.push('"');
            json.push_str(&text);
            json.push('"');
        } else {
            json.push_str(&serde_json::Value::from(text).to_string());
        }
        Ok(())
    }

    fn with_slots(&self, text: &str) -> String {
        let mut whole = String::new();
        let mut from = 0;
        for slot in &self.slots {
            let before = escape_braces(&text[from..*slot]);
            match before.strip_suffix('{') {
                // With the braces behind it, it would be taken for one of two.
                Some(rest) => whole.push_str(&format!("{rest}{{{{ \"{{\" }}}}")),
                None => whole.push_str(&before),
            }
            whole.push_str(&slot_placeholder());
            from = *slot;
        }
        whole.push_str(&escape_braces(&text[from..]));
        whole
    }
}

/// Appends bytes as a JSON text that is no template, or as `{"base64": …}` where they are not UTF-8.
pub(crate) fn push_text(bytes: &[u8], json: &mut String) {
    let filled = Filled {
        bytes: bytes.to_vec(),
        slots: Vec::new(),
    };
    // Without slots all bytes can be written.
    let _ = filled.push(json);
}

/// The placeholder by which a plan knows the slot.
pub(super) fn slot_placeholder() -> String {
    format!("{{{{ {SLOT_ROOT} }}}}")
}

pub(super) fn document(json: &str) -> Result<Json, ItemProblem> {
    serde_json::from_str::<&RawValue>(json)
        .map(Json::from_raw)
        .map_err(|error| ItemProblem::Params(error.to_string()))
}
