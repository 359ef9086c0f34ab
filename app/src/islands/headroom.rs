//! The panel beside a form counts again as one types: the form goes to where it would be sent, and the panel comes back.

use std::{cell::Cell, rc::Rc};

use js_sys::{Array, Function, Object, Reflect};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{Element, Response};

use super::{dom, morph};

/// After the last key.
const PAUSE: i32 = 250;

pub fn start() -> Option<()> {
    let panel = dom::all("[data-island='headroom']").into_iter().next()?;
    let form = panel.closest("form").ok()??;
    let (timer, asked) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0_u32)));
    // What was typed before this ran, or brought back by the browser, is counted, too.
    let typed = |field: &Element| dom::text(field, "value") != dom::text(field, "defaultValue");
    if dom::within(form.as_ref(), "input:not([type=checkbox], [type=radio]), textarea").iter().any(typed) {
        ask(&form, &panel, &asked);
    }
    let target = form.clone();
    dom::on(&target, "input", move |_| {
        dom::cancel(timer.get());
        let (form, panel, asked) = (form.clone(), panel.clone(), asked.clone());
        timer.set(dom::after(PAUSE, move || {
            ask(&form, &panel, &asked);
        }));
    });
    Some(())
}

fn class(name: &str) -> Option<Function> {
    dom::get(dom::window()?.as_ref(), name).dyn_into().ok()
}

/// Sends the form and shows the answer, unless a later one was sent meanwhile.
fn ask(form: &Element, panel: &Element, asked: &Rc<Cell<u32>>) -> Option<()> {
    let number = asked.get().wrapping_add(1);
    asked.set(number);
    let fields = Reflect::construct(&class("FormData")?, &Array::of1(form)).ok()?;
    let body = Reflect::construct(&class("URLSearchParams")?, &Array::of1(&fields)).ok()?;
    let set: Function = dom::get(&body, "set").dyn_into().ok()?;
    set.call2(&body, &"to".into(), &"headroom".into()).ok()?;
    let how = Object::new();
    Reflect::set(&how, &"method".into(), &"POST".into()).ok()?;
    Reflect::set(&how, &"body".into(), &body).ok()?;
    let path = dom::window()?.location().pathname().ok()?;
    let promise = class("fetch")?.call2(dom::window()?.as_ref(), &path.into(), &how).ok()?;
    let read = Closure::once_into_js(|response: JsValue| -> JsValue {
        match response.dyn_into::<Response>() {
            Ok(r) if r.ok() && !r.redirected() => r.text().map_or(JsValue::UNDEFINED, JsValue::from),
            _ => JsValue::UNDEFINED,
        }
    });
    let (panel, asked) = (panel.clone(), asked.clone());
    let show = Closure::once_into_js(move |html: JsValue| {
        // A whole page is no panel: one was signed out, say.
        let html = html.as_string().filter(|html| asked.get() == number && !html.starts_with("<!doctype"));
        if let Some(html) = html {
            morph::morph(&panel, &html);
        }
    });
    // A line that is cut leaves the numbers as they are.
    let ignore = Closure::once_into_js(|_: JsValue| JsValue::UNDEFINED);
    let then: Function = dom::get(&promise, "then").dyn_into().ok()?;
    let text = then.call2(&promise, &read, &ignore).ok()?;
    then.call2(&text, &show, &ignore).ok()?;
    Some(())
}
