//! What is wanted of an app, as a form and as YAML; changing it.

use std::time::Duration;

use berth_core::{Result, services::apps::Found, yaml};
use berth_types::{Action, ErrorCode, Resource};
use leptos::prelude::*;
use serde_json::Value;

use super::{
    demand, document,
    editor::{self, Editor, Face, Sent},
    form::{AppForm, Field},
    head::{self, Head, Tab},
    headroom,
};
use crate::{
    components::{Diff, Form, Tone, card, code, note},
    paths,
    request::{Answer, Cx, done},
    tr,
    ui::Ui,
};

/// Tries when the cluster's copy moved on although nobody changed what is wanted.
const TRIES: usize = 4;
/// Between two tries: the time that the cache needs to follow.
const BETWEEN: Duration = Duration::from_millis(100);

fn spec_of(found: &Found) -> Value {
    found.object.object["spec"].clone()
}

/// GET `…/configuration`. Fields in the query stand in the form: that is how a suggested change is offered.
pub async fn form_page(cx: Cx) -> Result<Answer> {
    let (head, found) = head::find(&cx).await?;
    let base = spec_of(&found);
    let asked = cx.query("component");
    let component = head.app.spec.components.iter().position(|c| c.name == asked).unwrap_or(0);
    let mut form = AppForm::from_spec(&base, component);
    head.app.name.clone_into(&mut form.name);
    for field in Field::ALL {
        if !cx.query(field.name()).is_empty() {
            form.set(*field, cx.query(field.name()));
        }
    }
    let name = head.app.name.clone();
    let editor = Editor::of_form(Some(name.clone()), head.spot.app_url(&name), &form, base);
    show(&cx, &head, &found, editor, 200).await
}

/// GET `…/yaml`.
pub async fn yaml_page(cx: Cx) -> Result<Answer> {
    let (head, found) = head::find(&cx).await?;
    let base = spec_of(&found);
    let name = head.app.name.clone();
    let text = document::print(&name, &base)?;
    let editor = Editor::of_text(Some(name.clone()), head.spot.app_url(&name), text, base);
    show(&cx, &head, &found, editor, 200).await
}

/// POST to either: saves, or shows the other face.
pub async fn submit(cx: Cx) -> Result<Answer> {
    let (head, found) = head::find(&cx).await?;
    demand(head.may.update, Resource::App, Action::Update)?;
    let name = head.app.name.clone();
    let cancel = head.spot.app_url(&name);
    editor::check_base(cx.field("base"))?;
    let sent = Sent::read(&cx.request, Some(&name)).in_namespace(&found.app.namespace().kube_name);
    let mut editor = Editor::again(&sent, Some(name.clone()), cancel.clone());
    let app = cx.app()?;
    let spec = match (&sent.spec, sent.to.as_str()) {
        (_, headroom::COUNT) => {
            let depth = headroom::depth(headroom::COUNT);
            let outlook = headroom::look(&cx, &head.spot, Some(&app), &editor.draft, depth).await?;
            return Ok(outlook.fragment(cx.ui()));
        }
        (_, "form" | "yaml") if sent.readable => return show(&cx, &head, &found, editor, 200).await,
        (Ok(spec), headroom::CHECK) => {
            let depth = headroom::depth(headroom::CHECK);
            let editor = editor.checked(headroom::look(&cx, &head.spot, Some(&app), spec, depth).await?);
            let status = editor.form.status();
            return show(&cx, &head, &found, editor, status).await;
        }
        (Ok(spec), "preview") => {
            editor.planned = Some(cx.services.preview_app(&cx.ctx, head.spot.app(&app), spec).await?);
            return show(&cx, &head, &found, editor, 200).await;
        }
        (Err(_), _) => return show(&cx, &head, &found, editor, 422).await,
        (Ok(spec), _) => spec,
    };
    let mut found = found;
    for attempt in 1..=TRIES {
        let current = spec_of(&found);
        if current != sent.seen {
            return show(&cx, &head, &found, conflict(&sent, name, cancel, current), 409).await;
        }
        if *spec == current {
            return Ok(done(cancel, tr::apps::flash_nothing_changed(cx.lang()).to_owned()));
        }
        let version = found.object.view.resource_version.clone();
        match cx.services.update_app(&cx.ctx, head.spot.app(&app), spec, Some(&version)).await {
            Ok(made) => {
                let flash = tr::apps::flash_saved(cx.lang(), &name);
                return Ok(done(cancel, headroom::told(cx.ui(), flash, &made)));
            }
            // Only the status moved, most likely: seen once the cache has followed.
            Err(e) if e.code() == ErrorCode::Conflict && attempt < TRIES => {
                cx.ctx.clock.sleep(BETWEEN).await;
                found = head::find(&cx).await?.1;
            }
            Err(e) => {
                let refused = Form::refused(&cx, &[], e)?;
                let status = refused.status();
                return show(&cx, &head, &found, editor.refused(refused), status).await;
            }
        }
    }
    Err(berth_core::Error::new(ErrorCode::Conflict, "it changed again and again meanwhile; try again"))
}

/// What was typed, over what somebody else made of the app meanwhile, and how that differs from what the reader saw.
fn conflict(sent: &Sent, name: String, cancel: String, current: Value) -> Editor {
    let text = |spec: &Value| yaml::print(spec).unwrap_or_default();
    let meanwhile = Diff::of(&text(&sent.seen), &text(&current), 2);
    let editor = match sent.face {
        Face::Form if sent.base == sent.seen => {
            Editor::of_form(Some(name), cancel, &sent.form.rebase(&sent.base, &current), current)
        }
        // What was changed in the YAML before stands in no field: only there is nothing lost.
        Face::Form | Face::Yaml => Editor::of_text(Some(name), cancel, sent.text.clone(), current),
    };
    Editor { meanwhile, ..editor }
}

async fn show(cx: &Cx, head: &Head, found: &Found, mut editor: Editor, status: u16) -> Result<Answer> {
    let ui = cx.ui();
    let tab = match editor.face {
        Face::Form => Tab::Configuration,
        Face::Yaml => Tab::Yaml,
    };
    let body = if head.may.update {
        if editor.outlook.is_none() {
            let app = cx.app()?;
            let depth = headroom::depth("");
            editor.outlook = Some(headroom::look(cx, &head.spot, Some(&app), &editor.draft, depth).await?);
        }
        let whole = (tab == Tab::Yaml).then(|| whole(ui, found));
        let components = (tab == Tab::Configuration).then(|| components(head, &editor));
        view! { {components} {editor::view(ui, &editor)} {whole} }.into_any()
    } else {
        let components = (tab == Tab::Configuration).then(|| components(head, &editor));
        view! {
            {note(Tone::Info, tr::apps::read_only(ui.lang).into_any())}
            {components}
            {editor::read(ui, &editor)}
            {whole(ui, found)}
        }
        .into_any()
    };
    Ok(head::page(ui, head, found, tab, body).status(status).into())
}

/// The way to the other components of an app that has several.
fn components(head: &Head, editor: &Editor) -> AnyView {
    let all = &head.app.spec.components;
    if all.len() < 2 {
        return ().into_any();
    }
    let url = head.spot.tab_url(&head.app.name, "configuration");
    let links: Vec<_> = all
        .iter()
        .enumerate()
        .map(|(i, component)| {
            let href = paths::with_query(&url, [("component", component.name.as_str())]);
            let current = (i == editor.component).then_some("page");
            view! { <a href=href aria-current=current>{component.name.clone()}</a> }
        })
        .collect();
    view! { <nav class="seg">{links}</nav> }.into_any()
}

/// The object as the cluster has it, status and all.
fn whole(ui: Ui, found: &Found) -> AnyView {
    let text = yaml::print(&*found.object.object).unwrap_or_default();
    let title = tr::apps::as_the_cluster_has_it(ui.lang);
    view! { <details class="more"><summary>{title}</summary>{card(title, None, code(text, title).into_any())}</details> }
        .into_any()
}
