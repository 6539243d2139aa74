//! Giving inputs to a target: [`run`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::mutate::Mutator;
use crate::targets::Target;

/// An input for which a target panicked.
#[derive(Clone, Debug)]
pub struct Found {
    /// The target.
    pub target: &'static str,
    /// The input.
    pub input: Vec<u8>,
    /// What the panic said.
    pub panic: String,
}

/// No input may take longer.
const LIMIT: Duration = Duration::from_secs(20);

/// Gives so many inputs to a target and stops at the first one that makes it panic.
///
/// An input that takes more than 20 seconds ends the process, with the input in a file that is named.
///
/// # Errors
/// The input, and what the panic said.
pub fn run(target: &Target, inputs: u64, seed: u64) -> Result<(), Box<Found>> {
    let watched = Watch::start();
    let mut mutator = Mutator::new(&target.seeds, target.words, seed);
    let mut check = (target.make)();
    for _ in 0..inputs {
        let input = mutator.next_input();
        watched.note(Some(&input));
        let done = catch_unwind(AssertUnwindSafe(|| check(&input)));
        if let Err(panic) = done {
            watched.note(None);
            return Err(Box::new(Found {
                target: target.name,
                input,
                panic: text(&*panic),
            }));
        }
    }
    watched.note(None);
    Ok(())
}

fn text(panic: &(dyn std::any::Any + Send)) -> String {
    let owned = panic.downcast_ref::<String>().cloned();
    let borrowed = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    owned.or(borrowed).unwrap_or_default()
}

/// Sees to it that no input takes for ever.
struct Watch(Arc<Mutex<Current>>);

/// The input that a target is busy with, and since when.
type Current = Option<(Instant, Vec<u8>)>;

impl Watch {
    fn start() -> Self {
        let current = Arc::new(Mutex::new(None));
        let watched = Arc::downgrade(&current);
        std::thread::spawn(move || {
            while let Some(current) = watched.upgrade() {
                let current: &Mutex<Current> = &current;
                let now = current.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((since, input)) = &*now
                    && since.elapsed() > LIMIT
                {
                    let file = std::env::temp_dir().join("batch-fuzz-slow");
                    let _ = std::fs::write(&file, input);
                    end_with(&format!("takes more than 20 s: {}", file.display()));
                }
                drop(now);
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        Self(current)
    }

    fn note(&self, input: Option<&[u8]>) {
        let now = input.map(|input| (Instant::now(), input.to_vec()));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

fn end_with(what: &str) -> ! {
    eprintln!("{what}");
    std::process::exit(101)
}
