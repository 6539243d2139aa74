//! Texts that name environment variables, so that secrets stay out of files: [`Template`].

use std::fmt;

/// A text with `${NAME}` in it, or none. `$${` stands for `${`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(String),
}

/// A variable that is named and not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {0} is not set")]
pub(crate) struct MissingVariable(pub(crate) String);

impl Template {
    /// Reads a text.
    ///
    /// # Errors
    /// What cannot be the name of a variable.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                plain.push_str(&rest[..at]);
                plain.push('{');
                rest = &rest[at + 2..];
                continue;
            }
            plain.push_str(&rest[..at]);
            let after = &rest[at + 2..];
            let end = after
                .find('}')
                .ok_or_else(|| "${ has no } after it".to_owned())?;
            let name = &after[..end];
            if !is_name(name) {
                return Err(format!("${{{name}}} does not name a variable"));
            }
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Variable(name.to_owned()));
            rest = &after[end + 1..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self(parts))
    }

    /// The text, with the values of the variables.
    ///
    /// # Errors
    /// The first variable that has none.
    pub(crate) fn fill(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<String, MissingVariable> {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => Ok(text.clone()),
            Part::Variable(name) => variable(name).ok_or_else(|| MissingVariable(name.clone())),
        });
        parts.collect()
    }

    /// The text, where it names no variable.
    pub(crate) fn plain(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }
}

/// The text may be a secret all the same.
impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Template(…)")
    }
}

fn is_name(name: &str) -> bool {
    let fit = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(fit) && name.starts_with(|c: char| !c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filled(text: &str) -> Result<String, MissingVariable> {
        let value = |name: &str| (name == "HOME").then(|| "/home/${a}".to_owned());
        Template::parse(text).unwrap().fill(value)
    }

    #[test]
    fn variables_are_filled_in_once() {
        assert_eq!(filled("${HOME}/x").unwrap(), "/home/${a}/x");
        assert_eq!(
            filled("a${HOME}b${HOME}").unwrap(),
            "a/home/${a}b/home/${a}"
        );
        assert_eq!(filled("$HOME {HOME} $").unwrap(), "$HOME {HOME} $");
        assert_eq!(filled("$${HOME}").unwrap(), "${HOME}");
        assert_eq!(filled("").unwrap(), "");
        let missing = filled("x${TOKEN_2}").unwrap_err();
        assert_eq!(
            missing.to_string(),
            "the environment variable TOKEN_2 is not set"
        );
    }

    #[test]
    fn what_names_no_variable_is_refused() {
        for text in ["${", "a${b", "${}", "${1A}", "${A-b}", "${A:-x}", "${ A}"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_reads_or_is_refused_and_stays_as_it_is_without_variables(text in "[a${}_ü]{0,12}") {
            let Ok(template) = Template::parse(&text) else { return Ok(()) };
            if !text.contains("${") {
                prop_assert_eq!(template.plain(), Some(text.as_str()));
            }
        }

        #[test]
        fn any_text_can_be_written(text in "[a${}ü]{0,12}") {
            // Not after a `$`: that would be read as part of the escape.
            prop_assume!(!text.contains("$${"));
            let template = Template::parse(&text.replace("${", "$${")).unwrap();
            prop_assert_eq!(template.plain(), Some(text.as_str()));
        }
    }
}
