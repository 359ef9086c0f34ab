//! The pages, one file or folder an area, each with its part of the table of routes.

use crate::router::Entry;

pub mod apps;
pub mod errors;
pub mod session;

/// Every area's rows, in the order in which they are tried.
pub const AREAS: &[&[Entry]] = &[session::ROUTES, apps::ENTRIES];
