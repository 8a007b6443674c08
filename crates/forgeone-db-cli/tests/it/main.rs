//! The command line as scripts meet it: the real binary, its output and its exit codes.

mod append;
mod commands;
mod kill;
mod processes;
mod support;
mod tour;
