//! The actions over real batch files, with executors in this process whose handlers do what a test says.

mod asking;
mod common;
mod disk_space;
mod keys;
mod leases;
