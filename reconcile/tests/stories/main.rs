//! Stories of the core, told step by step: its laws, and what random histories found.

mod found;
mod laws;
mod stage;
