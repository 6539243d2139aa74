//! Checking tasks before anything runs: [`Plan`], and all that was wrong as [`PlanProblem`]s.
//!
//! A plan is between what an author wrote and a batch: functions are known, parameters make sense,
//! ids are unique, every dependency exists and no cycle remains. A batch takes it without a further check.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::catalog::{Catalog, ParamProblem};
use crate::group::Groups;
use crate::ids::{FullTaskId, TaskId};
use crate::spec::{RunOn, TaskSpec};
use crate::text::Suggestions;

/// Tasks that were checked together and can be submitted together.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    tasks: Vec<PlannedTask>,
}

/// A checked task and the tasks it needs.
#[derive(Clone, Debug)]
pub(crate) struct PlannedTask {
    pub(crate) spec: Arc<TaskSpec>,
    pub(crate) after: Vec<PlannedNeed>,
}

/// A task that must end first, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Needed {
    /// The task.
    pub task: TaskId,
    /// What it must end as.
    pub on: RunOn,
}

impl From<TaskId> for Needed {
    /// One that must complete.
    fn from(task: TaskId) -> Self {
        Self {
            task,
            on: RunOn::Success,
        }
    }
}

/// A task that must end first, found in the plan or the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlannedNeed {
    task: Dependency,
    on: RunOn,
}

impl PlannedNeed {
    /// The task by its id, if the first one of the plan has the position `first`.
    pub(crate) fn needed(self, first: usize) -> Needed {
        Needed {
            task: self.task.id(first),
            on: self.on,
        }
    }
}

/// A task that must end first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Dependency {
    /// One of the same plan, by position.
    InPlan(usize),
    /// One already in the batch.
    Submitted(TaskId),
}

impl Dependency {
    /// The id of the task, if the first one of the plan has the position `first`.
    pub(crate) fn id(self, first: usize) -> TaskId {
        match self {
            Self::InPlan(index) => TaskId::from_index(first + index),
            Self::Submitted(id) => id,
        }
    }

    /// The position of one of the same plan.
    fn in_plan(self) -> Option<usize> {
        match self {
            Self::InPlan(index) => Some(index),
            Self::Submitted(_) => None,
        }
    }
}

/// Something wrong with a task of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanProblem {
    /// The position of the task in the plan, from 0.
    pub index: usize,
    /// The field it is in, such as `depends_on` or `params.url`.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// How to fix it.
    pub help: Option<String>,
}

/// What is known around a plan: the functions, the limits, and the tasks already in the batch.
pub struct PlanContext<'a, C: Catalog + ?Sized> {
    /// The functions that tasks may name.
    pub catalog: &'a C,
    /// The declared limits.
    pub limits: &'a BTreeMap<String, NonZeroU32>,
    /// Finds a task already in the batch by its author's id.
    pub submitted: &'a dyn Fn(&str) -> Option<TaskId>,
}

impl Plan {
    /// Checks tasks that go into an empty batch without limits.
    ///
    /// # Errors
    /// All problems, in the order of the tasks.
    ///
    /// ```
    /// use batch_core::{Plan, TaskSpec};
    /// let functions = ["simulate"];
    /// let tasks = vec![TaskSpec::new("simulate"), TaskSpec::new("simualte").after("x")];
    /// let problems = Plan::check(tasks, &functions[..]).unwrap_err();
    /// assert_eq!(problems.len(), 2);
    /// assert_eq!(problems[0].help.as_deref(), Some("did you mean \"simulate\"?"));
    /// ```
    pub fn check<C: Catalog + ?Sized>(
        tasks: Vec<TaskSpec>,
        catalog: &C,
    ) -> Result<Self, Vec<PlanProblem>> {
        let context = PlanContext {
            catalog,
            limits: &BTreeMap::new(),
            submitted: &|_| None,
        };
        Self::check_in(tasks, &context)
    }

    /// Checks tasks that go into a batch.
    ///
    /// # Errors
    /// All problems, in the order of the tasks.
    pub fn check_in<C: Catalog + ?Sized>(
        tasks: Vec<TaskSpec>,
        around: &PlanContext<'_, C>,
    ) -> Result<Self, Vec<PlanProblem>> {
        let mut report = Reporter::default();
        let ids = index_ids(&tasks, around, &mut report);
        let mut after = Vec::with_capacity(tasks.len());
        let known = around.catalog.functions().into_iter().collect();
        let mut groups = Groups::of(&tasks, &ids);
        for (index, task) in tasks.iter().enumerate() {
            report.index = index;
            check_function(task, &known, around, &mut report);
            check_limit(task, around, &mut report);
            check_environment(task, around, &mut report);
            check_finally(task, &tasks, &ids, &mut report);
            after.push(resolve(task, &ids, &mut groups, around, &mut report));
        }
        let mut problems = report.problems;
        problems.extend(
            find_cycles(&after)
                .iter()
                .map(|cycle| cycle_problem(cycle, &tasks)),
        );
        if !problems.is_empty() {
            problems.sort_by_key(|problem| problem.index);
            return Err(problems);
        }
        let planned = |(spec, after)| PlannedTask {
            spec: Arc::new(spec),
            after,
        };
        Ok(Self {
            tasks: tasks.into_iter().zip(after).map(planned).collect(),
        })
    }

    /// The number of tasks.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether there is no task.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// The tasks, in order, each with the positions in this plan of those it needs.
    pub fn tasks(
        &self,
    ) -> impl Iterator<Item = (&Arc<TaskSpec>, impl Iterator<Item = usize> + '_)> {
        self.tasks.iter().map(|task| {
            let in_plan = task.after.iter().filter_map(|needed| needed.task.in_plan());
            (&task.spec, in_plan)
        })
    }

    /// The tasks, in order, each with those it needs, if the first one of the plan gets the
    /// position `first` in the order of submission (see [`TaskId::from_index`]).
    pub fn resolved(&self, first: usize) -> impl Iterator<Item = (&Arc<TaskSpec>, Vec<Needed>)> {
        self.tasks.iter().map(move |task| {
            let after = task.after.iter().map(|needed| needed.needed(first));
            (&task.spec, after.collect())
        })
    }

    /// The tasks that are wanted and those that they need, in their order. The others are not in the plan.
    #[must_use]
    pub fn only(self, wanted: impl Fn(&TaskSpec) -> bool) -> Self {
        let mut open: Vec<usize> = (0..self.tasks.len())
            .filter(|index| wanted(&self.tasks[*index].spec))
            .collect();
        let mut is_kept = vec![false; self.tasks.len()];
        while let Some(index) = open.pop() {
            if !std::mem::replace(&mut is_kept[index], true) {
                open.extend(
                    self.tasks[index]
                        .after
                        .iter()
                        .filter_map(|needed| needed.task.in_plan()),
                );
            }
        }
        let mut places = Vec::with_capacity(self.tasks.len());
        let mut kept = 0;
        for is_kept in &is_kept {
            places.push(kept);
            kept += usize::from(*is_kept);
        }
        let tasks = self.tasks.into_iter().zip(is_kept);
        let tasks = tasks.filter(|(_, is_kept)| *is_kept).map(|(mut task, _)| {
            for needed in &mut task.after {
                if let Dependency::InPlan(index) = &mut needed.task {
                    *index = places[*index];
                }
            }
            task
        });
        Self {
            tasks: tasks.collect(),
        }
    }

    pub(crate) fn into_tasks(self) -> Vec<PlannedTask> {
        self.tasks
    }
}

/// Adds problems of one task after the other.
#[derive(Default)]
struct Reporter {
    /// The task that is looked at.
    index: usize,
    problems: Vec<PlanProblem>,
    suggestions: Suggestions,
}

impl Reporter {
    fn add(&mut self, field: &str, message: String, help: Option<String>) {
        self.problems.push(PlanProblem {
            index: self.index,
            field: field.to_owned(),
            message,
            help,
        });
    }

    fn suggest<'n>(
        &mut self,
        name: &str,
        known: impl ExactSizeIterator<Item = &'n str>,
    ) -> Option<String> {
        self.suggestions.did_you_mean(name, known)
    }
}

fn index_ids<C: Catalog + ?Sized>(
    tasks: &[TaskSpec],
    around: &PlanContext<'_, C>,
    report: &mut Reporter,
) -> HashMap<Box<str>, usize> {
    let mut ids: HashMap<Box<str>, usize> = HashMap::new();
    for (index, task) in tasks.iter().enumerate() {
        let Some(id) = &task.id else { continue };
        let first = ids
            .get(id)
            .map(|first| format!("task {} of this input", first + 1));
        let first = first
            .or_else(|| (around.submitted)(id).map(|task| format!("task {task} of the batch")));
        match first {
            None => {
                ids.insert(id.clone(), index);
            }
            Some(first) => {
                report.index = index;
                let message = format!("the id {id:?} is taken by {first}");
                let help = "give each task an id of its own".to_owned();
                report.add("id", message, Some(help));
            }
        }
    }
    ids
}

fn check_function<C: Catalog + ?Sized>(
    task: &TaskSpec,
    known: &BTreeSet<&str>,
    around: &PlanContext<'_, C>,
    report: &mut Reporter,
) {
    if !known.contains(&*task.function) {
        let near = report.suggest(&task.function, known.iter().copied());
        let help = near.unwrap_or_else(|| {
            let more = around.catalog.help();
            let more = more.map_or_else(String::new, |help| format!("; {help}"));
            let names = Vec::from_iter(known.iter().copied());
            format!("known functions: {}{more}", names.join(", "))
        });
        let message = match &*task.function {
            "" => "the function is empty".to_owned(),
            other => format!("unknown function {other:?}"),
        };
        return report.add("function", message, Some(help));
    }
    for problem in around.catalog.check(task).err().unwrap_or_default() {
        add_param_problem(problem, report);
    }
}

/// What to say of a task that is named in full and not there.
fn elsewhere(name: &str) -> Option<String> {
    let full: FullTaskId = name.parse().ok()?;
    let batch = full.batch;
    Some(format!(
        "a task depends on tasks of its own batch; this one would be of {batch}"
    ))
}

fn add_param_problem(problem: ParamProblem, report: &mut Reporter) {
    let field = match problem.path.as_str() {
        "" => "params".to_owned(),
        path => format!("params.{path}"),
    };
    report.add(&field, problem.message, problem.help);
}

fn check_limit<C: Catalog + ?Sized>(
    task: &TaskSpec,
    around: &PlanContext<'_, C>,
    report: &mut Reporter,
) {
    if let Some(limit) = &task.options.limit
        && !around.limits.contains_key(limit)
    {
        let known = around.limits.keys().map(String::as_str);
        let help = report
            .suggest(limit, known)
            .unwrap_or_else(|| format!("declare it: \"limits\": {{{limit:?}: 2}}"));
        report.add("limit", format!("unknown limit {limit:?}"), Some(help));
    }
}

fn check_environment<C: Catalog + ?Sized>(
    task: &TaskSpec,
    around: &PlanContext<'_, C>,
    report: &mut Reporter,
) {
    for (name, value) in &task.options.env {
        if let Err(problem) = around.catalog.check_variable(value) {
            report.add(&format!("env.{name}"), problem.message, problem.help);
        }
    }
}

/// What runs when all others have ended waits for no other, and no other for it.
fn check_finally(
    task: &TaskSpec,
    tasks: &[TaskSpec],
    ids: &HashMap<Box<str>, usize>,
    report: &mut Reporter,
) {
    let is_last = |id: &str| {
        ids.get(id)
            .is_some_and(|index| tasks[*index].options.finally)
    };
    if task.options.finally && !task.depends_on.is_empty() {
        let message = "a task with finally runs after all others".to_owned();
        let help = "leave depends_on out".to_owned();
        report.add("depends_on", message, Some(help));
    } else if let Some(last) = task.depends_on.iter().find(|needed| is_last(&needed.task)) {
        let message = format!("{:?} runs after all others (finally)", last.task);
        let help = "nothing can wait for it: leave it out".to_owned();
        report.add("depends_on", message, Some(help));
    }
}

/// The tasks that must end first: those named, and those whose results are used.
fn resolve<'t, C: Catalog + ?Sized>(
    task: &'t TaskSpec,
    ids: &HashMap<Box<str>, usize>,
    groups: &mut Groups<'t>,
    around: &PlanContext<'_, C>,
    report: &mut Reporter,
) -> Vec<PlannedNeed> {
    let mut after = Vec::new();
    let mut seen = HashSet::new();
    let mut missing = HashSet::new();
    let mut add = |id: &str, on: RunOn, field: &str, report: &mut Reporter| {
        let in_plan = ids.get(id).copied().map(Dependency::InPlan);
        let found = in_plan.or_else(|| (around.submitted)(id).map(Dependency::Submitted));
        match found {
            Some(task) if seen.insert(task) => after.push(PlannedNeed { task, on }),
            Some(_) => {}
            // Told once for each task, however often it uses the id.
            None if !missing.insert(id.to_owned()) => {}
            None => {
                let near = report.suggest(id, ids.keys().map(AsRef::as_ref));
                let help = near.or_else(|| elsewhere(id));
                report.add(field, format!("no task has the id {id:?}"), help);
            }
        }
    };
    for needed in &task.depends_on {
        match groups.members(&needed.task, report.index) {
            Some(members) => {
                members.for_each(|member| add(member, needed.on, "depends_on", report));
            }
            None => add(&needed.task, needed.on, "depends_on", report),
        }
    }
    let found = around.catalog.references(task);
    for id in &found.tasks {
        if task.options.finally || groups.is_last(id) {
            let message =
                format!("the result of {id:?} cannot be used: finally runs after all others");
            let help = "a task with finally uses no results, and nothing uses its own".to_owned();
            report.add("params", message, Some(help));
        } else {
            add(id, RunOn::Success, "params", report);
        }
    }
    for problem in found.problems {
        add_param_problem(problem, report);
    }
    after
}

/// A cycle of tasks: how many they are, and the first ones in order.
struct Cycle {
    length: usize,
    first: Vec<usize>,
}

/// How many tasks of a cycle are named.
const LONGEST_CYCLE: usize = 20;

/// How many characters of an id are named.
const LONGEST_ID: usize = 40;

/// How many cycles are told.
const MOST_CYCLES: usize = 1_000;

/// Cycles of tasks that wait for each other: with one dependency of each taken away, there is none.
fn find_cycles(after: &[Vec<PlannedNeed>]) -> Vec<Cycle> {
    const UNSEEN: usize = 0;
    const CLEAR: usize = usize::MAX;
    // Of a task on the path its place there, from 1.
    let mut marks = vec![UNSEEN; after.len()];
    let mut cycles = Vec::new();
    for start in 0..after.len() {
        if marks[start] != UNSEEN {
            continue;
        }
        // A path of (task, how many of its dependencies were looked at), as chains can be long.
        let mut path = vec![(start, 0)];
        marks[start] = 1;
        while let Some((task, looked_at)) = path.last_mut() {
            let Some(dependency) = after[*task].get(*looked_at) else {
                marks[*task] = CLEAR;
                path.pop();
                continue;
            };
            *looked_at += 1;
            let Dependency::InPlan(next) = dependency.task else {
                continue;
            };
            match marks[next] {
                UNSEEN => {
                    path.push((next, 0));
                    marks[next] = path.len();
                }
                CLEAR => {}
                from => {
                    let cycle = &path[from - 1..];
                    let first = cycle.iter().take(LONGEST_CYCLE).map(|(task, _)| *task);
                    cycles.push(Cycle {
                        length: cycle.len(),
                        first: first.collect(),
                    });
                    if cycles.len() == MOST_CYCLES {
                        return cycles;
                    }
                }
            }
        }
    }
    cycles
}

fn cycle_problem(cycle: &Cycle, tasks: &[TaskSpec]) -> PlanProblem {
    let name = |index: &usize| {
        let id = tasks[*index].id.as_deref().unwrap_or("?");
        let mut name: String = id.chars().take(LONGEST_ID).collect();
        name.push_str(if name.len() < id.len() { "…" } else { "" });
        name
    };
    let mut names: Vec<String> = cycle.first.iter().map(name).collect();
    if cycle.length > cycle.first.len() {
        names.push(format!("… ({} tasks in all)", cycle.length));
    }
    names.push(names[0].clone());
    PlanProblem {
        index: cycle.first[0],
        field: "depends_on".to_owned(),
        message: format!("these tasks wait for each other: {}", names.join(" → ")),
        help: Some("take one of these dependencies away".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_plan_has_what_it_needs_and_nothing_else() {
        let tasks = vec![
            TaskSpec::new("f").with_id("a"),
            TaskSpec::new("f").with_id("other"),
            TaskSpec::new("f").with_id("late").after("early").after("a"),
            TaskSpec::new("f").with_id("user").after("late"),
            TaskSpec::new("f").with_id("early"),
        ];
        let plan = Plan::check(tasks, &["f"][..]).unwrap();
        let only = |id: &str| {
            let part = plan.clone().only(|spec| spec.id.as_deref() == Some(id));
            let tasks = part.tasks();
            let tasks = tasks.map(|(spec, after)| {
                (
                    spec.id.as_deref().unwrap_or("").to_owned(),
                    after.collect::<Vec<_>>(),
                )
            });
            tasks.collect::<Vec<_>>()
        };
        let named = |id: &str, after: &[usize]| (id.to_owned(), after.to_vec());
        assert_eq!(
            only("late"),
            [named("a", &[]), named("late", &[2, 0]), named("early", &[])]
        );
        assert_eq!(only("other"), [named("other", &[])]);
        assert_eq!(only("user").len(), 4);
        assert!(only("none").is_empty());
    }
}
