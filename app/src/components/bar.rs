//! A bar says used (solid), asked for (hatched) and limit (its end); the text beside it says the numbers.

use std::borrow::Cow;

use leptos::prelude::*;

/// A bar with its label and numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Meter {
    /// What.
    pub label: Cow<'static, str>,
    /// The numbers with unit and limit: `5.1 of 8 cores`.
    pub text: Cow<'static, str>,
    /// Part in use, 0 to 1; `None` when nothing limits it: no bar then.
    pub used: Option<f64>,
    /// Part asked for, at least `used`.
    pub asked: Option<f64>,
}

/// The bar; amber from 90 %, red when full.
#[must_use]
pub fn meter(meter: Meter) -> impl IntoView + 'static {
    let percent = |part: f64| format!("width:{:.0}%", (part * 100.0).clamp(0.0, 100.0));
    let fullest = meter.used.unwrap_or(0.0).max(meter.asked.unwrap_or(0.0));
    let class = match fullest {
        f if f >= 1.0 => "bar bad",
        f if f >= 0.9 => "bar warn",
        _ => "bar",
    };
    view! {
        <div class="meter">
            <span>{meter.label}</span>
            <b>{meter.text}</b>
            {meter.used.map(|used| view! {
                <span class=class aria-hidden="true">
                    {meter.asked.map(|asked| view! { <i class="ask" style=percent(asked)></i> })}
                    <i style=percent(used)></i>
                </span>
            })}
        </div>
    }
}
