//! Form fields: label, hint, what was typed, what is wrong with it, and what was likely meant.

use std::borrow::Cow;

use berth_core::Error;
use berth_types::{ErrorCode, FieldError};
use leptos::prelude::*;

use super::icon::{Icon, icon};
use crate::{request::PageCx, tr, ui::Ui};

/// What was typed into a form, and what is wrong with it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Form {
    /// Field and value, in order.
    pub values: Vec<(String, String)>,
    /// What is wrong; `field` is the form field's name.
    pub errors: Vec<FieldError>,
    /// What is wrong with it all, in the reader's language.
    pub message: Option<String>,
    /// Why it was refused, where that is not what was typed.
    pub code: Option<ErrorCode>,
}

impl Form {
    /// A form that shows these values first.
    pub fn with<'a>(values: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        Self { values: values.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(), ..Self::default() }
    }

    /// The same, with these values in fields of which nothing was sent: of the page's other forms.
    #[must_use]
    pub fn or<'a>(mut self, values: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        for (field, value) in values {
            if self.values.iter().all(|(sent, _)| sent != field) {
                self.values.push((field.to_owned(), value));
            }
        }
        self
    }

    /// What was sent, but no password: those are typed again.
    #[must_use]
    pub fn sent(cx: &PageCx, secret: &[&str]) -> Self {
        let values = cx.request.form.iter().flatten().filter(|(k, _)| !secret.contains(&k.as_str())).cloned().collect();
        Self { values, ..Self::default() }
    }

    /// What was sent and why it was refused, for answering [`Form::status`]. Errors that no form mends (not found, no right, our
    /// own fault) come back as errors.
    ///
    /// # Errors
    /// `error` itself.
    pub fn refused(cx: &PageCx, secret: &[&str], error: Error) -> Result<Self, Error> {
        use ErrorCode::{
            AlreadyExists, ClusterRefused, ClusterUnavailable, Conflict, Invalid, QuotaExceeded, RateLimited,
            StoreUnavailable,
        };
        let mut form = Self::sent(cx, secret);
        match error.code() {
            Invalid if !error.fields().is_empty() => form.errors = error.fields().to_vec(),
            AlreadyExists | Conflict | ClusterRefused | ClusterUnavailable | Invalid | QuotaExceeded | RateLimited
            | StoreUnavailable => {
                form.errors = error.fields().to_vec();
                form.message = Some(explain(cx, &error));
                form.code = Some(error.code());
            }
            _ => return Err(error),
        }
        Ok(form)
    }

    /// The value of a field, empty when absent.
    #[must_use]
    pub fn value(&self, name: &str) -> &str {
        self.values.iter().find(|(key, _)| key == name).map(|(_, v)| v.as_str()).unwrap_or_default()
    }

    /// What is wrong with a field.
    pub fn errors_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a FieldError> {
        self.errors.iter().filter(move |e| e.field == name)
    }

    /// Errors at none of `shown`, for the summary above the form: nothing that is wrong stays unsaid.
    pub fn errors_elsewhere<'a>(&'a self, shown: &'a [&str]) -> impl Iterator<Item = &'a FieldError> {
        self.errors.iter().filter(move |e| !shown.contains(&e.field.as_str()))
    }

    /// What a page answers that shows this form: scripts tell a wrong value from a cluster that is away.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self.code {
            Some(code) => refusal(code),
            None if self.is_refused() => 422,
            None => 200,
        }
    }

    /// Whether anything is wrong.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.message.is_some() || !self.errors.is_empty()
    }
}

/// What a page answers that asks again after an error.
#[must_use]
pub fn refusal(code: ErrorCode) -> u16 {
    match code {
        ErrorCode::ClusterUnavailable | ErrorCode::StoreUnavailable | ErrorCode::RateLimited => code.status(),
        _ => 422,
    }
}

/// An error in a sentence of the reader's language, with its own words where those say more.
#[must_use]
pub fn explain(cx: &PageCx, error: &Error) -> String {
    use ErrorCode::{ClusterRefused, QuotaExceeded, RateLimited};
    let lang = cx.lang();
    let title = tr::error_title(lang, error.code());
    match (error.code(), error.wait()) {
        (RateLimited, Some(wait)) => tr::common::wait_then_retry(lang, wait.as_secs().max(1)),
        // Each field says its part.
        (QuotaExceeded, _) if !error.fields().is_empty() => title.to_owned(),
        (ClusterRefused | QuotaExceeded, _) => format!("{title}: {}", error.message()),
        (code, _) => tr::error_advice(lang, code, true).map_or_else(|| title.to_owned(), |a| format!("{title}. {a}")),
    }
}

/// What kind of control a field is.
#[derive(Debug, Clone, PartialEq)]
enum Control {
    Text(&'static str),
    Area(u16),
    Select(Vec<(String, String)>),
    Check,
}

/// A field to be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    name: Cow<'static, str>,
    label: Cow<'static, str>,
    hint: Option<Cow<'static, str>>,
    control: Control,
    required: bool,
    mono: bool,
    focus: bool,
    placeholder: Cow<'static, str>,
    autocomplete: &'static str,
    max: Option<usize>,
    check: Option<&'static str>,
    list: Vec<String>,
}

impl Field {
    fn new(name: impl Into<Cow<'static, str>>, label: impl Into<Cow<'static, str>>, control: Control) -> Self {
        Self {
            name: name.into(),
            label: label.into(),
            hint: None,
            control,
            required: false,
            mono: false,
            focus: false,
            placeholder: Cow::Borrowed(""),
            autocomplete: "off",
            max: None,
            check: None,
            list: Vec::new(),
        }
    }

    /// One line of text.
    pub fn text(name: impl Into<Cow<'static, str>>, label: impl Into<Cow<'static, str>>) -> Self {
        Self::new(name, label, Control::Text("text"))
    }

    /// A whole number.
    pub fn number(name: impl Into<Cow<'static, str>>, label: impl Into<Cow<'static, str>>) -> Self {
        Self::new(name, label, Control::Text("number"))
    }

    /// A day and a time, without a zone: `2026-11-21T14:00`.
    pub fn moment(name: impl Into<Cow<'static, str>>, label: impl Into<Cow<'static, str>>) -> Self {
        Self::new(name, label, Control::Text("datetime-local"))
    }

    /// A password; `autocomplete`: `current-password` or `new-password`.
    pub fn password(
        name: impl Into<Cow<'static, str>>,
        label: impl Into<Cow<'static, str>>,
        autocomplete: &'static str,
    ) -> Self {
        Self { autocomplete, ..Self::new(name, label, Control::Text("password")) }
    }

    /// Several lines.
    pub fn area(name: impl Into<Cow<'static, str>>, label: impl Into<Cow<'static, str>>, rows: u16) -> Self {
        Self { mono: true, ..Self::new(name, label, Control::Area(rows)) }
    }

    /// One of these (value, label).
    pub fn select(
        name: impl Into<Cow<'static, str>>,
        label: impl Into<Cow<'static, str>>,
        options: Vec<(String, String)>,
    ) -> Self {
        Self::new(name, label, Control::Select(options))
    }

    /// Yes (`on`) or no (absent).
    pub fn check(name: impl Into<Cow<'static, str>>, label: impl Into<Cow<'static, str>>) -> Self {
        Self::new(name, label, Control::Check)
    }

    /// What is allowed.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Must not be empty.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// In fixed-width letters.
    #[must_use]
    pub fn mono(mut self) -> Self {
        self.mono = true;
        self
    }

    /// Has the focus when the page opens (unless something else is wrong).
    #[must_use]
    pub fn focus(mut self) -> Self {
        self.focus = true;
        self
    }

    /// An example, in grey.
    #[must_use]
    pub fn placeholder(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.placeholder = text.into();
        self
    }

    /// What the browser may fill in.
    #[must_use]
    pub fn autocomplete(mut self, what: &'static str) -> Self {
        self.autocomplete = what;
        self
    }

    /// Most characters.
    #[must_use]
    pub fn max(mut self, characters: usize) -> Self {
        self.max = Some(characters);
        self
    }

    /// Checked as one types: `app`, `tenant`, `namespace`, `user`, `image`, `quantity` (see `islands::form_check`).
    #[must_use]
    pub fn checked_as(mut self, kind: &'static str) -> Self {
        self.check = Some(kind);
        self
    }

    /// Values to choose from while typing freely.
    #[must_use]
    pub fn choices(mut self, list: Vec<String>) -> Self {
        self.list = list;
        self
    }
}

/// The id of a field's control.
#[must_use]
pub fn field_id(name: &str) -> String {
    let safe: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("f-{safe}")
}

/// A field with what `form` holds for it.
#[must_use]
pub fn field(ui: Ui, form: &Form, field: Field) -> AnyView {
    let id = field_id(&field.name);
    let value = form.value(&field.name).to_owned();
    let errors: Vec<FieldError> = form.errors_of(&field.name).cloned().collect();
    let invalid = (!errors.is_empty()).then_some("true");
    let first_wrong = form.errors.first().is_some_and(|e| e.field == field.name);
    let autofocus = first_wrong || (field.focus && form.errors.is_empty());
    let described = {
        let mut ids = Vec::new();
        if field.hint.is_some() {
            ids.push(format!("{id}-hint"));
        }
        ids.push(format!("{id}-err"));
        ids.join(" ")
    };
    let class = if field.mono { "mono" } else { "" };
    let texts = field.check.map(|kind| check_texts(ui, kind));
    let name = field.name.clone().into_owned();
    let hint = field.hint.map(|hint| view! { <p class="hint" id=format!("{id}-hint")>{hint}</p> });
    let errors = view! { <div class="errs" id=format!("{id}-err")>{error_lines(ui, errors)}</div> };
    if field.control == Control::Check {
        let is_on = value == "on";
        return view! {
            <div class="field check">
                <label>
                    <input id=id type="checkbox" name=name checked=is_on aria-describedby=described />
                    {field.label}
                </label>
                {hint}
                {errors}
            </div>
        }
        .into_any();
    }
    let list_id = (!field.list.is_empty()).then(|| format!("{id}-list"));
    let control = match field.control {
        Control::Area(rows) => view! {
            <textarea
                id=id.clone()
                name=name
                rows=rows.to_string()
                class=class
                required=field.required
                autofocus=autofocus
                placeholder=field.placeholder.into_owned()
                spellcheck="false"
                aria-invalid=invalid
                aria-describedby=described
                data-check=field.check
                // Leptos writes the children of a textarea as they are, markup and all: so the text is escaped here. A line end
                // right after the tag belongs to HTML; one more keeps a leading empty line of the value.
                inner_html=format!("\n{}", html_escape::encode_text(&value))
            ></textarea>
        }
        .into_any(),
        Control::Select(options) => {
            let options: Vec<_> = options
                .into_iter()
                .map(|(key, label)| {
                    let selected = key == value;
                    view! { <option value=key selected=selected>{label}</option> }
                })
                .collect();
            view! {
                <select id=id.clone() name=name autofocus=autofocus aria-invalid=invalid aria-describedby=described>
                    {options}
                </select>
            }
            .into_any()
        }
        Control::Text(kind) => view! {
            <input
                id=id.clone()
                type=kind
                name=name
                value=value
                class=class
                required=field.required
                autofocus=autofocus
                autocomplete=field.autocomplete
                autocapitalize="none"
                spellcheck="false"
                maxlength=field.max.map(|m| m.to_string())
                placeholder=field.placeholder.into_owned()
                list=list_id.clone()
                aria-invalid=invalid
                aria-describedby=described
                data-check=field.check
                data-texts=texts
            />
        }
        .into_any(),
        Control::Check => ().into_any(),
    };
    let list = list_id.map(|list_id| {
        let options: Vec<_> = field.list.into_iter().map(|v| view! { <option value=v></option> }).collect();
        view! { <datalist id=list_id>{options}</datalist> }
    });
    view! {
        <div class="field">
            <label for=id>{field.label}</label>
            {control}
            {list}
            {errors}
            {hint}
        </div>
    }
    .into_any()
}

/// What the browser part says about a field that it checks, in the reader's language: code and text, as JSON.
fn check_texts(ui: Ui, kind: &str) -> String {
    let codes: &[&str] = match kind {
        "image" => &["image_empty", "image_space", "image_scheme", "image_repository", "image_tag", "image_digest"],
        "quantity" => &["quantity_empty", "quantity_number", "quantity_unit", "quantity_range"],
        _ => &["name_empty", "name_too_long", "name_character", "name_edge", "name_reserved"],
    };
    let texts = codes.iter().filter_map(|code| Some((*code, tr::template(ui.lang, "fields", code)?.into())));
    serde_json::Value::Object(texts.map(|(code, text): (_, serde_json::Value)| (code.to_owned(), text)).collect())
        .to_string()
}

/// Errors with what was likely meant. A suggestion is a button that sends `fix={field}={value}`, so that pages whose fields
/// have suggestions can take them without scripts; the browser part fills the value in instead of sending.
pub fn error_lines(ui: Ui, errors: Vec<FieldError>) -> Vec<AnyView> {
    errors
        .into_iter()
        .map(|e| {
            let text = tr::field_error(ui.lang, &e);
            let field = e.field;
            let meant: Vec<_> = e
                .suggestions
                .into_iter()
                .map(|s| {
                    let (fix, fill) = (format!("{field}={s}"), s.clone());
                    view! {
                        " "
                        <button type="submit" class="meant" name="fix" value=fix formnovalidate data-fill=fill>
                            {s}
                        </button>
                    }
                })
                .collect();
            view! {
                <p class="err">
                    {icon(Icon::Warn)}
                    <span>
                        {text}
                        {(!meant.is_empty()).then(|| view! { <span class="means">" "{tr::common::did_you_mean(ui.lang)}{meant}</span> })}
                    </span>
                </p>
            }
            .into_any()
        })
        .collect()
}

/// What is wrong with the form as a whole, and at fields that it does not show.
#[must_use]
pub fn summary(ui: Ui, form: &Form, shown: &[&str]) -> impl IntoView + use<> {
    let mut lines: Vec<String> = form.message.iter().cloned().collect();
    lines.extend(form.errors_elsewhere(shown).map(|e| format!("{}: {}", e.field, tr::field_error(ui.lang, e))));
    let wrong = form.errors.len();
    if lines.is_empty() && wrong > 1 {
        lines.push(tr::common::fields_wrong(ui.lang, wrong));
    }
    (!lines.is_empty()).then(|| {
        let lines: Vec<_> = lines.into_iter().map(|l| view! { <p>{l}</p> }).collect();
        view! { <div class="note bad" role="alert">{icon(Icon::Bad)}<div>{lines}</div></div> }
    })
}

/// A value that the form carries without showing it.
#[must_use]
pub fn hidden(name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> impl IntoView + 'static {
    view! { <input type="hidden" name=name.into() value=value.into() /> }
}
