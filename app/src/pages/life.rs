//! Suspending, resuming, removing and taking back: a question each, and the banner that says on every page of a tenant what holds.

use berth_core::{
    Result,
    ports::pages::Access,
    services::life::{MAX_REASON, confirmed},
};
use berth_types::{
    Action, NamespaceName, Resource, TenantName,
    life::{Halt, HaltKind},
};
use futures::FutureExt;
use leptos::prelude::*;

use crate::{
    components::{Button, Field, Form, Icon, Tone, button, card, clock, field, form::summary, link_button, note},
    paths,
    request::{Answer, Cx, NamespaceNav, Page, Place, TenantNav, done},
    router::Entry,
    tr,
    ui::Ui,
};

/// The pages of this area.
pub const ENTRIES: &[Entry] = &[
    Entry::page("/t/{tenant}/suspend", Access::Tenant, |cx| ask(cx, Step::Suspend, None).boxed())
        .form(|cx| act(cx, Step::Suspend).boxed()),
    Entry::page("/t/{tenant}/resume", Access::Tenant, |cx| ask(cx, Step::Resume, None).boxed())
        .form(|cx| act(cx, Step::Resume).boxed()),
    Entry::page("/t/{tenant}/remove", Access::Tenant, |cx| ask(cx, Step::Remove, None).boxed())
        .form(|cx| act(cx, Step::Remove).boxed()),
    Entry::page("/t/{tenant}/restore", Access::Tenant, |cx| ask(cx, Step::Restore, None).boxed())
        .form(|cx| act(cx, Step::Restore).boxed()),
    Entry::page("/t/{tenant}/n/{namespace}/remove", Access::Tenant, |cx| ask(cx, Step::Remove, None).boxed())
        .form(|cx| act(cx, Step::Remove).boxed()),
    Entry::page("/t/{tenant}/n/{namespace}/restore", Access::Tenant, |cx| ask(cx, Step::Restore, None).boxed())
        .form(|cx| act(cx, Step::Restore).boxed()),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Suspend,
    Resume,
    Remove,
    Restore,
}

/// What a step is about.
struct Target {
    tenant: TenantName,
    namespace: Option<NamespaceName>,
    halt: Option<Halt>,
}

impl Target {
    /// Checks that the reader may do it.
    async fn of(cx: &Cx, step: Step) -> Result<Self> {
        let tenant = cx.tenant()?;
        let authz = cx.services.authz();
        if cx.param("namespace").is_ok() {
            let name = cx.namespace()?;
            let right = (Resource::Namespace, Action::Delete);
            let grant = authz.namespace(&cx.ctx, &tenant, &name, right.0, right.1).await?;
            return Ok(Self { tenant, namespace: Some(name), halt: grant.halt.clone() });
        }
        let (resource, action) = match step {
            Step::Suspend => (Resource::Suspension, Action::Create),
            Step::Resume => (Resource::Suspension, Action::Delete),
            Step::Remove | Step::Restore => (Resource::Tenant, Action::Delete),
        };
        let grant = authz.tenant(&cx.ctx, &tenant, resource, action).await?;
        Ok(Self { tenant, namespace: None, halt: grant.halt.clone() })
    }

    fn name(&self) -> &str {
        self.namespace.as_ref().map_or(self.tenant.as_str(), NamespaceName::as_str)
    }

    /// Where one goes back to.
    fn home(&self) -> String {
        match &self.namespace {
            Some(namespace) => paths::namespace(&self.tenant, namespace),
            None => paths::tenant_settings(&self.tenant),
        }
    }

    fn place(&self) -> Place {
        match &self.namespace {
            Some(namespace) => Place::Namespace(self.tenant.clone(), namespace.clone(), NamespaceNav::Overview),
            None => Place::Tenant(self.tenant.clone(), TenantNav::Settings),
        }
    }

    /// Whether the question makes sense as things are.
    fn asks(&self, step: Step) -> bool {
        let is = |kind| self.halt.as_ref().is_some_and(|halt| halt.kind == kind);
        let leaving = if self.namespace.is_some() { HaltKind::NamespaceLeaving } else { HaltKind::TenantLeaving };
        match step {
            Step::Suspend => !is(HaltKind::Suspended),
            Step::Resume => is(HaltKind::Suspended),
            Step::Remove => !is(leaving),
            Step::Restore => is(leaving),
        }
    }
}

fn title(ui: Ui, step: Step, name: &str) -> String {
    match step {
        Step::Suspend => tr::life::suspend_title(ui.lang, name),
        Step::Resume => tr::life::resume_title(ui.lang, name),
        Step::Remove => tr::life::remove_title(ui.lang, name),
        Step::Restore => tr::life::restore_title(ui.lang, name),
    }
}

async fn ask(cx: Cx, step: Step, refused: Option<Form>) -> Result<Answer> {
    let target = Target::of(&cx, step).await?;
    if refused.is_none() && !target.asks(step) {
        return Ok(berth_core::ports::pages::PageResponse::redirect(target.home()).into());
    }
    let form = refused.unwrap_or_default();
    let title = title(cx.ui(), step, target.name());
    let view = question(cx.ui(), step, &target, cx.services.grace_days(), &form);
    Ok(Page::new(title, target.place(), view).status(form.status()).into())
}

async fn act(cx: Cx, step: Step) -> Result<Answer> {
    let target = Target::of(&cx, step).await?;
    let (l, ctx, services, tenant) = (cx.lang(), &cx.ctx, &cx.services, &target.tenant);
    let name = target.name().to_owned();
    let outcome = async {
        if step == Step::Remove {
            confirmed(cx.field("confirm"), target.name())?;
        }
        Ok(match (step, &target.namespace) {
            (Step::Suspend, _) => {
                services.suspend_tenant(ctx, tenant, cx.field("reason")).await?;
                tr::life::suspended_done(l, name)
            }
            (Step::Resume, _) => {
                services.resume_tenant(ctx, tenant).await?;
                tr::life::resumed_done(l, name)
            }
            (Step::Remove, Some(namespace)) => {
                services.remove_namespace(ctx, tenant, namespace, cx.field("reason")).await?;
                tr::life::removed_done(l, name)
            }
            (Step::Remove, None) => {
                services.remove_tenant(ctx, tenant, cx.field("reason")).await?;
                tr::life::removed_done(l, name)
            }
            (Step::Restore, Some(namespace)) => {
                services.restore_namespace(ctx, tenant, namespace).await?;
                tr::life::restored_done(l, name)
            }
            (Step::Restore, None) => {
                services.restore_tenant(ctx, tenant).await?;
                tr::life::restored_done(l, name)
            }
        })
    }
    .await;
    match outcome {
        Ok(said) => Ok(done(target.home(), said)),
        Err(e) => {
            let form = Form::refused(&cx, &[], e)?;
            ask(cx, step, Some(form)).await
        }
    }
}

fn question(ui: Ui, step: Step, target: &Target, days: i64, form: &Form) -> impl IntoView + use<> {
    let l = ui.lang;
    let name = target.name().to_owned();
    let (what, label, look, symbol) = match (step, &target.namespace) {
        (Step::Suspend, _) => (tr::life::suspend_what(l).to_owned(), tr::life::suspend(l), Button::Danger, Icon::Pause),
        (Step::Resume, _) => (tr::life::resume_what(l).to_owned(), tr::life::resume(l), Button::Go, Icon::Play),
        (Step::Remove, None) => {
            (tr::life::remove_tenant_what(l, days), tr::life::remove_tenant(l), Button::Danger, Icon::Bin)
        }
        (Step::Remove, Some(_)) => {
            (tr::life::remove_namespace_what(l, days), tr::life::remove_namespace(l), Button::Danger, Icon::Bin)
        }
        (Step::Restore, _) => (tr::life::restore_what(l).to_owned(), tr::life::restore(l), Button::Go, Icon::Play),
    };
    let reason = matches!(step, Step::Suspend | Step::Remove).then(|| {
        let label = if step == Step::Suspend { tr::life::reason(l) } else { tr::life::reason_optional(l) };
        let reason = Field::text("reason", label).hint(tr::life::reason_hint(l)).max(MAX_REASON);
        field(ui, form, if step == Step::Suspend { reason.required().focus() } else { reason })
    });
    let confirm = (step == Step::Remove)
        .then(|| field(ui, form, Field::text("confirm", tr::apps::type_name(l, &name)).required().mono().focus()));
    let body = view! {
        <form class="in" method="post" novalidate>
            {summary(ui, form, &["reason", "confirm"])}
            <p>{what}</p>
            {reason}
            {confirm}
            <div class="actions">
                {button(look, Some(symbol), label, None)}
                {link_button(Button::Quiet, None, tr::common::cancel(l), target.home())}
            </div>
        </form>
    };
    let title = title(ui, step, &name);
    view! {
        <div class="head"><h1>{title}</h1></div>
        <section class="card">{body}</section>
    }
}

/// What holds of a tenant or namespace that is halted, on each of its pages.
#[must_use]
pub fn banner(ui: Ui, halt: &Halt) -> AnyView {
    let l = ui.lang;
    let mark = &halt.mark;
    let (title, tone) = match halt.kind {
        HaltKind::Suspended => (tr::life::is_suspended(l), Tone::Warn),
        HaltKind::TenantLeaving => (tr::life::tenant_leaves(l), Tone::Bad),
        HaltKind::NamespaceLeaving => (tr::life::namespace_leaves(l), Tone::Bad),
    };
    let reason = (!mark.reason.is_empty()).then(|| view! { <p>{tr::life::because(l, &mark.reason)}</p> });
    let until = mark.until.map(|until| view! { <p>{tr::life::gone_at(l)} " " {clock(until)}</p> });
    let body = view! {
        <strong>{title}</strong>
        <p>{tr::life::by(l, &mark.by)} " " {clock(mark.at)}</p>
        {reason}
        {until}
        <p>{tr::life::nothing_changes(l)}</p>
    };
    view! { <div role="status">{note(tone, body.into_any())}</div> }.into_any()
}

/// In a tenant's settings: the ways to stop it, as far as the reader has them.
#[must_use]
pub fn in_settings(ui: Ui, tenant: &TenantName, halt: Option<&Halt>, may: MayStop) -> Option<AnyView> {
    let l = ui.lang;
    let is = |kind| halt.is_some_and(|halt| halt.kind == kind);
    let mut ways = Vec::new();
    if may.suspend && is(HaltKind::Suspended) {
        ways.push((Button::Go, tr::life::resume(l), paths::tenant_step(tenant, "resume")));
    } else if may.suspend && halt.is_none() {
        ways.push((Button::Plain, tr::life::suspend(l), paths::tenant_step(tenant, "suspend")));
    }
    if may.remove && is(HaltKind::TenantLeaving) {
        ways.push((Button::Go, tr::life::restore(l), paths::tenant_step(tenant, "restore")));
    } else if may.remove {
        ways.push((Button::Danger, tr::life::remove_tenant(l), paths::tenant_step(tenant, "remove")));
    }
    if ways.is_empty() {
        return None;
    }
    let ways: Vec<_> = ways.into_iter().map(|(look, label, href)| link_button(look, None, label, href)).collect();
    let body =
        view! { <div class="in"><p class="small muted">{tr::life::what(l)}</p><div class="actions">{ways}</div></div> };
    Some(card(tr::life::life(l), None, body.into_any()).into_any())
}

/// Which ways to stop a tenant somebody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MayStop {
    /// Suspend and resume it.
    pub suspend: bool,
    /// Remove it and take it back.
    pub remove: bool,
}

/// On a namespace's page: the way out, or back.
#[must_use]
pub fn of_namespace(ui: Ui, tenant: &str, namespace: &str, halt: Option<&Halt>) -> AnyView {
    let l = ui.lang;
    let (look, label, step) = match halt.is_some_and(|halt| halt.kind == HaltKind::NamespaceLeaving) {
        true => (Button::Go, tr::life::restore(l), "restore"),
        false => (Button::Quiet, tr::life::remove_namespace(l), "remove"),
    };
    link_button(look, None, label, paths::namespace_step(tenant, namespace, step)).into_any()
}
