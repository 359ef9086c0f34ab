//! What can be done to an app without editing it: scale, restart, suspend, resume, delete.

use berth_core::{Result, services::apps::Found};
use berth_types::{Action, FieldError, Resource, app_validate::MAX_REPLICAS};
use leptos::prelude::*;
use serde_json::Value;

use super::{
    Spot, demand,
    head::{self, Head, Tab},
    headroom::{self, Outlook},
};
use crate::{
    components::{Button, Field, Form, Icon, button, field, form::summary, link_button},
    request::{Answer, Cx, done},
    tr,
    ui::Ui,
};

/// What a form does, and the way back to the app.
fn fixes(ui: Ui, head: &Head, how: Button, mark: Icon, label: &'static str) -> AnyView {
    let back = head.spot.app_url(&head.app.name);
    view! {
        <div class="fixes">
            {button(how, Some(mark), label, None)}
            {link_button(Button::Quiet, None, tr::apps::cancel(ui.lang), back)}
        </div>
    }
    .into_any()
}

/// GET `…/scale`.
pub async fn scale_page(cx: Cx) -> Result<Answer> {
    let (head, found) = head::find(&cx).await?;
    demand(head.may.update, Resource::App, Action::Update)?;
    let components = &head.app.spec.components;
    let asked = cx.query("component");
    let component = components.iter().find(|c| c.name == asked).or(components.first());
    let form = Form::with([
        ("component", component.map(|c| c.name.clone()).unwrap_or_default()),
        ("replicas", component.map_or(1, |c| c.wanted()).to_string()),
    ]);
    let outlook = scaled(&cx, &head, &found, &form, "").await?;
    let ui = cx.ui();
    Ok(head::page(ui, &head, &found, Tab::Other, scale_view(ui, &head, &form, &outlook)).into())
}

/// What it takes with as many pods as the form says.
async fn scaled(cx: &Cx, head: &Head, found: &Found, form: &Form, to: &str) -> Result<Outlook> {
    let mut spec = found.object.object["spec"].clone();
    let components = spec["components"].as_array_mut().map(Vec::as_mut_slice).unwrap_or_default();
    let asked = form.value("component");
    let at = components.iter().position(|c| c["name"] == asked).unwrap_or(0);
    if let Some(component) = components.get_mut(at) {
        let typed = form.value("replicas").trim();
        component["replicas"] = typed.parse::<i32>().map_or_else(|_| typed.into(), Value::from);
    }
    headroom::look(cx, &head.spot, Some(&cx.app()?), &spec, headroom::depth(to)).await
}

/// The form to scale, with what was found instead of being done.
async fn scale_again(cx: &Cx, mut form: Form, to: &str) -> Result<Answer> {
    let (head, found) = head::find(cx).await?;
    demand(head.may.update, Resource::App, Action::Update)?;
    let outlook = scaled(cx, &head, &found, &form, to).await?;
    let ui = cx.ui();
    if to == headroom::COUNT {
        return Ok(outlook.fragment(ui));
    }
    if !form.is_refused() {
        form.errors = outlook.errors().to_vec();
        form.errors.iter_mut().for_each(|error| "replicas".clone_into(&mut error.field));
    }
    let view = scale_view(ui, &head, &form, &outlook);
    Ok(head::page(ui, &head, &found, Tab::Other, view).status(form.status()).into())
}

/// POST `…/scale`.
pub async fn scale(cx: Cx) -> Result<Answer> {
    let spot = Spot::of(&cx)?;
    let app = cx.app()?;
    let typed = cx.field("replicas").trim().to_owned();
    let component = Some(cx.field("component")).filter(|c| !c.is_empty());
    // A suggestion that was taken without scripts is only filled in.
    let taken = cx.field("fix").strip_prefix("replicas=").map(str::to_owned);
    if let Some(fix) = taken {
        let mut form = Form::sent(&cx, &[]);
        form.values.retain(|(name, _)| name != "replicas");
        form.values.push(("replicas".to_owned(), fix));
        return scale_again(&cx, form, "").await;
    }
    let to = cx.field("to");
    if to == headroom::COUNT || to == headroom::CHECK && typed.parse::<i32>().is_ok() {
        return scale_again(&cx, Form::sent(&cx, &[]), to).await;
    }
    let result = match typed.parse::<i32>() {
        Ok(replicas) => {
            cx.services.scale_app(&cx.ctx, spot.app(&app), component, replicas).await.map(|made| (replicas, made))
        }
        Err(_) => {
            let message = format!("“{typed}” is no whole number between 0 and {MAX_REPLICAS}");
            let error = FieldError::new("replicas", "number_range", message).param("min", 0).param("max", MAX_REPLICAS);
            Err(berth_core::Error::field(error))
        }
    };
    match result {
        Ok((replicas, made)) => {
            let flash = tr::apps::flash_scaled(cx.lang(), &app, replicas);
            Ok(done(spot.app_url(app.as_str()), headroom::told(cx.ui(), flash, &made)))
        }
        Err(e) => {
            let form = Form::refused(&cx, &[], e)?;
            scale_again(&cx, form, "").await
        }
    }
}

/// The form to scale.
#[must_use]
pub fn scale_view(ui: Ui, head: &Head, form: &Form, outlook: &Outlook) -> AnyView {
    let l = ui.lang;
    let components = &head.app.spec.components;
    let which = if components.len() > 1 {
        let options = components.iter().map(|c| (c.name.clone(), c.name.clone())).collect();
        field(ui, form, Field::select("component", tr::apps::component(l), options))
    } else {
        crate::components::hidden("component", form.value("component")).into_any()
    };
    let scaled = components.iter().any(|c| c.autoscale.is_some() && c.name == form.value("component"));
    let hint = if scaled { tr::apps::scale_autoscaled(l) } else { tr::apps::scale_hint(l) };
    view! {
        <form class="stack narrow" method="post" novalidate>
            // Enter in the field scales: it does the first button of a form.
            <button class="sr" type="submit" tabindex="-1" aria-hidden="true"></button>
            <section class="card">
                <header><h2>{tr::apps::scale_title(l, &head.app.name)}</h2></header>
                <div class="in">
                    // With one component there is no field to show its error at.
                    {summary(ui, form, if components.len() > 1 { &["component", "replicas"] } else { &["replicas"] })}
                    {which}
                    {field(ui, form, Field::number("replicas", tr::apps::replicas(l)).hint(hint).required().focus())}
                    {fixes(ui, head, Button::Go, Icon::Scale, tr::apps::scale(l))}
                </div>
            </section>
            {headroom::panel(ui, outlook)}
        </form>
    }
    .into_any()
}

/// POST `…/restart`.
pub async fn restart(cx: Cx) -> Result<Answer> {
    let spot = Spot::of(&cx)?;
    let app = cx.app()?;
    cx.services.restart_app(&cx.ctx, spot.app(&app)).await?;
    Ok(done(spot.app_url(app.as_str()), tr::apps::flash_restarted(cx.lang(), &app)))
}

/// GET `…/suspend`: it stops what people use, so it asks first.
pub async fn suspend_page(cx: Cx) -> Result<Answer> {
    let (head, found) = head::find(&cx).await?;
    demand(head.may.update, Resource::App, Action::Update)?;
    let ui = cx.ui();
    Ok(head::page(ui, &head, &found, Tab::Other, suspend_view(ui, &head)).into())
}

/// The question before an app is suspended.
#[must_use]
pub fn suspend_view(ui: Ui, head: &Head) -> AnyView {
    let l = ui.lang;
    let name = &head.app.name;
    let (_, desired) = head.pods();
    view! {
        <form class="card narrow" method="post">
            <header><h2>{tr::apps::suspend_title(l, name)}</h2></header>
            <div class="in">
                <p>{tr::apps::suspend_hint(l, desired)}</p>
                {fixes(ui, head, Button::Go, Icon::Pause, tr::apps::suspend(l))}
            </div>
        </form>
    }
    .into_any()
}

/// POST `…/suspend`.
pub async fn suspend(cx: Cx) -> Result<Answer> {
    let spot = Spot::of(&cx)?;
    let app = cx.app()?;
    cx.services.suspend_app(&cx.ctx, spot.app(&app), true).await?;
    Ok(done(spot.app_url(app.as_str()), tr::apps::flash_suspended(cx.lang(), &app)))
}

/// GET `…/resume`: what it would take again.
pub async fn resume_page(cx: Cx) -> Result<Answer> {
    resume_again(&cx, Form::default(), "").await
}

/// POST `…/resume`.
pub async fn resume(cx: Cx) -> Result<Answer> {
    let spot = Spot::of(&cx)?;
    let app = cx.app()?;
    let to = cx.field("to");
    if matches!(to, headroom::COUNT | headroom::CHECK) {
        return resume_again(&cx, Form::default(), to).await;
    }
    match cx.services.suspend_app(&cx.ctx, spot.app(&app), false).await {
        Ok(made) => {
            let flash = tr::apps::flash_resumed(cx.lang(), &app);
            Ok(done(spot.app_url(app.as_str()), headroom::told(cx.ui(), flash, &made)))
        }
        Err(e) => resume_again(&cx, Form::refused(&cx, &[], e)?, "").await,
    }
}

async fn resume_again(cx: &Cx, mut form: Form, to: &str) -> Result<Answer> {
    let (head, found) = head::find(cx).await?;
    demand(head.may.update, Resource::App, Action::Update)?;
    let mut spec = found.object.object["spec"].clone();
    if let Some(spec) = spec.as_object_mut() {
        spec.remove("suspended");
    }
    let outlook = headroom::look(cx, &head.spot, Some(&cx.app()?), &spec, headroom::depth(to)).await?;
    let ui = cx.ui();
    if to == headroom::COUNT {
        return Ok(outlook.fragment(ui));
    }
    if !form.is_refused() && to == headroom::CHECK {
        form.errors = outlook.errors().to_vec();
    }
    let view = resume_view(ui, &head, &form, &outlook);
    Ok(head::page(ui, &head, &found, Tab::Other, view).status(form.status()).into())
}

/// The question before an app is resumed.
#[must_use]
pub fn resume_view(ui: Ui, head: &Head, form: &Form, outlook: &Outlook) -> AnyView {
    let l = ui.lang;
    let name = &head.app.name;
    view! {
        <form class="stack narrow" method="post">
            <section class="card">
                <header><h2>{tr::headroom::resume_title(l, name)}</h2></header>
                <div class="in">
                    {summary(ui, form, &[])}
                    <p>{tr::headroom::resume_hint(l)}</p>
                    {fixes(ui, head, Button::Go, Icon::Play, tr::apps::resume(l))}
                </div>
            </section>
            {headroom::panel(ui, outlook)}
        </form>
    }
    .into_any()
}

/// GET `…/delete`.
pub async fn delete_page(cx: Cx) -> Result<Answer> {
    let (head, found) = head::find(&cx).await?;
    demand(head.may.delete, Resource::App, Action::Delete)?;
    let ui = cx.ui();
    Ok(head::page(ui, &head, &found, Tab::Other, delete_view(ui, &head, &Form::default())).into())
}

/// POST `…/delete`: the name must have been typed.
pub async fn delete(cx: Cx) -> Result<Answer> {
    let spot = Spot::of(&cx)?;
    let app = cx.app()?;
    let typed = cx.field("name").trim().to_owned();
    let result = if typed == app.as_str() {
        cx.services.delete_app(&cx.ctx, spot.app(&app), None).await
    } else {
        // Who may not see it learns nothing from the form.
        let (head, _) = head::find(&cx).await?;
        demand(head.may.delete, Resource::App, Action::Delete)?;
        let message = format!("type {app} to delete it");
        Err(berth_core::Error::field(FieldError::new("name", "confirm_name", message).param("want", &app)))
    };
    match result {
        Ok(()) => Ok(done(spot.apps_url(), tr::apps::flash_deleted(cx.lang(), &app))),
        Err(e) => {
            let form = Form::refused(&cx, &[], e)?;
            let (head, found) = head::find(&cx).await?;
            let ui = cx.ui();
            Ok(head::page(ui, &head, &found, Tab::Other, delete_view(ui, &head, &form)).status(form.status()).into())
        }
    }
}

/// The form to delete.
#[must_use]
pub fn delete_view(ui: Ui, head: &Head, form: &Form) -> AnyView {
    let l = ui.lang;
    let name = head.app.name.clone();
    let (_, desired) = head.pods();
    let confirm = Field::text("name", tr::apps::type_name(l, &name)).required().mono().focus();
    view! {
        <form class="card narrow" method="post" novalidate>
            <header><h2>{tr::apps::delete_title(l, &name)}</h2></header>
            <div class="in">
                {summary(ui, form, &["name"])}
                <p>{tr::apps::delete_hint(l, desired)}</p>
                {field(ui, form, confirm)}
                {fixes(ui, head, Button::Danger, Icon::Bin, tr::apps::delete_app(l))}
            </div>
        </form>
    }
    .into_any()
}
