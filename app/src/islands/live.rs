//! The live region: one event stream follows the page and swaps the fragments that changed.
//!
//! A browser opens six HTTP/1.1 connections to a site, so tabs share one stream where they can: the tab that holds the Web
//! Lock `berth-live` opens it for the pages of all tabs and passes events on over a BroadcastChannel. Hidden tabs let go.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use js_sys::{Array, Function, Object, Promise, Reflect, encode_uri_component};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{BroadcastChannel, Element, EventSource, MessageEvent};

use super::{dom, log_view, morph, small};

/// Name of the lock and of the channel.
const NAME: &str = "berth-live";

#[derive(Default)]
struct Tab {
    /// This tab's own name among the tabs.
    id: String,
    /// The page, as the stream calls it.
    page: String,
    badge: Option<Element>,
    source: Option<EventSource>,
    channel: Option<BroadcastChannel>,
    /// Holding it ends when this is called: this tab leads.
    release: Option<Function>,
    /// Pages of the other tabs, by tab; only the leader's is current.
    others: BTreeMap<String, String>,
    /// Set while a change of the followed pages is waited for.
    pending: i32,
    visible: bool,
}

type Shared = Rc<RefCell<Tab>>;

pub fn start() -> Option<()> {
    let badge = dom::all("[data-island='live']").into_iter().next()?;
    let page = dom::here();
    let id = format!("{:x}", (js_sys::Math::random() * 9e15) as u64);
    let channel = locks().and_then(|_| BroadcastChannel::new(NAME).ok());
    let tab: Shared = Rc::new(RefCell::new(Tab { id, page, badge: Some(badge), channel, ..Tab::default() }));
    if let Some(channel) = tab.borrow().channel.clone() {
        let it = tab.clone();
        dom::on(&channel, "message", move |event| {
            if let Some(message) = event.dyn_ref::<MessageEvent>() {
                heard(&it, &message.data());
            }
        });
    }
    let document = dom::document()?;
    let it = tab.clone();
    dom::on(&document, "visibilitychange", move |_| turn(&it));
    let it = tab.clone();
    dom::on(dom::window()?.as_ref(), "pagehide", move |_| leave(&it));
    let it = tab.clone();
    dom::on(dom::window()?.as_ref(), "pageshow", move |_| turn(&it));
    turn(&tab);
    Some(())
}

fn locks() -> Option<JsValue> {
    let locks = dom::get(dom::window()?.navigator().as_ref(), "locks");
    (!locks.is_undefined()).then_some(locks)
}

/// Follows the page while it can be seen, and lets go when not.
fn turn(tab: &Shared) {
    let hidden = dom::document().is_some_and(|d| d.hidden());
    if hidden {
        return leave(tab);
    }
    if std::mem::replace(&mut tab.borrow_mut().visible, true) {
        return;
    }
    match tab.borrow().channel.clone() {
        Some(_) => {
            let (id, page) = (tab.borrow().id.clone(), tab.borrow().page.clone());
            post(tab, &[("want", &page), ("from", &id)]);
            lead(tab);
        }
        None => open(tab),
    }
}

fn leave(tab: &Shared) {
    let id = {
        let mut it = tab.borrow_mut();
        if !std::mem::replace(&mut it.visible, false) {
            return;
        }
        it.id.clone()
    };
    post(tab, &[("left", &id)]);
    let (source, release) = {
        let mut it = tab.borrow_mut();
        it.others.clear();
        (it.source.take(), it.release.take())
    };
    if let Some(source) = source {
        source.close();
    }
    if let Some(release) = release {
        let _ = release.call0(&JsValue::UNDEFINED);
    }
}

fn post(tab: &Shared, pairs: &[(&str, &str)]) {
    let message = Object::new();
    for (key, value) in pairs {
        let _ = Reflect::set(&message, &JsValue::from_str(key), &JsValue::from_str(value));
    }
    if let Some(channel) = &tab.borrow().channel {
        let _ = channel.post_message(&message);
    }
}

/// Waits for the lock; who has it leads until it lets go or its tab closes.
fn lead(tab: &Shared) -> Option<()> {
    let locks = locks()?;
    let request = dom::get(&locks, "request").dyn_into::<Function>().ok()?;
    let it = tab.clone();
    let held = Closure::once_into_js(move |_lock: JsValue| -> JsValue {
        if !it.borrow().visible || it.borrow().release.is_some() {
            return JsValue::UNDEFINED;
        }
        let release = Rc::new(RefCell::new(None));
        let keep = release.clone();
        let promise = Promise::new(&mut move |resolve, _| *keep.borrow_mut() = Some(resolve));
        it.borrow_mut().release = release.borrow_mut().take();
        // Who wants what is asked anew: this tab may have heard nothing so far.
        post(&it, &[("roll", "call")]);
        // Not a moment later: who has just clicked waits for this page.
        open(&it);
        promise.into()
    });
    let _ = request.call2(&locks, &JsValue::from_str(NAME), &held);
    Some(())
}

/// A message of another tab.
fn heard(tab: &Shared, message: &JsValue) {
    if let Some(kind) = dom::text(message, "event") {
        return event(tab, &kind, &dom::text(message, "data").unwrap_or_default());
    }
    let leads = tab.borrow().release.is_some();
    if let (Some(page), Some(from)) = (dom::text(message, "want"), dom::text(message, "from")) {
        if leads {
            tab.borrow_mut().others.insert(from, page);
            reopen(tab);
        }
    } else if let Some(left) = dom::text(message, "left") {
        let mut it = tab.borrow_mut();
        it.others.remove(&left);
    } else if dom::text(message, "roll").is_some() && tab.borrow().visible {
        let (id, page) = (tab.borrow().id.clone(), tab.borrow().page.clone());
        post(tab, &[("want", &page), ("from", &id)]);
    }
}

/// Opens the stream for all pages that are wanted, a moment later: wishes come in company.
fn reopen(tab: &Shared) {
    dom::cancel(tab.borrow().pending);
    let it = tab.clone();
    let handle = dom::after(40, move || open(&it));
    tab.borrow_mut().pending = handle;
}

fn open(tab: &Shared) {
    if !tab.borrow().visible {
        return;
    }
    let url = {
        let it = tab.borrow();
        let mut pages: Vec<&String> = std::iter::once(&it.page).chain(it.others.values()).collect();
        pages.sort();
        pages.dedup();
        let query: Vec<String> =
            pages.iter().map(|p| format!("path={}", String::from(encode_uri_component(p)))).collect();
        format!("/live?{}", query.join("&"))
    };
    let Ok(source) = EventSource::new(&url) else { return };
    for kind in ["hello", "fragments", "gone", "bye"] {
        let it = tab.clone();
        dom::on(&source, kind, move |e| {
            let data = e.dyn_ref::<MessageEvent>().and_then(|m| m.data().as_string()).unwrap_or_default();
            let message = [("event", kind), ("data", data.as_str())];
            post(&it, &message);
            event(&it, kind, &data);
        });
    }
    let it = tab.clone();
    dom::on(&source, "error", move |_| {
        post(&it, &[("event", "error"), ("data", "")]);
        event(&it, "error", "");
        // A browser gives up on an answer that is no stream; then it is tried again from here.
        let closed = it.borrow().source.as_ref().is_some_and(|s| s.ready_state() == EventSource::CLOSED);
        if closed {
            let again = it.clone();
            dom::after(3_000, move || reopen(&again));
        }
    });
    let before = tab.borrow_mut().source.replace(source);
    if let Some(before) = before {
        before.close();
    }
}

fn event(tab: &Shared, kind: &str, data: &str) {
    let data = dom::parse(data);
    let mine = dom::text(&data, "page").as_deref() == Some(tab.borrow().page.as_str());
    match kind {
        // As whom one looks has changed: what this page shows is somebody else's.
        // A replica of before, while a new one comes, says nothing of it.
        "hello" if dom::text(&data, "as").is_some_and(|looks| looks != dom::seen_as()) => dom::go(&dom::here()),
        "hello" => show(tab, "on", "data-live"),
        "error" | "bye" => show(tab, "off", "data-reconnecting"),
        "gone" if mine => {
            show(tab, "off", "data-gone");
            match dom::get(&data, "status").as_f64() {
                // The session ended: the page itself says so, and leads back here.
                Some(401.0) => dom::go(&tab.borrow().page.clone()),
                Some(403.0) => closed("gone_forbidden"),
                _ => closed("gone_deleted"),
            }
        }
        "fragments" if mine => {
            swap(&data);
            if is_stale() {
                // The stream lives, but what it tells is from before: the banner says from when.
                show(tab, "off", "data-reconnecting");
            } else {
                show(tab, "on", "data-live");
                fresh(tab);
            }
        }
        _ => {}
    }
}

/// Says why the page ends here. What stands in its forms can still be read and copied, but sending it would lose it.
fn closed(why: &str) {
    let banner = dom::document().and_then(|d| d.get_element_by_id("stale"));
    let note = dom::make("div", "note warn", "").zip(dom::make("div", "", &dom::t(why)));
    if let Some((banner, (note, text))) = banner.zip(note) {
        let _ = note.set_attribute("role", "alert");
        let _ = note.append_child(&text);
        banner.set_text_content(None);
        let _ = banner.append_child(&note);
    }
    for button in dom::all("main form:not([method='get']) button") {
        let _ = button.set_attribute("disabled", "");
    }
}

fn swap(data: &JsValue) {
    let Some(document) = dom::document() else { return };
    for fragment in Array::from(&dom::get(data, "fragments")).iter() {
        let (Some(id), Some(html)) = (dom::text(&fragment, "id"), dom::text(&fragment, "html")) else { continue };
        if let Some(element) = document.get_element_by_id(&id) {
            morph::morph(&element, &html);
        }
    }
    log_view::sweep();
    small::times();
}

/// Whether the page says that its cluster does not answer.
fn is_stale() -> bool {
    dom::document()
        .and_then(|d| d.get_element_by_id("stale"))
        .is_some_and(|banner| banner.first_element_child().is_some())
}

/// What is shown was true just now.
fn fresh(tab: &Shared) {
    let badge = tab.borrow().badge.clone();
    if let Some(time) = badge.and_then(|b| dom::first(&b, "time")) {
        let now = String::from(js_sys::Date::new_0().to_iso_string());
        let _ = time.set_attribute("datetime", &now);
        small::times();
    }
}

fn show(tab: &Shared, class: &str, text: &str) {
    let Some(badge) = tab.borrow().badge.clone() else { return };
    let class_name = format!("fresh small muted {class}");
    if badge.class_name() != class_name {
        badge.set_class_name(&class_name);
    }
    if let Some(state) = dom::first(&badge, "[data-state]") {
        let text = badge.get_attribute(text);
        if state.text_content() != text {
            state.set_text_content(text.as_deref());
        }
    }
}
