//! What a batch task can do: commands, shell, code, custom functions, HTTP and simulation.
