//! Notices as lines of the log: what collects the log can pass them on to people.

use berth_core::notices::{Notice, Notices};

/// Writes each notice into the log, as target `berth::notices` and with the notice as JSON.
pub struct Logged;

impl Notices for Logged {
    fn tell(&self, notice: &Notice) {
        match serde_json::to_string(notice) {
            Ok(json) => tracing::info!(target: "berth::notices", notice = json, "told"),
            Err(e) => tracing::warn!(error = %e, ?notice, "a notice cannot be written"),
        }
    }
}
