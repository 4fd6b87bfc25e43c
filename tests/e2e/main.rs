//! The program from outside: the real binary, real processes, real servers.
//!
//! Every test holds it to what a user reads in the documentation, and none knows its code. Each starts navigator in a
//! directory of its own and ends with the check that no process is left.

mod apply;
mod changes;
mod circumstances;
mod cli;
mod clients;
mod completions;
mod control;
mod demo;
mod deploy;
mod destinations;
mod doctor;
mod ends;
mod environment;
mod faults;
mod files;
mod following;
mod forged;
#[path = "../support/golden.rs"]
mod golden;
mod hanging;
mod harness;
mod imports;
mod instances;
mod keeper;
mod killed;
mod log_files;
mod logs;
mod main_pid;
mod manual;
mod migrating;
mod output;
mod ownership;
mod pairs;
mod pauses;
mod policies;
mod ready;
mod refusals;
mod reload;
mod reports;
mod resources;
mod rollback;
mod saves;
mod schedules;
mod secrets;
mod seed;
mod session;
mod signals;
mod stack;
mod stuck;
mod survivors;
mod taken_over;
mod terminal;
mod tiers;
mod transcripts;
mod trees;
mod unkillable;
mod unready;
mod upgrade;
mod watch;
mod zero_downtime;
