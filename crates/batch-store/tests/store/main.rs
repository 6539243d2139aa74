//! The store over real files: random lives of batches, deaths of executors, and the files themselves.

mod common;
mod file;
mod journal;
