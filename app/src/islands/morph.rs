//! Makes an element's content equal to new HTML while touching only what differs: focus, scrolling, selections, open
//! details and what is being typed stay.

use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlInputElement, HtmlTemplateElement, Node};

use super::{dom, log_view};

/// Makes the content of `element` equal to `html`.
pub fn morph(element: &Element, html: &str) {
    let template = dom::document()
        .and_then(|d| d.create_element("template").ok())
        .and_then(|t| t.dyn_into::<HtmlTemplateElement>().ok());
    let Some(template) = template else { return };
    template.set_inner_html(html);
    children(element, &template.content());
}

/// What tells a row from its siblings: its id, else where it leads.
fn key(node: &Node) -> Option<String> {
    let element = node.dyn_ref::<Element>()?;
    let id = element.id();
    if !id.is_empty() {
        return Some(id);
    }
    if matches!(element.tag_name().as_str(), "TR" | "LI") {
        return dom::first(element, "a[href]").and_then(|a| a.get_attribute("href"));
    }
    None
}

fn alike(a: &Node, b: &Node) -> bool {
    a.node_type() == b.node_type() && a.node_name() == b.node_name() && key(a) == key(b)
}

fn children(old: &Node, new: &Node) {
    let mut at = old.first_child();
    let mut next = new.first_child();
    while let Some(want) = next {
        next = want.next_sibling();
        // The node that is to become `want`: here, or further on where rows have moved up.
        let mut found = at.clone();
        while let Some(candidate) = &found {
            if alike(candidate, &want) {
                break;
            }
            found = if key(&want).is_some() { candidate.next_sibling() } else { None };
        }
        match found {
            Some(have) => {
                if at.as_ref() != Some(&have) {
                    let _ = old.insert_before(&have, at.as_ref());
                } else {
                    at = have.next_sibling();
                }
                node(&have, &want);
            }
            None => {
                let _ = old.insert_before(&want, at.as_ref());
                if let Some(element) = want.dyn_ref::<Element>() {
                    log_view::attach_within(element);
                }
            }
        }
    }
    while let Some(surplus) = at {
        at = surplus.next_sibling();
        let _ = old.remove_child(&surplus);
    }
}

fn node(old: &Node, new: &Node) {
    let (Some(a), Some(b)) = (old.dyn_ref::<Element>(), new.dyn_ref::<Element>()) else {
        if old.node_value() != new.node_value() {
            old.set_node_value(new.node_value().as_deref());
        }
        return;
    };
    if a.is_equal_node(Some(b)) {
        return;
    }
    // What an island shows is its own, until the server tells it to show something else.
    if a.get_attribute("data-island").as_deref() == Some("log") {
        if a.get_attribute("data-src") != b.get_attribute("data-src") {
            let _ = a.replace_with_with_node_1(b);
            log_view::attach(b);
        }
        return;
    }
    attributes(a, b);
    // What is typed belongs to the reader.
    if matches!(a.tag_name().as_str(), "TEXTAREA" | "SELECT") && is_focused(a) {
        return;
    }
    children(old, new);
}

fn is_focused(element: &Element) -> bool {
    dom::document().and_then(|d| d.active_element()).as_ref() == Some(element)
}

fn attributes(old: &Element, new: &Element) {
    let details = old.tag_name() == "DETAILS";
    let input = old.dyn_ref::<HtmlInputElement>().is_some();
    for name in new.get_attribute_names().iter().filter_map(|n| n.as_string()) {
        if input && matches!(name.as_str(), "value" | "checked") {
            continue;
        }
        let value = new.get_attribute(&name);
        if old.get_attribute(&name) != value {
            let _ = old.set_attribute(&name, value.as_deref().unwrap_or_default());
        }
    }
    for name in old.get_attribute_names().iter().filter_map(|n| n.as_string()) {
        let kept = details && name == "open" || input && matches!(name.as_str(), "value" | "checked");
        if !kept && !new.has_attribute(&name) {
            let _ = old.remove_attribute(&name);
        }
    }
}
