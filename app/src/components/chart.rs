//! Charts over time: drawn on the server, sharp at any width, told in words and numbers beside.
//!
//! Each value is a step as wide as what it stands for; where nothing is known, nothing is drawn.

use std::fmt::Write as _;

use leptos::prelude::*;

/// Height of the drawing, in units of its own; its width is the number of values.
const HEIGHT: f64 = 100.0;
/// What the highest value takes of it.
const ROOM: f64 = 94.0;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Filled: what was really so.
    Used,
    /// A line.
    Asked,
    /// Dots.
    Limit,
    /// Dashes.
    Quota,
}

impl Line {
    fn class(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Asked => "asked",
            Self::Limit => "limit",
            Self::Quota => "quota",
        }
    }
}

/// Values over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// How it looks.
    pub line: Line,
    /// What it is.
    pub label: &'static str,
    /// A value a step; none where it is not known.
    pub values: Vec<Option<f64>>,
}

/// A chart.
pub struct Chart {
    /// What it says, in a sentence: for who does not see it.
    pub says: String,
    /// Over the drawing: the value at its top.
    pub top: String,
    /// Under it: where it begins and ends.
    pub ends: (AnyView, AnyView),
    /// All of as many values.
    pub series: Vec<Series>,
}

/// The highest value.
#[must_use]
pub fn highest(series: &[Series]) -> f64 {
    series.iter().flat_map(|series| &series.values).flatten().copied().fold(0.0, f64::max)
}

/// The steps of `values` as a path; closed to the ground where it is `filled`.
fn path(values: &[Option<f64>], highest: f64, filled: bool) -> String {
    let mut out = String::new();
    let mut open = false;
    for (at, value) in values.iter().enumerate() {
        let Some(value) = value else {
            if open && filled {
                let _ = write!(out, "V{HEIGHT}Z");
            }
            open = false;
            continue;
        };
        let y = if highest > 0.0 { HEIGHT - value / highest * ROOM } else { HEIGHT };
        let _ = match (open, filled) {
            (true, _) => write!(out, "V{y:.1}H{}", at + 1),
            (false, true) => write!(out, "M{at} {HEIGHT}V{y:.1}H{}", at + 1),
            (false, false) => write!(out, "M{at} {y:.1}H{}", at + 1),
        };
        open = true;
    }
    if open && filled {
        let _ = write!(out, "V{HEIGHT}Z");
    }
    out
}

/// The chart with its legend.
#[must_use]
pub fn chart(chart: Chart) -> AnyView {
    let highest = highest(&chart.series);
    let steps = chart.series.iter().map(|series| series.values.len()).max().unwrap_or_default();
    let shown = || chart.series.iter().filter(|series| series.values.iter().any(Option::is_some));
    let lines: Vec<_> = shown()
        .map(|series| {
            let filled = series.line == Line::Used;
            view! { <path class=series.line.class() d=path(&series.values, highest, filled)></path> }
        })
        .collect();
    let keys: Vec<_> = shown()
        .map(|series| {
            let class = format!("key {}", series.line.class());
            view! { <li><span class=class aria-hidden="true"></span>{series.label}</li> }
        })
        .collect();
    let (from, to) = chart.ends;
    view! {
        <figure class="chart">
            <div class="ends"><span>{chart.top}</span></div>
            <svg
                viewBox=format!("0 0 {} {HEIGHT}", steps.max(1))
                preserveAspectRatio="none"
                role="img"
                aria-label=chart.says
            >
                {lines}
            </svg>
            <div class="ends"><span>{from}</span><span>{to}</span></div>
            <ul class="legend">{keys}</ul>
        </figure>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_gaps_and_the_ground() {
        let values = [Some(0.0), Some(10.0), None, Some(5.0)];
        assert_eq!(path(&values, 10.0, false), "M0 100.0H1V6.0H2M3 53.0H4");
        assert_eq!(path(&values, 10.0, true), "M0 100V100.0H1V6.0H2V100ZM3 100V53.0H4V100Z");
        assert_eq!(path(&[None, None], 10.0, true), "", "what is not known is not drawn");
        assert_eq!(path(&[Some(0.0)], 0.0, false), "M0 100.0H1");
    }

    #[test]
    fn a_chart_is_told_in_words() {
        let series = |line, label, values| Series { line, label, values };
        let html = chart(Chart {
            says: "CPU: “2” of 8".to_owned(),
            top: "8".to_owned(),
            ends: ("from".into_any(), "to".into_any()),
            series: vec![
                series(Line::Used, "In use", vec![Some(2.0), None]),
                series(Line::Quota, "Quota", vec![None, None]),
            ],
        })
        .to_html();
        assert!(html.contains(r#"role="img""#) && html.contains("CPU: “2” of 8"), "{html}");
        assert!(html.contains(r#"viewBox="0 0 2 100""#), "{html}");
        assert!(html.contains("In use") && !html.contains("Quota"), "what has no values is not in the legend: {html}");
    }
}
