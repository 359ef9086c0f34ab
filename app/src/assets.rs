//! Where the browser finds style and scripts.

/// URLs of the files that every page names; each carries a hash of its content, so that browsers keep them for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assets {
    /// The style sheet.
    pub css: String,
    /// The islands' module and its WASM; absent when the browser part was not built: all pages work without it.
    pub islands: Option<IslandAssets>,
}

/// The browser part, as `wasm-bindgen --target web` makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IslandAssets {
    /// The ES module.
    pub js: String,
    /// What it loads.
    pub wasm: String,
}

impl Default for Assets {
    fn default() -> Self {
        Self { css: "/assets/main.css".to_owned(), islands: None }
    }
}
