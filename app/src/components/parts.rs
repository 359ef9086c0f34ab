//! Buttons, cards, notes, empty states.

use std::borrow::Cow;

use leptos::prelude::*;

use super::{
    icon::{Icon, brand_mark, icon},
    status::Tone,
};

/// How a button looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Button {
    /// One of several.
    Plain,
    /// The one that most people want; one a page.
    Go,
    /// Says little.
    Quiet,
    /// Removes something.
    Danger,
}

impl Button {
    fn class(self) -> &'static str {
        match self {
            Self::Plain => "btn",
            Self::Go => "btn go",
            Self::Quiet => "btn quiet",
            Self::Danger => "btn danger",
        }
    }
}

/// A link that looks like a button.
#[must_use]
pub fn link_button(
    look: Button,
    symbol: Option<Icon>,
    label: impl Into<Cow<'static, str>>,
    href: impl Into<Cow<'static, str>>,
) -> impl IntoView + 'static {
    view! { <a class=look.class() href=href.into()>{symbol.map(icon)}{label.into()}</a> }
}

/// A button that sends its form, with `do=action` where one is given: a page's forms tell themselves apart by it.
#[must_use]
pub fn button(
    look: Button,
    symbol: Option<Icon>,
    label: impl Into<Cow<'static, str>>,
    action: Option<&'static str>,
) -> impl IntoView + 'static {
    view! {
        <button class=look.class() type="submit" name=action.map(|_| "do") value=action>
            {symbol.map(icon)}
            {label.into()}
        </button>
    }
}

/// A surface with a heading; `extra` stands at the heading's right end.
#[must_use]
pub fn card(title: impl Into<Cow<'static, str>>, extra: Option<AnyView>, body: AnyView) -> impl IntoView + 'static {
    view! {
        <section class="card">
            <header><h2>{title.into()}</h2>{extra.map(|extra| view! { <div class="do">{extra}</div> })}</header>
            {body}
        </section>
    }
}

/// What stands before the door, where nobody need be signed in: the mark, a heading, and what to do.
#[must_use]
pub fn door(title: impl Into<Cow<'static, str>>, body: AnyView) -> impl IntoView + 'static {
    view! {
        <section class="door">
            <div class="mark">{brand_mark()}</div>
            <h1>{title.into()}</h1>
            {body}
        </section>
    }
}

/// Nothing here yet: what would be, and the first step as a button.
#[must_use]
pub fn empty(
    symbol: Icon,
    title: impl Into<Cow<'static, str>>,
    text: impl Into<Cow<'static, str>>,
    step: Option<AnyView>,
) -> impl IntoView + 'static {
    view! {
        <div class="empty">
            {icon(symbol)}
            <h2>{title.into()}</h2>
            <p>{text.into()}</p>
            {step.map(|step| view! { <div class="do">{step}</div> })}
        </div>
    }
}

/// A remark.
#[must_use]
pub fn note(tone: Tone, body: AnyView) -> impl IntoView + 'static {
    let (class, symbol) = match tone {
        Tone::Ok => ("note ok", Icon::Ok),
        Tone::Warn => ("note warn", Icon::Warn),
        Tone::Bad => ("note bad", Icon::Bad),
        Tone::Info | Tone::Off => ("note", Icon::Info),
    };
    view! { <div class=class>{icon(symbol)}<div>{body}</div></div> }
}
