//! The control socket: what clients may do to it, and what they can't do to what is supervised.

mod api;
mod crowd;
mod early;
mod one;
mod orders;
mod property;
mod reloads;
