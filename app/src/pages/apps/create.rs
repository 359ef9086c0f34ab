//! A new app.

use berth_core::{
    Error, Result,
    authz::{Grant, NamespaceRef},
};
use berth_types::{Action, AppName, FieldError, Resource};
use leptos::prelude::*;
use serde_json::Value;

use super::{
    May, Spot, demand, document,
    editor::{self, Editor, Face, Sent},
    form::{AppForm, blank},
    headroom, place,
};
use crate::{
    components::Form,
    paths,
    request::{Answer, Cx, Page, done},
    tr,
};

async fn namespace(cx: &Cx, spot: &Spot) -> Result<Grant<NamespaceRef>> {
    let overview = cx.services.get_namespace(&cx.ctx, &spot.tenant, &spot.namespace).await?;
    demand(May::of(cx, &overview.namespace).create, Resource::App, Action::Create)?;
    Ok(overview.namespace)
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
    // A script need not send what only the form knows.
    if !cx.field("base").is_empty() {
        editor::check_base(cx.field("base"))?;
    }
    let mut sent = Sent::read(&cx.request, None);
    if sent.namespace.is_some() {
        sent = sent.in_namespace(&namespace(&cx, &spot).await?.kube_name);
    }
    let editor = Editor::again(&sent, None, spot.apps_url());
    let spec = match (&sent.spec, sent.to.as_str()) {
        (_, headroom::COUNT) => {
            let outlook = headroom::look(&cx, &spot, None, &editor.draft, headroom::depth(headroom::COUNT)).await?;
            return Ok(outlook.fragment(cx.ui()));
        }
        (_, "form" | "yaml") if sent.readable => return show(&cx, &spot, editor, 200).await,
        (Ok(spec), headroom::CHECK) => {
            let outlook = headroom::look(&cx, &spot, None, spec, headroom::depth(headroom::CHECK)).await?;
            let editor = editor.checked(outlook);
            let status = editor.form.status();
            return show(&cx, &spot, editor, status).await;
        }
        (Ok(spec), "preview") => return preview(&cx, &spot, &sent, spec, editor).await,
        (Err(_), _) => return show(&cx, &spot, editor, 422).await,
        (Ok(spec), _) => spec,
    };
    let name = &sent.form.name;
    match cx.services.create_app(&cx.ctx, spot.path(), name, spec).await {
        Ok(made) => {
            let flash = tr::apps::flash_deployed(cx.lang(), name);
            Ok(done(spot.app_url(name), headroom::told(cx.ui(), flash, &made)))
        }
        Err(e) => {
            let exists = e.code() == berth_types::ErrorCode::AlreadyExists;
            let mut refused = Form::refused(&cx, &[], e)?;
            if exists && refused.errors.is_empty() {
                refused.errors.push(taken(&sent));
                refused.message = None;
            }
            let status = refused.status();
            show(&cx, &spot, editor.refused(refused), status).await
        }
    }
}

/// That there is an app of this name already.
fn taken(sent: &Sent) -> FieldError {
    let at = if sent.face == Face::Form { "name" } else { "metadata.name" };
    let name = &sent.form.name;
    FieldError::new(at, "name_taken", format!("there is an app called {name} already")).param("value", name)
}

/// Shows what would be made; a name that is taken is refused as it would be when it is done.
async fn preview(cx: &Cx, spot: &Spot, sent: &Sent, spec: &Value, mut editor: Editor) -> Result<Answer> {
    let app: AppName = sent.form.name.parse().map_err(|_| Error::not_found())?;
    let planned = cx.services.preview_app(&cx.ctx, spot.app(&app), spec).await?;
    if planned.iter().any(|p| p.before.is_some()) {
        let refused = Form { errors: vec![taken(sent)], ..Form::default() };
        return show(cx, spot, editor.refused(refused), 422).await;
    }
    editor.planned = Some(planned);
    show(cx, spot, editor, 200).await
}

async fn show(cx: &Cx, spot: &Spot, mut editor: Editor, status: u16) -> Result<Answer> {
    let namespace = namespace(cx, spot).await?;
    let ui = cx.ui();
    if editor.outlook.is_none() {
        editor.outlook = Some(headroom::look(cx, spot, None, &editor.draft, headroom::depth("")).await?);
    }
    let title = tr::apps::deploy_an_app(ui.lang);
    let body = view! { <div class="head"><h1>{title}</h1></div> {editor::view(ui, &editor)} };
    let page = Page::new(title, place(&namespace), body)
        .crumb(tr::apps::apps(ui.lang), spot.apps_url())
        .crumb(title, paths::app_new(&spot.tenant, &spot.namespace))
        .status(status);
    Ok(page.into())
}
