//! How long tasks took: [`ExecutionTimes`], and what is shown of them: [`TimeSpread`].

use std::fmt;
use std::time::Duration;

use batch_core::duration::ShortDuration;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::record::TaskRecord;

/// The execution times of completed tasks, all attempts of a task together, as a histogram: its memory does not grow
/// with their number, and a time read from it is exact to 0.1 %.
#[derive(Clone, Debug)]
pub struct ExecutionTimes {
    /// In microseconds.
    histogram: Histogram<u64>,
    longest: Duration,
}

/// How execution times are spread, in seconds; `None` without a completed task.
///
/// As JSON: `{"median_execution_time", "p95_execution_time", "max_execution_time"}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TimeSpread {
    /// Half of the completed tasks took no longer.
    pub median_execution_time: Option<f64>,
    /// 95 % of the completed tasks took no longer.
    pub p95_execution_time: Option<f64>,
    /// What the completed task took that took longest.
    pub max_execution_time: Option<f64>,
}

impl Default for ExecutionTimes {
    fn default() -> Self {
        Self {
            // Up to twelve days; longer ones count as that, except for the longest.
            histogram: Histogram::new_with_bounds(1, 1 << 40, 3).expect("the bounds are valid"),
            longest: Duration::ZERO,
        }
    }
}

impl ExecutionTimes {
    /// Adds the time of a completed task.
    pub fn add(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.histogram.saturating_record(micros);
        self.longest = self.longest.max(time);
    }

    /// Adds a task. One that did not complete changes nothing.
    pub fn add_task(&mut self, record: &TaskRecord) {
        if let (batch_core::Status::Completed, Some(time)) = (record.status, record.execution_time)
        {
            self.add(time);
        }
    }

    /// How the times are spread.
    pub fn spread(&self) -> TimeSpread {
        if self.histogram.is_empty() {
            return TimeSpread::default();
        }
        let longest = self.longest.as_micros() as f64 / 1e6;
        let within = |part| {
            let micros = self.histogram.value_at_quantile(part);
            Some((micros as f64 / 1e6).min(longest))
        };
        TimeSpread {
            median_execution_time: within(0.5),
            p95_execution_time: within(0.95),
            max_execution_time: Some(longest),
        }
    }
}

impl fmt::Display for TimeSpread {
    /// `median 0.32s, 95 % within 0.41s, longest 1.20s`; nothing without a completed task.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            median_execution_time: Some(median),
            p95_execution_time: Some(p95),
            max_execution_time: Some(longest),
        } = *self
        else {
            return Ok(());
        };
        let [median, p95, longest] = [median, p95, longest].map(Short);
        write!(f, "median {median}, 95 % within {p95}, longest {longest}")
    }
}

/// A time of which a hundredth of a second may be too coarse.
struct Short(f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0.1 {
            return write!(f, "{:.1}ms", self.0 * 1e3);
        }
        let time = Duration::try_from_secs_f64(self.0).unwrap_or(Duration::MAX);
        ShortDuration(time).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn times(millis: impl IntoIterator<Item = u64>) -> ExecutionTimes {
        let mut times = ExecutionTimes::default();
        for millis in millis {
            times.add(Duration::from_millis(millis));
        }
        times
    }

    #[test]
    fn median_95_percent_and_longest_are_shown() {
        insta::assert_snapshot!(
            times(1..=1_000).spread(),
            @"median 0.50s, 95 % within 0.95s, longest 1.00s"
        );
        insta::assert_snapshot!(times([3, 90_000]).spread(), @"median 3.0ms, 95 % within 1m30s, longest 1m30s");
        assert_eq!(times([]).spread().to_string(), "");
        let json = serde_json::to_value(times([250]).spread()).unwrap();
        let expected = serde_json::json!({
            "median_execution_time": 0.25, "p95_execution_time": 0.25, "max_execution_time": 0.25,
        });
        assert_eq!(json, expected);
    }

    proptest! {
        #[test]
        fn times_agree_with_those_of_a_sorted_list(mut micros in proptest::collection::vec(0..1_u64 << 40, 1..200)) {
            let mut times = ExecutionTimes::default();
            micros.iter().for_each(|time| times.add(Duration::from_micros(*time)));
            micros.sort_unstable();
            let nth = |part: f64| {
                let rank = (part * micros.len() as f64).ceil() as usize;
                micros[rank.max(1) - 1] as f64 / 1e6
            };
            let spread = times.spread();
            let (median, p95) = (spread.median_execution_time.unwrap(), spread.p95_execution_time.unwrap());
            prop_assert!((median - nth(0.5)).abs() <= nth(0.5) / 1_000.0 + 1e-6);
            prop_assert!((p95 - nth(0.95)).abs() <= nth(0.95) / 1_000.0 + 1e-6);
            prop_assert_eq!(spread.max_execution_time, Some(nth(1.0)));
        }
    }
}
