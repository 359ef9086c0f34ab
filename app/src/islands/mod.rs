//! All that runs in the browser. Elements say with `data-island` what they need; without the browser part they stay what
//! the server made of them, and work.
//!
//! Nothing here makes HTML out of data: text goes in as text, markup comes from the server. Texts come from the server
//! too, as `data-texts` of `<body>`.

pub mod level;
pub mod line;

#[cfg(feature = "hydrate")]
mod dom;
#[cfg(feature = "hydrate")]
mod form_check;
#[cfg(feature = "hydrate")]
mod headroom;
#[cfg(feature = "hydrate")]
mod live;
#[cfg(feature = "hydrate")]
mod log_view;
#[cfg(feature = "hydrate")]
mod morph;
#[cfg(feature = "hydrate")]
mod palette;
#[cfg(feature = "hydrate")]
mod passkey;
#[cfg(feature = "hydrate")]
mod screen;
#[cfg(feature = "hydrate")]
mod small;
#[cfg(feature = "hydrate")]
mod terminal;

/// Runs once, when the module is loaded.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen(start)]
pub fn start() {
    small::start();
    form_check::start();
    headroom::start();
    passkey::start();
    palette::start();
    live::start();
    for element in dom::all("[data-island='log']") {
        log_view::attach(&element);
    }
    for element in dom::all("[data-island='terminal']") {
        terminal::attach(&element);
    }
}
