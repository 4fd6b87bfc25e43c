//! Step-by-step scenarios of the core: its laws, rolling replacement, rollback, held sockets, ends of runs, watched files, health, starts, schedules, takeover, and bugs found by random histories.

mod ends;
mod files;
mod found;
mod health;
mod laws;
mod list;
mod replicas;
mod rollback;
mod rolling;
mod schedules;
mod sockets;
mod stage;
mod take_over;
mod turns;
