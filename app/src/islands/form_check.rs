//! Fields say what is wrong as one types, by the same rules as the server (`berth_types`). The server checks again.

use berth_types::{
    AppName, FieldError, NameError, NamespaceName, Quantity, QuantityError, TenantName, UserName, image::ImageRef,
    names::hyphenated,
};
use wasm_bindgen::JsCast;
use web_sys::Element;

use super::dom;

pub fn start() {
    let Some(document) = dom::document() else { return };
    // Leaving a field is when one is done with it; until then only what was wrong already is checked again.
    dom::on(&document, "focusout", |event| {
        if let Some(input) = event.target().and_then(|t| t.dyn_into::<Element>().ok())
            && input.has_attribute("data-check")
        {
            check(&input);
        }
    });
    dom::on(&document, "input", |event| {
        if let Some(input) = event.target().and_then(|t| t.dyn_into::<Element>().ok())
            && input.has_attribute("data-check")
            && input.has_attribute("aria-invalid")
        {
            check(&input);
        }
    });
}

fn name<T: std::str::FromStr<Err = NameError>>(text: &str, max: usize) -> Option<FieldError> {
    let error = text.parse::<T>().err()?;
    let mut told = FieldError::new("", error.code(), error.to_string()).param("max", max);
    let likely = suggestion(text, max);
    if likely != text && likely.parse::<T>().is_ok() {
        told = told.suggest(likely);
    }
    Some(told)
}

/// The name that was likely meant: `My App` is `my-app`.
fn suggestion(text: &str, max: usize) -> String {
    let out = hyphenated(text.chars().map(|c| c.to_ascii_lowercase()));
    let out: String = out.trim_start_matches(|c: char| !c.is_ascii_lowercase()).chars().take(max).collect();
    out.trim_end_matches('-').to_owned()
}

fn wrong(kind: &str, text: &str) -> Option<FieldError> {
    match kind {
        "app" => name::<AppName>(text, AppName::MAX),
        "tenant" => name::<TenantName>(text, TenantName::MAX),
        "namespace" => name::<NamespaceName>(text, NamespaceName::MAX),
        "user" => name::<UserName>(text, UserName::MAX),
        "image" => {
            let error = ImageRef::parse(text).err()?;
            let told = FieldError::new("", error.code(), error.to_string()).param("value", text);
            match text.split_once("://") {
                Some((_, rest)) if ImageRef::parse(rest).is_ok() => Some(told.suggest(rest)),
                _ => Some(told),
            }
        }
        "quantity" => {
            let error = text.parse::<Quantity>().err()?;
            let mut told = FieldError::new("", error.code(), error.to_string()).param("value", text);
            if let QuantityError::Unit { unit, suggestions } = error {
                told = told.param("unit", unit);
                told.suggestions = suggestions;
            }
            Some(told)
        }
        _ => None,
    }
}

fn check(input: &Element) -> Option<()> {
    let kind = input.get_attribute("data-check")?;
    let text = dom::text(input, "value")?;
    let text = text.trim();
    let place = dom::document()?.get_element_by_id(&format!("{}-err", input.id()))?;
    // An empty field is not wrong before it is sent.
    let error = if text.is_empty() { None } else { wrong(&kind, text) };
    place.set_text_content(None);
    let Some(error) = error else {
        let _ = input.remove_attribute("aria-invalid");
        return Some(());
    };
    let _ = input.set_attribute("aria-invalid", "true");
    let texts = dom::parse(&input.get_attribute("data-texts").unwrap_or_default());
    let mut message = dom::text(&texts, &error.code).unwrap_or(error.message);
    for (key, value) in &error.params {
        message = message.replace(&format!("{{{key}}}"), value);
    }
    let line = dom::make("p", "err", "")?;
    let body = dom::make("span", "", &message)?;
    if !error.suggestions.is_empty() {
        let lead = dom::make("span", "", &format!(" {} ", dom::t("meant")))?;
        body.append_child(&lead).ok()?;
    }
    for suggestion in error.suggestions {
        let button = dom::make("button", "meant", &suggestion)?;
        let _ = button.set_attribute("type", "button");
        let _ = button.set_attribute("data-fill", &suggestion);
        body.append_child(&button).ok()?;
    }
    line.append_child(&body).ok()?;
    place.append_child(&line).ok()?;
    Some(())
}
