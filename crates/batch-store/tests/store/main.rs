//! The store over real files: random lives of batches, deaths of executors, and the files themselves.

mod common;
mod crash;
mod file;
mod journal;
mod model;
mod ops;
mod records;
