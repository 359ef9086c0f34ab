//! A terminal by lines: what one types is sent at Enter, what comes is shown as text. Full-screen programs are not for it;
//! the page names the `kubectl` command for those.

use std::{cell::RefCell, rc::Rc};

use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{BinaryType, Element, HtmlElement, HtmlInputElement, KeyboardEvent, MessageEvent, WebSocket};

use super::dom;

/// Characters that are kept.
const KEPT: usize = 200_000;

pub fn attach(island: &Element) -> Option<()> {
    let path = island.get_attribute("data-src")?;
    let location = dom::window()?.location();
    let scheme = if location.protocol().ok()? == "https:" { "wss" } else { "ws" };
    let socket = WebSocket::new(&format!("{scheme}://{}{path}", location.host().ok()?)).ok()?;
    socket.set_binary_type(BinaryType::Arraybuffer);

    let screen = dom::make("pre", "tty", "")?;
    let _ = screen.set_attribute("role", "log");
    let _ = screen.set_attribute("tabindex", "0");
    let _ = screen.set_attribute("aria-label", &dom::t("output"));
    let line = dom::make("form", "tty-line", "")?;
    let input = dom::make("input", "mono", "")?.dyn_into::<HtmlInputElement>().ok()?;
    for (name, value) in [("autocomplete", "off"), ("autocapitalize", "none"), ("spellcheck", "false")] {
        let _ = input.set_attribute(name, value);
    }
    let _ = input.set_attribute("aria-label", &dom::t("command"));
    let stop = dom::make("button", "btn", "Ctrl-C")?;
    let _ = stop.set_attribute("type", "button");
    line.append_child(&input).ok()?;
    line.append_child(&stop).ok()?;
    island.set_text_content(None);
    island.append_child(&screen).ok()?;
    island.append_child(&line).ok()?;
    input.focus().ok()?;

    let text = Rc::new(RefCell::new(Screen::default()));
    let (it, out, field) = (text, screen.clone(), input.clone());
    dom::on(&socket, "message", move |event| {
        let Some(message) = event.dyn_ref::<MessageEvent>() else { return };
        match message.data().as_string() {
            Some(json) => ended(&out, &field, &dom::parse(&json)),
            None => {
                let bytes = Uint8Array::new(&message.data()).to_vec();
                it.borrow_mut().print(&bytes);
                out.set_text_content(Some(&it.borrow().text));
                out.set_scroll_top(out.scroll_height());
            }
        }
    });
    let (out, field) = (screen, input.clone());
    dom::on(&socket, "close", move |_| {
        if !field.disabled() {
            ended(&out, &field, &JsValue::UNDEFINED);
        }
    });
    let (to, field) = (socket.clone(), input.clone());
    let past: Rc<RefCell<Vec<String>>> = Rc::default();
    let said = past.clone();
    dom::on(&line, "submit", move |event| {
        event.prevent_default();
        let typed = field.value();
        let _ = to.send_with_u8_array(format!("{typed}\n").as_bytes());
        if !typed.is_empty() {
            said.borrow_mut().push(typed);
        }
        field.set_value("");
    });
    let field = input.clone();
    let back = Rc::new(RefCell::new(0usize));
    dom::on(&input, "keydown", move |event| {
        let Some(key) = event.dyn_ref::<KeyboardEvent>() else { return };
        let (past, mut back) = (past.borrow(), back.borrow_mut());
        match key.key().as_str() {
            "ArrowUp" => *back = (*back + 1).min(past.len()),
            "ArrowDown" => *back = back.saturating_sub(1),
            "Enter" => {
                *back = 0;
                return;
            }
            _ => return,
        }
        event.prevent_default();
        let at = past.len() - *back;
        field.set_value(past.get(at).map_or("", String::as_str));
    });
    dom::on(&stop, "click", move |_| {
        let _ = socket.send_with_u8_array(&[3]);
        let _ = input.focus();
    });
    Some(())
}

fn ended(screen: &HtmlElement, input: &HtmlInputElement, data: &JsValue) {
    let mut text = screen.text_content().unwrap_or_default();
    if !text.ends_with('\n') && !text.is_empty() {
        text.push('\n');
    }
    text.push_str(&dom::t("closed"));
    if let Some(code) = dom::get(data, "exit").as_f64() {
        text.push_str(&format!(" ({code})"));
    }
    if let Some(message) = dom::text(data, "message") {
        text.push_str(&format!(": {message}"));
    }
    screen.set_text_content(Some(&text));
    input.set_disabled(true);
}

/// What has been printed, without colours and cursor moves.
#[derive(Default)]
struct Screen {
    text: String,
    /// Bytes of a character that has not come whole.
    rest: Vec<u8>,
    /// Where in an escape sequence printing is.
    escape: Escape,
    /// A carriage return came: what follows writes over the line, unless it is a line end.
    back: bool,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum Escape {
    #[default]
    No,
    Begun,
    Csi,
    Osc,
}

impl Screen {
    fn print(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let all = std::mem::take(&mut self.rest);
        let (valid, rest) = match std::str::from_utf8(&all) {
            Ok(text) => (text.to_owned(), Vec::new()),
            // Up to three bytes may belong to a character that is still on its way; more are none.
            Err(e) if all.len() - e.valid_up_to() <= 3 && e.error_len().is_none() => {
                let (text, rest) = all.split_at(e.valid_up_to());
                (String::from_utf8_lossy(text).into_owned(), rest.to_vec())
            }
            Err(_) => (String::from_utf8_lossy(&all).into_owned(), Vec::new()),
        };
        self.rest = rest;
        for c in valid.chars() {
            self.put(c);
        }
        if self.text.len() > KEPT {
            let mut cut = self.text.len() - KEPT;
            while !self.text.is_char_boundary(cut) {
                cut += 1;
            }
            self.text.drain(..cut);
        }
    }

    fn put(&mut self, c: char) {
        match (self.escape, c) {
            (Escape::No, '\u{1b}') => self.escape = Escape::Begun,
            (Escape::Begun, '[') => self.escape = Escape::Csi,
            (Escape::Begun, ']') => self.escape = Escape::Osc,
            (Escape::Begun, _) => self.escape = Escape::No,
            (Escape::Csi, '\u{40}'..='\u{7e}') => self.escape = Escape::No,
            (Escape::Osc, '\u{7}') => self.escape = Escape::No,
            (Escape::Osc, '\u{1b}') => self.escape = Escape::Begun,
            (Escape::Csi | Escape::Osc, _) => {}
            (Escape::No, '\r') => self.back = true,
            (Escape::No, '\n') => {
                self.back = false;
                self.text.push('\n');
            }
            (Escape::No, '\u{8}') => {
                if !self.text.ends_with('\n') {
                    self.text.pop();
                }
            }
            (Escape::No, c) if c.is_control() && c != '\t' => {}
            (Escape::No, c) => {
                if std::mem::take(&mut self.back) {
                    let line = self.text.rfind('\n').map_or(0, |at| at + 1);
                    self.text.truncate(line);
                }
                self.text.push(c);
            }
        }
    }
}
