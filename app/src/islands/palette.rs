//! The command palette: Ctrl-K, ⌘K or the button. It shows what the search page finds; without it the button leads there.

use std::{cell::Cell, rc::Rc};

use js_sys::{Array, encode_uri_component};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{Element, HtmlDialogElement, HtmlElement, HtmlInputElement, KeyboardEvent, Response};

use super::{dom, morph};

/// Where the last places are kept.
const RECENT: &str = "berth-recent";
/// How many of them.
const RECENT_MAX: u32 = 6;

/// On the list: the question that it answers.
const SHOWN: &str = "data-shown";
/// On the list: the question whose first answer is to be followed when it comes.
const WAITING: &str = "data-waiting";

pub fn start() -> Option<()> {
    let opener = dom::all("[data-island='palette']").into_iter().next()?;
    remember();
    dom::on(&opener, "click", |event| {
        event.prevent_default();
        open();
    });
    dom::on(dom::document()?.as_ref(), "keydown", |event| {
        if let Some(key) = event.dyn_ref::<KeyboardEvent>()
            && (key.ctrl_key() || key.meta_key())
            && !key.shift_key()
            && !key.alt_key()
            && key.key().eq_ignore_ascii_case("k")
        {
            event.prevent_default();
            open();
        }
    });
    Some(())
}

fn open() -> Option<()> {
    if let Some(dialog) = dom::all("dialog.palette").into_iter().next() {
        return close(&dialog.dyn_into().ok()?);
    }
    let dialog = dom::make("dialog", "palette", "")?.dyn_into::<HtmlDialogElement>().ok()?;
    let _ = dialog.set_attribute("aria-label", &dom::t("find"));
    let input = dom::make("input", "", "")?.dyn_into::<HtmlInputElement>().ok()?;
    for (name, value) in [
        ("type", "text"),
        ("role", "combobox"),
        ("aria-expanded", "true"),
        ("aria-controls", "palette-hits"),
        ("aria-autocomplete", "list"),
        ("autocomplete", "off"),
        ("spellcheck", "false"),
    ] {
        let _ = input.set_attribute(name, value);
    }
    let _ = input.set_attribute("aria-label", &dom::t("find"));
    input.set_placeholder(&dom::t("find"));
    let hits = dom::make("div", "", "")?;
    hits.set_id("palette-hits");
    let _ = hits.set_attribute("role", "listbox");
    let _ = hits.set_attribute("aria-label", &dom::t("find"));
    dialog.append_child(&input).ok()?;
    dialog.append_child(&hits).ok()?;
    dom::document()?.body()?.append_child(&dialog).ok()?;
    dialog.show_modal().ok()?;
    input.focus().ok()?;

    let waiting = Rc::new(Cell::new(0));
    let asked = Rc::new(Cell::new(0u32));
    let (list, field) = (hits.clone(), input.clone());
    recent(&list);
    ask(&list, "", &asked);
    dom::on(&input, "input", move |_| {
        dom::cancel(waiting.get());
        let (list, q, asked) = (list.clone(), field.value(), asked.clone());
        waiting.set(dom::after(90, move || ask(&list, q.trim(), &asked)));
    });
    let (list, field) = (hits, input.clone());
    dom::on(&input, "keydown", move |event| {
        let Some(key) = event.dyn_ref::<KeyboardEvent>() else { return };
        // Enter that ends a composition chooses Chinese characters, not a place.
        if key.is_composing() {
            return;
        }
        match key.key().as_str() {
            "ArrowDown" => select(&list, &field, 1),
            "ArrowUp" => select(&list, &field, -1),
            "Enter" => {
                let typed = field.value();
                let typed = typed.trim();
                match dom::first(&list, "a[aria-selected='true']") {
                    Some(chosen) => follow(&chosen),
                    None if typed.is_empty() || list.get_attribute(SHOWN).as_deref() == Some(typed) => {
                        dom::first(&list, "a").and_then(|first| follow(&first))
                    }
                    // Faster than the answer: what is shown is of an earlier question.
                    None => list.set_attribute(WAITING, typed).ok(),
                };
            }
            _ => return,
        }
        event.prevent_default();
    });
    let it = dialog.clone();
    dom::on(&dialog, "close", move |_| it.remove());
    let it = dialog.clone();
    dom::on(&dialog, "click", move |event| {
        // A click on the dialog itself, not on what is in it, is one on the veil.
        if event.target().as_ref() == Some(it.as_ref()) {
            it.close();
        }
    });
    Some(())
}

fn close(dialog: &HtmlDialogElement) -> Option<()> {
    dialog.close();
    Some(())
}

fn follow(link: &Element) -> Option<()> {
    dom::go(&link.get_attribute("href")?);
    Some(())
}

/// Moves the choice by `step`.
fn select(list: &HtmlElement, input: &HtmlInputElement, step: i32) {
    let options: Vec<Element> = list
        .query_selector_all("a")
        .map(|l| (0..l.length()).filter_map(|n| l.get(n)?.dyn_into().ok()).collect())
        .unwrap_or_default();
    let count = i32::try_from(options.len()).unwrap_or(0);
    if count == 0 {
        return;
    }
    let now = options.iter().position(|o| o.get_attribute("aria-selected").as_deref() == Some("true"));
    let next = match now.and_then(|n| i32::try_from(n).ok()) {
        Some(n) => (n + step).rem_euclid(count),
        None if step > 0 => 0,
        None => count - 1,
    };
    for (n, option) in options.iter().enumerate() {
        let chosen = i32::try_from(n) == Ok(next);
        let _ = option.set_attribute("aria-selected", if chosen { "true" } else { "false" });
        if chosen {
            let _ = input.set_attribute("aria-activedescendant", &option.id());
            option.scroll_into_view_with_bool(false);
        }
    }
}

/// Asks the server for what fits `q`. Only the newest question's answer is shown.
fn ask(list: &HtmlElement, q: &str, asked: &Rc<Cell<u32>>) {
    let number = asked.get() + 1;
    asked.set(number);
    let Some(window) = dom::window() else { return };
    if q.is_empty() && dom::first(list, "a").is_some() {
        return;
    }
    let url = format!("/search?part=hits&q={}", String::from(encode_uri_component(q)));
    let (list, asked, q) = (list.clone(), asked.clone(), q.to_owned());
    let show = Closure::once_into_js(move |html: JsValue| {
        if asked.get() != number {
            return;
        }
        if let Some(html) = html.as_string() {
            morph::morph(&list, &html);
            name_options(&list);
            let _ = list.set_attribute(SHOWN, &q);
            if list.get_attribute(WAITING).as_deref() == Some(q.as_str()) {
                dom::first(&list, "a").and_then(|first| follow(&first));
            }
        }
        if q.is_empty() {
            recent(&list);
        }
    });
    let read = Closure::once_into_js(|response: JsValue| -> JsValue {
        match response.dyn_into::<Response>() {
            Ok(r) if r.ok() => r.text().map_or(JsValue::UNDEFINED, JsValue::from),
            _ => JsValue::UNDEFINED,
        }
    });
    // `then` of a value that is no promise calls on with it, so both steps can be plain functions.
    let promise: JsValue = window.fetch_with_str(&url).into();
    let then = dom::get(&promise, "then");
    let Ok(then) = then.dyn_into::<js_sys::Function>() else { return };
    if let Ok(text) = then.call1(&promise, &read) {
        let _ = then.call1(&text, &show);
    }
}

/// Rows of the list become options that the input may name as the chosen one.
fn name_options(list: &HtmlElement) {
    let Ok(links) = list.query_selector_all("a") else { return };
    for n in 0..links.length() {
        if let Some(link) = links.get(n).and_then(|l| l.dyn_into::<Element>().ok()) {
            let _ = link.set_attribute("role", "option");
            let _ = link.set_attribute("tabindex", "-1");
            link.set_id(&format!("hit-{n}"));
        }
    }
    for (selector, role) in [("ul", "presentation"), ("li", "presentation")] {
        if let Ok(found) = list.query_selector_all(selector) {
            for n in 0..found.length() {
                if let Some(e) = found.get(n).and_then(|e| e.dyn_into::<Element>().ok()) {
                    let _ = e.set_attribute("role", role);
                }
            }
        }
    }
}

fn storage() -> Option<web_sys::Storage> {
    dom::window()?.local_storage().ok()?
}

/// The last places, newest first: `[[href, title], …]`.
fn places() -> Array {
    let kept = storage().and_then(|s| s.get_item(RECENT).ok()?).unwrap_or_default();
    dom::parse(&kept).dyn_into().unwrap_or_default()
}

/// Remembers this page, if it is a place in a tenant.
fn remember() -> Option<()> {
    let path = dom::window()?.location().pathname().ok()?;
    if !path.starts_with("/t/") || path.matches('/').count() > 6 {
        return None;
    }
    let title = dom::document()?.title();
    let title = title.strip_suffix(" · Berth").unwrap_or(&title).to_owned();
    let all = Array::of1(&Array::of2(&path.clone().into(), &title.into()));
    for place in places().iter() {
        let known = Array::from(&place);
        if known.get(0).as_string().as_deref() != Some(&path) && all.length() < RECENT_MAX {
            all.push(&place);
        }
    }
    let json = js_sys::JSON::stringify(&all).ok()?;
    storage()?.set_item(RECENT, &String::from(json)).ok()
}

/// Puts the last places before what the server found.
fn recent(list: &HtmlElement) -> Option<()> {
    let places = places();
    if places.length() == 0 || dom::first(list, "[data-recent]").is_some() {
        return None;
    }
    let ul = dom::make("ul", "hits", "")?;
    let _ = ul.set_attribute("data-recent", "");
    for place in places.iter() {
        let place = Array::from(&place);
        let (href, title) = (place.get(0).as_string()?, place.get(1).as_string()?);
        if !href.starts_with("/t/") {
            continue;
        }
        let li = dom::make("li", "", "")?;
        let a = dom::make("a", "", &title)?;
        let _ = a.set_attribute("href", &href);
        let where_to = dom::make("span", "place", href.trim_start_matches("/t/"))?;
        a.append_child(&where_to).ok()?;
        li.append_child(&a).ok()?;
        ul.append_child(&li).ok()?;
    }
    list.insert_before(&ul, list.first_child().as_ref()).ok()?;
    name_options(list);
    Some(())
}
