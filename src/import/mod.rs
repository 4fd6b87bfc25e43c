//! Makes a configuration of the files of another supervisor (`navigator import`). Nothing of them is run, but JavaScript by `node`,
//! and no link is followed.
//!
//! `recognize` finds their kind. A module for each kind fills a `model` of our fields, with notes on what has no equivalent.
//! `document` writes it. The result is loaded before it is returned, so it always passes `navigator check`.

mod circus;
mod compose;
mod context;
mod document;
mod files;
mod first;
mod ini;
mod interpolation;
mod kind;
mod make;
mod model;
mod pebble;
mod pm2;
mod process_compose;
mod procfile;
mod recognize;
mod report;
mod request;
mod s6;
mod supervisord;
mod systemd;
mod web_server;
mod words;

pub use first::{FirstConfiguration, first};
pub use kind::Kind;
pub use make::import;
pub use request::{ImportError, ImportRequest, Imported};
