//! The preview: what would be made in the cluster, before anything is.

use berth_core::{services::preview::Planned, yaml};
use leptos::prelude::*;
use serde_json::Value;

use crate::{
    components::{Diff, Tone, code, diff, note, tone_tag},
    tr,
    ui::Ui,
};

/// Lines around a change.
const CONTEXT: usize = 3;

/// What becomes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    New,
    Changed,
    Removed,
    Same,
}

impl Fate {
    fn of(planned: &Planned) -> Self {
        match (&planned.before, &planned.after) {
            (None, _) => Self::New,
            (Some(_), None) => Self::Removed,
            (Some(a), Some(b)) if a == b => Self::Same,
            (Some(_), Some(_)) => Self::Changed,
        }
    }

    fn tag(self, ui: Ui) -> AnyView {
        let l = ui.lang;
        let (tone, word) = match self {
            Self::New => (Tone::Ok, tr::apps::plan_new(l)),
            Self::Changed => (Tone::Info, tr::apps::plan_changed(l)),
            Self::Removed => (Tone::Bad, tr::apps::plan_removed(l)),
            Self::Same => (Tone::Off, tr::apps::plan_same(l)),
        };
        tone_tag(tone, word).into_any()
    }
}

fn print(object: &Value) -> String {
    yaml::print(object).unwrap_or_default()
}

/// The objects with what becomes of each: new ones whole, changed ones as a difference.
#[must_use]
pub fn view(ui: Ui, planned: &[Planned]) -> AnyView {
    let l = ui.lang;
    let changes = planned.iter().any(|p| Fate::of(p) != Fate::Same);
    let remark = if changes { tr::apps::all_right(l) } else { tr::apps::plan_nothing(l) };
    let objects: Vec<_> = planned.iter().map(|p| object(ui, p)).collect();
    view! {
        {note(Tone::Ok, remark.into_any())}
        <section class="card" aria-label=tr::apps::plan_title(l)>
            <header><h2>{tr::apps::plan_title(l)}</h2></header>
            <div class="in plan">{objects}</div>
        </section>
    }
    .into_any()
}

fn object(ui: Ui, planned: &Planned) -> AnyView {
    let fate = Fate::of(planned);
    let label = format!("{}/{}", planned.kind, planned.name);
    let body = match (&planned.before, &planned.after) {
        (Some(before), Some(after)) if fate == Fate::Changed => {
            diff(Diff::of(&print(before), &print(after), CONTEXT), label.clone()).into_any()
        }
        (before, after) => {
            let object = after.as_ref().or(before.as_ref());
            code(object.map(print).unwrap_or_default(), label.clone()).into_any()
        }
    };
    // What changes is what one came to see.
    let open = fate == Fate::Changed;
    view! {
        <details class="more" open=open>
            <summary>{fate.tag(ui)}" "<code>{label}</code></summary>
            {body}
        </details>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use berth_core::ports::pages::Language;
    use serde_json::json;

    use super::*;

    fn shown(planned: &[Planned]) -> String {
        view(Ui { lang: Language::En, now: jiff::Timestamp::UNIX_EPOCH }, planned).to_html()
    }

    fn planned(name: &str, before: Option<i32>, after: Option<i32>) -> Planned {
        let object = |n: i32| json!({ "kind": "Deployment", "metadata": { "name": name }, "spec": { "replicas": n } });
        let (before, after) = (before.map(object), after.map(object));
        Planned { kind: "Deployment".to_owned(), name: name.to_owned(), before, after }
    }

    #[test]
    fn each_object_says_what_becomes_of_it() {
        let html = shown(&[
            planned("a", None, Some(1)),
            planned("b", Some(1), Some(2)),
            planned("c", Some(1), None),
            planned("d", Some(1), Some(1)),
        ]);
        for (fate, name) in [("new", "a"), ("changes", "b"), ("removed", "c"), ("unchanged", "d")] {
            let at = html.find(&format!("<code>Deployment/{name}</code>")).unwrap_or_else(|| panic!("{name}: {html}"));
            let tag = html[..at].rsplit_once("<span class=\"tag").map(|(_, tag)| tag).unwrap_or_default();
            assert!(tag.contains(&format!(">{fate}<")), "{name} is not {fate}: {html}");
        }
        assert!(html.contains("-   replicas: 1") && html.contains("+   replicas: 2"), "{html}");
        assert_eq!(html.matches("<details open").count(), 1, "what changes is open: {html}");
        assert!(html.contains("Nothing is saved yet"), "{html}");
    }

    #[test]
    fn nothing_to_do_is_said() {
        assert!(shown(&[planned("d", Some(1), Some(1))]).contains("Nothing would change"));
    }
}
