//! Performs actions on this system and reports what happened. It decides nothing.
