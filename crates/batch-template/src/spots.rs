//! Where in a text with a grammar of its own a value is, and how it is written there, so that it stays one value:
//! [`spots`], [`Spot::write`].
//!
//! Code is left to `encoding` and the scanners of quotes; here are the texts that are data: a URL, a form, a JSON
//! document, a header.

use serde::de::IgnoredAny;

use crate::datum::Datum;
use crate::encoding::Encoding;
use crate::fill::Filled;
use crate::filter::Filter;
use crate::parts::{Part, Template};
use crate::percent;
use crate::secrets::authority;
use crate::template::Placeholder;

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    /// Where any text may be.
    Plain,
    /// At the begin of a URL, which it says, with more of it to come.
    Base,
    /// Before the host of a URL, in it, or in its port.
    Host,
    /// In a part of the path of a URL.
    Path,
    /// In a value of a URL or a form: escaped.
    Component,
    /// In a JSON document: a value of its own.
    Json,
    /// In a text of a JSON document.
    JsonText,
    /// In the value of a header.
    Header,
    /// In a text in quotes there.
    Quoted,
}

/// What ends the name of a host.
const HOST_ENDS: [char; 6] = ['/', '?', '#', '@', '\\', ':'];

/// The spots of the values of a text, in their order.
pub(crate) fn spots(parts: &[Filled<'_>], encoding: Encoding) -> Vec<Spot> {
    match encoding {
        Encoding::Url => in_url(parts),
        Encoding::JsonText => in_quotes(parts, Spot::Json, Spot::JsonText),
        Encoding::Header => in_quotes(parts, Spot::Header, Spot::Quoted),
        Encoding::Form | Encoding::Cookie => vec![Spot::Component; parts.len()],
        _ => vec![Spot::Plain; parts.len()],
    }
}

impl Spot {
    /// Writes a value here.
    ///
    /// # Errors
    /// In words, when it cannot be here.
    pub(crate) fn write(
        self,
        placeholder: &Placeholder,
        value: &Datum,
        to: &mut String,
    ) -> Result<(), String> {
        let text = value.plain_text();
        // Its author has escaped it.
        let is_escaped = placeholder.filters.last() == Some(&Filter::Url);
        match self {
            Self::Base if text.contains('#') => {
                return Err("a URL that others continue cannot hold \"#\"".to_owned());
            }
            Self::Host => {
                check_host(text)?;
                to.push_str(text);
            }
            Self::Path | Self::Component if !is_escaped => to.push_str(&percent::component(text)),
            Self::Json => to.push_str(&value.to_json()),
            Self::JsonText => push_json_text(text, to),
            Self::Header | Self::Quoted => {
                check_header(text)?;
                match self {
                    Self::Quoted => to.push_str(&text.replace('\\', "\\\\").replace('"', "\\\"")),
                    _ => to.push_str(text),
                }
            }
            Self::Plain | Self::Base | Self::Path | Self::Component => to.push_str(text),
        }
        Ok(())
    }
}

/// Whether a text with placeholders is a JSON list or object, whatever their values are.
pub(crate) fn is_json(text: &str) -> bool {
    let Ok(template) = Template::parse(text) else {
        return false;
    };
    let parts: Vec<Filled<'_>> = template
        .parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => Filled::Text(text),
            Part::Value(placeholder) => Filled::Kept(placeholder),
        })
        .collect();
    let spots = spots(&parts, Encoding::JsonText).into_iter();
    let mut sample = String::new();
    for (part, spot) in parts.iter().zip(spots) {
        match part {
            Filled::Text(text) => sample.push_str(text),
            // What a number may mean, and a text may hold.
            _ if spot == Spot::JsonText => sample.push('x'),
            _ => sample.push('0'),
        }
    }
    sample.trim_start().starts_with(['{', '['])
        && serde_json::from_str::<IgnoredAny>(&sample).is_ok()
}

/// Refuses a value that makes a part of a path `.` or `..`, which would lead elsewhere. `ranges` are those of the
/// values in paths.
pub(crate) fn check_steps(url: &str, ranges: &[(usize, usize)]) -> Result<(), String> {
    let ends = ['/', '\\', '?', '#'];
    for (start, end) in ranges {
        let before = url[..*start].rfind(ends).map_or(0, |at| at + 1);
        let after = url[*end..].find(ends).map_or(url.len(), |at| end + at);
        let step = url[before..after].to_ascii_lowercase().replace("%2e", ".");
        if step == "." || step == ".." {
            return Err(format!(
                "{step:?} cannot be a part of a path, as it leads elsewhere"
            ));
        }
    }
    Ok(())
}

fn in_url(parts: &[Filled<'_>]) -> Vec<Spot> {
    // The text, with a letter in the place of each value that does not say where its parts begin.
    let mut url = String::new();
    let mut begins = Vec::with_capacity(parts.len());
    for (index, part) in parts.iter().enumerate() {
        begins.push(url.len());
        match part {
            Filled::Text(text) => url.push_str(text),
            Filled::Value(_, value) if index == 0 => url.push_str(value.plain_text()),
            _ if index == 0 && !is_scheme(parts) => url.push_str("http://x"),
            _ => url.push('x'),
        }
    }
    let host = authority(&url).unwrap_or_default();
    let path = url[host..].find(['/', '?', '#', '\\']);
    let path = path.map_or(url.len(), |at| host + at);
    let user_end = url[host..path].rfind('@').map_or(host, |at| host + at);
    let query = url[path..]
        .find(['?', '#'])
        .map_or(url.len(), |at| path + at);
    let spot = |(index, begin)| match begin {
        0 if index == 0 && is_scheme(parts) => Spot::Host,
        0 if index == 0 => Spot::Base,
        begin if begin >= query => Spot::Component,
        begin if begin >= path => Spot::Path,
        begin if begin >= host && begin < user_end => Spot::Component,
        _ => Spot::Host,
    };
    begins.into_iter().enumerate().map(spot).collect()
}

/// Whether the URL begins with a value that is the scheme and no more.
fn is_scheme(parts: &[Filled<'_>]) -> bool {
    matches!(parts.get(1), Some(Filled::Text(text)) if text.starts_with("://"))
}

/// The spots outside and inside of texts in double quotes.
fn in_quotes(parts: &[Filled<'_>], outside: Spot, inside: Spot) -> Vec<Spot> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let mut spots = Vec::with_capacity(parts.len());
    for part in parts {
        spots.push(if is_quoted { inside } else { outside });
        let Filled::Text(text) = part else { continue };
        for byte in text.bytes() {
            is_quoted ^= byte == b'"' && !is_escaped;
            is_escaped = is_quoted && byte == b'\\' && !is_escaped;
        }
    }
    spots
}

fn check_host(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("an empty text cannot stand in the host of a URL".to_owned());
    }
    match text.chars().find(|c| HOST_ENDS.contains(c)) {
        None => Ok(()),
        Some(found) => Err(format!(
            "what holds {:?} cannot stand in the host of a URL; where the value says the whole address, begin the URL with it",
            found.to_string()
        )),
    }
}

fn check_header(text: &str) -> Result<(), String> {
    let is_control = |c: char| c.is_control() && c != '\t';
    match text.find(is_control) {
        None => Ok(()),
        Some(_) if !text.trim().contains(is_control) => {
            Err("it has a line break at its end, which a header cannot hold; add | trim".to_owned())
        }
        Some(_) => Err(
            "it holds a line break or another control character, which a header cannot hold"
                .to_owned(),
        ),
    }
}

fn push_json_text(text: &str, to: &mut String) {
    let quoted = serde_json::Value::from(text).to_string();
    to.push_str(&quoted[1..quoted.len() - 1]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::Encodings;
    use batch_core::{Json, catalog::ParamProblem};
    use serde_json::{Value, json};

    /// The text as it is sent, with values by name.
    fn filled(text: &str, values: &Value, encoding: Encoding) -> Result<String, String> {
        let lookup = |placeholder: &Placeholder| {
            crate::follow(values, &placeholder.path).map(|value| value.clone().into())
        };
        let params = Json::from(json!({"text": text}));
        let encodings = |_: &Json| Encodings::text().with("text", encoding);
        let filled = crate::fill(&params, &lookup, &encodings);
        let told = |problems: Vec<ParamProblem>| problems[0].message.clone();
        filled
            .map(|filled| filled.to_value()["text"].as_str().unwrap().to_owned())
            .map_err(told)
    }

    fn url(text: &str, value: &str) -> Result<String, String> {
        filled(text, &json!({"x": value}), Encoding::Url)
    }

    #[test]
    fn a_value_stays_one_value_wherever_it_stands_in_a_url() {
        for (text, value, expected) in [
            (
                "http://h/e?q={{ r.x }}",
                "a b&c=d#e",
                "http://h/e?q=a%20b%26c%3Dd%23e",
            ),
            ("http://h/e?q=1#{{ r.x }}", "a#b", "http://h/e?q=1#a%23b"),
            ("http://h?{{ r.x }}", "a=1", "http://h?a%3D1"),
            ("http://h/{{ r.x }}/x", "../admin", "http://h/..%2Fadmin/x"),
            ("http://h/a{{ r.x }}", "/b?c", "http://h/a%2Fb%3Fc"),
            ("http://h/{{ r.x }}", "50% ä", "http://h/50%25%20%C3%A4"),
            ("http://h/{{ r.x }}", "...", "http://h/..."),
            ("http://h/?q={{ r.x }}", "..", "http://h/?q=.."),
            ("http://h/../{{ r.x }}", "a", "http://h/../a"),
            ("http://{{ r.x }}/p", "a.example", "http://a.example/p"),
            ("http://h:{{ r.x }}/p", "80", "http://h:80/p"),
            (
                "http://{{ r.x }}:pw@h/p",
                "a@b:c",
                "http://a%40b%3Ac:pw@h/p",
            ),
            ("{{ r.x }}", "http://h/a?b=c d#e", "http://h/a?b=c d#e"),
            ("{{ r.x }}/p", "http://h:80/a", "http://h:80/a/p"),
            ("{{ r.x }}://h/p", "https", "https://h/p"),
            ("http://h/?q={{ r.x | url }}", "a b", "http://h/?q=a%20b"),
            ("http://h/{{ r.x | url }}", "a/b", "http://h/a%2Fb"),
        ] {
            assert_eq!(url(text, value).as_deref(), Ok(expected), "{text} {value}");
        }
        let values = json!({"n": 7, "o": {"b": 1.50, "a": [true, null]}});
        let numbers = filled("http://h/{{ r.n }}?o={{ r.o }}", &values, Encoding::Url);
        assert_eq!(
            numbers.unwrap(),
            "http://h/7?o=%7B%22a%22%3A%5Btrue%2Cnull%5D%2C%22b%22%3A1.5%7D"
        );
    }

    #[test]
    fn a_value_in_a_url_asks_no_other_server_and_no_other_path() {
        for (text, value) in [
            ("http://{{ r.x }}.example/p", "evil.org/"),
            ("http://{{ r.x }}/p", "evil.org#"),
            ("http://{{ r.x }}/p", "a@evil.org"),
            ("http://{{ r.x }}/p", "evil.org:80"),
            ("http://{{ r.x }}/p", "evil.org\\"),
            ("http://{{ r.x }}/p", "evil.org?"),
            ("http://{{ r.x }}/p", ""),
            ("http:{{ r.x }}/p", "//evil.org"),
            ("http:/{{ r.x }}/p", "/evil.org"),
            ("http://h{{ r.x }}", "/p"),
            ("http://h:{{ r.x }}/", "80@evil.org"),
            ("{{ r.x }}://h/", "http://evil.org/?"),
            ("{{ r.x }}/p", "http://evil.org/#"),
            ("http://h/{{ r.x }}/p", ".."),
            ("http://h/{{ r.x }}", "."),
            ("http://h/a/.{{ r.x }}?q", "."),
            ("http://h/a\\%2e{{ r.x }}", "."),
            ("http://h/{{ r.x }}{{ r.x }}/", "."),
        ] {
            assert!(
                url(text, value).is_err(),
                "{text} {value} {:?}",
                url(text, value)
            );
        }
        let told = url("http://{{ r.x }}/p", "secret/x").unwrap_err();
        assert!(told.contains("\"/\"") && !told.contains("secret"), "{told}");
    }

    #[test]
    fn what_comes_later_is_written_as_if_all_came_at_once() {
        let params = Json::from(json!({"text": "{{ t.base }}/{{ r.x }}?q={{ t.q }}&r={{ r.x }}"}));
        let encodings = |_: &Json| Encodings::text().with("text", Encoding::Url);
        let row = |_: &Placeholder| Ok("a/{{ b".into());
        let first = crate::fill_root(&params, &["r"], &row, &encodings).unwrap();
        let later = |placeholder: &Placeholder| {
            let is_base = placeholder.source == "t.base";
            Ok(if is_base { "http://h/v1" } else { "c&d" }.into())
        };
        let filled = crate::fill(&first, &later, &encodings).unwrap();
        let expected = "http://h/v1/a%2F%7B%7B%20b?q=c%26d&r=a%2F%7B%7B%20b";
        assert_eq!(filled.to_value()["text"], expected);
    }

    #[test]
    fn forms_json_and_headers_take_values_in_their_way() {
        let values = json!({"x": "a\"b\\,\"admin\":true&c=d; e", "n": 1, "l": [{"k": "v"}]});
        for (encoding, text, expected) in [
            (
                Encoding::Form,
                "a={{ r.x }}&n={{ r.n }}",
                "a=a%22b%5C%2C%22admin%22%3Atrue%26c%3Dd%3B%20e&n=1",
            ),
            (
                Encoding::JsonText,
                r#"{"a": "x {{ r.x }}", "b": {{ r.x }}, "n": {{ r.n }}, "l": {{ r.l }}, "q": "\"{{ r.n }}"}"#,
                r#"{"a": "x a\"b\\,\"admin\":true&c=d; e", "b": "a\"b\\,\"admin\":true&c=d; e", "n": 1, "l": [{"k":"v"}], "q": "\"1"}"#,
            ),
            (
                Encoding::Header,
                "form-data; name=\"{{ r.x }}\"; n={{ r.n }}",
                "form-data; name=\"a\\\"b\\\\,\\\"admin\\\":true&c=d; e\"; n=1",
            ),
            (
                Encoding::Cookie,
                "a={{ r.x }}; b={{ r.n }}",
                "a=a%22b%5C%2C%22admin%22%3Atrue%26c%3Dd%3B%20e; b=1",
            ),
        ] {
            assert_eq!(filled(text, &values, encoding).as_deref(), Ok(expected));
            assert!(filled(text, &values, encoding.allowing(true)).is_ok());
        }
        for (value, help) in [("t0k\n", "| trim"), ("a\r\nX-Evil: 1", "line break")] {
            let told = filled("Bearer {{ r.x }}", &json!({"x": value}), Encoding::Header);
            assert!(
                told.as_ref().is_err_and(|told| told.contains(help)),
                "{told:?}"
            );
        }
    }

    #[test]
    fn json_is_told_from_other_texts() {
        for (text, expected) in [
            (r#"{"a": {{ r.x }}}"#, true),
            (r#" [{{ r.x }}, "{{ r.x }}"]"#, true),
            (r#"{"a": "say \"{{ r.x }}\""}"#, true),
            ("[INFO] {{ r.x }}", false),
            ("{{ r.x }}", false),
            ("{a: {{ r.x }}}", false),
            ("\"{{ r.x }}\"", false),
        ] {
            assert_eq!(is_json(text), expected, "{text}");
        }
    }
}
