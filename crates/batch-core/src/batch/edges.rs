//! Who waits for whom: [`Edges`], lists of dependents in one vector.

use crate::ids::TaskId;
use crate::spec::RunOn;

/// For each task the list of tasks that wait for it, as chains of edges. A chain is named by the number of
/// its first edge, from 1; 0 is the empty chain.
#[derive(Debug, Default)]
pub(super) struct Edges {
    edges: Vec<Edge>,
    free: u32,
}

#[derive(Clone, Copy, Debug)]
struct Edge {
    to: TaskId,
    next: u32,
    on: RunOn,
}

impl Edges {
    /// Puts a dependent at the front of a chain and returns the new chain.
    ///
    /// # Panics
    /// With more than 2^32 dependencies between unfinished tasks.
    pub(super) fn prepend(&mut self, to: TaskId, on: RunOn, chain: u32) -> u32 {
        let edge = Edge {
            to,
            next: chain,
            on,
        };
        if self.free != 0 {
            let number = self.free;
            let place = &mut self.edges[number as usize - 1];
            self.free = place.next;
            *place = edge;
            return number;
        }
        self.edges.push(edge);
        u32::try_from(self.edges.len()).expect("fewer than 2^32 dependencies")
    }

    /// Takes a chain apart: its dependents, the first added first.
    pub(super) fn take(&mut self, chain: u32) -> Vec<(TaskId, RunOn)> {
        let mut dependents = Vec::new();
        let mut number = chain;
        while number != 0 {
            let edge = &mut self.edges[number as usize - 1];
            dependents.push((edge.to, edge.on));
            let next = std::mem::replace(&mut edge.next, self.free);
            self.free = number;
            number = next;
        }
        dependents.reverse();
        dependents
    }

    /// Takes the dependents that are not to be kept out of a chain and returns the new chain.
    pub(super) fn retain(&mut self, chain: u32, keep: impl Fn(TaskId) -> bool) -> u32 {
        if self.iter(chain).all(&keep) {
            return chain;
        }
        let kept = self.take(chain).into_iter().filter(|(to, _)| keep(*to));
        kept.fold(0, |chain, (to, on)| self.prepend(to, on, chain))
    }

    /// The dependents of a chain, in no particular order.
    pub(super) fn iter(&self, chain: u32) -> impl Iterator<Item = TaskId> + '_ {
        let edge = |number: u32| (number != 0).then(|| self.edges[number as usize - 1]);
        std::iter::successors(edge(chain), move |last| edge(last.next)).map(|edge| edge.to)
    }
}
