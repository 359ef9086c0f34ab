//! The few things that all islands ask of the browser. What is absent is passed over: a page without an element has no
//! use for its island.

use js_sys::{JSON, Reflect};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{Document, Element, Event, EventTarget, HtmlElement, Window};

pub fn window() -> Option<Window> {
    web_sys::window()
}

pub fn document() -> Option<Document> {
    window()?.document()
}

/// All elements that fit a selector.
pub fn all(selector: &str) -> Vec<Element> {
    document().map(|d| within(d.as_ref(), selector)).unwrap_or_default()
}

/// All elements below `root` that fit a selector; `root` is an element or the document.
pub fn within(root: &JsValue, selector: &str) -> Vec<Element> {
    let list = root
        .dyn_ref::<Document>()
        .map(|d| d.query_selector_all(selector))
        .or_else(|| root.dyn_ref::<Element>().map(|e| e.query_selector_all(selector)));
    let Some(Ok(list)) = list else { return Vec::new() };
    (0..list.length()).filter_map(|n| list.get(n)?.dyn_into().ok()).collect()
}

/// The first element below `root` that fits.
pub fn first(root: &Element, selector: &str) -> Option<Element> {
    root.query_selector(selector).ok().flatten()
}

/// Calls `f` at every event of that name, for the life of the page.
pub fn on(target: &EventTarget, name: &str, f: impl FnMut(Event) + 'static) {
    let closure = Closure::<dyn FnMut(Event)>::new(f);
    let _ = target.add_event_listener_with_callback(name, closure.as_ref().unchecked_ref());
    closure.forget();
}

/// Calls `f` once, after `ms`; the handle cancels it with [`cancel`].
pub fn after(ms: i32, f: impl FnOnce() + 'static) -> i32 {
    let callback = Closure::once_into_js(f);
    window()
        .and_then(|w| w.set_timeout_with_callback_and_timeout_and_arguments_0(callback.unchecked_ref(), ms).ok())
        .unwrap_or_default()
}

/// Cancels what [`after`] began.
pub fn cancel(handle: i32) {
    if let Some(window) = window() {
        window.clear_timeout_with_handle(handle);
    }
}

/// Calls `f` every `ms`.
pub fn every(ms: i32, f: impl FnMut() + 'static) {
    let closure = Closure::<dyn FnMut()>::new(f);
    if let Some(window) = window() {
        let _ = window.set_interval_with_callback_and_timeout_and_arguments_0(closure.as_ref().unchecked_ref(), ms);
    }
    closure.forget();
}

/// A new element with a class and a text.
pub fn make(tag: &str, class: &str, text: &str) -> Option<HtmlElement> {
    let element = document()?.create_element(tag).ok()?.dyn_into::<HtmlElement>().ok()?;
    if !class.is_empty() {
        element.set_class_name(class);
    }
    if !text.is_empty() {
        element.set_text_content(Some(text));
    }
    Some(element)
}

/// A member of a JavaScript object; undefined when absent.
pub fn get(object: &JsValue, key: &str) -> JsValue {
    Reflect::get(object, &JsValue::from_str(key)).unwrap_or(JsValue::UNDEFINED)
}

/// A text member.
pub fn text(object: &JsValue, key: &str) -> Option<String> {
    get(object, key).as_string()
}

/// Reads JSON; undefined when it is none.
pub fn parse(json: &str) -> JsValue {
    JSON::parse(json).unwrap_or(JsValue::UNDEFINED)
}

/// The text called `key` in the reader's language.
pub fn t(key: &str) -> String {
    thread_local! {
        static TEXTS: JsValue = document()
            .and_then(|d| d.body())
            .and_then(|b| b.get_attribute("data-texts"))
            .map_or(JsValue::UNDEFINED, |json| parse(&json));
    }
    TEXTS.with(|texts| text(texts, key)).unwrap_or_default()
}

/// Where the page is: path and query.
pub fn here() -> String {
    window()
        .map(|w| w.location())
        .map(|l| format!("{}{}", l.pathname().unwrap_or_default(), l.search().unwrap_or_default()))
        .unwrap_or_default()
}

/// Goes to another page.
pub fn go(href: &str) {
    if let Some(window) = window() {
        let _ = window.location().set_href(href);
    }
}

/// The look as somebody else in which the page is seen; empty where it is none.
pub fn seen_as() -> String {
    document().and_then(|d| d.body()).and_then(|body| body.get_attribute("data-as")).unwrap_or_default()
}
