//! Colour and width of text for people, by the stream it is written to.

use rustix::termios::{isatty, tcgetwinsize};
use std::os::fd::AsFd;

/// Colour and width of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TerminalStyle {
    /// With colours; only for terminals.
    pub color: bool,
    /// Columns of the terminal; `None`: unlimited.
    pub width: Option<usize>,
}

impl TerminalStyle {
    /// Without colours and limit: for files, pipes and tests.
    pub const PLAIN: TerminalStyle = TerminalStyle { color: false, width: None };

    /// Text is not wrapped to fewer columns.
    const MIN_WIDTH: usize = 40;

    /// The style for a stream: colours and a width only on a terminal.
    pub fn of(stream: impl AsFd) -> TerminalStyle {
        if !isatty(&stream) {
            return TerminalStyle::PLAIN;
        }
        // A terminal that doesn't know its size, such as a serial line, reports 0.
        let width = tcgetwinsize(&stream).ok().map(|size| usize::from(size.ws_col)).filter(|&width| width > 0);
        TerminalStyle { color: is_color_welcome(), width }
    }

    /// The columns to fill, at least 40; `None`: unlimited.
    pub fn columns(self) -> Option<usize> {
        self.width.map(|width| width.max(TerminalStyle::MIN_WIDTH))
    }

    pub(crate) fn width(self) -> usize {
        self.columns().unwrap_or(usize::MAX)
    }

    /// The text in a style: the parameters between `ESC [` and `m` (ECMA-48).
    pub fn painted(self, text: &str, style: &str) -> String {
        if self.color { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Whether colour is allowed: <https://no-color.org>.
pub(crate) fn is_color_welcome() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
