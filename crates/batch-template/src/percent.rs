//! Texts as URLs and forms write them.

/// A text as one value of a URL or a form: all but letters, digits and `-._~` is escaped.
pub(crate) fn component(text: &str) -> String {
    encoded(text, |byte| {
        byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte)
    })
}

/// A text in which the bytes that do not stay are escaped.
pub(crate) fn encoded(text: &str, stays: impl Fn(u8) -> bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match stays(byte) {
            true => encoded.push(byte.into()),
            false => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
