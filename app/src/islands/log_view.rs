//! Log lines as they come: pause, follow, wrap, filter, download. The page's own last lines stand there until the first
//! event, and stay where the stream does not open.

use std::{cell::RefCell, collections::VecDeque, rc::Rc};

use js_sys::Array;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, Element, EventSource, HtmlAnchorElement, HtmlElement, MessageEvent, Url};

use super::{
    dom,
    level::{self, Level},
    small::{control_value, is_checked},
};

/// Lines that are kept; older ones go.
const KEPT: usize = 2_000;

struct Line {
    time: String,
    pod: String,
    text: String,
}

struct View {
    lines: VecDeque<Line>,
    /// Lines that came while it was paused.
    missed: usize,
    paused: bool,
    /// The next lines replace all: they are the first after the stream opened.
    begins: bool,
    section: Element,
    block: HtmlElement,
    state: HtmlElement,
    pause: HtmlElement,
}

type Shared = Rc<RefCell<View>>;

pub fn attach(island: &Element) -> Option<()> {
    let section = island.closest("section").ok()??;
    // The lines of a run that has ended do not grow.
    if is_checked(&section, "previous") {
        return None;
    }
    let url = island.get_attribute("data-src")?;
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
    island.insert_before(&bar, island.first_child().as_ref()).ok()?;
    block.set_scroll_top(block.scroll_height());
    let source = EventSource::new(&url).ok()?;
    let view: Shared = Rc::new(RefCell::new(View {
        lines: VecDeque::new(),
        missed: 0,
        paused: false,
        begins: true,
        section: section.clone(),
        block,
        state,
        pause: pause.clone(),
    }));

    let (it, place) = (view.clone(), island.clone());
    dom::on(&source, "lines", move |e| {
        let data = e.dyn_ref::<MessageEvent>().and_then(|m| m.data().as_string()).unwrap_or_default();
        receive(&it, &place, &dom::parse(&data));
    });
    let it = view.clone();
    dom::on(&source, "open", move |_| {
        it.borrow_mut().begins = true;
        say(&it, &dom::t("live"));
    });
    let it = view.clone();
    dom::on(&source, "error", move |_| say(&it, &dom::t("reconnecting")));
    let (it, stream) = (view.clone(), source.clone());
    dom::on(&source, "end", move |_| {
        stream.close();
        say(&it, &dom::t("ended"));
    });

    let it = view.clone();
    dom::on(&pause, "click", move |_| {
        let paused = !it.borrow().paused;
        it.borrow_mut().paused = paused;
        it.borrow().pause.set_text_content(Some(&dom::t(if paused { "resume" } else { "pause" })));
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
    // The form's filters apply to the lines at hand as one types; sending it asks the server anew.
    let it = view;
    dom::on(&section, "input", move |_| {
        if !it.borrow().lines.is_empty() {
            draw(&it);
        }
    });
    Some(())
}

fn say(view: &Shared, text: &str) {
    view.borrow().state.set_text_content(Some(text));
}

fn receive(view: &Shared, island: &Element, data: &JsValue) {
    let mut fresh = Vec::new();
    for item in Array::from(data).iter() {
        let at = dom::text(&item, "at").unwrap_or_default();
        let pod = dom::text(&item, "pod").unwrap_or_default();
        fresh.push(Line {
            time: at
                .split_once('T')
                .map(|(_, t)| t.trim_end_matches('Z').chars().take(12).collect())
                .unwrap_or_default(),
            pod: pod.rsplit('-').next().unwrap_or_default().to_owned(),
            text: dom::text(&item, "text").unwrap_or_default(),
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
        if let Some(empty) = dom::first(island, ".empty") {
            empty.remove();
        }
        let _ = island.append_child(&view.borrow().block);
    }
    let count = fresh.len();
    {
        let mut it = view.borrow_mut();
        it.lines.extend(fresh);
        while it.lines.len() > KEPT {
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

/// Whether a line passes the form's filters.
fn passes(view: &View, line: &Line) -> bool {
    let least = Level::from_word(&control_value(&view.section, "level"));
    let words = control_value(&view.section, "q").to_lowercase();
    let text = line.text.to_lowercase();
    least.is_none_or(|least| level::of(&line.text) >= least) && words.split_whitespace().all(|w| text.contains(w))
}

fn row(line: &Line) -> Option<HtmlElement> {
    let row = dom::make("div", "", "")?;
    for (tag, class, text) in [
        ("time", "", line.time.as_str()),
        ("span", "pod", line.pod.as_str()),
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
    while it.block.child_element_count() as usize > KEPT {
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
        text.push_str(&format!("{} {} {}\n", line.time, line.pod, line.text));
    }
    let blob = Blob::new_with_str_sequence(&Array::of1(&JsValue::from_str(&text))).ok()?;
    let url = Url::create_object_url_with_blob(&blob).ok()?;
    let link = dom::document()?.create_element("a").ok()?.dyn_into::<HtmlAnchorElement>().ok()?;
    link.set_href(&url);
    link.set_download("log.txt");
    link.click();
    Url::revoke_object_url(&url).ok()
}
