//! The event loop: feeds the engine with events, performs its actions, and reports what changed.
//!
//! Only this module holds an engine or uses `select!`. Everything else (children, files, signals, clients) sends messages to it.
//! The loop decides nothing: it asks the engine. A needless wake-up plans nothing, so nothing is ever cancelled.

mod clock_changes;
mod dates;
mod event_loop;
mod event_stream;
mod former_life;
mod handover;
mod host;
mod inbox;
mod interrupts;
mod log_events;
mod orphans;
mod pending_orders;
mod readers;
mod requests;
mod sentences;
mod shown_plan;
mod shutdown_notice;
mod state;
mod take_over;
mod view;

pub use clock_changes::watch_clock;
pub use event_stream::{EventSubscription, PastEvent};
pub use former_life::{RecordedLife, differing};
pub use host::{Host, Perform};
pub use inbox::{Ending, HandoverOrder, INBOX, ManualOrder, NavigatorSignal, News, ReloadOutcome, Request};
pub use orphans::{FormerProcesses, journal_entry};
pub use pending_orders::{OrderOutcome, TrackedOrder};
pub use readers::Published;
pub use requests::problem;
pub use state::{FormerNavigator, Supervisor};
pub use view::{LiveData, LoopView, RenderedSnapshot};
