//! Berth pages.
