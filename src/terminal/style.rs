//! How texts for people are written to a stream: with colours or without, and how wide.

use rustix::termios::{isatty, tcgetwinsize};
use std::os::fd::AsFd;

/// How a text for people is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TerminalStyle {
    /// With colour, which is for terminals alone.
    pub color: bool,
    /// As many columns are there; `None`: as many as needed.
    pub width: Option<usize>,
}

impl TerminalStyle {
    /// Without colour, however long the lines become: for files, pipes and tests.
    pub const PLAIN: TerminalStyle = TerminalStyle { color: false, width: None };

    /// A caret of less than this width helps nobody.
    const MIN_WIDTH: usize = 40;

    /// The style of a stream: on a terminal no line is wider than it, elsewhere lines are as long as they are.
    pub fn of(stream: impl AsFd) -> TerminalStyle {
        if !isatty(&stream) {
            return TerminalStyle::PLAIN;
        }
        // A terminal may not know its size, such as a serial line; it then says 0.
        let width = tcgetwinsize(&stream).ok().map(|size| usize::from(size.ws_col)).filter(|&width| width > 0);
        TerminalStyle { color: is_color_welcome(), width }
    }

    /// As many columns as there are to fill; nothing helps anybody in fewer than 40.
    pub fn columns(self) -> Option<usize> {
        self.width.map(|width| width.max(TerminalStyle::MIN_WIDTH))
    }

    pub(crate) fn width(self) -> usize {
        self.columns().unwrap_or(usize::MAX)
    }

    /// The text in a style, which is what stands between `ESC [` and `m` (ECMA-48).
    pub fn painted(self, text: &str, style: &str) -> String {
        if self.color { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Whether the user has nothing against colour: <https://no-color.org>.
pub(crate) fn is_color_welcome() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
