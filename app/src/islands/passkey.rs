//! Forms that ask the browser for a passkey: the question stands in `data-options` as the standard writes it in JSON, the answer is
//! sent in the field `credential`. Whether the answer holds is for the server to say.

use js_sys::{Array, Function, Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{Element, HtmlElement, HtmlInputElement};

use super::dom;

pub fn start() {
    for form in dom::all("form[data-island='passkey']") {
        attach(&form);
    }
}

fn attach(form: &Element) -> Option<()> {
    let window = dom::window()?;
    if let Some(needs) = dom::first(form, "[data-needs-script]") {
        needs.remove();
    }
    if dom::get(window.as_ref(), "PublicKeyCredential").is_undefined() {
        return say(form, "data-unable");
    }
    let button = dom::first(form, "button[type=submit]")?;
    button.remove_attribute("hidden").ok()?;
    let asked = form.clone();
    dom::on(form, "submit", move |event| {
        event.prevent_default();
        ask(&asked);
    });
    if form.has_attribute("data-at-once") {
        ask(form);
    }
    Some(())
}

/// Says what the form has to say under that name.
fn say(form: &Element, name: &str) -> Option<()> {
    let said = dom::first(form, "[data-said]")?;
    said.set_text_content(form.get_attribute(name).as_deref());
    said.remove_attribute("hidden").ok()
}

fn set(object: &JsValue, key: &str, value: &JsValue) -> Option<()> {
    Reflect::set(object, &key.into(), value).ok().map(drop)
}

/// base64url, without padding, as the standard writes bytes.
fn bytes(text: &str) -> Option<Uint8Array> {
    let standard: String = text
        .chars()
        .map(|c| {
            if c == '-' {
                '+'
            } else if c == '_' {
                '/'
            } else {
                c
            }
        })
        .collect();
    let binary = dom::window()?.atob(&standard).ok()?;
    // One character a byte.
    let bytes: Option<Vec<u8>> = binary.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    Some(Uint8Array::from(bytes?.as_slice()))
}

fn text(buffer: &JsValue) -> Option<String> {
    if buffer.is_null() || buffer.is_undefined() {
        return None;
    }
    let binary: String = Uint8Array::new(buffer).to_vec().into_iter().map(char::from).collect();
    let standard = dom::window()?.btoa(&binary).ok()?;
    Some(standard.trim_end_matches('=').replace('+', "-").replace('/', "_"))
}

/// Puts bytes in place of a text.
fn to_bytes(object: &JsValue, key: &str) -> Option<()> {
    set(object, key, bytes(&dom::text(object, key)?)?.as_ref())
}

/// What the browser is asked: bytes where the page has texts.
fn options(form: &Element) -> Option<JsValue> {
    let options = dom::parse(&form.get_attribute("data-options")?);
    to_bytes(&options, "challenge")?;
    let user = dom::get(&options, "user");
    if user.is_object() {
        to_bytes(&user, "id")?;
    }
    for list in ["excludeCredentials", "allowCredentials"] {
        if let Ok(list) = dom::get(&options, list).dyn_into::<Array>() {
            for known in list.iter() {
                to_bytes(&known, "id")?;
            }
        }
    }
    let wrapped = Object::new();
    set(&wrapped, "publicKey", &options)?;
    Some(wrapped.into())
}

/// Asks the browser, and sends what it answers.
fn ask(form: &Element) -> Option<()> {
    let kind = form.get_attribute("data-kind")?;
    let keeper = dom::get(dom::window()?.navigator().as_ref(), "credentials");
    let asks: Function = dom::get(&keeper, &kind).dyn_into().ok()?;
    dom::first(form, "[data-said]")?.set_attribute("hidden", "").ok()?;
    let promise = asks.call1(&keeper, &options(form)?).ok()?;
    let (sender, failed) = (form.clone(), form.clone());
    let send = Closure::once_into_js(move |credential: JsValue| {
        if send(&sender, &credential).is_none() {
            say(&sender, "data-failed");
        }
    });
    let fail = Closure::once_into_js(move |error: JsValue| {
        // Only this is told apart: all else may be that somebody changed their mind.
        let known = dom::text(&error, "name").as_deref() == Some("InvalidStateError");
        say(&failed, if known { "data-known" } else { "data-failed" });
    });
    let then: Function = dom::get(&promise, "then").dyn_into().ok()?;
    then.call2(&promise, &send, &fail).ok().map(drop)
}

/// Sends a credential with its form.
fn send(form: &Element, credential: &JsValue) -> Option<()> {
    let response = dom::get(credential, "response");
    let answer = Object::new();
    let id = text(&dom::get(credential, "rawId"))?;
    let told = Object::new();
    for key in ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"] {
        if let Some(text) = text(&dom::get(&response, key)) {
            set(&told, key, &text.into())?;
        }
    }
    set(&answer, "id", &id.as_str().into())?;
    set(&answer, "rawId", &id.as_str().into())?;
    set(&answer, "type", &"public-key".into())?;
    set(&answer, "response", &told)?;
    let json = js_sys::JSON::stringify(&answer).ok()?.as_string()?;
    let field = dom::first(form, "input[name=credential]")?.dyn_into::<HtmlInputElement>().ok()?;
    field.set_value(&json);
    let button = dom::first(form, "button[type=submit]")?.dyn_into::<HtmlElement>().ok()?;
    button.set_attribute("disabled", "").ok()?;
    // Not by its button: that would ask again.
    let submit: Function = dom::get(form.as_ref(), "submit").dyn_into().ok()?;
    submit.call0(form.as_ref()).ok().map(drop)
}
