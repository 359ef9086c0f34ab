//! Small helps: relative times move on, times of day are in the reader's zone, menus close, suggestions fill in, secrets
//! are copied, removals ask first.

use js_sys::Date;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Element, Event, HtmlElement, HtmlInputElement, KeyboardEvent, Node, SubmitEvent};

use super::dom;

pub fn start() {
    let Some(document) = dom::document() else { return };
    for button in dom::all("[data-island='copy']") {
        let _ = button.remove_attribute("hidden");
    }
    for current in dom::all(".tabs [aria-current], .seg [aria-current]") {
        // On a narrow screen it may stand beyond the edge of what scrolls sideways.
        if let (Some(row), Ok(current)) = (current.parent_element(), current.dyn_into::<HtmlElement>()) {
            row.set_scroll_left(current.offset_left() - row.client_width() / 3);
        }
    }
    if let Some(bar) = dom::all("[data-seconds-left]").into_iter().next() {
        // The look as somebody else is over then: the same page, as oneself.
        let left = bar.get_attribute("data-seconds-left").and_then(|text| text.parse::<i32>().ok()).unwrap_or(0);
        dom::after(left.saturating_add(1).saturating_mul(1_000), || dom::go(&dom::here()));
    }
    times();
    dom::every(10_000, times);
    dom::on(&document, "click", |event| {
        clicked(&event);
    });
    dom::on(&document, "keydown", |event| {
        if event.dyn_ref::<KeyboardEvent>().is_some_and(|e| e.key() == "Escape") {
            close_menus(None);
        }
    });
    dom::on(&document, "submit", |event| {
        let submitter = event.dyn_ref::<SubmitEvent>().and_then(SubmitEvent::submitter);
        let question = submitter.and_then(|s| s.get_attribute("data-confirm"));
        if let Some(question) = question
            && !dom::window().is_some_and(|w| w.confirm_with_message(&question).unwrap_or(false))
        {
            event.prevent_default();
        }
    });
}

fn clicked(event: &Event) -> Option<()> {
    let target = event.target()?.dyn_into::<Element>().ok()?;
    close_menus(Some(&target));
    if let Ok(Some(button)) = target.closest("[data-fill]") {
        // Without scripts the button sends the form to have it filled in.
        event.prevent_default();
        let field = button.closest(".field").ok()??;
        let input = dom::first(&field, "input, textarea")?;
        let value = JsValue::from_str(&button.get_attribute("data-fill")?);
        let _ = js_sys::Reflect::set(&input, &JsValue::from_str("value"), &value);
        input.dyn_ref::<HtmlElement>()?.focus().ok()?;
        let changed = web_sys::EventInit::new();
        changed.set_bubbles(true);
        input.dispatch_event(&Event::new_with_event_init_dict("input", &changed).ok()?).ok()?;
    }
    if let Ok(Some(button)) = target.closest("[data-copy]") {
        let text = button.get_attribute("data-copy")?;
        let _ = dom::window()?.navigator().clipboard().write_text(&text);
        let label = dom::first(&button, "span")?;
        let before = label.text_content();
        label.set_text_content(button.get_attribute("data-done").as_deref());
        dom::after(1_500, move || label.set_text_content(before.as_deref()));
    }
    Some(())
}

/// Closes open menus but the one that holds `inside`.
fn close_menus(inside: Option<&Element>) {
    for menu in dom::all("details.menu[open]") {
        let within = inside.is_some_and(|i| menu.contains(Some(i.as_ref() as &Node)));
        if !within {
            let _ = menu.remove_attribute("open");
        }
    }
}

/// How long ago in the largest unit that fits, as the server says it.
fn span(seconds: f64) -> String {
    let (key, divisor) = match seconds {
        s if s < 5.0 => return dom::t("now"),
        s if s < 60.0 => ("seconds", 1.0),
        s if s < 3_600.0 => ("minutes", 60.0),
        s if s < 86_400.0 => ("hours", 3_600.0),
        s if s < 2_592_000.0 => ("days", 86_400.0),
        s if s < 31_536_000.0 => ("months", 2_592_000.0),
        _ => ("years", 31_536_000.0),
    };
    dom::t(key).replace("{n}", &((seconds / divisor) as i64).to_string())
}

/// Brings all times on the page up to date.
pub fn times() {
    let now = Date::now();
    for time in dom::all("time[datetime]") {
        let at = Date::new(&JsValue::from_str(&time.get_attribute("datetime").unwrap_or_default()));
        let ms = at.get_time();
        if ms.is_nan() {
            continue;
        }
        let clock = format!("{:02}:{:02}:{:02}", at.get_hours(), at.get_minutes(), at.get_seconds());
        let day = format!("{}-{:02}-{:02}", at.get_full_year(), at.get_month() + 1, at.get_date());
        let text = if time.has_attribute("data-relative") {
            span((now - ms) / 1_000.0)
        } else if time.has_attribute("data-clock") {
            clock.clone()
        } else if time.has_attribute("data-date") {
            format!("{day} {}", &clock[..5])
        } else if time.has_attribute("data-second") {
            format!("{day} {clock}")
        } else {
            continue;
        };
        if time.text_content().as_deref() != Some(&text) {
            time.set_text_content(Some(&text));
            let _ = time.set_attribute("title", &format!("{day} {clock}"));
        }
    }
}

/// The value of a form's control, empty when there is none.
pub fn control_value(root: &Element, name: &str) -> String {
    let selector = format!("[name='{name}']");
    dom::first(root, &selector).and_then(|e| dom::text(&e, "value")).unwrap_or_default()
}

/// Whether a checkbox is set.
pub fn is_checked(root: &Element, name: &str) -> bool {
    let selector = format!("input[name='{name}']");
    dom::first(root, &selector).and_then(|e| e.dyn_into::<HtmlInputElement>().ok()).is_some_and(|i| i.checked())
}
