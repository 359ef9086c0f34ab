//! Webhooks: where a tenant's notices go, and the platform's.

use berth_core::{
    Error, Result,
    ports::pages::{Access, Fragment, Language},
    services::webhooks::HookText,
};
use berth_types::{
    Action, Resource, TenantName,
    webhook::{Delivery, DeliveryState, EventKind, MAX_URL, Webhook},
};
use futures::FutureExt;
use leptos::prelude::*;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::tokens::secret;
use crate::{
    components::{
        Button, Column, Field, Form, Icon, Tone, ago, button, card, empty, field, fill, form::summary, hidden, note,
        on, status, table, tone_tag,
    },
    paths,
    request::{AdminNav, Answer, Cx, Page, PageCx, Place, TenantNav, done},
    router::Entry,
    tr,
    ui::Ui,
};

/// The pages of this area.
pub const ENTRIES: &[Entry] = &[
    Entry::page("/t/{tenant}/webhooks", Access::Tenant, |cx| list(cx, Shown::default()).boxed())
        .form(|cx| create(cx).boxed()),
    Entry::page("/t/{tenant}/webhooks/{webhook}", Access::Tenant, |cx| one(cx, Shown::default()).boxed())
        .form(|cx| change(cx).boxed())
        .live(|cx| live(cx).boxed()),
    Entry::page(paths::ADMIN_WEBHOOKS, Access::Platform, |cx| list(cx, Shown::default()).boxed())
        .form(|cx| create(cx).boxed()),
    Entry::page("/admin/webhooks/{webhook}", Access::Platform, |cx| one(cx, Shown::default()).boxed())
        .form(|cx| change(cx).boxed())
        .live(|cx| live(cx).boxed()),
];

/// The boxes of what is told.
const EVENTS: &str = "events";

/// What a page shows besides what is there.
#[derive(Default)]
struct Shown {
    /// The form, after it was refused.
    form: Option<Form>,
    /// The webhook that was just made or got another secret, with that.
    fresh: Option<(Webhook, SecretString)>,
}

/// Whose webhooks a page is about: a tenant's, or the platform's.
struct Whose(Option<TenantName>);

impl Whose {
    fn of(cx: &Cx) -> Result<Self> {
        if cx.param("tenant").is_err() {
            return Ok(Self(None));
        }
        cx.tenant().map(|tenant| Self(Some(tenant)))
    }

    fn list(&self) -> String {
        self.0.as_ref().map_or_else(|| paths::ADMIN_WEBHOOKS.to_owned(), paths::webhooks)
    }

    fn one(&self, id: Uuid) -> String {
        format!("{}/{id}", self.list())
    }

    fn place(&self) -> Place {
        match &self.0 {
            Some(tenant) => Place::Tenant(tenant.clone(), TenantNav::Settings),
            None => Place::Admin(AdminNav::Webhooks),
        }
    }

    async fn may(&self, cx: &PageCx) -> Result<bool> {
        let authz = cx.services.authz();
        Ok(match &self.0 {
            Some(tenant) => {
                let (grant, _) = cx.services.get_tenant(&cx.ctx, tenant).await?;
                authz.could(&cx.ctx, &grant, Resource::Webhook, Action::Update)
            }
            None => authz.platform(&cx.ctx, Resource::Webhook, Action::Update).is_ok(),
        })
    }
}

fn id(cx: &Cx) -> Result<Uuid> {
    cx.param("webhook")?.parse().map_err(|_| Error::not_found())
}

/// What an event is called.
#[must_use]
pub fn event(l: Language, kind: EventKind) -> &'static str {
    match kind {
        EventKind::RequestWaiting => tr::webhooks::request_waiting(l),
        EventKind::RequestOffered => tr::webhooks::request_offered(l),
        EventKind::RequestDecided => tr::webhooks::request_decided(l),
        EventKind::RequestWithdrawn => tr::webhooks::request_withdrawn(l),
        EventKind::LoanEndsSoon => tr::webhooks::loan_ends_soon(l),
        EventKind::LoanEndsTomorrow => tr::webhooks::loan_ends_tomorrow(l),
        EventKind::LoanOverdue => tr::webhooks::loan_overdue(l),
        EventKind::LoanEnded => tr::webhooks::loan_ended(l),
        EventKind::QuotaHigh => tr::webhooks::quota_high(l),
        EventKind::AccessWaiting => tr::webhooks::access_waiting(l),
        EventKind::AccessDecided => tr::webhooks::access_decided(l),
        EventKind::TenantSuspended => tr::webhooks::tenant_suspended(l),
        EventKind::TenantRemovalBegun => tr::webhooks::tenant_removal_begun(l),
        EventKind::PasswordForgotten => tr::webhooks::password_forgotten(l),
        EventKind::PasswordChanged => tr::mail::password_changed(l),
        EventKind::SecondFactorAdded => tr::mail::second_factor_added(l),
        EventKind::SecondFactorRemoved => tr::mail::second_factor_removed(l),
        EventKind::ProviderConnected => tr::mail::provider_connected(l),
        EventKind::Test => tr::webhooks::test_event(l),
    }
}

async fn list(cx: Cx, shown: Shown) -> Result<Answer> {
    let (whose, l) = (Whose::of(&cx)?, cx.lang());
    let hooks = cx.services.list_webhooks(&cx.ctx, whose.0.as_ref()).await?;
    let may = whose.may(&cx).await?;
    let answer = shown.form.as_ref().map_or(200, Form::status);
    let what = if whose.0.is_some() { tr::webhooks::what(l) } else { tr::webhooks::platform_what(l) };
    let ui = cx.ui();
    let platform = whose.0.is_none();
    let make = may.then(|| card(tr::webhooks::new(l), None, make_form(ui, shown.form.unwrap_or_default(), platform)));
    let view = view! {
        <div class="head"><h1>{tr::webhooks::webhooks(l)}</h1><p>{what}</p></div>
        <section class="card" aria-label=tr::webhooks::webhooks(l)>{hook_table(ui, &whose, hooks)}</section>
        {make}
    };
    let title = tr::webhooks::webhooks(l);
    Ok(Page::new(title, whose.place(), view).crumb(title, whose.list()).status(answer).into())
}

fn state(ui: Ui, hook: &Webhook) -> AnyView {
    let l = ui.lang;
    match (&hook.stopped, hook.failing_since) {
        (Some(stop), _) if stop.is_given_up() => status(Tone::Bad, tr::webhooks::given_up(l)).into_any(),
        (Some(_), _) => status(Tone::Off, tr::webhooks::off(l)).into_any(),
        (None, Some(_)) => status(Tone::Warn, tr::webhooks::failing(l)).into_any(),
        (None, None) => status(Tone::Ok, tr::webhooks::is_on(l)).into_any(),
    }
}

fn hook_table(ui: Ui, whose: &Whose, hooks: Vec<Webhook>) -> AnyView {
    let l = ui.lang;
    if hooks.is_empty() {
        return empty(Icon::Out, tr::webhooks::none(l), tr::webhooks::none_hint(l), None).into_any();
    }
    let rows: Vec<_> = hooks
        .into_iter()
        .map(|hook| {
            let host = hook.clone().veiled().url;
            view! {
                <tr>
                    <td class="name"><a href=whose.one(hook.id)>{hook.name.clone()}</a></td>
                    <td>{state(ui, &hook)}</td>
                    {fill(host)}
                    <td class="num">{hook.events.len()}</td>
                </tr>
            }
        })
        .collect();
    let columns = [
        Column::text(tr::common::name(l)),
        Column::text(tr::common::status(l)),
        Column::text(tr::webhooks::url(l)),
        Column::number(tr::webhooks::events(l)),
    ];
    table(columns, None, rows)
}

fn events(ui: Ui, form: &Form, platform: bool) -> AnyView {
    let l = ui.lang;
    let boxes: Vec<_> = EventKind::choices(platform)
        .map(|kind| {
            let word = kind.as_str();
            let chosen = form.values.iter().any(|(key, value)| key == EVENTS && value == word);
            view! {
                <label class="tick">
                    <input type="checkbox" name=EVENTS value=word checked=chosen />
                    " "{event(l, kind)}" "<span class="mono muted small hide">{word}</span>
                </label>
            }
        })
        .collect();
    view! { <fieldset class="ticks"><legend>{tr::webhooks::events(l)}</legend>{boxes}</fieldset> }.into_any()
}

/// Fields that show their own errors.
const FIELDS: [&str; 2] = ["name", "url"];

fn fields(ui: Ui, form: &Form, platform: bool) -> AnyView {
    let l = ui.lang;
    let name = Field::text("name", tr::common::name(l)).required().max(60).placeholder("on-call");
    let url = Field::text("url", tr::webhooks::url(l)).required().max(MAX_URL).mono();
    let url = url.placeholder("https://hooks.example.com/berth").hint(tr::webhooks::url_hint(l));
    view! { {field(ui, form, name)} {field(ui, form, url)} {events(ui, form, platform)} }.into_any()
}

fn make_form(ui: Ui, form: Form, platform: bool) -> AnyView {
    let l = ui.lang;
    view! {
        <form class="in" method="post">
            {summary(ui, &form, &FIELDS)}
            {fields(ui, &form, platform)}
            <div class="actions">{button(Button::Go, Some(Icon::Plus), tr::webhooks::make(l), Some("create"))}</div>
        </form>
    }
    .into_any()
}

fn sent(cx: &Cx) -> HookText {
    let picked = cx.request.form.iter().flatten().filter(|(key, _)| key == EVENTS);
    HookText {
        name: cx.field("name").to_owned(),
        url: cx.field("url").to_owned(),
        events: picked.map(|(_, word)| word.clone()).collect(),
    }
}

async fn create(cx: Cx) -> Result<Answer> {
    let whose = Whose::of(&cx)?;
    match cx.services.create_webhook(&cx.ctx, whose.0.as_ref(), &sent(&cx)).await {
        // Shown in the answer itself: a secret has no place in a redirect or a flash.
        Ok((hook, secret)) => {
            let id = hook.id;
            page_of(cx, whose, id, Shown { fresh: Some((hook, secret)), ..Shown::default() }).await
        }
        Err(e) => {
            let form = Some(Form::refused(&cx, &[], e)?);
            list(cx, Shown { form, ..Shown::default() }).await
        }
    }
}

async fn one(cx: Cx, shown: Shown) -> Result<Answer> {
    let (whose, id) = (Whose::of(&cx)?, id(&cx)?);
    page_of(cx, whose, id, shown).await
}

async fn live(cx: Cx) -> Result<Vec<Fragment>> {
    let (whose, id) = (Whose::of(&cx)?, id(&cx)?);
    let hook = cx.services.get_webhook(&cx.ctx, whose.0.as_ref(), id).await?;
    let messages = cx.services.list_deliveries(&cx.ctx, whose.0.as_ref(), id).await?;
    let ui = cx.ui();
    Ok(vec![
        Fragment { id: "webhook-state".to_owned(), html: how(ui, &hook).to_html() },
        Fragment { id: "messages".to_owned(), html: message_table(ui, messages).to_html() },
    ])
}

async fn page_of(cx: Cx, whose: Whose, id: Uuid, shown: Shown) -> Result<Answer> {
    let (ui, l) = (cx.ui(), cx.lang());
    let hook = cx.services.get_webhook(&cx.ctx, whose.0.as_ref(), id).await?;
    let messages = cx.services.list_deliveries(&cx.ctx, whose.0.as_ref(), id).await?;
    let may = whose.may(&cx).await?;
    let answer = shown.form.as_ref().map_or(200, Form::status);
    let (name, path) = (hook.name.clone(), whose.one(id));
    let title = tr::webhooks::webhooks(l);
    let view = one_view(ui, (hook, messages), shown, may, whose.0.is_none(), path.clone());
    let page = Page::new(name.clone(), whose.place(), view).crumb(title, whose.list());
    Ok(page.crumb(name, path).status(answer).into())
}

/// How it is with it, and why.
fn how(ui: Ui, hook: &Webhook) -> AnyView {
    let l = ui.lang;
    let why = match (&hook.stopped, hook.failing_since) {
        (Some(stop), _) if stop.is_given_up() => {
            let body = view! {
                <p><strong>{tr::webhooks::given_up_why(l)}</strong>" "{on(stop.at)}</p>
                <p class="mono">{stop.reason.clone()}</p>
                <p>{tr::webhooks::given_up_fix(l)}</p>
            };
            Some(note(Tone::Bad, body.into_any()).into_any())
        }
        (Some(stop), _) => {
            let text = tr::webhooks::off_by(l, &stop.by);
            Some(note(Tone::Off, view! { <p>{text}" "{on(stop.at)}</p> }.into_any()).into_any())
        }
        (None, Some(since)) => {
            let body = view! { <p>{tr::webhooks::failing_since(l)}" "{on(since)}</p> };
            Some(note(Tone::Warn, body.into_any()).into_any())
        }
        (None, None) => None,
    };
    view! { <div class="in">{state(ui, hook)}{why}</div> }.into_any()
}

fn message_table(ui: Ui, messages: Vec<Delivery>) -> AnyView {
    let l = ui.lang;
    if messages.is_empty() {
        return empty(Icon::Out, tr::webhooks::no_messages(l), tr::webhooks::no_messages_hint(l), None).into_any();
    }
    let rows: Vec<_> = messages
        .into_iter()
        .map(|message| {
            let (tone, word) = match message.state {
                DeliveryState::Delivered => (Tone::Ok, tr::webhooks::delivered(l)),
                DeliveryState::Failed => (Tone::Bad, tr::webhooks::failed(l)),
                DeliveryState::Waiting if message.attempts > 0 => (Tone::Warn, tr::webhooks::again(l)),
                DeliveryState::Waiting => (Tone::Info, tr::webhooks::waiting(l)),
            };
            let answer = message.last.as_ref().map(|last| match last.status {
                Some(status) => format!("{status} {}", last.answer).trim().to_owned(),
                None => last.answer.clone(),
            });
            let took = message.last.as_ref().map(|last| format!("{} ms", last.millis));
            let next = message.next_at.filter(|_| message.attempts > 0).map(on);
            view! {
                <tr>
                    <td class="name">{event(l, message.event)}</td>
                    <td>{status(tone, word)}</td>
                    {fill(answer.unwrap_or_default())}
                    <td class="num muted hide">{took}</td>
                    <td class="num">{message.attempts}</td>
                    <td class="num muted hide">{next}</td>
                    <td class="num muted">{ago(ui, message.created_at)}</td>
                </tr>
            }
        })
        .collect();
    let columns = [
        Column::text(tr::webhooks::event(l)),
        Column::text(tr::common::status(l)),
        Column::text(tr::webhooks::answer(l)),
        Column::number(tr::webhooks::took(l)),
        Column::number(tr::webhooks::attempts(l)),
        Column::number(tr::webhooks::next(l)),
        Column::number(tr::webhooks::made_at(l)),
    ];
    table(columns, None, rows)
}

fn one_view(
    ui: Ui,
    (hook, messages): (Webhook, Vec<Delivery>),
    shown: Shown,
    may: bool,
    platform: bool,
    path: String,
) -> impl IntoView + 'static {
    let l = ui.lang;
    let fresh = shown.fresh.map(|(_, fresh)| {
        let body = view! {
            <p><strong>{tr::webhooks::secret(l)}</strong></p>
            <p>{tr::webhooks::secret_hint(l)}</p>
            {secret(ui, fresh.expose_secret().to_owned())}
        };
        view! { <div role="status">{note(Tone::Ok, body.into_any())}</div> }
    });
    let old = hook.old_secret_until.filter(|until| *until > ui.now);
    let old = old.map(|until| view! { <dt>{tr::webhooks::old_secret(l)}</dt><dd>{on(until)}</dd> });
    let acts = may.then(|| {
        view! {
            <form method="post" action=path.clone()>
                {button(Button::Plain, None, tr::webhooks::test(l), Some("test"))}
                <button class="btn" name="do" value="rotate" data-confirm=tr::webhooks::rotate_sure(l)>
                    {tr::webhooks::rotate(l)}
                </button>
                <button class="btn danger" name="do" value="remove" data-confirm=tr::webhooks::remove_sure(l, &hook.name)>
                    {tr::common::remove(l)}
                </button>
            </form>
        }
    });
    let settings = may.then(|| {
        let form = shown.form.unwrap_or_else(|| {
            let on = if hook.stopped.is_none() { "on" } else { "" };
            let mut form = Form::with([
                ("name", hook.name.clone()),
                ("url", hook.url.clone()),
                ("on", on.to_owned()),
                ("version", hook.version.to_string()),
            ]);
            form.values.extend(hook.events.iter().map(|kind| (EVENTS.to_owned(), kind.to_string())));
            form
        });
        let switch = Field::check("on", tr::webhooks::switch(l)).hint(tr::webhooks::switch_hint(l));
        let body = view! {
            <form class="in" method="post" action=path>
                {summary(ui, &form, &["name", "url", "on"])}
                {hidden("version", form.value("version"))}
                {fields(ui, &form, platform)}
                {field(ui, &form, switch)}
                <div class="actions">{button(Button::Go, None, tr::common::save(l), Some("set"))}</div>
            </form>
        };
        card(tr::common::settings(l), None, body.into_any())
    });
    let told: Vec<_> = hook.events.iter().map(|kind| view! { {tone_tag(Tone::Off, event(l, *kind))}" " }).collect();
    view! {
        <div class="head"><h1>{hook.name.clone()}</h1><div class="do">{acts}</div></div>
        {fresh}
        <div class="card" id="webhook-state">{how(ui, &hook)}</div>
        <div class="card in">
            <dl class="facts">
                <dt>{tr::webhooks::url(l)}</dt><dd class="mono">{hook.url.clone()}</dd>
                <dt>{tr::webhooks::events(l)}</dt><dd>{told}</dd>
                {old}
                <dt>{tr::common::created(l)}</dt><dd>{on(hook.created_at)}" · "{hook.created_by.clone()}</dd>
            </dl>
        </div>
        <section class="card" aria-label=tr::webhooks::messages(l)>
            <header><h2>{tr::webhooks::messages(l)}</h2></header>
            <div id="messages">{message_table(ui, messages)}</div>
        </section>
        {settings}
    }
}

async fn change(cx: Cx) -> Result<Answer> {
    let (whose, id, l) = (Whose::of(&cx)?, id(&cx)?, cx.lang());
    let tenant = whose.0.as_ref();
    match cx.field("do") {
        "remove" => {
            cx.services.delete_webhook(&cx.ctx, tenant, id).await?;
            Ok(done(whose.list(), tr::webhooks::removed(l)))
        }
        "rotate" => {
            let fresh = Some(cx.services.rotate_webhook_secret(&cx.ctx, tenant, id).await?);
            page_of(cx, whose, id, Shown { fresh, ..Shown::default() }).await
        }
        "test" => {
            cx.services.test_webhook(&cx.ctx, tenant, id).await?;
            Ok(done(whose.one(id), tr::webhooks::tested(l)))
        }
        _ => {
            let version = cx.field("version").parse().ok();
            let wanted = (&sent(&cx), cx.field("on") == "on");
            match cx.services.update_webhook(&cx.ctx, (tenant, id), wanted, version).await {
                Ok(_) => Ok(done(whose.one(id), tr::shell::saved(l))),
                Err(e) => {
                    let form = Some(Form::refused(&cx, &[], e)?);
                    page_of(cx, whose, id, Shown { form, ..Shown::default() }).await
                }
            }
        }
    }
}

/// Which webhooks Berth gave up, on the page of who could mend them.
pub async fn banner(cx: &PageCx, tenant: Option<&TenantName>) -> Option<AnyView> {
    let all = cx.services.given_up_webhooks(&cx.ctx, tenant).await;
    if all.is_empty() {
        return None;
    }
    let (whose, l) = (Whose(tenant.cloned()), cx.lang());
    let links: Vec<_> =
        all.into_iter().map(|hook| view! { " "<a href=whose.one(hook.id)>{hook.name.clone()}</a> }).collect();
    Some(note(Tone::Warn, view! { <p>{tr::webhooks::given_up_banner(l)}{links}</p> }.into_any()).into_any())
}
