//! All that runs in the browser. Elements say with `data-island` what they need; without the browser part they stay what
//! the server made of them, and work.

pub mod level;
