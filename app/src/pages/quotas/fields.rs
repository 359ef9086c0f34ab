//! The part of a form that takes amounts: a field a key, and one for all other keys, a line each.

use berth_core::{Error, Result};
use berth_types::{
    FieldError,
    quota::{Written, field as place},
};
use leptos::prelude::*;

use super::words;
use crate::{
    components::{Field, Form, field},
    request::PageCx,
    tr,
    ui::Ui,
};

/// The field for other keys.
pub const MORE: &str = "more";

/// What the field of a key is called.
#[must_use]
pub fn name(key: &str) -> String {
    place("resources", key)
}

/// The amounts that were sent; empty ones are left out.
///
/// # Errors
/// `Invalid` at [`MORE`], with each line that says nothing.
pub fn sent(cx: &PageCx) -> Result<Written> {
    let mut written = Written::new();
    let mut errors = Vec::new();
    for (field, value) in cx.request.form.iter().flatten() {
        let key = field.strip_prefix("resources[").and_then(|rest| rest.strip_suffix(']'));
        if let Some(key) = key.filter(|_| !value.trim().is_empty()) {
            written.insert(key.to_owned(), value.trim().to_owned());
        }
    }
    for line in cx.field(MORE).lines().map(str::trim).filter(|line| !line.is_empty()) {
        let wrong = |code: &str, message: &str| FieldError::new(MORE, code, message).param("value", line);
        match line.split_once([':', '=']).map(|(key, amount)| (key.trim(), amount.trim())) {
            Some((key, amount)) if !key.is_empty() && !amount.is_empty() => {
                if written.insert(key.to_owned(), amount.to_owned()).is_some() {
                    errors.push(wrong("duplicate", "each key once"));
                }
            }
            _ => errors.push(wrong("quota_line", "one a line, as key: amount")),
        }
    }
    if errors.is_empty() { Ok(written) } else { Err(Error::invalid(errors)) }
}

/// What was sent and why it was refused: errors of keys without a field of their own stand at [`MORE`].
///
/// # Errors
/// As [`Form::refused`].
pub fn refused(cx: &PageCx, keys: &[String], error: Error) -> Result<Form> {
    let mut form = Form::refused(cx, &[], error)?;
    let own: Vec<String> = keys.iter().map(|key| name(key)).collect();
    for error in &mut form.errors {
        let of_key = error.field.starts_with("resources");
        if of_key && !own.contains(&error.field) && cx.request.field(MORE).is_some() {
            MORE.clone_into(&mut error.field);
            // What was meant stands for one key, not for the whole field.
            error.suggestions.clear();
        }
    }
    Ok(form)
}

/// The form as it was sent, with a suggestion taken over; `None` when none was chosen.
#[must_use]
pub fn fixed(cx: &PageCx) -> Option<Form> {
    let (at, value) = cx.request.field("fix")?.split_once('=')?;
    let mut form = Form::sent(cx, &[]);
    let found = form.values.iter_mut().find(|(field, _)| field == at)?;
    value.clone_into(&mut found.1);
    Some(form)
}

/// A field for each of `keys`, with what `hint` says of it.
#[must_use]
pub fn amounts(ui: Ui, form: &Form, keys: &[String], hint: impl Fn(&str) -> Option<String>) -> AnyView {
    let one = |key: &String| {
        let mut shown = Field::text(name(key), words::label(ui.lang, key)).mono().max(40);
        if let Some(hint) = hint(key) {
            shown = shown.hint(hint);
        }
        field(ui, form, shown)
    };
    let fields: Vec<_> = keys.iter().map(one).collect();
    view! { <div class="row">{fields}</div> }.into_any()
}

/// The field for other keys.
#[must_use]
pub fn more(ui: Ui, form: &Form) -> AnyView {
    field(ui, form, Field::area(MORE, tr::quotas::more(ui.lang), 3).hint(tr::quotas::more_hint(ui.lang)))
}

/// What a form of `keys` and [`more`] shows first.
#[must_use]
pub fn values(written: &Written, keys: &[String]) -> Vec<(String, String)> {
    let (own, others): (Vec<_>, Vec<_>) = written.iter().partition(|(key, _)| keys.contains(key));
    let lines: Vec<String> = others.into_iter().map(|(key, amount)| format!("{key}: {amount}")).collect();
    let mut values: Vec<_> = own.into_iter().map(|(key, amount)| (name(key), amount.clone())).collect();
    values.push((MORE.to_owned(), lines.join("\n")));
    values
}
