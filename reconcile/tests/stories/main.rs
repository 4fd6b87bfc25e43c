//! Stories of the core, told step by step: its laws, and what random histories found.

mod files;
mod found;
mod health;
mod laws;
mod list;
mod stage;
mod turns;
