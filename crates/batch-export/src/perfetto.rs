//! A trace for Perfetto: [`PerfettoWriter`]. The protobuf messages are written by hand ([`Message`]).
//!
//! A track a slot, a slice an attempt, by the name of its task's [group](TaskRecord::group); an arrow from a failed attempt to its
//! retry; counters of what ran and of what had finished. Slots are found again: at any time there are as many as attempts that
//! run, and each takes the first one that is free. What is kept of an attempt until the end takes 40 bytes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::io::Write;

use batch_core::Time;
use batch_template::short_label;

use crate::error::ExportError;
use crate::ordered::Blocks;
use crate::record::{AttemptEnd, TaskRecord};
use crate::summary::Summary;
use crate::writer::ResultWriter;

/// Of more tasks, the titles are left out, and the numbers tell them.
const MOST_TITLES: usize = 20_000;

/// How many points of time have counters at most.
const MOST_POINTS: u64 = 5_000;

/// The packets are of one sequence.
const SEQUENCE: u64 = 1;

/// The tracks, by number. Slots follow.
const ROOT: u64 = 1;
const RUNNING: u64 = 2;
const FINISHED: u64 = 3;
const FAILED: u64 = 4;
const FIRST_SLOT: u64 = 16;

/// The names of annotations, by number.
const ANNOTATIONS: [(u64, &str); 4] = [(1, "task"), (2, "attempt"), (3, "outcome"), (4, "name")];

/// Writes the attempts of tasks as a trace.
pub(crate) struct PerfettoWriter<'a> {
    out: Blocks<'a>,
    attempts: Vec<Attempt>,
    /// The groups, by number.
    groups: BTreeMap<String, u32>,
    titles: HashMap<u32, String>,
}

#[derive(Clone, Copy)]
struct Attempt {
    started: Time,
    ended: Time,
    task: u32,
    number: u32,
    group: u32,
    end: AttemptEnd,
    /// A retry followed it.
    is_retried: bool,
}

impl<'a> PerfettoWriter<'a> {
    pub(crate) fn new(out: Blocks<'a>) -> Self {
        Self {
            out,
            attempts: Vec::new(),
            groups: BTreeMap::new(),
            titles: HashMap::new(),
        }
    }

    fn group(&mut self, record: &TaskRecord) -> u32 {
        let group = record.group();
        if let Some(number) = self.groups.get(&*group) {
            return *number;
        }
        let number = u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
        self.groups.insert(group.into_owned(), number);
        number
    }
}

impl ResultWriter for PerfettoWriter<'_> {
    fn task(&mut self, record: &TaskRecord) -> Result<(), ExportError> {
        let Some(last) = record.attempts.len().checked_sub(1) else {
            return Ok(());
        };
        let group = self.group(record);
        let task = record.task.get();
        if self.titles.len() < MOST_TITLES {
            self.titles
                .insert(task, short_label(&record.spec).into_owned());
        }
        let attempts = record.attempts.iter().enumerate();
        self.attempts
            .extend(attempts.map(|(index, attempt)| Attempt {
                started: attempt.started_at,
                ended: attempt.ended_at.max(attempt.started_at),
                task,
                number: attempt.attempt,
                group,
                end: attempt.end,
                is_retried: index < last,
            }));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        Ok(())
    }

    fn finish(&mut self, summary: &Summary) -> Result<(), ExportError> {
        self.attempts
            .sort_unstable_by_key(|attempt| (attempt.started, attempt.task, attempt.number));
        let slots = slots(&self.attempts);
        // Numbers of their own order, from 1, so that the same batch gives the same file.
        let mut numbers = vec![0; self.groups.len()];
        for (number, group) in (1..).zip(self.groups.values()) {
            numbers[*group as usize] = number;
        }
        let mut trace = Trace {
            out: self.out.head(),
            packet: Message::default(),
        };
        let start = self
            .attempts
            .first()
            .map_or(summary.exported_at, |attempt| attempt.started);
        trace.begin(
            summary,
            start,
            slots.iter().max().map_or(0, |last| last + 1),
            self.groups.keys(),
        )?;
        let batch = summary.batch.to_string();
        for (attempt, slot) in self.attempts.iter().zip(&slots) {
            let title = self.titles.get(&attempt.task).map(String::as_str);
            let attempt = Attempt {
                group: numbers[attempt.group as usize],
                ..*attempt
            };
            trace.attempt(&attempt, *slot, &batch, title)?;
        }
        trace.counters(&self.attempts)?;
        self.out.flush()
    }
}

/// A slot for each attempt, in the order of their starts: no two at the same time have the same one.
fn slots(attempts: &[Attempt]) -> Vec<u32> {
    let mut busy: BinaryHeap<Reverse<(Time, u32)>> = BinaryHeap::new();
    let mut free: BinaryHeap<Reverse<u32>> = BinaryHeap::new();
    let mut count = 0;
    let slot_of = |attempt: &Attempt| {
        while let Some(Reverse((end, slot))) = busy.peek().copied()
            && end <= attempt.started
        {
            busy.pop();
            free.push(Reverse(slot));
        }
        let slot = free.pop().map_or_else(
            || {
                count += 1;
                count - 1
            },
            |Reverse(slot)| slot,
        );
        busy.push(Reverse((attempt.ended, slot)));
        slot
    };
    attempts.iter().map(slot_of).collect()
}

/// The number of an arrow to an attempt.
const fn arrow_to(task: u32, attempt: u32) -> u64 {
    (task as u64) << 32 | attempt as u64
}

const fn nanos(time: Time) -> u64 {
    time.as_micros().saturating_mul(1_000)
}

/// The file.
struct Trace<'o, W> {
    out: &'o mut W,
    packet: Message,
}

impl<W: Write> Trace<'_, W> {
    /// Writes a packet; `fill` puts what it holds.
    fn packet(&mut self, fill: impl FnOnce(&mut Message)) -> Result<(), ExportError> {
        self.packet.0.clear();
        self.packet.number(10, SEQUENCE);
        fill(&mut self.packet);
        let mut head = Message::default();
        head.varint(1 << 3 | 2);
        head.varint(self.packet.0.len() as u64);
        self.out.write_all(&head.0)?;
        Ok(self.out.write_all(&self.packet.0)?)
    }

    /// Writes the clocks, the tracks and the names.
    fn begin<'g>(
        &mut self,
        summary: &Summary,
        start: Time,
        slots: u32,
        groups: impl Iterator<Item = &'g String>,
    ) -> Result<(), ExportError> {
        const BOOT_CLOCK: u64 = 6;
        const REAL_CLOCK: u64 = 1;
        self.packet(|packet| {
            packet.number(8, nanos(start));
            packet.message(6, |clocks| {
                for clock in [BOOT_CLOCK, REAL_CLOCK] {
                    clocks.message(1, |reading| {
                        reading.number(1, clock);
                        reading.number(2, nanos(start));
                    });
                }
            });
        })?;
        let batch = summary.batch.to_string();
        let name = summary
            .name
            .as_deref()
            .map_or(batch.clone(), |name| format!("{batch} {name}"));
        self.track(ROOT, &name, false)?;
        for (track, name) in [
            (RUNNING, "running"),
            (FINISHED, "finished"),
            (FAILED, "failed"),
        ] {
            self.track(track, name, true)?;
        }
        for slot in 0..slots {
            let name = format!("slot {}", slot + 1);
            self.track(FIRST_SLOT + u64::from(slot), &name, false)?;
        }
        self.packet(|packet| {
            // What went before is forgotten, and what follows needs these.
            packet.number(13, 1);
            packet.message(12, |names| {
                let interned = |names: &mut Message, field, iid, name: &str| {
                    names.message(field, |entry| {
                        entry.number(1, iid);
                        entry.text(2, name);
                    });
                };
                for (iid, name) in (1..).zip(groups) {
                    interned(names, 2, iid, name);
                }
                for (iid, name) in ANNOTATIONS {
                    interned(names, 3, iid, name);
                }
            });
        })
    }

    fn track(&mut self, track: u64, name: &str, is_counter: bool) -> Result<(), ExportError> {
        self.packet(|packet| {
            packet.message(60, |descriptor| {
                descriptor.number(1, track);
                descriptor.text(2, name);
                if track != ROOT {
                    descriptor.number(5, ROOT);
                }
                if is_counter {
                    descriptor.message(8, |_| {});
                }
            });
        })
    }

    /// Writes the slice of an attempt.
    fn attempt(
        &mut self,
        attempt: &Attempt,
        slot: u32,
        batch: &str,
        title: Option<&str>,
    ) -> Result<(), ExportError> {
        const BEGIN: u64 = 1;
        const END: u64 = 2;
        let track = FIRST_SLOT + u64::from(slot);
        self.event(attempt.started, |event| {
            event.number(9, BEGIN);
            event.number(11, track);
            event.number(10, u64::from(attempt.group));
            let task = format!("{batch}.{}", attempt.task);
            event.annotation(1, |value| value.text(6, &task));
            event.annotation(2, |value| value.number(3, u64::from(attempt.number)));
            event.annotation(3, |value| value.text(6, outcome(attempt.end)));
            if let Some(title) = title {
                event.annotation(4, |value| value.text(6, title));
            }
            if attempt.is_retried {
                event.fixed(47, arrow_to(attempt.task, attempt.number + 1));
            }
            if attempt.number > 1 {
                event.fixed(48, arrow_to(attempt.task, attempt.number));
            }
        })?;
        self.event(attempt.ended, |event| {
            event.number(9, END);
            event.number(11, track);
        })
    }

    fn event(&mut self, at: Time, fill: impl FnOnce(&mut Message)) -> Result<(), ExportError> {
        self.packet(|packet| {
            packet.number(8, nanos(at));
            packet.number(13, 2);
            packet.message(11, fill);
        })
    }

    /// Writes how many ran, had finished and had failed, at points of time.
    fn counters(&mut self, attempts: &[Attempt]) -> Result<(), ExportError> {
        let mut ends: Vec<(Time, AttemptEnd, bool)> = attempts
            .iter()
            .map(|attempt| (attempt.ended, attempt.end, attempt.is_retried))
            .collect();
        ends.sort_unstable_by_key(|(ended, ..)| *ended);
        let (Some(first), Some((last, ..))) = (attempts.first(), ends.last()) else {
            return Ok(());
        };
        let span = last.as_micros() - first.started.as_micros();
        let step = span.div_ceil(MOST_POINTS).max(1);
        let (mut starts, mut ends) = (attempts.iter().peekable(), ends.iter().peekable());
        let (mut running, mut finished, mut failed) = (0_u64, 0, 0);
        let mut told = None;
        for point in 0..=span.div_ceil(step) {
            let at = Time::from_micros(first.started.as_micros() + point * step);
            while starts.next_if(|attempt| attempt.started <= at).is_some() {
                running += 1;
            }
            while let Some((_, end, is_retried)) = ends.next_if(|(ended, ..)| *ended <= at) {
                running -= 1;
                finished += u64::from(!is_retried && *end != AttemptEnd::Interrupted);
                failed += u64::from(matches!(end, AttemptEnd::Failed(_)));
            }
            let now = [(RUNNING, running), (FINISHED, finished), (FAILED, failed)];
            for (track, value) in now {
                let is_new =
                    told.is_none_or(|told: [(u64, u64); 3]| !told.contains(&(track, value)));
                if is_new {
                    self.event(at, |event| {
                        event.number(9, 4);
                        event.number(11, track);
                        event.number(30, value);
                    })?;
                }
            }
            told = Some(now);
        }
        Ok(())
    }
}

const fn outcome(end: AttemptEnd) -> &'static str {
    match end {
        AttemptEnd::Failed(kind) => kind.name(),
        end => end.name(),
    }
}

/// A protobuf message being written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn number(&mut self, field: u64, number: u64) {
        self.varint(field << 3);
        self.varint(number);
    }

    fn fixed(&mut self, field: u64, number: u64) {
        self.varint(field << 3 | 1);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn text(&mut self, field: u64, text: &str) {
        self.varint(field << 3 | 2);
        self.varint(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A message in this one.
    fn message(&mut self, field: u64, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        self.varint(field << 3 | 2);
        self.varint(inner.0.len() as u64);
        self.0.extend_from_slice(&inner.0);
    }

    /// A value that is shown with a slice, by the number of its name.
    fn annotation(&mut self, name: u64, value: impl FnOnce(&mut Self)) {
        self.message(4, |annotation| {
            annotation.number(1, name);
            value(annotation);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn attempts_of_one_slot_never_overlap(mut spans in proptest::collection::vec((0_u64..50, 0_u64..20), 0..40)) {
            spans.sort_unstable();
            let attempts: Vec<Attempt> = spans.iter().map(|(start, length)| Attempt {
                started: Time::from_micros(*start),
                ended: Time::from_micros(start + length),
                task: 1,
                number: 1,
                group: 1,
                end: AttemptEnd::Completed,
                is_retried: false,
            }).collect();
            let slots = slots(&attempts);
            let at_once = |at: u64| spans.iter().filter(|(start, length)| *start <= at && at < start + length).count();
            let most = (0..70).map(at_once).max().unwrap_or(0);
            // One that takes no time has a slot as well.
            prop_assert!(slots.iter().all(|slot| (*slot as usize) <= most));
            for (one, first) in attempts.iter().enumerate() {
                for (other, second) in attempts.iter().enumerate().skip(one + 1) {
                    prop_assert!(slots[one] != slots[other] || first.ended <= second.started);
                }
            }
        }
    }
}
