//! Placeholders of other tools: [`foreign_placeholder`]. What looks like one is never passed on as data.

/// The first placeholder of parallel, rush and their like in a text that command mode does not have, with its braces.
///
/// What belongs to a shell (`${1}`), braces of other languages (`{print $1}`, `{1,3}`, `{1..3}`) and names in braces
/// are none.
pub fn foreign_placeholder(text: &str) -> Option<&str> {
    let opened = text.match_indices('{').map(|(at, _)| at);
    let mut found = opened.filter_map(|at| {
        let end = at + text[at..].find('}')?;
        let is_variable = text[..at].ends_with('$');
        (!is_variable && is_foreign(&text[at + 1..end])).then(|| &text[at..=end])
    });
    found.next()
}

/// Whether this stands between the braces of a placeholder that only others have.
fn is_foreign(inner: &str) -> bool {
    const OURS: [&str; 6] = ["", ".", "/", "//", "/.", "#"];
    if OURS.contains(&inner) || inner.contains(char::is_whitespace) {
        return false;
    }
    let column = inner.trim_start_matches(['-', '+']);
    let rest = column.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_marks = |rest: &str| rest.chars().all(|c| "./#%+:^@".contains(c));
    // {1} {-1} {1/.} {%} {..} {+/}, and of rush {^.gz} {%.gz} {@(\d+)}.
    is_marks(rest)
        || rest.starts_with('^')
        || rest.starts_with("%.")
        || rest.starts_with("@(")
        || rest.len() > 1 && rest.starts_with('=') && rest.ends_with('=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_of_others_are_told_from_other_braces() {
        for foreign in [
            "{1}",
            "{%}",
            "{..}",
            "{+}",
            "{+/}",
            "{2.}",
            "{1//}",
            "{-1}",
            "{##}",
            "{0#}",
            "{...}",
            "{/..}",
            "{=s/a/b/=}",
            "{2=uc=}",
            "{:}",
            "{^.gz}",
            "{%.gz}",
            "{@(x+)}",
            "{10}",
        ] {
            let text = format!("a{{}}{{b}}-{foreign}c");
            assert_eq!(foreign_placeholder(&text), Some(foreign), "{foreign}");
        }
        for other in [
            "{}",
            "{.}",
            "{/}",
            "{//}",
            "{/.}",
            "{#}",
            "${1}",
            "${10%.*}",
            "{print $1}",
            "{x}",
            "a{1,3}",
            "{1..3}",
            "{a..b}",
            "{{.Names}}",
            "{%s}",
            "{\"a\": 1}",
            "{",
            "}",
            "{1",
            "{% if %}",
            "{=}",
        ] {
            assert_eq!(foreign_placeholder(other), None, "{other}");
        }
    }
}
