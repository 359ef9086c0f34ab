//! What somebody may not do, who can let them, and asking for it.

use berth_core::{
    Result,
    authz::{Grant, NamespaceRef, Rights, TenantRef},
    ports::pages::{Access, Language},
    services::access::Granters,
};
use berth_types::{
    Action, ListQuery, NamespaceName, Resource, TenantName, TenantRole,
    access::{AccessRequest, AccessState},
    custom_role::CustomRole,
};
use futures::FutureExt;
use leptos::prelude::*;

use super::{
    errors::role_name,
    members::{options, role_sent},
    roles,
};
use crate::{
    components::{
        Button, Column, Field, Form, Icon, Tone, ago, button, card, field, form::summary, hidden, icon, status, table,
    },
    paths,
    request::{Answer, Cx, Page, PageCx, Place, TenantNav, done},
    router::Entry,
    tr,
    ui::Ui,
};

/// The pages of this area.
pub const ENTRIES: &[Entry] =
    &[Entry::page("/t/{tenant}/access", Access::Tenant, |cx| page(cx, None).boxed()).form(|cx| ask(cx).boxed())];

/// Names of granters that are told; there may be many.
const TOLD: usize = 3;

/// A right that somebody lacks: in words, who can give it, and where to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What it lets one do, the role it takes, and whom to ask.
    why: String,
    /// The form that asks for it; none: no role of the tenant gives it, or only an owner's.
    ask: Option<String>,
}

/// What `right` is, in words, and who can give it.
async fn explained(
    cx: &PageCx,
    (tenant, namespace): (&TenantName, Option<&NamespaceName>),
    (resource, action): (Resource, Action),
) -> Option<Missing> {
    let l = cx.lang();
    let Granters { role, people } =
        cx.services.granters(&cx.ctx, (tenant, namespace), (resource, action)).await.ok()?;
    let what = tr::access::permission(l, verb(cx, action), noun(l, resource));
    let Some(role) = role else {
        return Some(Missing { why: format!("{what} {}", tr::common::ask_platform(l)), ask: None });
    };
    let named = people.iter().take(TOLD).map(|(shown, user)| format!("{shown} ({user})"));
    let names = named.collect::<Vec<_>>().join(", ");
    let who = if names.is_empty() {
        tr::common::needs_role(l, role_name(l, role))
    } else {
        tr::common::ask_for_role(l, role_name(l, role), names)
    };
    let ask = TenantRole::IN_NAMESPACE.contains(&role).then(|| paths::ask_access(tenant, namespace, role));
    Some(Missing { why: format!("{what} {who}"), ask })
}

/// What a resource is called.
#[must_use]
pub fn noun(l: Language, resource: Resource) -> &'static str {
    tr::template(l, "access", &format!("resource_{}", resource.as_str().replace('-', "_"))).unwrap_or_default()
}

fn verb(cx: &PageCx, action: Action) -> &'static str {
    tr::template(cx.lang(), "access", &format!("action_{action}")).unwrap_or_default()
}

/// What the reader lacks in a tenant; none where nothing of this is why it cannot be done.
pub async fn missing(cx: &PageCx, tenant: &TenantRef, right: (Resource, Action)) -> Option<Missing> {
    let lacks = cx.services.authz().lacks(&cx.ctx, tenant.rights, right);
    if lacks { explained(cx, (&tenant.name, None), right).await } else { None }
}

/// The same in a namespace.
pub async fn missing_in(cx: &PageCx, namespace: &NamespaceRef, right: (Resource, Action)) -> Option<Missing> {
    let lacks = cx.services.authz().lacks(&cx.ctx, namespace.rights, right);
    let place = (&namespace.tenant.name, Some(&namespace.name));
    if lacks { explained(cx, place, right).await } else { None }
}

/// The same on the platform: who looks after it sees what is closed to them, and who keeps it.
pub async fn missing_on_platform(cx: &PageCx, right: (Resource, Action)) -> Option<Missing> {
    if !cx.services.authz().lacks(&cx.ctx, Rights::NONE, right) {
        return None;
    }
    let l = cx.lang();
    let only = |value: &str| vec![value.to_owned()];
    let admins = ListQuery {
        filters: [("role".to_owned(), only("admin")), ("disabled".to_owned(), only("false"))].into(),
        limit: TOLD,
        ..ListQuery::default()
    };
    let people = cx.services.list_users(&cx.ctx, &admins).await.ok()?;
    let named = people.items.iter().map(|user| format!("{} ({})", user.display_name, user.name));
    let what = tr::access::permission(l, verb(cx, right.1), noun(l, right.0));
    let who = tr::access::ask_admins(l, named.collect::<Vec<_>>().join(", "));
    Some(Missing { why: format!("{what} {who}"), ask: None })
}

/// The control called `label` of the admin console, for who may not use it.
pub async fn closed_on_platform(cx: &PageCx, label: &'static str, right: (Resource, Action)) -> Option<AnyView> {
    missing_on_platform(cx, right).await.map(|missing| closed(cx.ui(), label, &missing))
}

/// The same of a page that refused itself: where it is says its path.
pub async fn missing_at(cx: &PageCx, right: (Resource, Action)) -> Option<Missing> {
    if cx.request.path.starts_with("/admin") {
        return missing_on_platform(cx, right).await;
    }
    let mut steps = cx.request.path.strip_prefix("/t/")?.split('/');
    let tenant: TenantName = steps.next()?.parse().ok()?;
    let namespace = match (steps.next(), steps.next().map(str::parse::<NamespaceName>)) {
        (Some("n"), Some(Ok(namespace))) => Some(namespace),
        _ => None,
    };
    let namespaced = matches!(
        right.0,
        Resource::App | Resource::Workload | Resource::Log | Resource::Exec | Resource::Network | Resource::Namespace
    );
    let here = namespace.as_ref().filter(|_| namespaced || right.0 == Resource::Membership);
    explained(cx, (&tenant, here), right).await
}

/// A control that somebody may not use: it stands where it would, and says why not and whom to ask.
#[must_use]
pub fn closed(ui: Ui, label: &'static str, missing: &Missing) -> AnyView {
    view! {
        <details class="menu closed">
            <summary class="btn">{icon(Icon::Lock)}{label}</summary>
            <div class="in small">{told(ui, missing)}</div>
        </details>
    }
    .into_any()
}

/// Why something cannot be done, and where to ask for it.
#[must_use]
pub fn told(ui: Ui, missing: &Missing) -> AnyView {
    let ask = missing.ask.clone().map(|href| view! { " "<a href=href>{tr::access::ask_for_it(ui.lang)}</a> });
    view! { <p>{missing.why.clone()}{ask}</p> }.into_any()
}

/// What the page shows.
struct Model {
    namespaces: Vec<NamespaceName>,
    own: Vec<CustomRole>,
    whole: bool,
    mine: Vec<AccessRequest>,
    form: Form,
}

async fn page(cx: Cx, refused: Option<Form>) -> Result<Answer> {
    let (grant, _) = cx.services.get_tenant(&cx.ctx, &cx.tenant()?).await?;
    let name = cx.services.authz().person(&cx.ctx)?.name.clone();
    let mut mine = cx.services.list_access(&cx.ctx, &grant.name).await?;
    mine.retain(|request| request.user == name);
    let status = refused.as_ref().map_or(200, Form::status);
    let asked = || ["role", "namespace"].map(|field| (field, cx.query(field).to_owned()));
    let form = refused.unwrap_or_else(|| Form::with(asked()));
    let seen = cx.services.authz().visible_namespaces(&cx.ctx, &grant).await?;
    let could = |resource, action| cx.services.authz().could(&cx.ctx, &grant, resource, action);
    let model = Model {
        namespaces: seen.iter().map(|n| n.name.clone()).collect(),
        own: roles::own(&cx, &grant.name).await,
        whole: could(Resource::Access, Action::Create),
        mine,
        form,
    };
    let title = tr::access::ask_title(cx.lang());
    let place = Place::Tenant(grant.name.clone(), TenantNav::Members);
    let view = view(cx.ui(), model);
    Ok(Page::new(title, place, view).crumb(title, paths::access(&grant.name)).status(status).into())
}

fn view(ui: Ui, m: Model) -> impl IntoView + use<> {
    let l = ui.lang;
    let whole = m.whole.then(|| (String::new(), tr::access::whole_tenant(l).to_owned()));
    let each = m.namespaces.iter().map(|n| (n.to_string(), n.to_string()));
    let places: Vec<(String, String)> = whole.into_iter().chain(each).collect();
    let body = view! {
        <form class="in" method="post">
            {summary(ui, &m.form, &["namespace", "role", "reason"])}
            <div class="row">
                {field(ui, &m.form, Field::select("namespace", tr::access::place(l), places))}
                {field(ui, &m.form, Field::select("role", tr::common::role(l), options(l, TenantRole::IN_NAMESPACE, &m.own)))}
            </div>
            {field(ui, &m.form, Field::area("reason", tr::access::reason(l), 3).required().max(500).hint(tr::access::reason_hint(l)))}
            <div class="actions">{button(Button::Go, None, tr::access::send(l), Some("ask"))}</div>
        </form>
    };
    let mine = (!m.mine.is_empty()).then(|| {
        let rows: Vec<_> = m.mine.iter().map(|request| own_row(ui, request)).collect();
        let columns = [
            Column::text(tr::access::place(l)),
            Column::text(tr::common::role(l)),
            Column::text(tr::common::status(l)),
            Column::text(tr::access::answer(l)),
            Column::number(tr::access::asked(l)),
        ];
        card(tr::access::mine(l), None, table(columns, None, rows))
    });
    view! {
        <div class="head"><h1>{tr::access::ask_title(l)}</h1><p>{tr::access::ask_what(l)}</p></div>
        {card(tr::access::ask_card(l), None, body.into_any())}
        {mine}
    }
}

fn place_of(ui: Ui, request: &AccessRequest) -> String {
    request.namespace.as_ref().map_or_else(|| tr::access::whole_tenant(ui.lang).to_owned(), ToString::to_string)
}

fn own_row(ui: Ui, request: &AccessRequest) -> AnyView {
    let l = ui.lang;
    let (tone, word) = match request.state {
        AccessState::Open => (Tone::Info, tr::access::state_open(l)),
        AccessState::Approved => (Tone::Ok, tr::access::state_approved(l)),
        AccessState::Declined => (Tone::Bad, tr::access::state_declined(l)),
    };
    let answer = request.decided_by.as_ref().map(|by| match request.comment.as_str() {
        "" => by.to_string(),
        comment => format!("{by}: {comment}"),
    });
    view! {
        <tr>
            <td>{place_of(ui, request)}</td>
            <td>{role_name(l, request.role)}</td>
            <td>{status(tone, word)}</td>
            <td class="muted">{answer}</td>
            <td class="num muted">{ago(ui, request.created_at)}</td>
        </tr>
    }
    .into_any()
}

async fn ask(cx: Cx) -> Result<Answer> {
    let tenant = cx.tenant()?;
    let outcome: Result<String> = async {
        let namespace = match cx.field("namespace") {
            "" => None,
            name => Some(berth_core::services::people::name("namespace", name, NamespaceName::MAX)?),
        };
        let role = role_sent(&cx, TenantRole::IN_NAMESPACE, "namespace_role")?;
        cx.services.request_access(&cx.ctx, (&tenant, namespace.as_ref()), role, cx.field("reason")).await?;
        Ok(tr::access::sent(cx.lang()).to_owned())
    }
    .await;
    match outcome {
        Ok(flash) => Ok(done(paths::access(&tenant), flash)),
        Err(e) => {
            let form = Form::refused(&cx, &[], e)?;
            page(cx, Some(form)).await
        }
    }
}

/// How many requests for roles wait for the reader in the tenant, or in the namespace where they are; none without any. Asked only
/// for who may decide, as every page asks.
pub async fn waiting(cx: &PageCx, tenant: &TenantRef, here: Option<&Grant<NamespaceRef>>) -> Option<usize> {
    let authz = cx.services.authz();
    let decides = match here {
        Some(here) => authz.could_in(&cx.ctx, here, Resource::Access, Action::Update),
        None => authz.could(&cx.ctx, tenant, Resource::Access, Action::Update),
    };
    if !decides {
        return None;
    }
    let mut open = cx.services.open_access(&cx.ctx, &tenant.name).await.ok()?;
    open.retain(|request| here.is_none() || request.namespace.as_ref() == here.map(|here| &here.name));
    Some(open.len()).filter(|count| *count > 0)
}

/// The requests that wait for the reader, with what can be done about each; `here`: in this namespace alone.
pub async fn inbox(cx: &Cx, tenant: &TenantName, here: Option<&NamespaceName>) -> Result<Option<AnyView>> {
    let mut open = cx.services.open_access(&cx.ctx, tenant).await?;
    open.retain(|request| here.is_none() || request.namespace.as_ref() == here);
    if open.is_empty() {
        return Ok(None);
    }
    let ui = cx.ui();
    let l = ui.lang;
    let rows: Vec<_> = open.iter().map(|request| waiting_row(ui, request)).collect();
    let columns = [
        Column::text(tr::common::name(l)),
        Column::text(tr::access::place(l)),
        Column::text(tr::common::role(l)),
        Column::text(tr::access::reason(l)),
        Column::actions(l),
    ];
    Ok(Some(card(tr::access::inbox(l), None, table(columns, None, rows)).into_any()))
}

fn waiting_row(ui: Ui, request: &AccessRequest) -> AnyView {
    let l = ui.lang;
    let label = tr::access::comment_for(l, &request.display_name);
    view! {
        <tr>
            <td class="name">{request.display_name.clone()}" "<span class="mono muted">{request.user.to_string()}</span></td>
            <td>{place_of(ui, request)}</td>
            <td>{role_name(l, request.role)}</td>
            <td class="muted">{request.reason.clone()}" · "{ago(ui, request.created_at)}</td>
            <td class="act">
                <form method="post">
                    {hidden("request", request.id.to_string())}
                    <input type="text" name="comment" maxlength="500" aria-label=label placeholder=tr::access::comment(l) />
                    <button class="btn sm" name="do" value="approve">{tr::access::approve(l)}</button>
                    <button class="btn sm danger" name="do" value="decline">{tr::access::decline(l)}</button>
                </form>
            </td>
        </tr>
    }
    .into_any()
}

/// Decides about a request of the inbox, if that is what the form wants; what is told then.
pub async fn decide(cx: &Cx, tenant: &TenantName) -> Option<Result<String>> {
    let approved = match cx.field("do") {
        "approve" => true,
        "decline" => false,
        _ => return None,
    };
    let l = cx.lang();
    let id = cx.field("request").parse().map_err(|_| berth_core::Error::not_found());
    let decided = async {
        let request = cx.services.decide_access(&cx.ctx, tenant, id?, approved, cx.field("comment")).await?;
        Ok(if approved {
            tr::access::approved(l, &request.user, role_name(l, request.role))
        } else {
            tr::access::declined(l, &request.user)
        })
    };
    Some(decided.await)
}
