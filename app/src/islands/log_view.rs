//! Log lines as they come: pause, follow, wrap, filter, download. The page's own last lines stand there until the first
//! event, and stay where the stream does not open.
//!
//! With `data-last=N` only the last N lines are shown, without the bar: a glance beside other things. Such a stream is
//! closed while nobody looks, since a browser opens only six connections to a site.

use std::{
    cell::RefCell,
    collections::VecDeque,
    rc::{Rc, Weak},
};

use js_sys::Array;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, Element, EventSource, HtmlAnchorElement, HtmlElement, MessageEvent, Url};

use super::{
    dom,
    level::{self, Level},
    line,
    small::{control_value, is_checked},
};

/// Lines that are kept; older ones go.
const KEPT: usize = 2_000;

struct Line {
    time: String,
    origin: String,
    text: String,
}

struct View {
    url: String,
    source: Option<EventSource>,
    lines: VecDeque<Line>,
    /// Lines that are kept.
    kept: usize,
    /// The app has several components: a line says of which it is.
    several: bool,
    /// Lines that came while it was paused.
    missed: usize,
    paused: bool,
    /// The next lines replace all: they are the first after the stream opened.
    begins: bool,
    island: Element,
    section: Element,
    block: HtmlElement,
    bar: Option<Bar>,
}

/// What is above the lines.
struct Bar {
    state: HtmlElement,
    pause: HtmlElement,
}

type Shared = Rc<RefCell<View>>;

thread_local! {
    /// Those whose streams may be open.
    static ATTACHED: RefCell<Vec<Weak<RefCell<View>>>> = const { RefCell::new(Vec::new()) };
}

/// Closes the streams of lines that the page shows no more: a browser has few connections to a server.
pub fn sweep() {
    ATTACHED.with_borrow_mut(|all| {
        all.retain(|view| {
            let Some(view) = view.upgrade() else { return false };
            let shown = view.borrow().island.is_connected();
            if !shown {
                close(&view);
            }
            shown
        });
    });
}

/// Attaches what `element` is or holds, which has just come into the page.
pub fn attach_within(element: &Element) {
    let is_one = element.get_attribute("data-island").as_deref() == Some("log");
    let found = if is_one { Some(element.clone()) } else { dom::first(element, "[data-island='log']") };
    if let Some(island) = found {
        attach(&island);
    }
}

pub fn attach(island: &Element) -> Option<()> {
    let section = island.closest("section").ok()??;
    // The lines of a run that has ended do not grow.
    if is_checked(&section, "previous") {
        return None;
    }
    let last = island.get_attribute("data-last").and_then(|n| n.parse().ok());
    let block = match dom::first(island, ".log") {
        Some(block) => block.dyn_into::<HtmlElement>().ok()?,
        None => {
            let block = dom::make("div", "log", "")?;
            let _ = block.set_attribute("role", "log");
            let _ = block.set_attribute("tabindex", "0");
            let _ = block.set_attribute("aria-label", &dom::t("log"));
            block
        }
    };
    block.set_scroll_top(block.scroll_height());
    let view: Shared = Rc::new(RefCell::new(View {
        url: island.get_attribute("data-src")?,
        source: None,
        lines: VecDeque::new(),
        kept: last.unwrap_or(KEPT),
        several: island.has_attribute("data-several"),
        missed: 0,
        paused: false,
        begins: true,
        island: island.clone(),
        section: section.clone(),
        block,
        bar: None,
    }));
    open(&view)?;
    ATTACHED.with_borrow_mut(|all| all.push(Rc::downgrade(&view)));
    if last.is_some() {
        let it = view;
        dom::on(dom::document()?.as_ref(), "visibilitychange", move |_| {
            if dom::document().is_some_and(|d| d.hidden()) {
                close(&it);
            } else if it.borrow().source.is_none() && it.borrow().island.is_connected() {
                open(&it);
            }
        });
        return Some(());
    }
    bar(&view, island)?;
    // The form's filters apply to the lines at hand as one types; sending it asks the server anew.
    let it = view;
    dom::on(&section, "input", move |_| {
        if !it.borrow().lines.is_empty() {
            draw(&it);
        }
    });
    Some(())
}

fn open(view: &Shared) -> Option<()> {
    let source = EventSource::new(&view.borrow().url).ok()?;
    let it = view.clone();
    dom::on(&source, "lines", move |e| {
        let data = e.dyn_ref::<MessageEvent>().and_then(|m| m.data().as_string()).unwrap_or_default();
        receive(&it, &dom::parse(&data));
    });
    let it = view.clone();
    dom::on(&source, "open", move |_| {
        it.borrow_mut().begins = true;
        say(&it, &dom::t("live"));
    });
    let it = view.clone();
    dom::on(&source, "error", move |_| say(&it, &dom::t("reconnecting")));
    let it = view.clone();
    dom::on(&source, "end", move |_| {
        close(&it);
        say(&it, &dom::t("ended"));
    });
    view.borrow_mut().source = Some(source);
    Some(())
}

fn close(view: &Shared) {
    if let Some(source) = view.borrow_mut().source.take() {
        source.close();
    }
}

/// Pause, wrap, download.
fn bar(view: &Shared, island: &Element) -> Option<()> {
    let bar = dom::make("div", "logbar", "")?;
    let state = dom::make("span", "state", "")?;
    let _ = state.set_attribute("role", "status");
    let button = |text: &str| {
        let button = dom::make("button", "btn sm", &dom::t(text))?;
        let _ = button.set_attribute("type", "button");
        Some(button)
    };
    let (pause, wrap, save) = (button("pause")?, button("wrap")?, button("download")?);
    let _ = wrap.set_attribute("aria-pressed", "false");
    for part in [&state, &pause, &wrap, &save] {
        bar.append_child(part).ok()?;
    }
    island.insert_before(&bar, island.first_child().as_ref()).ok()?;
    view.borrow_mut().bar = Some(Bar { state, pause: pause.clone() });

    let it = view.clone();
    dom::on(&pause, "click", move |_| {
        let paused = !it.borrow().paused;
        it.borrow_mut().paused = paused;
        if let Some(bar) = &it.borrow().bar {
            bar.pause.set_text_content(Some(&dom::t(if paused { "resume" } else { "pause" })));
        }
        if !paused {
            it.borrow_mut().missed = 0;
            say(&it, &dom::t("live"));
            draw(&it);
        }
    });
    let it = view.clone();
    let switch = wrap.clone();
    dom::on(&wrap, "click", move |_| {
        let on = it.borrow().block.class_list().toggle("wrap").unwrap_or(false);
        let _ = switch.set_attribute("aria-pressed", if on { "true" } else { "false" });
    });
    let it = view.clone();
    dom::on(&save, "click", move |_| {
        download(&it);
    });
    Some(())
}

fn say(view: &Shared, text: &str) {
    if let Some(bar) = &view.borrow().bar {
        bar.state.set_text_content(Some(text));
    }
}

fn receive(view: &Shared, data: &JsValue) {
    let island = view.borrow().island.clone();
    let several = view.borrow().several;
    let mut fresh = Vec::new();
    for item in Array::from(data).iter() {
        let part = |name: &str| dom::text(&item, name).unwrap_or_default();
        fresh.push(Line {
            time: line::time_of_day(&part("at")),
            origin: line::origin(&part("pod"), &part("container"), several),
            text: part("text"),
        });
    }
    let begins = {
        let mut it = view.borrow_mut();
        let begins = std::mem::replace(&mut it.begins, false);
        if begins {
            it.lines.clear();
        }
        begins
    };
    if begins && !island.contains(Some(view.borrow().block.as_ref())) {
        // The empty state gives way to the first lines.
        if let Some(empty) = dom::first(&island, ".empty, .note, .none") {
            empty.remove();
        }
        let _ = island.append_child(&view.borrow().block);
    }
    let count = fresh.len();
    {
        let mut it = view.borrow_mut();
        it.lines.extend(fresh);
        while it.lines.len() > it.kept {
            it.lines.pop_front();
        }
    }
    if view.borrow().paused {
        view.borrow_mut().missed += count;
        let missed = view.borrow().missed.to_string();
        return say(view, &dom::t("missed").replace("{n}", &missed));
    }
    if begins { draw(view) } else { append(view, count) }
}

/// In lower case, by the browser: Rust's own tables would be most of what this module weighs.
fn lower(text: &str) -> String {
    String::from(js_sys::JsString::from(text).to_lower_case())
}

/// Whether a line passes the form's filters.
fn passes(view: &View, line: &Line) -> bool {
    let least = Level::from_word(&control_value(&view.section, "level"));
    let words = lower(&control_value(&view.section, "q"));
    let text = lower(&line.text);
    least.is_none_or(|least| level::of(&line.text) >= least) && words.split_whitespace().all(|w| text.contains(w))
}

fn row(line: &Line) -> Option<HtmlElement> {
    let row = dom::make("div", "", "")?;
    for (tag, class, text) in [
        ("time", "", line.time.as_str()),
        ("span", "pod", line.origin.as_str()),
        ("span", level::of(&line.text).class(), line.text.as_str()),
    ] {
        let part = dom::make(tag, class, text)?;
        row.append_child(&part).ok()?;
    }
    Some(row)
}

/// Whether the end is in sight: then new lines keep it there.
fn follows(block: &HtmlElement) -> bool {
    block.scroll_height() - block.scroll_top() - block.client_height() < 40
}

/// Shows the newest `count` lines below the others.
fn append(view: &Shared, count: usize) {
    let it = view.borrow();
    let follow = follows(&it.block);
    let from = it.lines.len().saturating_sub(count);
    for line in it.lines.iter().skip(from).filter(|l| passes(&it, l)) {
        if let Some(row) = row(line) {
            let _ = it.block.append_child(&row);
        }
    }
    while it.block.child_element_count() as usize > it.kept {
        if let Some(first) = it.block.first_element_child() {
            first.remove();
        }
    }
    if follow {
        it.block.set_scroll_top(it.block.scroll_height());
    }
}

/// Shows all lines that pass.
fn draw(view: &Shared) {
    view.borrow().block.set_text_content(None);
    let all = view.borrow().lines.len();
    append(view, all);
    let it = view.borrow();
    it.block.set_scroll_top(it.block.scroll_height());
}

fn download(view: &Shared) -> Option<()> {
    let it = view.borrow();
    let mut text = String::new();
    for line in it.lines.iter().filter(|l| passes(&it, l)) {
        text.push_str(&format!("{} {} {}\n", line.time, line.origin, line.text));
    }
    let blob = Blob::new_with_str_sequence(&Array::of1(&JsValue::from_str(&text))).ok()?;
    let url = Url::create_object_url_with_blob(&blob).ok()?;
    let link = dom::document()?.create_element("a").ok()?.dyn_into::<HtmlAnchorElement>().ok()?;
    link.set_href(&url);
    link.set_download("log.txt");
    link.click();
    Url::revoke_object_url(&url).ok()
}
