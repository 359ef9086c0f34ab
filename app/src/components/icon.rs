//! The icon set: 16 × 16, one stroke, the text's colour. Always beside a word or in a labelled control, so hidden from
//! screen readers.

use leptos::prelude::*;

macro_rules! icons {
    ($($(#[$doc:meta])* $name:ident = $path:literal),+ $(,)?) => {
        /// A picture.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Icon { $($(#[$doc])* $name),+ }

        impl Icon {
            fn path(self) -> &'static str {
                match self { $(Self::$name => $path),+ }
            }
        }
    };
}

icons! {
    /// Four squares: apps.
    Apps = r#"<rect x="2.5" y="2.5" width="4.5" height="4.5" rx="1"/><rect x="9" y="2.5" width="4.5" height="4.5" rx="1"/><rect x="2.5" y="9" width="4.5" height="4.5" rx="1"/><rect x="9" y="9" width="4.5" height="4.5" rx="1"/>"#,
    /// A box: a namespace, a release.
    Box = r#"<path d="M8 1.8 14 5v6L8 14.2 2 11V5z"/><path d="M2 5l6 3.2L14 5M8 8.2v6"/>"#,
    /// Sheets on each other: pods.
    Pods = r#"<path d="M8 2 14 5 8 8 2 5z"/><path d="m2 8 6 3 6-3M2 11l6 3 6-3"/>"#,
    /// A gauge: overview, quota.
    Gauge = r#"<path d="M2.2 11.5a6 6 0 1 1 11.6 0M8 9.5l3-3.4"/>"#,
    /// Bars that rise: use over time.
    Chart = r#"<path d="M2.5 13.5h11M4.5 13.5v-3M8 13.5V7M11.5 13.5V3.5"/>"#,
    /// Lines: logs.
    Lines = r#"<path d="M3 3.5h10M3 6.5h7M3 9.5h10M3 12.5h5"/>"#,
    /// An envelope: mail.
    Envelope = r#"<rect x="2" y="3.5" width="12" height="9" rx="1.2"/><path d="m2.5 4.8 5.5 4 5.5-4"/>"#,
    /// An arrow that leads out: webhooks.
    Out = r#"<path d="M9.5 2.5h4v4M13.5 2.5 8 8M12 9.5V13H3V4h3.5"/>"#,
    /// Two people.
    People = r#"<circle cx="6" cy="5.2" r="2.4"/><path d="M1.8 13.2c.4-2.5 2-3.9 4.2-3.9s3.8 1.4 4.2 3.9M10.6 3.2a2.3 2.3 0 0 1 0 4.2M12 9.6c1.3.6 2 1.8 2.3 3.6"/>"#,
    /// One person.
    Person = r#"<circle cx="8" cy="5" r="2.6"/><path d="M2.8 13.5c.5-2.8 2.5-4.3 5.2-4.3s4.7 1.5 5.2 4.3"/>"#,
    /// A cog.
    Settings = r#"<circle cx="8" cy="8" r="2.2"/><path d="M8 1.8v2M8 12.2v2M1.8 8h2M12.2 8h2M3.6 3.6 5 5M11 11l1.4 1.4M12.4 3.6 11 5M5 11l-1.4 1.4"/>"#,
    /// Things that hang together: network, an event.
    Network = r#"<circle cx="8" cy="3.4" r="1.7"/><circle cx="3.4" cy="12.4" r="1.7"/><circle cx="12.6" cy="12.4" r="1.7"/><path d="M7.2 5 4.2 10.8M8.8 5l3 5.8M5.2 12.4h5.6"/>"#,
    /// A building: a tenant.
    Tenant = r#"<path d="M3 14V3.5L9 2v12M9 6h4v8M1.8 14h12.4M5.5 5.5h.1M5.5 8h.1M5.5 10.5h.1M11 8.5h.1M11 11h.1"/>"#,
    /// A key: tokens.
    Key = r#"<circle cx="5.2" cy="10.8" r="3"/><path d="M7.4 8.6 13.5 2.5M11 5l2 2M9.2 6.8l1.2 1.2"/>"#,
    /// A screen: sessions.
    Screen = r#"<rect x="2" y="3" width="12" height="8" rx="1.2"/><path d="M6 13.5h4M8 11v2.5"/>"#,
    /// A page with lines: audit.
    Journal = r#"<path d="M4 1.8h6l3 3V14H4z"/><path d="M6.2 7h4.6M6.2 9.5h4.6M6.2 12h3"/>"#,
    /// A magnifying glass.
    Search = r#"<circle cx="7" cy="7" r="4.5"/><path d="m10.4 10.4 3.4 3.4"/>"#,
    /// A moon: dark.
    Moon = r#"<path d="M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7z"/>"#,
    /// A sun: light.
    Sun = r#"<circle cx="8" cy="8" r="3"/><path d="M8 1.5v1.3M8 13.2v1.3M1.5 8h1.3M13.2 8h1.3M3.4 3.4l.9.9M11.7 11.7l.9.9M12.6 3.4l-.9.9M4.3 11.7l-.9.9"/>"#,
    /// A half-filled circle: as the system.
    Contrast = r#"<circle cx="8" cy="8" r="6"/><path d="M8 2v12M8 4.5 11.8 6M8 8l5.8.2M8 11.5l4-1"/>"#,
    /// Down: a menu.
    Down = r#"<path d="m4.5 6.5 3.5 3.5 3.5-3.5"/>"#,
    /// Left: the page before.
    Left = r#"<path d="M10 3.5 5.5 8l4.5 4.5"/>"#,
    /// Right: the next page.
    Right = r#"<path d="M6 3.5 10.5 8 6 12.5"/>"#,
    /// Up.
    Up = r#"<path d="m4.5 9.5 3.5-3.5 3.5 3.5"/>"#,
    /// A new one.
    Plus = r#"<path d="M8 3v10M3 8h10"/>"#,
    /// Away with it.
    Close = r#"<path d="m4 4 8 8M12 4l-8 8"/>"#,
    /// Three points: more.
    More = r#"<path d="M3.5 8h.1M8 8h.1M12.5 8h.1"/>"#,
    /// A tick in a circle: well.
    Ok = r#"<circle cx="8" cy="8" r="6"/><path d="m5.5 8.2 1.8 1.8 3.2-3.6"/>"#,
    /// A mark in a circle: attention.
    Warn = r#"<circle cx="8" cy="8" r="6"/><path d="M8 5v3.6M8 10.9v.1"/>"#,
    /// A mark in a triangle: broken.
    Bad = r#"<path d="M8 2 14.5 13.5h-13z"/><path d="M8 6.5v3.2M8 11.6v.1"/>"#,
    /// An i in a circle.
    Info = r#"<circle cx="8" cy="8" r="6"/><path d="M8 7.4V11M8 5v.1"/>"#,
    /// An arrow in a circle: on its way.
    Busy = r#"<path d="M14 8a6 6 0 1 1-2-4.5M14 2v3h-3"/>"#,
    /// A dash in a circle: at rest.
    Off = r#"<circle cx="8" cy="8" r="6"/><path d="M5.5 8h5"/>"#,
    /// Back to what was.
    Undo = r#"<path d="M3 6.5h6.5a3.5 3.5 0 0 1 0 7H6M3 6.5l3-3M3 6.5l3 3"/>"#,
    /// An arrow out of a box: opens elsewhere.
    Open = r#"<path d="M6.5 3H3v10h10V9.5M9 3h4v4M13 3 7.5 8.5"/>"#,
    /// A prompt: terminal.
    Terminal = r#"<rect x="2" y="3" width="12" height="10" rx="1.5"/><path d="m4.8 6.4 1.9 1.7-1.9 1.7M8.6 10h2.6"/>"#,
    /// Two sheets: copy.
    Copy = r#"<rect x="5.5" y="5.5" width="8" height="8" rx="1.2"/><path d="M10.5 5.5v-3h-8v8h3"/>"#,
    /// A bin.
    Bin = r#"<path d="M3 4.5h10M6.5 4.5v-2h3v2M4.2 4.5l.6 9h6.4l.6-9M6.8 7v4M9.2 7v4"/>"#,
    /// A pencil.
    Edit = r#"<path d="M3 13l.6-2.8L11 2.8l2.2 2.2-7.4 7.4z"/><path d="m9.6 4.2 2.2 2.2"/>"#,
    /// Two bars: pause.
    Pause = r#"<path d="M5.5 3.5v9M10.5 3.5v9"/>"#,
    /// A triangle: go on.
    Play = r#"<path d="M5 3v10l8-5z"/>"#,
    /// Into a tray: download.
    Download = r#"<path d="M8 2.5v7.5M4.8 7 8 10.2 11.2 7M3 13.5h10"/>"#,
    /// An arrow out of a door: sign out.
    Leave = r#"<path d="M9.5 2.5H3v11h6.5M7 8h7M11.2 5.2 14 8l-2.8 2.8"/>"#,
    /// A clock.
    Clock = r#"<circle cx="8" cy="8" r="6"/><path d="M8 4.6V8l2.4 1.6"/>"#,
    /// A padlock.
    Lock = r#"<rect x="3.2" y="7" width="9.6" height="6.8" rx="1.2"/><path d="M5.2 7V5a2.8 2.8 0 0 1 5.6 0v2"/>"#,
    /// Two arrows apart: scale.
    Scale = r#"<path d="M9.5 2.5h4v4M13.5 2.5 9 7M6.5 13.5h-4v-4M2.5 13.5 7 9"/>"#,
}

/// The picture, 16 pixels wide.
#[must_use]
pub fn icon(icon: Icon) -> impl IntoView + 'static {
    view! { <svg class="i" viewBox="0 0 16 16" aria-hidden="true" inner_html=icon.path()></svg> }
}

/// The project's mark.
#[must_use]
pub fn brand_mark() -> impl IntoView + 'static {
    view! {
        <svg
            viewBox="0 0 24 24"
            fill="none"
            stroke="currentColor"
            stroke-width="2"
            stroke-linecap="round"
            stroke-linejoin="round"
            aria-hidden="true"
        >
            <path d="M3 9h18M6 9v6a6 6 0 0 0 12 0V9M12 9V3M12 3h5"></path>
        </svg>
    }
}
