//! A new app.

use berth_core::{
    Result,
    authz::{Grant, NamespaceRef},
};
use berth_types::{Action, Resource, rows::UsageRow};
use leptos::prelude::*;

use super::{
    May, Spot, demand, document,
    editor::{self, Editor, Face, Sent},
    form::{AppForm, blank},
    place,
};
use crate::{
    components::Form,
    paths,
    request::{Answer, Cx, Page, done},
    tr,
};

async fn usage(cx: &Cx, spot: &Spot) -> Result<(Grant<NamespaceRef>, Vec<UsageRow>)> {
    let overview = cx.services.get_namespace(&cx.ctx, &spot.tenant, &spot.namespace).await?;
    demand(May::of(cx, &overview.namespace).create, Resource::App, Action::Create)?;
    Ok((overview.namespace, overview.usage))
}

/// GET; `?view=yaml` for the document.
pub async fn page(cx: Cx) -> Result<Answer> {
    let spot = Spot::of(&cx)?;
    let mut form = AppForm::from_spec(&blank(), 0);
    cx.query("name").clone_into(&mut form.name);
    let editor = match Face::from_word(cx.query("view")) {
        Face::Form => Editor::of_form(None, spot.apps_url(), &form, blank()),
        Face::Yaml => {
            let name = if form.name.is_empty() { "web" } else { form.name.as_str() };
            Editor::of_text(None, spot.apps_url(), document::print(name, &blank())?, blank())
        }
    };
    show(&cx, &spot, editor, 200).await
}

/// POST: deploys, or shows the other face.
pub async fn submit(cx: Cx) -> Result<Answer> {
    let spot = Spot::of(&cx)?;
    let sent = Sent::read(&cx.request, None);
    let editor = Editor::again(&sent, None, spot.apps_url());
    let spec = match (&sent.spec, sent.to.as_str()) {
        (_, "form" | "yaml") if sent.readable => return show(&cx, &spot, editor, 200).await,
        (Ok(_), "check") => return show(&cx, &spot, editor, 200).await,
        (Err(_), _) => return show(&cx, &spot, editor, 422).await,
        (Ok(spec), _) => spec,
    };
    let name = &sent.form.name;
    match cx.services.create_app(&cx.ctx, spot.path(), name, spec).await {
        Ok(_) => Ok(done(spot.app_url(name), tr::apps::flash_deployed(cx.lang(), name))),
        Err(e) => {
            let exists = e.code() == berth_types::ErrorCode::AlreadyExists;
            let mut refused = Form::refused(&cx, &[], e)?;
            if exists && refused.errors.is_empty() {
                let at = if sent.face == Face::Form { "name" } else { "metadata.name" };
                let message = format!("there is an app called {name} already");
                refused.errors.push(berth_types::FieldError::new(at, "name_taken", message).param("value", name));
                refused.message = None;
            }
            show(&cx, &spot, editor.refused(refused), 422).await
        }
    }
}

async fn show(cx: &Cx, spot: &Spot, mut editor: Editor, status: u16) -> Result<Answer> {
    let (namespace, usage) = usage(cx, spot).await?;
    let ui = cx.ui();
    editor.usage = usage;
    // Nothing of it is there yet.
    editor.before = super::quota::Demand::default();
    let title = tr::apps::deploy_an_app(ui.lang);
    let body = view! { <div class="head"><h1>{title}</h1></div> {editor::view(ui, &editor)} };
    let page = Page::new(title, place(&namespace), body)
        .crumb(tr::apps::apps(ui.lang), spot.apps_url())
        .crumb(title, paths::app_new(&spot.tenant, &spot.namespace))
        .status(status);
    Ok(page.into())
}
