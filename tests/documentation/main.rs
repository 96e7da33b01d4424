//! Every example of the documentation is run, or read by the program that it is for; every name that the documentation
//! uses exists.
//!
//! [`page`] takes the Markdown pages apart, and the comments of shipped files, which are read as Markdown too. [`kind`] says
//! what each block of code is: a block of no known kind fails a test until somebody classifies it there. The other modules
//! check one kind each.
//!
//! A check that needs a program which is not installed is skipped with a line that says so, or fails when
//! `UPROAR_REQUIRE_CHECKERS=1` (see [`checker`]). Not here: whether a sentence is true.

#[path = "../support/mod.rs"]
mod support;

mod bytes;
mod checker;
mod command;
mod configuration;
mod deployed;
mod json;
mod kind;
mod names;
mod output;
mod package;
mod page;
mod proxies;
mod requests;
mod script;
mod shell;
