//! Status is a shape, a word and a colour; never colour alone.

use std::borrow::Cow;

use berth_core::ports::pages::Language;
use berth_types::{AppPhase, rows::PodPhase};
use leptos::prelude::*;

use crate::tr;

/// How good or bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As wanted.
    Ok,
    /// Needs an eye on it.
    Warn,
    /// Broken.
    Bad,
    /// On its way.
    Info,
    /// At rest, on purpose.
    Off,
}

impl Tone {
    /// CSS class.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Info => "info",
            Self::Off => "off",
        }
    }
}

/// A status with a word. Its shape is drawn by the style sheet (`.st`): a list has a hundred of them.
#[must_use]
pub fn status(tone: Tone, word: impl Into<Cow<'static, str>>) -> impl IntoView + 'static {
    let class = match tone {
        Tone::Ok => "st ok",
        Tone::Warn => "st warn",
        Tone::Bad => "st bad",
        Tone::Info => "st info",
        Tone::Off => "st off",
    };
    view! { <span class=class>{word.into()}</span> }
}

/// How an app is.
#[must_use]
pub fn app_status(lang: Language, phase: AppPhase) -> impl IntoView + 'static {
    let (tone, word) = app_phase(lang, phase);
    status(tone, word)
}

/// Tone and word of an app's phase.
#[must_use]
pub fn app_phase(lang: Language, phase: AppPhase) -> (Tone, &'static str) {
    match phase {
        AppPhase::Degraded => (Tone::Bad, tr::common::degraded(lang)),
        AppPhase::Progressing => (Tone::Info, tr::common::progressing(lang)),
        AppPhase::Ready => (Tone::Ok, tr::common::ready(lang)),
        AppPhase::Suspended => (Tone::Off, tr::common::suspended(lang)),
    }
}

/// How a pod is.
#[must_use]
pub fn pod_status(lang: Language, phase: PodPhase) -> impl IntoView + 'static {
    let (tone, word) = pod_phase(lang, phase);
    status(tone, word)
}

/// Tone and word of a pod's phase.
#[must_use]
pub fn pod_phase(lang: Language, phase: PodPhase) -> (Tone, &'static str) {
    match phase {
        PodPhase::Failing => (Tone::Bad, tr::common::pod_failing(lang)),
        PodPhase::Waiting => (Tone::Warn, tr::common::pod_waiting(lang)),
        PodPhase::Starting => (Tone::Info, tr::common::pod_starting(lang)),
        PodPhase::NotReady => (Tone::Warn, tr::common::pod_not_ready(lang)),
        PodPhase::Running => (Tone::Ok, tr::common::pod_running(lang)),
        PodPhase::Stopping => (Tone::Info, tr::common::pod_stopping(lang)),
        PodPhase::Done => (Tone::Off, tr::common::pod_done(lang)),
    }
}

/// A small label.
#[must_use]
pub fn tag(text: impl Into<Cow<'static, str>>) -> impl IntoView + 'static {
    view! { <span class="tag">{text.into()}</span> }
}

/// A small label with a tone; its text must say what the colour says.
#[must_use]
pub fn tone_tag(tone: Tone, text: impl Into<Cow<'static, str>>) -> impl IntoView + 'static {
    view! { <span class=format!("tag {}", tone.class())>{text.into()}</span> }
}
