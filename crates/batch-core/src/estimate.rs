//! How long tasks take: [`Durations`], learnt from the attempts that ended, one function apart from another.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// What is known of the durations of attempts, and how many tasks still wait to be measured against it.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    numbers: HashMap<Arc<str>, u16>,
    kinds: Vec<Kind>,
    last: Option<(Arc<str>, u16)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Kind {
    /// Unfinished tasks that are not running.
    pending: u64,
    seen: Moments,
}

/// Count, sum and sum of squares of a stream of seconds.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    count: u64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        self.squares += value * value;
    }

    fn merge(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            sum: self.sum + other.sum,
            squares: self.squares + other.squares,
        }
    }

    fn mean(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }

    /// The standard deviation as a part of the mean.
    fn spread(&self) -> f64 {
        let mean = self.mean();
        if self.count < 2 || mean <= 0.0 {
            return 0.0;
        }
        let variance = self.squares / self.count as f64 - mean * mean;
        variance.max(0.0).sqrt() / mean
    }
}

impl Durations {
    /// The number of a function. The last of 65,536 numbers is shared by all further functions.
    pub(crate) fn kind(&mut self, function: &Arc<str>) -> u16 {
        if let Some((last, number)) = &self.last
            && (Arc::ptr_eq(last, function) || last == function)
        {
            return *number;
        }
        let next = u16::try_from(self.kinds.len()).unwrap_or(u16::MAX);
        let number = *self.numbers.entry(Arc::clone(function)).or_insert(next);
        if number as usize == self.kinds.len() {
            self.kinds.push(Kind::default());
        }
        self.last = Some((Arc::clone(function), number));
        number
    }

    /// One more task of a kind waits.
    pub(crate) fn entered(&mut self, kind: u16) {
        self.kinds[kind as usize].pending += 1;
    }

    /// One task of a kind waits no more.
    pub(crate) fn left(&mut self, kind: u16) {
        self.kinds[kind as usize].pending -= 1;
    }

    /// An attempt of a kind took this long.
    pub(crate) fn add(&mut self, kind: u16, took: Duration) {
        self.kinds[kind as usize].seen.add(took.as_secs_f64());
    }

    /// How many attempts have been measured.
    pub(crate) fn samples(&self) -> u64 {
        self.all().count
    }

    fn all(&self) -> Moments {
        let seen = self.kinds.iter().map(|kind| kind.seen);
        seen.fold(Moments::default(), Moments::merge)
    }

    /// The seconds that an attempt of a kind is expected to take.
    pub(crate) fn expected(&self, kind: u16) -> f64 {
        match self.kinds[kind as usize].seen {
            seen if seen.count > 0 => seen.mean(),
            _ => self.all().mean(),
        }
    }

    /// The expected seconds of work of all tasks that wait.
    pub(crate) fn pending_work(&self) -> f64 {
        (0u16..)
            .zip(&self.kinds)
            .map(|(number, kind)| kind.pending as f64 * self.expected(number))
            .sum()
    }

    /// How many tasks wait.
    #[cfg(test)]
    pub(crate) fn pending(&self) -> u64 {
        self.kinds.iter().map(|kind| kind.pending).sum()
    }

    /// How far from its likely value a sum of `open` further durations may be, as a part of it.
    pub(crate) fn doubt(&self, open: usize) -> f64 {
        let all = self.all();
        let (samples, open) = (all.count.max(1) as f64, open.max(1) as f64);
        2.0 * all.spread() * (1.0 / samples + 1.0 / open).sqrt()
    }
}
