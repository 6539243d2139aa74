//! Texts taken apart at their placeholders, whatever these look like: [`Template`], [`Delimiters`].

/// What placeholders begin and end with.
#[derive(Clone, Copy, Debug)]
pub struct Delimiters {
    open: &'static str,
    close: &'static str,
    /// Before the opening one, it makes that mean itself.
    escape: Option<char>,
    /// Texts in double quotes may hold the closing one.
    has_quotes: bool,
}

impl Delimiters {
    /// Of a part of an item in command mode, `{}`, `{/}`.
    pub const ITEM: Self = Self {
        open: "{",
        close: "}",
        escape: None,
        has_quotes: false,
    };

    /// Of a value that a task uses, `{{ row.name }}`.
    pub const VALUE: Self = Self {
        open: "{{",
        close: "}}",
        escape: None,
        has_quotes: true,
    };

    /// Of a variable of the environment in a configuration, `${HOME}`. `$${` means `${`.
    pub const VARIABLE: Self = Self {
        open: "${",
        close: "}",
        escape: Some('$'),
        has_quotes: false,
    };

    /// The same, where a closing one always ends the placeholder.
    #[must_use]
    pub const fn without_quotes(self) -> Self {
        Self {
            has_quotes: false,
            ..self
        }
    }

    /// The place of the closing one, from `from` on.
    fn end(&self, text: &str, from: usize) -> Option<usize> {
        if !self.has_quotes {
            return text[from..].find(self.close).map(|at| from + at);
        }
        let (bytes, close) = (text.as_bytes(), self.close.as_bytes());
        let mut is_quoted = false;
        let mut at = from;
        while at < bytes.len() {
            match bytes[at] {
                b'\\' if is_quoted => at += 1,
                b'"' => is_quoted = !is_quoted,
                _ if !is_quoted && bytes[at..].starts_with(close) => return Some(at),
                _ => {}
            }
            at += 1;
        }
        None
    }
}

/// A text with placeholders, parsed. `V` is what a placeholder means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template<V = crate::Placeholder> {
    /// The pieces, in the order of the text. No two texts follow each other.
    pub parts: Vec<Part<V>>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<V> {
    /// Stands for itself.
    Text(String),
    /// Is replaced.
    Value(V),
}

/// What an opening delimiter turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning<V> {
    /// A placeholder.
    Value(V),
    /// All of it, up to the closing one, means this text.
    Text(String),
    /// Its first character is literal; behind that another one may begin.
    Literal,
}

impl<V> Template<V> {
    /// Takes a text apart. `read` is given the byte at which an opening delimiter begins, and what is before the
    /// closing one, if there is one; it says what that means.
    ///
    /// # Errors
    /// Those of `read`.
    ///
    /// ```
    /// use batch_template::{Delimiters, Meaning, Part, Template};
    /// let template = Template::parse_with("awk '{print}' {}", Delimiters::ITEM, |_, inner| match inner {
    ///     Some("") => Ok::<_, ()>(Meaning::Value("the item")),
    ///     _ => Ok(Meaning::Literal),
    /// });
    /// let parts = [Part::Text("awk '{print}' ".to_owned()), Part::Value("the item")];
    /// assert_eq!(template.unwrap().parts, parts);
    /// ```
    pub fn parse_with<'t, E>(
        text: &'t str,
        delimiters: Delimiters,
        mut read: impl FnMut(usize, Option<&'t str>) -> Result<Meaning<V>, E>,
    ) -> Result<Self, E> {
        let mut template = Self { parts: Vec::new() };
        let (mut at, mut end) = (0, Some(0));
        while let Some(found) = text[at..].find(delimiters.open) {
            let begin = at + found;
            let inner = begin + delimiters.open.len();
            template.push_text(&text[at..begin]);
            at = inner;
            if delimiters
                .escape
                .is_some_and(|c| text[..begin].ends_with(c))
            {
                template.pop_char();
                template.push_text(delimiters.open);
                continue;
            }
            // The one that was found for an opening before this one can be its own, too.
            if end.is_some_and(|end| end < inner) || delimiters.has_quotes {
                end = delimiters.end(text, inner);
            }
            let meaning = read(begin, end.map(|end| &text[inner..end]))?;
            let past = end.map_or(text.len(), |end| end + delimiters.close.len());
            match meaning {
                Meaning::Value(value) => template.parts.push(Part::Value(value)),
                Meaning::Text(literal) => template.push_text(&literal),
                Meaning::Literal => {
                    at = begin + 1;
                    template.push_text(&text[begin..at]);
                    continue;
                }
            }
            at = past;
        }
        template.push_text(&text[at..]);
        Ok(template)
    }

    /// What the placeholders mean, in the order of the text.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.parts.iter().filter_map(|part| match part {
            Part::Value(value) => Some(value),
            Part::Text(_) => None,
        })
    }

    /// The text with its placeholders replaced: `push` appends what one means.
    ///
    /// # Errors
    /// The first of `push`.
    pub fn fill<E>(
        &self,
        mut push: impl FnMut(&V, &mut String) -> Result<(), E>,
    ) -> Result<String, E> {
        let mut filled = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Value(value) => push(value, &mut filled)?,
            }
        }
        Ok(filled)
    }

    /// The text, where it has no placeholders.
    pub fn plain(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    fn push_text(&mut self, text: &str) {
        match self.parts.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Text(before)) => before.push_str(text),
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
    }

    /// Takes the last character of the text before this place away.
    fn pop_char(&mut self) {
        if let Some(Part::Text(before)) = self.parts.last_mut() {
            before.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes texts of one letter between delimiters as placeholders, and `^` for itself.
    fn letters(text: &str, delimiters: Delimiters) -> Vec<Part<&str>> {
        let template = Template::parse_with(text, delimiters, |_, inner| match inner {
            Some("^") => Ok::<_, ()>(Meaning::Text("^".to_owned())),
            Some(inner @ ("a" | "b" | "c")) => Ok(Meaning::Value(inner)),
            _ => Ok(Meaning::Literal),
        });
        template.unwrap().parts
    }

    fn text(text: &str) -> Part<&str> {
        Part::Text(text.to_owned())
    }

    #[test]
    fn what_is_no_placeholder_stands_for_itself() {
        let value = Part::Value;
        for (source, parts) in [
            ("", vec![]),
            ("{a}{b}", vec![value("a"), value("b")]),
            ("{{a}}", vec![text("{"), value("a"), text("}")]),
            ("x {ab {c}", vec![text("x {ab "), value("c")]),
            ("{^}{", vec![text("^{")]),
            ("{}", vec![text("{}")]),
        ] {
            assert_eq!(letters(source, Delimiters::ITEM), parts, "{source}");
        }
        for (source, parts) in [
            ("${a}$${a}", vec![value("a"), text("${a}")]),
            ("$$${a} $", vec![text("$${a} $")]),
        ] {
            assert_eq!(letters(source, Delimiters::VARIABLE), parts, "{source}");
        }
        let quoted = letters("{{\"}}\"}} {{a}}", Delimiters::VALUE);
        assert_eq!(quoted, [text("{{\"}}\"}} "), value("a")]);
        let nested = letters("{{{a}}}", Delimiters::VALUE);
        assert_eq!(nested, [text("{"), value("a"), text("}")]);
    }

    #[test]
    fn openings_without_an_end_take_no_square_of_the_time() {
        let openings = "{".repeat(1 << 20);
        for source in [openings.clone(), openings + "}"] {
            let template = letters(&source, Delimiters::ITEM);
            assert_eq!(template, [text(&source)]);
        }
    }
}
