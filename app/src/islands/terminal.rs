//! A terminal by lines: what one types is sent at Enter, what comes is shown as text. Full-screen programs are not for it;
//! the page names the `kubectl` command for those.

use std::{cell::RefCell, rc::Rc};

use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{BinaryType, Element, HtmlElement, HtmlInputElement, KeyboardEvent, MessageEvent, WebSocket};

use super::{dom, screen::Screen};

/// What those keys send.
const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;

struct Terminal {
    url: String,
    /// What is printed.
    output: HtmlElement,
    /// Where one types.
    line: HtmlElement,
    input: HtmlInputElement,
    /// Why it ended, and the way to a new one.
    end: HtmlElement,
    said: HtmlElement,
    screen: Screen,
    socket: Option<WebSocket>,
    past: Vec<String>,
    /// How far back in `past` one is.
    back: usize,
}

type Shared = Rc<RefCell<Terminal>>;

pub fn attach(island: &Element) -> Option<()> {
    let path = island.get_attribute("data-src")?;
    let location = dom::window()?.location();
    let scheme = if location.protocol().ok()? == "https:" { "wss" } else { "ws" };
    let url = format!("{scheme}://{}{path}", location.host().ok()?);

    let output = dom::make("pre", "tty", "")?;
    let _ = output.set_attribute("role", "log");
    let _ = output.set_attribute("tabindex", "0");
    let _ = output.set_attribute("aria-label", &dom::t("output"));
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
    let end = dom::make("div", "tty-line", "")?;
    let said = dom::make("span", "fill", "")?;
    let _ = said.set_attribute("role", "status");
    let again = dom::make("button", "btn", &dom::t("open_again"))?;
    let _ = again.set_attribute("type", "button");
    end.append_child(&said).ok()?;
    end.append_child(&again).ok()?;
    island.set_text_content(None);
    for part in [&output, &line, &end] {
        island.append_child(part).ok()?;
    }

    let it: Shared = Rc::new(RefCell::new(Terminal {
        url,
        output,
        line: line.clone(),
        input: input.clone(),
        end,
        said,
        screen: Screen::default(),
        socket: None,
        past: Vec::new(),
        back: 0,
    }));
    let terminal = it.clone();
    dom::on(&line, "submit", move |event| {
        event.prevent_default();
        terminal.borrow_mut().enter();
    });
    let terminal = it.clone();
    dom::on(&input, "keydown", move |event| {
        if let Some(key) = event.dyn_ref::<KeyboardEvent>()
            && (terminal.borrow_mut().control(key) || terminal.borrow_mut().recall(&key.key()))
        {
            event.prevent_default();
        }
    });
    let terminal = it.clone();
    dom::on(&stop, "click", move |_| {
        let terminal = terminal.borrow();
        terminal.send(&[CTRL_C]);
        let _ = terminal.input.focus();
    });
    let terminal = it.clone();
    dom::on(&again, "click", move |_| {
        open(&terminal);
    });
    open(&it)
}

/// Opens a shell; what the one before printed stays above.
fn open(it: &Shared) -> Option<()> {
    let socket = WebSocket::new(&it.borrow().url).ok()?;
    socket.set_binary_type(BinaryType::Arraybuffer);
    it.borrow_mut().begin(socket.clone());
    let terminal = it.clone();
    dom::on(&socket, "message", move |event| {
        let Some(message) = event.dyn_ref::<MessageEvent>() else { return };
        let mut terminal = terminal.borrow_mut();
        match message.data().as_string() {
            Some(json) => terminal.ended(&dom::parse(&json)),
            None => terminal.print(&Uint8Array::new(&message.data()).to_vec()),
        }
    });
    let terminal = it.clone();
    // A connection that was refused, or cut, says nothing before.
    dom::on(&socket, "close", move |_| terminal.borrow_mut().ended(&JsValue::UNDEFINED));
    Some(())
}

impl Terminal {
    fn begin(&mut self, socket: WebSocket) {
        self.socket = Some(socket);
        self.line.set_hidden(false);
        self.end.set_hidden(true);
        let _ = self.input.focus();
    }

    fn print(&mut self, bytes: &[u8]) {
        self.screen.print(bytes);
        self.output.set_text_content(Some(&self.screen.text));
        self.output.set_scroll_top(self.output.scroll_height());
    }

    /// Sends what is typed.
    fn enter(&mut self) {
        let typed = self.input.value();
        if !self.send(format!("{typed}\n").as_bytes()) {
            // Not open yet: what is typed stays.
            return;
        }
        self.back = 0;
        if !typed.is_empty() {
            self.past.push(typed);
        }
        self.input.set_value("");
    }

    fn send(&self, bytes: &[u8]) -> bool {
        self.socket.as_ref().is_some_and(|socket| socket.send_with_u8_array(bytes).is_ok())
    }

    /// Ctrl-C, unless text is marked to be copied; Ctrl-D on an empty line.
    fn control(&mut self, key: &KeyboardEvent) -> bool {
        if !key.ctrl_key() {
            return false;
        }
        match key.key().as_str() {
            "c" if self.input.selection_start() == self.input.selection_end() => {
                self.input.set_value("");
                self.send(&[CTRL_C])
            }
            "d" if self.input.value().is_empty() => self.send(&[CTRL_D]),
            _ => false,
        }
    }

    /// Brings back what was typed before, at the arrows.
    fn recall(&mut self, key: &str) -> bool {
        self.back = match key {
            "ArrowUp" => (self.back + 1).min(self.past.len()),
            "ArrowDown" => self.back.saturating_sub(1),
            _ => return false,
        };
        let at = self.past.len() - self.back;
        self.input.set_value(self.past.get(at).map_or("", String::as_str));
        true
    }

    /// Says why it is over, once: `data` has `exit` and `message`, or is undefined.
    fn ended(&mut self, data: &JsValue) {
        if self.socket.take().is_none() {
            return;
        }
        let mut text = dom::t("closed");
        if let Some(code) = dom::get(data, "exit").as_f64() {
            text.push_str(&format!(" ({})", code as i32));
        }
        if let Some(message) = dom::text(data, "message") {
            text.push_str(&format!(": {message}"));
        }
        self.said.set_text_content(Some(&text));
        self.line.set_hidden(true);
        self.end.set_hidden(false);
    }
}
