//! Parts of pages, rendered on the server: plain functions from values to HTML.

pub mod bar;
pub mod chart;
pub mod form;
pub mod icon;
pub mod lines;
pub mod list;
pub mod parts;
pub mod qr;
pub mod status;
pub mod table;
pub mod time;

pub use bar::{Meter, meter};
pub use form::{Field, Form, field, hidden};
pub use icon::{Icon, icon};
pub use lines::{Diff, code, diff, log_line, timeline};
pub use list::{List, ListUrl};
pub use parts::{Button, button, card, door, empty, link_button, note};
pub use qr::qr;
pub use status::{Tone, app_status, pod_status, status, tag, tone_tag};
pub use table::{Column, fill, table};
pub use time::{ago, clock, exactly, on};
