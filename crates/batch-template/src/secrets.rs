//! What must not be seen: [`Secrets`], values that are masked where something echoes them, and
//! [`shown_params`] and [`shown_result`], which every view of a task goes through.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use batch_core::{Json, TaskSpec};

use crate::document::string_end;
use crate::parts::{Part, Template};
use crate::percent;

/// What is in the place of a secret.
pub const MASK: &str = "***";

/// A shorter value is not looked for: it would be found everywhere, and hides nothing. Nor is a mask longer than what it
/// hides.
const SHORTEST: usize = MASK.len();

/// Values that are not to be kept or shown, in every form in which something may echo them.
#[derive(Clone, Default)]
pub struct Secrets {
    /// The longest first, so that one that holds another is masked whole.
    forms: Arc<[Box<str>]>,
}

impl Secrets {
    /// These values: as they are, and as JSON, URLs and forms write them.
    ///
    /// ```
    /// let secrets = batch_template::Secrets::of(["a/b \"c"]);
    /// assert_eq!(secrets.mask(r#"got a/b "c, then "a\/b \"c" and a%2Fb%20%22c"#), r#"got ***, then "***" and ***"#);
    /// ```
    pub fn of<T: AsRef<str>>(values: impl IntoIterator<Item = T>) -> Self {
        let forms = values
            .into_iter()
            .flat_map(|value| forms_of(value.as_ref()));
        Self::of_forms(forms.map(Into::into))
    }

    /// These secrets and another one.
    #[must_use]
    pub fn with(&self, value: &str) -> Self {
        let further = forms_of(value).into_iter().map(Into::into);
        Self::of_forms(self.forms.iter().cloned().chain(further))
    }

    fn of_forms(forms: impl Iterator<Item = Box<str>>) -> Self {
        let forms: BTreeSet<Box<str>> = forms.collect();
        let mut forms: Vec<Box<str>> = forms.into_iter().collect();
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        Self {
            forms: forms.into(),
        }
    }

    /// Whether there is nothing to mask.
    pub fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    /// The length of the longest form, in bytes.
    pub fn longest(&self) -> usize {
        self.forms.first().map_or(0, |form| form.len())
    }

    /// The last place up to `at` where the bytes can be cut and no secret with them. Behind `at` there should be as
    /// many bytes as the longest form has.
    pub fn border(&self, bytes: &[u8], at: usize) -> usize {
        let mut border = at;
        // A secret that crosses the border moves it to the front, where another one may cross it.
        while let Some(begin) = self.crossing(bytes, border) {
            border = begin;
        }
        border
    }

    fn crossing(&self, bytes: &[u8], border: usize) -> Option<usize> {
        let crossing = |form: &[u8]| {
            let from = border.saturating_sub(form.len() - 1);
            let to = (border + form.len() - 1).min(bytes.len());
            find(&bytes[from..to], form).map(|at| from + at)
        };
        let forms = self.forms.iter().map(|form| form.as_bytes());
        let found = forms.filter_map(crossing);
        found.filter(|begin| *begin < border).min()
    }

    /// The text, with `***` in the place of each secret.
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut masked = Cow::Borrowed(text);
        for form in self.forms.iter() {
            if masked.contains(&**form) {
                masked = Cow::Owned(masked.replace(&**form, MASK));
            }
        }
        masked
    }

    /// A JSON document, with `***` in the place of each secret: it stays one, also where a number held it.
    ///
    /// ```
    /// let secrets = batch_template::Secrets::of(["8080"]);
    /// assert_eq!(secrets.mask_json(r#"{"port": 80801, "at": "h:8080"}"#), r#"{"port": "***", "at": "h:***"}"#);
    /// ```
    pub fn mask_json<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.mask(text) {
            Cow::Borrowed(text) => Cow::Borrowed(text),
            Cow::Owned(masked) => Cow::Owned(quote_masks(&masked)),
        }
    }

    /// The bytes, with `***` in the place of each secret; never more of them than before.
    pub fn mask_bytes<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        let mut masked = Cow::Borrowed(bytes);
        for form in self.forms.iter() {
            if let Some(first) = find(&masked, form.as_bytes()) {
                masked = Cow::Owned(replaced(&masked, first, form.as_bytes()));
            }
        }
        masked
    }
}

/// The values are not to be seen here either.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.forms.len())
    }
}

/// The ways in which a value may come back; none of one that is too short.
fn forms_of(value: &str) -> Vec<String> {
    let values = [value, value.trim()].into_iter();
    let long = values.filter(|value| value.len() >= SHORTEST);
    long.flat_map(encodings_of).collect()
}

fn encodings_of(value: &str) -> [String; 10] {
    let json = serde_json::Value::from(value).to_string();
    let json = &json[1..json.len() - 1];
    let ascii: String = json.chars().map(escaped_for_ascii).collect();
    let component = percent::component(value);
    let lower = lower_case_escapes(&component);
    let form = percent::encoded(value, |byte| {
        byte.is_ascii_alphanumeric() || b"*-_.".contains(&byte) || byte == b' '
    });
    // What the standard of URLs leaves as it is in a query and in a path.
    let query = percent::encoded(value, |byte| {
        byte.is_ascii_graphic() && !b"\"#<>".contains(&byte)
    });
    let path = percent::encoded(value, |byte| {
        byte.is_ascii_graphic() && !b"\"#<>?`{}^".contains(&byte)
    });
    [
        value.to_owned(),
        json.replace('/', "\\/"),
        json.to_owned(),
        ascii,
        component,
        lower,
        form.replace(' ', "+"),
        query.replace('\'', "%27"),
        query,
        path,
    ]
}

/// As JSON that holds nothing but ASCII writes a character.
fn escaped_for_ascii(c: char) -> String {
    let mut units = [0; 2];
    match c.is_ascii() {
        true => c.to_string(),
        false => {
            let units = c.encode_utf16(&mut units).iter();
            units.map(|unit| format!("\\u{unit:04x}")).collect()
        }
    }
}

fn lower_case_escapes(encoded: &str) -> String {
    let mut text = String::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some(at) = rest.find('%') {
        let end = (at + 3).min(rest.len());
        text.push_str(&rest[..at]);
        text.push_str(&rest[at..end].to_ascii_lowercase());
        rest = &rest[end..];
    }
    text + rest
}

/// Puts quotes around the mask where it is in no text.
fn quote_masks(masked: &str) -> String {
    let bytes = masked.as_bytes();
    let mut quoted = String::with_capacity(masked.len() + 16);
    let (mut copied, mut at) = (0, 0);
    while at < bytes.len() {
        if bytes[at] == b'"' {
            at = string_end(bytes, at);
            continue;
        }
        let is_part = |byte: &u8| !byte.is_ascii_whitespace() && !b"{}[],:\"".contains(byte);
        let len = bytes[at..].iter().take_while(|byte| is_part(byte)).count();
        if masked[at..at + len].contains(MASK) {
            quoted.push_str(&masked[copied..at]);
            quoted.push_str("\"***\"");
            copied = at + len;
        }
        at += len.max(1);
    }
    quoted.push_str(&masked[copied..]);
    quoted
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == wanted[0]) {
        if bytes[from + at..].starts_with(wanted) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

fn replaced(bytes: &[u8], first: usize, wanted: &[u8]) -> Vec<u8> {
    let mut masked = Vec::with_capacity(bytes.len());
    let (mut from, mut next) = (0, Some(first));
    while let Some(at) = next {
        masked.extend_from_slice(&bytes[from..at]);
        masked.extend_from_slice(MASK.as_bytes());
        from = at + wanted.len();
        next = find(&bytes[from..], wanted).map(|at| from + at);
    }
    masked.extend_from_slice(&bytes[from..]);
    masked
}

/// The parameters of a task as they may be seen: what is in a field with the name of a secret
/// ([`is_secret_name`]) is masked, and so are the secret parts of URLs ([`shown_url`]). Placeholders stay.
///
/// ```
/// use batch_core::TaskSpec;
/// use batch_template::shown_params;
/// let params = serde_json::json!({"url": "https://me:pw@host/?token=x&n=1", "headers": {"X-Api-Key": "abc"}});
/// let task = TaskSpec::new("http").with_params(&params).unwrap();
/// assert_eq!(
///     shown_params(&task),
///     r#"{"headers":{"X-Api-Key":"***"},"url":"https://***@host/?token=***&n=1"}"#
/// );
/// ```
pub fn shown_params(spec: &TaskSpec) -> Cow<'_, str> {
    masked(spec.params.as_str(), |_| true)
}

/// The result of a task of a function as it may be seen: of an answer to a request, its secret headers and the
/// secret parts of its URL are masked.
pub fn shown_result<'r>(function: &str, value: &'r Json) -> Cow<'r, str> {
    match function {
        "http" => masked(value.as_str(), |field| matches!(field, "headers" | "url")),
        _ => Cow::Borrowed(value.as_str()),
    }
}

/// Whether a header, a variable or a field of this name holds a secret, as far as names tell.
///
/// ```
/// use batch_template::is_secret_name;
/// assert!(["Authorization", "x-api-key", "DB_PASSWORD", "githubToken"].into_iter().all(is_secret_name));
/// assert!(!["Accept", "max_tokens", "tokenizer", "key"].into_iter().any(is_secret_name));
/// ```
pub fn is_secret_name(name: &str) -> bool {
    const WHOLE: [&str; 8] = [
        "authorization",
        "proxyauthorization",
        "cookie",
        "setcookie",
        "cookie2",
        "setcookie2",
        "pwd",
        "auth",
    ];
    const ENDS: [&str; 14] = [
        "token",
        "secret",
        "password",
        "passwd",
        "passphrase",
        "apikey",
        "accesskey",
        "accesskeyid",
        "secretkey",
        "privatekey",
        "authkey",
        "credential",
        "credentials",
        "authorization",
    ];
    let name = plain_name(name);
    WHOLE.contains(&name.as_str()) || ENDS.iter().any(|end| name.ends_with(end))
}

/// Whether a parameter in the query of a URL holds a secret.
fn is_secret_parameter(name: &str) -> bool {
    const WHOLE: [&str; 7] = [
        "key",
        "sig",
        "signature",
        "jwt",
        "hmac",
        "subscriptionkey",
        "pass",
    ];
    let plain = plain_name(name);
    is_secret_name(name) || WHOLE.contains(&plain.as_str()) || plain.ends_with("signature")
}

/// The letters of a name, in lower case: `X-Api-Key` and `x_api_key` are one.
fn plain_name(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

/// A URL as it may be seen: without name and password, and with the values of secret parameters masked. The text
/// need not be a right URL.
///
/// ```
/// assert_eq!(batch_template::shown_url("http://a:b@h/p?key=1&q=2#x"), "http://***@h/p?key=***&q=2#x");
/// ```
pub fn shown_url(url: &str) -> Cow<'_, str> {
    let begin = authority(url);
    let end = url[begin.unwrap_or_default()..].find(['/', '?', '#']);
    let end = end.map_or(url.len(), |at| begin.unwrap_or_default() + at);
    let user = begin.and_then(|begin| {
        let user = &url[begin..begin + url[begin..end].rfind('@')?];
        (!is_shown_placeholder(user, &[":"])).then_some(begin..begin + user.len())
    });
    let mut shown = match user {
        Some(user) => format!("{}{MASK}{}", &url[..user.start], &url[user.end..end]),
        None => url[..end].to_owned(),
    };
    let mut rest = &url[end..];
    let query = rest.find(['?', '#']).map_or(rest.len(), |at| at + 1);
    shown.push_str(&rest[..query]);
    rest = &rest[query..];
    while !rest.is_empty() {
        let end = rest.find(['&', ';', '#', '?']).unwrap_or(rest.len());
        match rest[..end].split_once('=') {
            Some((name, value)) if is_hidden(name, value) => {
                shown.push_str(&format!("{name}={MASK}"));
            }
            _ => shown.push_str(&rest[..end]),
        }
        let after = (end + 1).min(rest.len());
        shown.push_str(&rest[end..after]);
        rest = &rest[after..];
    }
    match shown == url {
        true => Cow::Borrowed(url),
        false => Cow::Owned(shown),
    }
}

/// Where the name of the host begins, with name and password before it. As for those who read URLs, `http:` means
/// itself however many slashes follow it, of either kind.
pub(crate) fn authority(url: &str) -> Option<usize> {
    let blank = url.find(|c: char| c > ' ').unwrap_or_default();
    let is_scheme = |scheme: &&str| {
        let begin = url[blank..].get(..scheme.len());
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
    };
    let scheme = ["http:", "https:"].into_iter().find(is_scheme);
    let begin = match scheme {
        Some(scheme) => blank + scheme.len(),
        None => url.find("//")?,
    };
    let slashes = url[begin..].find(|c| !matches!(c, '/' | '\\'));
    Some(slashes.map_or(url.len(), |slashes| begin + slashes))
}

fn is_hidden(parameter: &str, value: &str) -> bool {
    !value.is_empty()
        && is_secret_parameter(&percent_decoded(parameter))
        && !is_shown_placeholder(value, &[])
}

/// A name with its ASCII characters decoded; no others matter here.
fn percent_decoded(name: &str) -> String {
    let mut parts = name.split('%');
    let mut decoded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part
            .get(..2)
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        match code {
            Some(code) => decoded.push(code.into()),
            None => decoded.push('%'),
        }
        decoded.push_str(if code.is_some() { &part[2..] } else { part });
    }
    decoded
}

/// Whether a text is nothing but placeholders, and the words that commonly are around them.
fn is_shown_placeholder(text: &str, words: &[&str]) -> bool {
    let Ok(template) = Template::parse(text) else {
        return false;
    };
    let mut found = false;
    let is_plain = template.parts.iter().all(|part| match part {
        Part::Value(_) => {
            found = true;
            true
        }
        Part::Text(text) => {
            let text = text.trim();
            text.is_empty() || words.iter().any(|word| word.eq_ignore_ascii_case(text))
        }
    });
    is_plain && found
}

/// A document with the secrets in the fields that are looked at masked. `looks_at` tells it of a field of the
/// outermost object.
fn masked(source: &str, looks_at: impl Fn(&str) -> bool) -> Cow<'_, str> {
    let mut written = String::new();
    let mut copied = 0;
    each_value(source, |fields, range| {
        let (Some(first), Some(last)) = (fields.first(), fields.last()) else {
            return;
        };
        if !looks_at(&first.name) {
            return;
        }
        if let Some(shown) = shown_value(last, &source[range.clone()]) {
            written.push_str(&source[copied..range.start]);
            written.push_str(&serde_json::Value::from(shown).to_string());
            copied = range.end;
        }
    });
    if copied == 0 {
        return Cow::Borrowed(source);
    }
    written.push_str(&source[copied..]);
    Cow::Owned(written)
}

/// What is shown for the text or number of a field; `None` when all of it is.
fn shown_value(field: &Field<'_>, raw: &str) -> Option<String> {
    const SCHEMES: [&str; 4] = ["Bearer", "Basic", "Token", "ApiKey"];
    let is_url = || {
        matches!(
            plain_name(&field.name).as_str(),
            "url" | "uri" | "location" | "contentlocation" | "referer"
        )
    };
    if !field.is_secret && (!raw.starts_with('"') || !is_url()) {
        return None;
    }
    let Ok(text) = serde_json::from_str::<String>(raw) else {
        return Some(MASK.to_owned());
    };
    if !field.is_secret {
        return match shown_url(&text) {
            Cow::Borrowed(_) => None,
            Cow::Owned(shown) => Some(shown),
        };
    }
    let is_shown = text.is_empty() || is_shown_placeholder(&text, &SCHEMES);
    (!is_shown).then(|| MASK.to_owned())
}

/// A field that a value is in.
#[derive(Default)]
struct Field<'s> {
    name: Cow<'s, str>,
    /// Whether it or one around it has the name of a secret.
    is_secret: bool,
}

/// Calls `visit` for each text and number that is a value: the fields around it, from the outside in, and its bytes.
fn each_value<'s>(source: &'s str, mut visit: impl FnMut(&[Field<'s>], std::ops::Range<usize>)) {
    let bytes = source.as_bytes();
    let mut fields: Vec<Field<'s>> = Vec::new();
    // For each bracket that is open: whether it is an object, and whether the name of a field is due.
    let mut open: Vec<(bool, bool)> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let mut end = at + 1;
        match bytes[at] {
            b'{' => {
                open.push((true, true));
                fields.push(Field::default());
            }
            b'[' => open.push((false, false)),
            b'}' | b']' => {
                let closed = open.pop();
                if closed.is_some_and(|(is_object, _)| is_object) {
                    fields.pop();
                }
            }
            b',' => {
                if let Some((is_object, is_name)) = open.last_mut() {
                    *is_name = *is_object;
                }
            }
            b'"' => {
                end = string_end(bytes, at);
                match open.last_mut() {
                    Some((_, is_name @ true)) => {
                        *is_name = false;
                        enter(&mut fields, text_of(&source[at..end]));
                    }
                    _ => visit(&fields, at..end),
                }
            }
            b'-' | b'0'..=b'9' => {
                let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
                end = at + bytes[at..].iter().take_while(|byte| is_part(byte)).count();
                visit(&fields, at..end);
            }
            _ => {}
        }
        at = end;
    }
}

/// Goes on to the next field of the innermost object.
fn enter<'s>(fields: &mut [Field<'s>], name: Cow<'s, str>) {
    if let [around @ .., field] = fields {
        let is_below_secret = around.last().is_some_and(|around| around.is_secret);
        *field = Field {
            is_secret: is_below_secret || is_secret_name(&name),
            name,
        };
    }
}

/// A JSON text; most have no escapes.
fn text_of(raw: &str) -> Cow<'_, str> {
    match raw.contains('\\') {
        true => Cow::Owned(serde_json::from_str(raw).unwrap_or_default()),
        false => Cow::Borrowed(raw.trim_matches('"')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn params(params: &serde_json::Value) -> String {
        shown_params(&TaskSpec::new("http").with_params(params).unwrap()).into_owned()
    }

    #[test]
    fn secret_headers_are_masked_wherever_they_stand() {
        for name in [
            "Authorization",
            "PROXY-AUTHORIZATION",
            "Cookie",
            "Set-Cookie",
            "X-Api-Key",
            "api-key",
            "apikey",
            "X-Auth-Token",
            "X-Amz-Security-Token",
            "Private-Token",
            "X-Client-Secret",
            "X-Password",
            "Ocp-Apim-Subscription-Key-Token",
        ] {
            let shown = params(&json!({"headers": {name: "hunter2", "accept": "a"}}));
            assert!(
                !shown.contains("hunter2") && shown.contains("\"a\""),
                "{shown}"
            );
        }
        let shown = params(&json!({"env": {"GH_TOKEN": "x1y2", "HOME": "/h"}, "cookie": ["q1"]}));
        assert_eq!(
            shown,
            r#"{"cookie":["***"],"env":{"GH_TOKEN":"***","HOME":"/h"}}"#
        );
    }

    #[test]
    fn whatever_stands_below_the_name_of_a_secret_is_masked() {
        let shown = params(&json!({
            "body": {"token": 12_345_678, "password": {"x": "hunter2", "url": "http://hunter2/"}, "max_tokens": 5},
            "credentials": [[-1.5e3, {"user": ["hunter2", true, null]}], "{{ env.T }}"],
            "after": {"n": 7},
        }));
        assert_eq!(
            shown,
            r#"{"after":{"n":7},"body":{"max_tokens":5,"password":{"url":"***","x":"***"},"token":"***"},"credentials":[["***",{"user":["***",true,null]}],"{{ env.T }}"]}"#
        );
    }

    #[test]
    fn a_value_that_is_too_short_is_no_secret_however_it_is_added() {
        let none = Secrets::default();
        for short in ["", " ", "ab", "b\n"] {
            assert!(none.with(short).is_empty(), "{short:?}");
        }
        let secrets = Secrets::of(["s3cr3t"]).with("").with("b4se64==");
        assert_eq!(secrets.mask("hello s3cr3t b4se64=="), "hello *** ***");
        let bytes = b"\xffhello s3cr3t";
        assert_eq!(&*secrets.mask_bytes(bytes), b"\xffhello ***");
        assert_eq!(secrets.border(bytes, 9), 7);
    }

    #[test]
    fn placeholders_are_shown_and_what_stands_around_them_is_not() {
        let headers = |value: &str| json!({"headers": {"authorization": value}});
        for shown in [
            "Bearer {{ env.T }}",
            "{{ tasks.a.result.body.t }}",
            "token {{env.T}}",
        ] {
            assert!(params(&headers(shown)).contains(shown), "{shown}");
        }
        for hidden in ["Bearer sk-1 {{ env.T }}", "{{ \"sk-1\" }}", "sk-1{{"] {
            assert!(!params(&headers(hidden)).contains("sk-1"), "{hidden}");
        }
    }

    #[test]
    fn secret_parts_of_urls_are_masked() {
        for (url, shown) in [
            ("https://me:pw@h/a?b=1", "https://***@h/a?b=1"),
            ("https://pw@h", "https://***@h"),
            ("//a:b@h", "//***@h"),
            (
                "http://h/?token=1&a=2&API_KEY=3",
                "http://h/?token=***&a=2&API_KEY=***",
            ),
            (
                "http://h/?X-Amz-Signature=1;sig=2#f",
                "http://h/?X-Amz-Signature=***;sig=***#f",
            ),
            ("http://h/#access_token=1", "http://h/#access_token=***"),
            ("http://h/?token={{ env.T }}", "http://h/?token={{ env.T }}"),
            ("http://h/?token=a{{ env.T }}", "http://h/?token=***"),
            ("http://h/@x?q=a@b", "http://h/@x?q=a@b"),
            ("not a url", "not a url"),
            ("me@h", "me@h"),
            // As readers of URLs take them.
            ("http:me:pw@h/", "http:***@h/"),
            ("HTTPS:/me:pw@h/", "HTTPS:/***@h/"),
            (" http:///me:pw@h/", " http:///***@h/"),
            ("http:\\\\me:pw@h/", "http:\\\\***@h/"),
            (
                "http:{{ env.U }}:{{ env.P }}@h",
                "http:{{ env.U }}:{{ env.P }}@h",
            ),
            (
                "http://h/?api%5Fkey=1&user%5btoken%5D=2&a%=3",
                "http://h/?api%5Fkey=***&user%5btoken%5D=***&a%=3",
            ),
        ] {
            assert_eq!(shown_url(url), shown);
        }
    }

    #[test]
    fn of_an_answer_only_headers_and_url_are_looked_at() {
        let value = json!({
            "status": 200, "url": "http://h/?key=1",
            "headers": {"set-cookie": "s=1", "location": "http://a:b@h/", "etag": "e"},
            "body": {"token": "kept", "headers": {"cookie": "kept"}},
        });
        let shown = shown_result("http", &Json::from(value.clone())).into_owned();
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(
            shown["headers"],
            json!({"set-cookie": "***", "location": "http://***@h/", "etag": "e"})
        );
        assert_eq!(shown["url"], "http://h/?key=***");
        assert_eq!(shown["body"], value["body"]);
        assert_eq!(
            shown_result("tool", &Json::from(value.clone())),
            value.to_string()
        );
    }

    #[test]
    fn every_form_of_a_value_is_found() {
        let value = "a\"b/c d+e&ü=?é😀";
        let secrets = Secrets::of([value]);
        let ascii = "a\\\"b/c d+e&\\u00fc=?\\u00e9\\ud83d\\ude00";
        for echoed in [
            value.to_owned(),
            json!(value).to_string(),
            ascii.to_owned(),
            "a%22b%2Fc%20d%2Be%26%C3%BC%3D%3F%C3%A9%F0%9F%98%80".to_owned(),
            "a%22b%2fc%20d%2be%26%c3%bc%3d%3f%c3%a9%f0%9f%98%80".to_owned(),
            "a%22b%2Fc+d%2Be%26%C3%BC%3D%3F%C3%A9%F0%9F%98%80".to_owned(),
            "a%22b/c%20d+e&%C3%BC=?%C3%A9%F0%9F%98%80".to_owned(),
        ] {
            let masked = secrets.mask(&echoed);
            assert_eq!(masked.trim_matches('"'), MASK, "{echoed}");
            let bytes = [b"\xff", echoed.as_bytes(), b"\xff"].concat();
            let masked = secrets.mask_bytes(&bytes);
            assert!(find(&masked, MASK.as_bytes()).is_some(), "{echoed}");
        }
        assert_eq!(
            format!("{secrets:?}"),
            format!("Secrets({})", secrets.forms.len())
        );
        assert!(Secrets::of(["", "ab"]).is_empty());
    }

    #[test]
    fn a_value_with_white_space_around_it_is_found_without() {
        assert_eq!(Secrets::of(["abcd\n"]).mask("is abcd."), "is ***.");
    }

    proptest! {
        #[test]
        fn bytes_are_masked_as_texts(text in "[ab]{0,40}", value in "[ab]{3,5}") {
            let secrets = Secrets::of([value]);
            let masked = secrets.mask(&text);
            prop_assert_eq!(&*secrets.mask_bytes(text.as_bytes()), masked.as_bytes());
        }

        #[test]
        fn masked_documents_stay_documents(field in "[a-z\"\\\\{\\[]{0,8}", text in "\\PC{0,12}") {
            let value = json!({field.as_str(): {"token": [text.as_str(), 1, {"x": text.as_str()}]}, "url": text});
            let shown = params(&value);
            prop_assert!(serde_json::from_str::<serde_json::Value>(&shown).is_ok(), "{}", shown);
        }
    }
}
