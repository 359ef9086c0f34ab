//! Tunnels: an agent calls a portal by a WebSocket, and the portal opens streams in it that lead to the agent's cluster.
//!
//! - [`pump`]: a WebSocket as bytes both ways, with a heartbeat, so that a link that died without a word is noticed.
//! - [`mux`]: many streams in these bytes (yamux), each with a window of its own.
//! - [`words`]: what agent and portal tell each other, in the first stream.
//! - [`plan`]: whom an agent calls, and when again.
//!
//! Knows nothing of Berth, of Kubernetes, or of any WebSocket library.

pub mod mux;
pub mod plan;
pub mod pump;
pub mod words;

/// What both name as the WebSocket's subprotocol. Another number is another language.
pub const PROTOCOL: &str = "berth-agent.v1";
/// Where a portal takes calls.
pub const PATH: &str = "/agent/v1/tunnel";
/// Largest message of the WebSocket that is taken.
pub const MAX_MESSAGE: usize = 256 * 1024;
