//! Tasks made of items as they come: [`TaskStream`].

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use batch_core::{TaskOptions, TaskSpec};

use crate::item_template::{Columns, ItemTemplate, ItemTemplateError, Scratch, TextTemplate};
use crate::items::{ItemError, ItemProblem, Items, PerTask, Row};

/// One task for each row of items, made when it is asked for: ten million lines take no more memory than ten.
///
/// All tasks share their options and the name of their function.
///
/// ```
/// use batch_input::{CommandTemplate, ItemTemplate, Items, TaskStream};
/// let items = Items::list(vec!["a b".into(), "c".into()]);
/// let stream = TaskStream::new(items, Default::default(), |columns| {
///     let argv = vec!["gzip".into(), "-k".into()];
///     CommandTemplate::new(argv, columns, false).map(ItemTemplate::Command)
/// });
/// let tasks: Result<Vec<_>, _> = stream.unwrap().collect();
/// assert_eq!(tasks.unwrap()[0].params.as_str(), r#"{"argv":["gzip","-k","a b"]}"#);
/// ```
pub struct TaskStream {
    items: Items,
    template: Template,
    options: Arc<TaskOptions>,
    row: Row,
    /// An item that did not fit into the command before.
    held: Option<Vec<u8>>,
    scratch: Scratch,
    /// Id and name as they were written.
    labels: [Option<String>; 2],
    id: Option<TextTemplate>,
    name: Option<TextTemplate>,
    /// The ids that were given, each with the number of its task.
    ids: HashMap<Box<str>, u64>,
    peeked: Option<Option<Result<TaskSpec, ItemError>>>,
}

type MakeTemplate =
    Box<dyn FnOnce(&Columns) -> Result<ItemTemplate, ItemTemplateError> + Send + 'static>;

/// The template, which may need the names of columns that are still to be read.
enum Template {
    Ready(ItemTemplate, Arc<str>),
    Waiting(MakeTemplate),
    /// It cannot be made.
    Broken,
}

impl Template {
    fn ready(template: ItemTemplate) -> Self {
        let function = match &template {
            ItemTemplate::Command(_) => "command".into(),
            ItemTemplate::Shell(_) => "shell".into(),
            ItemTemplate::Function(template) => template.function().clone(),
        };
        Self::Ready(template, function)
    }
}

impl TaskStream {
    /// The tasks that a template makes of items, treated as `options` say. `template` makes it for the columns that
    /// the items have, at once where nobody need wait for their names.
    ///
    /// # Errors
    /// Those of `template`; where the names are still to be read, the first task is one.
    pub fn new(
        mut items: Items,
        options: Arc<TaskOptions>,
        template: impl FnOnce(&Columns) -> Result<ItemTemplate, ItemTemplateError> + Send + 'static,
    ) -> Result<Self, ItemTemplateError> {
        let template = match items.awaits_names() {
            true => Template::Waiting(Box::new(template)),
            false => match items.columns() {
                Some(Ok(columns)) => Template::ready(template(&columns)?),
                _ => Template::Broken,
            },
        };
        Ok(Self {
            items,
            template,
            options,
            row: Row::default(),
            held: None,
            scratch: Scratch::default(),
            labels: [None, None],
            id: None,
            name: None,
            ids: HashMap::new(),
            peeked: None,
        })
    }

    /// The same tasks with ids and names, made of their items as well.
    ///
    /// # Errors
    /// When a placeholder means nothing; where names of columns are still to be read, the first task is one.
    pub fn with_labels(
        mut self,
        id: Option<&str>,
        name: Option<&str>,
    ) -> Result<Self, ItemTemplateError> {
        self.labels = [id, name].map(|label| label.map(str::to_owned));
        if !self.items.awaits_names()
            && let Some(Ok(columns)) = self.items.columns()
        {
            self.make_labels(&columns)?;
        }
        Ok(self)
    }

    fn make_labels(&mut self, columns: &Columns) -> Result<(), ItemTemplateError> {
        let [id, name] = &self.labels;
        let made = |label: &Option<String>| {
            let label = label.as_deref();
            label
                .map(|label| TextTemplate::new(label, columns))
                .transpose()
        };
        (self.id, self.name) = (made(id)?, made(name)?);
        Ok(())
    }

    /// The task that comes next, which stays the next one.
    pub fn peek(&mut self) -> Option<&Result<TaskSpec, ItemError>> {
        if self.peeked.is_none() {
            self.peeked = Some(self.make());
        }
        self.peeked.as_ref()?.as_ref()
    }

    /// Waits until it is known whether there is a task, and makes none where its input would have to be kept.
    pub fn has_task(&mut self) -> bool {
        match self.items.blocks_mut() {
            Some(blocks) => blocks.has_more(),
            None => self.peek().is_some(),
        }
    }

    /// Whether tasks read pieces of an input, for which [`keep_in`](Self::keep_in) says where they are kept.
    pub fn has_blocks(&mut self) -> bool {
        self.items.blocks_mut().is_some()
    }

    /// The id of the task that reads a piece of the input.
    pub fn block_id(number: u64) -> String {
        format!("block-{number}")
    }

    /// Whether each task is large, so that few of them are to wait at a time.
    pub fn are_large(&mut self) -> bool {
        self.has_blocks() || matches!(self.items.per_task(), PerTask::Fill(_))
    }

    /// Sets the folder for pieces of the input, which is made if need be.
    pub fn keep_in(&mut self, folder: &Path) {
        if let Some(blocks) = self.items.blocks_mut() {
            blocks.set_folder(folder);
        }
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
        if matches!(self.template, Template::Waiting(_))
            && let Err(error) = self.make_template()?
        {
            return Some(Err(error));
        }
        self.row.clear();
        if let Err(error) = self.next_row()? {
            return Some(Err(error));
        }
        self.row.number += 1;
        let label = |template: &TextTemplate| template.text(&self.row).into_boxed_str();
        let name = self.name.as_ref().map(label);
        let mut id = self.id.as_ref().map(label);
        if let Err(problem) = self.new_id(id.as_deref()) {
            return Some(Err(self.items.error(problem)));
        }
        if self.has_blocks() {
            // By it the piece is found to be no longer needed.
            id = Some(Self::block_id(self.row.number).into());
        }
        let Template::Ready(template, function) = &self.template else {
            return None;
        };
        Some(match template.params_in(&self.row, &mut self.scratch) {
            Ok(params) => Ok(TaskSpec {
                id,
                name,
                item: Some(self.row.shown().into()),
                function: function.clone(),
                params,
                depends_on: Box::default(),
                options: self.options.clone(),
            }),
            Err(problem) => Err(self.items.error(problem)),
        })
    }

    /// Makes the template for the names that the items begin with; `None` where there are no items.
    fn make_template(&mut self) -> Option<Result<(), ItemError>> {
        let columns = match self.items.columns()? {
            Ok(columns) => columns,
            Err(error) => return Some(Err(error)),
        };
        let Template::Waiting(make) = std::mem::replace(&mut self.template, Template::Broken)
        else {
            return None;
        };
        let place = None;
        let made = make(&columns).and_then(|made| self.make_labels(&columns).map(|()| made));
        Some(match made {
            Ok(template) => {
                self.template = Template::ready(template);
                Ok(())
            }
            Err(error) => {
                let problem = ItemProblem::Template(error.to_string());
                Err(ItemError { place, problem })
            }
        })
    }

    /// Reads the values of the next task; `None` at the end.
    fn next_row(&mut self) -> Option<Result<(), ItemError>> {
        match self.items.per_task() {
            PerTask::One => self.items.next_row(&mut self.row),
            PerTask::Count(0) => {
                let next = self.items.next_row(&mut self.row);
                self.row.clear();
                next
            }
            PerTask::Count(most) => {
                while self.row.len() < most {
                    match self.items.next_row(&mut self.row) {
                        Some(Ok(())) => {}
                        None if !self.row.is_empty() => break,
                        end => return end,
                    }
                }
                Some(Ok(()))
            }
            PerTask::Fill(line) => self.fill_line(line),
        }
    }

    /// Reads as many items as fit into a command line, at least one.
    fn fill_line(&mut self, line: usize) -> Option<Result<(), ItemError>> {
        let Template::Ready(template, _) = &self.template else {
            return None;
        };
        let room = template.room(line);
        let mut size = template.size(None);
        let mut item = Row::default();
        loop {
            let next = match self.held.take() {
                Some(held) => {
                    item.push(&held);
                    Some(Ok(()))
                }
                None => self.items.next_row(&mut item),
            };
            match next {
                Some(Ok(())) => {}
                None if !self.row.is_empty() => return Some(Ok(())),
                end => return end,
            }
            size += template.size(item.get(0));
            if size > room && !self.row.is_empty() {
                self.held = item.get(0).map(<[u8]>::to_vec);
                return Some(Ok(()));
            }
            self.row.extend(&item);
            item.clear();
        }
    }
}

impl TaskStream {
    /// Notes an id, which no other task may have.
    fn new_id(&mut self, id: Option<&str>) -> Result<(), ItemProblem> {
        let Some(id) = id else {
            return Ok(());
        };
        match self.ids.insert(id.into(), self.row.number) {
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
    use crate::items::{ItemOptions, ItemSource};

    fn stream(items: Items, argv: &'static [&'static str]) -> TaskStream {
        TaskStream::new(items, Arc::default(), |columns| {
            let argv = argv.iter().map(Into::into).collect();
            CommandTemplate::new(argv, columns, false).map(ItemTemplate::Command)
        })
        .unwrap()
    }

    #[test]
    fn what_was_peeked_at_comes_next_and_once() {
        let items = Items::list(vec!["a".into(), "b".into()]);
        let mut stream = stream(items, &["echo"]);
        let params =
            |task: &Result<TaskSpec, ItemError>| task.as_ref().unwrap().params.as_str().to_owned();
        let peeked = params(stream.peek().unwrap());
        assert_eq!(stream.peek().map(params), Some(peeked.clone()));
        assert_eq!(stream.next().as_ref().map(params), Some(peeked));
        assert!(stream.next().is_some());
        assert!(stream.peek().is_none());
        assert!(stream.next().is_none());
    }

    /// The arguments of the commands for seven items.
    fn grouped(per_task: PerTask, argv: &'static [&'static str]) -> Vec<String> {
        let items = (1..=7).map(|item| format!("i{item}").into()).collect();
        let options = ItemOptions {
            per_task,
            ..ItemOptions::default()
        };
        let items = Items::product(vec![vec![ItemSource::list(items)]], options).unwrap();
        let made = stream(items, argv).map(|task| match task {
            Ok(task) => {
                let argv = task.params.to_value()["argv"].clone();
                let words = argv.as_array().unwrap().iter();
                words
                    .map(|word| word.as_str().unwrap())
                    .collect::<Vec<_>>()
                    .join(" ")
            }
            Err(error) => format!("! {error}"),
        });
        made.collect()
    }

    #[test]
    fn several_items_go_to_a_task() {
        assert_eq!(
            grouped(PerTask::Count(3), &["x"]),
            ["x i1 i2 i3", "x i4 i5 i6", "x i7"]
        );
        assert_eq!(
            grouped(PerTask::Count(0), &["x", "{#}"]).last().unwrap(),
            "x 7"
        );
        assert!(
            grouped(PerTask::Count(4), &["x", "{4}"])[1]
                .starts_with("! item 8: {4} stands for nothing")
        );
        // `x`, and then each item, has a NUL and a pointer of eight bytes.
        let line = (1 + 9) + 3 * (2 + 9);
        assert_eq!(
            grouped(PerTask::Fill(line), &["x"]),
            ["x i1 i2 i3", "x i4 i5 i6", "x i7"]
        );
        assert_eq!(grouped(PerTask::Fill(line - 1), &["x"])[0], "x i1 i2");
        assert_eq!(grouped(PerTask::Fill(1), &["x"]).len(), 7);
    }
}
