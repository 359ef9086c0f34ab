//! Structured logs: text for people at a terminal, JSON for collectors.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::LogFormat;

/// Without the Kubernetes client's own line for each request that fails, several a second while a cluster is away: what it
/// means is said once, by whoever asked. Who names the client in the filter gets them.
fn quieted(filter: &str) -> String {
    if filter.contains("kube_client") { filter.to_owned() } else { format!("{filter},kube_client::client=off") }
}

/// Starts logging to standard error. A filter that cannot be read is said and replaced by the default.
pub fn start(format: LogFormat, filter: &str) {
    let filter = EnvFilter::try_new(quieted(filter)).unwrap_or_else(|e| {
        eprintln!("berth: log filter “{filter}”: {e}; using “info”");
        EnvFilter::new(quieted("info"))
    });
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // The library already heeds NO_COLOR.
    let layer = if std::io::stderr().is_terminal() { layer } else { layer.with_ansi(false) };
    let layer = match format {
        LogFormat::Text => layer.with_target(false).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed(),
    };
    // Fails only when a logger is there already, as in tests.
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
}
