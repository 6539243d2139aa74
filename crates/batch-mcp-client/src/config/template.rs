//! Texts that name environment variables, so that secrets stay out of files: [`Template`].

use std::fmt;

use batch_template::{Delimiters, Meaning, Template as Parsed};

/// A text with `${NAME}` in it, or none. `$${` means `${`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Template(Parsed<String>);

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
        let parsed = Parsed::parse_with(text, Delimiters::VARIABLE, |_, inner| match inner {
            None => Err("${ has no } after it".to_owned()),
            Some(name) if is_name(name) => Ok(Meaning::Value(name.to_owned())),
            Some(other) => Err(format!("${{{other}}} does not name a variable")),
        });
        parsed.map(Self)
    }

    /// The text, with the values of the variables.
    ///
    /// # Errors
    /// The first variable that has none.
    pub(crate) fn fill(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<String, MissingVariable> {
        self.0.fill(|name, filled| {
            let value = variable(name).ok_or_else(|| MissingVariable(name.clone()))?;
            filled.push_str(&value);
            Ok(())
        })
    }

    /// The text, where it names no variable.
    pub(crate) fn plain(&self) -> Option<&str> {
        self.0.plain()
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
