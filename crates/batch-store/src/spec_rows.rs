//! Reading rows of `specs` back into [`TaskSpec`]s: [`SpecReader`].

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use batch_core::{
    DependsOn, Json, Priority, RunOn, TaskId, TaskOptions, TaskSpec, Time, plan::Needed,
};
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::add;
use crate::error::RowError;
use crate::shape::{StoredOptions, parse_priority, task_id, time};

/// The columns that [`SpecReader::read`] wants, in their order, of a file whose tasks can have items or not.
pub(crate) const fn spec_columns(has_items: bool) -> &'static str {
    match has_items {
        true => {
            "s.task, s.id, s.name, s.function, s.params, s.depends_on, s.needs, s.priority, s.options, s.created_us, s.item"
        }
        false => {
            "s.task, s.id, s.name, s.function, s.params, s.depends_on, s.needs, s.priority, s.options, s.created_us, NULL"
        }
    }
}

/// How many columns they are.
pub(crate) const SPEC_WIDTH: usize = 11;

/// Reads specifications, and shares between them what they have in common.
#[derive(Debug, Default)]
pub(crate) struct SpecReader {
    options: HashMap<i64, Arc<TaskOptions>>,
    /// Some task needs a later one, as only a task does that was added together with that. Else none can need itself.
    pub(crate) needs_later: bool,
    functions: HashMap<String, Arc<str>>,
}

/// A row of `specs`.
#[derive(Clone, Debug)]
pub(crate) struct SpecRow {
    pub(crate) task: TaskId,
    pub(crate) spec: Arc<TaskSpec>,
    pub(crate) needs: Vec<Needed>,
    pub(crate) priority: Priority,
    pub(crate) created_at: Time,
}

impl SpecReader {
    /// Reads the first columns of a row, which are [`spec_columns`].
    pub(crate) fn read(
        &mut self,
        connection: &Connection,
        row: &Row<'_>,
    ) -> Result<SpecRow, RowError> {
        self.spec(connection, row)
            .map_err(|error| error.of_row(row))
    }

    fn spec(&mut self, connection: &Connection, row: &Row<'_>) -> Result<SpecRow, RowError> {
        let number: i64 = row.get(0)?;
        let bad = |what: &dyn fmt::Display| RowError::in_task(number, what);
        let task = task_id(number).ok_or_else(|| bad(&"no such number"))?;
        let string = |index: usize| -> Result<_, RowError> {
            let value = row.get_ref(index)?.as_str_or_null();
            value.map_err(|error| bad(&error))
        };
        let required = |index: usize, what: &str| {
            string(index)?.ok_or_else(|| bad(&format_args!("it has no {what}")))
        };
        let depends_on: Box<[DependsOn]> = match string(5)? {
            Some(json) => serde_json::from_str(json).map_err(|error| bad(&error))?,
            None => Box::default(),
        };
        let needs: Vec<u32> = match string(6)? {
            Some(json) => serde_json::from_str(json).map_err(|error| bad(&error))?,
            None => Vec::new(),
        };
        let needs: Option<Vec<TaskId>> = needs.into_iter().map(TaskId::new).collect();
        let needs = needs.ok_or_else(|| bad(&"it needs a task 0"))?;
        if needs.contains(&task) {
            return Err(bad(&"it needs itself"));
        }
        self.needs_later |= needs.iter().any(|need| *need > task);
        let needs = with_ends(connection, needs, &depends_on)?;
        let options = row.get(8)?;
        let spec = TaskSpec {
            id: string(1)?.map(Into::into),
            name: string(2)?.map(Into::into),
            item: string(10)?.map(Into::into),
            function: self.function(required(3, "function")?),
            params: Json::parse(required(4, "params")?).map_err(|error| bad(&error))?,
            depends_on,
            options: self.options(connection, options)?,
        };
        Ok(SpecRow {
            task,
            spec: Arc::new(spec),
            needs,
            priority: parse_priority(required(7, "priority")?).map_err(|what| bad(&what))?,
            created_at: time(row.get(9)?),
        })
    }

    fn function(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.functions.get(name) {
            return Arc::clone(known);
        }
        let function: Arc<str> = name.into();
        self.functions
            .insert(name.to_owned(), Arc::clone(&function));
        function
    }

    fn options(&mut self, connection: &Connection, row: i64) -> Result<Arc<TaskOptions>, RowError> {
        if let Some(known) = self.options.get(&row) {
            return Ok(Arc::clone(known));
        }
        let json: String = connection
            .prepare_cached("SELECT json FROM options WHERE options = ?1")
            .and_then(|mut select| select.query_row([row], |row| row.get(0)))?;
        let bad = |what: &dyn fmt::Display| RowError::Corrupt(format!("options {row}: {what}"));
        let stored: StoredOptions = serde_json::from_str(&json).map_err(|error| bad(&error))?;
        let options = Arc::new(stored.options().map_err(|what| bad(&what))?);
        self.options.insert(row, Arc::clone(&options));
        Ok(options)
    }
}

/// The id that the author gave a task.
fn id_of(connection: &Connection, task: TaskId) -> rusqlite::Result<Option<String>> {
    let id = connection
        .prepare_cached("SELECT id FROM specs WHERE task = ?1")?
        .query_row([task.get()], |row| row.get(0))
        .optional()?;
    Ok(id.flatten())
}

/// The needed tasks with what each must end as, which is by their ids in `depends_on`.
fn with_ends(
    connection: &Connection,
    needs: Vec<TaskId>,
    depends_on: &[DependsOn],
) -> rusqlite::Result<Vec<Needed>> {
    let mut needs: Vec<Needed> = needs.into_iter().map(Needed::from).collect();
    for needed in depends_on
        .iter()
        .filter(|needed| needed.on != RunOn::Success)
    {
        let task = add::find(connection, &needed.task)?;
        for need in &mut needs {
            let is_meant = match task {
                Some(task) => task == need.task,
                None => id_of(connection, need.task)?.is_some_and(|id| needed.means(&id)),
            };
            if is_meant {
                need.on = needed.on;
            }
        }
    }
    Ok(needs)
}
