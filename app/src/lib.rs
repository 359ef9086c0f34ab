//! Berth's pages (decision: `server/docs/adr/0001-pages.md`).
//!
//! Feature `ssr`: every page is `load` (asks the services, gives a model) and `view` (model to HTML, pure), listed in one
//! table of routes; `server` implements `core::ports::pages::Pages`. Feature `hydrate`: the islands, all that runs in the
//! browser.

pub mod islands;

#[cfg(feature = "ssr")]
pub mod assets;
#[cfg(feature = "ssr")]
pub mod components;
#[cfg(feature = "ssr")]
pub mod layout;
#[cfg(feature = "ssr")]
pub mod live;
#[cfg(feature = "ssr")]
pub mod pages;
#[cfg(feature = "ssr")]
pub mod paths;
#[cfg(feature = "ssr")]
pub mod request;
#[cfg(feature = "ssr")]
pub mod router;
#[cfg(feature = "ssr")]
pub mod server;
#[cfg(feature = "ssr")]
pub mod tr;
#[cfg(feature = "ssr")]
pub mod ui;

#[cfg(feature = "ssr")]
pub use {assets::Assets, server::AppPages};
