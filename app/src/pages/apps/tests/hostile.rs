//! Text that others wrote is shown as text, whatever it holds, and comes back from a form as it was.

use berth_core::testing::app_of;
use berth_types::rows::LogLine;
use futures::executor::block_on;
use serde_json::json;

use super::{
    event,
    flows::{APPS, hidden, scene},
};

/// Ends every element that holds text, then begins one that must not be there.
const HOSTILE: &str =
    "</textarea></title></script></style></noscript></option><!-- --><b id=pwned>&reg&copy=2&amp;lt;\u{202e}";

#[test]
fn what_others_wrote_stays_text() {
    let s = scene();
    let web = s.deploy("web");
    let spec = json!({ "components": [{
        "name": "main", "image": "nginx:1.27", "replicas": 1,
        "command": ["sh", "-c", HOSTILE],
        "env": [{ "name": "A", "value": HOSTILE }, { "name": "S", "secret": { "name": "db", "key": "pw" } }],
    }] });
    let path = (&s.namespace.tenant.name, &s.namespace.name, &"web".parse().unwrap());
    block_on(s.world.services.update_app(&s.alice, path, &spec, None)).unwrap();
    s.world.cluster.settle(&app_of(&s.namespace, "web"));
    s.world.cluster.put_event(&s.namespace, event(HOSTILE, HOSTILE));
    let line = LogLine { at: None, pod: "web-1".into(), container: "main".into(), text: HOSTILE.to_owned() };
    s.world.cluster.put_line(&s.namespace, line);
    let asked = format!("{APPS}?q={HOSTILE}");
    let mut pages = vec![(asked.clone(), s.get(&s.alice, APPS, &[("q", HOSTILE), ("sort", "name")]).html)];
    for tab in
        ["", "/pods", "/events", "/logs", "/configuration", "/yaml", "/revisions", "/scale", "/suspend", "/delete"]
    {
        pages.push((format!("{web}{tab}"), s.page(&format!("{web}{tab}"))));
        pages.push((format!("{web}{tab}, to read"), s.get(&s.victor, &format!("{web}{tab}"), &[("q", HOSTILE)]).html));
    }
    let typed = [("view", "yaml"), ("yaml", HOSTILE), ("name", HOSTILE), ("image", HOSTILE), ("env", HOSTILE)];
    pages.push(("refused YAML".to_owned(), s.post(&s.alice, &format!("{APPS}/new"), &typed).html));
    pages.push(("refused form".to_owned(), s.post(&s.alice, &format!("{APPS}/new"), &typed[2..]).html));
    for (page, html) in pages {
        assert!(!html.contains("<b id"), "{page}: {html}");
    }
}

#[test]
fn a_form_that_is_saved_unchanged_changes_nothing() {
    let s = scene();
    let web = s.deploy("web");
    for value in [HOSTILE, "https://api.example.com/?a=1&region=eu&copy=2&lt=3", "&amp;", "a\n\nb", " \"x\" ", "\u{a0}"]
    {
        let spec = json!({ "components": [{
            "name": "main", "image": "nginx:1.27", "replicas": 1, "env": [{ "name": "A", "value": value }],
        }] });
        let path = (&s.namespace.tenant.name, &s.namespace.name, &"web".parse().unwrap());
        block_on(s.world.services.update_app(&s.alice, path, &spec, None)).unwrap();
        for (face, field, tab) in [("form", "env", "configuration"), ("yaml", "yaml", "yaml")] {
            let html = s.page(&format!("{web}/{tab}"));
            let text = html.split_once(&format!("name=\"{field}\"")).unwrap().1.split_once('>').unwrap().1;
            let text = html_escape::decode_html_entities(text.split_once("</textarea>").unwrap().0).into_owned();
            let typed = text.strip_prefix('\n').unwrap_or(&text);
            let base = hidden(&html, "base");
            let form = [
                ("view", face),
                ("base", base.as_str()),
                ("image", "nginx:1.27"),
                ("replicas", "1"),
                ("expose", "None"),
                ("strategy", "Rolling"),
                (field, typed),
            ];
            let saved = s.post(&s.alice, &format!("{web}/{tab}"), &form);
            assert_eq!(
                saved.flash.as_deref(),
                Some("Nothing to save: it is like that already."),
                "{face} {value:?}: {}",
                saved.html
            );
            assert_eq!(s.spec("web"), spec, "{face} {value:?}");
        }
    }
}
