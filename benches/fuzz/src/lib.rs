//! Mutated inputs for everything that reads data from outside: [`targets`], [`run`].
//!
//! A [`Target`] is a function of bytes that must not panic, whatever they are, with seeds and words that its inputs are
//! made of by [`Mutator`]. The same seed gives the same inputs, on stable Rust and without a sanitizer:
//!
//! ```sh
//! cargo run --release -p batch-fuzz -- all --inputs 1000000 --seed 1
//! cargo run --release -p batch-fuzz -- json --input FILE      # one input again
//! ```

#![forbid(unsafe_code)]

mod mutate;
mod run;
mod targets;

pub use mutate::Mutator;
pub use run::{Found, run};
pub use targets::{Target, targets};
