//! Tasks made of items as they come: [`TaskStream`].

use std::collections::HashMap;
use std::sync::Arc;

use batch_core::{TaskOptions, TaskSpec};

use crate::item_template::{ItemTemplate, Scratch, TextTemplate};
use crate::items::{ItemError, ItemProblem, Items};

/// One task for each item, made when it is asked for: ten million lines take no more memory than ten.
///
/// All tasks share their options and the name of their function.
///
/// ```
/// use batch_input::{CommandTemplate, ItemTemplate, Items, TaskStream};
/// let template = ItemTemplate::Command(CommandTemplate::new(vec!["gzip".into(), "-k".into()], false).unwrap());
/// let items = Items::lines(std::io::Cursor::new("a b\nc"));
/// let tasks: Result<Vec<_>, _> = TaskStream::new(items, template, Default::default()).collect();
/// assert_eq!(tasks.unwrap()[0].params.as_str(), r#"{"argv":["gzip","-k","a b"]}"#);
/// ```
pub struct TaskStream {
    items: Items,
    template: ItemTemplate,
    function: Arc<str>,
    options: Arc<TaskOptions>,
    count: u64,
    scratch: Scratch,
    id: Option<TextTemplate>,
    name: Option<TextTemplate>,
    /// The ids that were given, each with the number of its task.
    ids: HashMap<Box<str>, u64>,
    peeked: Option<Option<Result<TaskSpec, ItemError>>>,
}

impl TaskStream {
    /// The tasks that a template makes of items, treated as `options` say.
    pub fn new(items: Items, template: ItemTemplate, options: Arc<TaskOptions>) -> Self {
        let function = match &template {
            ItemTemplate::Command(_) => "command".into(),
            ItemTemplate::Shell(_) => "shell".into(),
            ItemTemplate::Function(template) => template.function().clone(),
        };
        Self {
            items,
            template,
            function,
            options,
            count: 0,
            scratch: Scratch::default(),
            id: None,
            name: None,
            ids: HashMap::new(),
            peeked: None,
        }
    }

    /// The same tasks with ids and names, made of their items as well.
    #[must_use]
    pub fn with_labels(mut self, id: Option<&str>, name: Option<&str>) -> Self {
        self.id = id.map(TextTemplate::new);
        self.name = name.map(TextTemplate::new);
        self
    }

    /// The task that comes next, which stays the next one.
    pub fn peek(&mut self) -> Option<&Result<TaskSpec, ItemError>> {
        if self.peeked.is_none() {
            self.peeked = Some(self.make());
        }
        self.peeked.as_ref()?.as_ref()
    }

    /// Whether no more come, where that can be told without waiting: of a list.
    pub fn is_over(&mut self) -> bool {
        self.items.is_list() && self.peek().is_none()
    }

    /// Whether it makes one task alone, as far as that is known. To be asked before the first is taken.
    pub fn is_single(&self) -> bool {
        self.peeked.is_none() && self.items.is_single()
    }

    fn make(&mut self) -> Option<Result<TaskSpec, ItemError>> {
        let item = match self.items.next_item()? {
            Ok(item) => item,
            Err(error) => return Some(Err(error)),
        };
        self.count += 1;
        let params = match &self.template {
            ItemTemplate::Command(template) => {
                template.params_in(item, self.count, &mut self.scratch)
            }
            ItemTemplate::Shell(template) => {
                template.params_in(item, self.count, &mut self.scratch)
            }
            ItemTemplate::Function(template) => template.params(item, self.count),
        };
        let label = |template: &TextTemplate| template.text(item, self.count).into_boxed_str();
        let name = self.name.as_ref().map(label);
        let id = self.id.as_ref().map(label);
        let shown = String::from_utf8_lossy(item).into();
        let params = params.and_then(|params| self.new_id(id.as_deref()).map(|()| params));
        Some(match params {
            Ok(params) => Ok(TaskSpec {
                id,
                name,
                item: Some(shown),
                function: self.function.clone(),
                params,
                depends_on: Box::default(),
                options: self.options.clone(),
            }),
            Err(problem) => Err(self.items.error(problem)),
        })
    }
}

impl TaskStream {
    /// Notes an id, which no other task may have.
    fn new_id(&mut self, id: Option<&str>) -> Result<(), ItemProblem> {
        let Some(id) = id else {
            return Ok(());
        };
        match self.ids.insert(id.into(), self.count) {
            None => Ok(()),
            Some(other) => Err(ItemProblem::IdTaken {
                id: id.to_owned(),
                other,
            }),
        }
    }
}

impl Iterator for TaskStream {
    type Item = Result<TaskSpec, ItemError>;

    /// The next task, or why an item cannot become one; the stream goes on after it.
    fn next(&mut self) -> Option<Self::Item> {
        match self.peeked.take() {
            Some(peeked) => peeked,
            None => self.make(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CommandTemplate;

    #[test]
    fn what_was_peeked_at_comes_next_and_once() {
        let items = Items::list(vec!["a".into(), "b".into()]);
        let template =
            ItemTemplate::Command(CommandTemplate::new(vec!["echo".into()], false).unwrap());
        let mut stream = TaskStream::new(items, template, Arc::default());
        let params =
            |task: &Result<TaskSpec, ItemError>| task.as_ref().unwrap().params.as_str().to_owned();
        let peeked = params(stream.peek().unwrap());
        assert_eq!(stream.peek().map(params), Some(peeked.clone()));
        assert_eq!(stream.next().as_ref().map(params), Some(peeked));
        assert!(stream.next().is_some());
        assert!(stream.peek().is_none());
        assert!(stream.next().is_none());
    }
}
