//! Invitations, from the side of who invites: into a tenant, or onto the platform.

use berth_core::{
    Error, Result,
    ports::pages::Access,
    services::invitations::{DAYS, Invite},
};
use berth_types::{Action, Resource, TenantName, TenantRole, custom_role::CustomRole, people::Invitation};
use futures::FutureExt;
use leptos::prelude::*;
use secrecy::ExposeSecret;

use super::{
    access::{self, Missing},
    errors::role_name,
    members::choices,
    roles,
    tokens::secret,
};
use crate::{
    components::{
        Button, Column, Field, Form, Icon, Tone, button, card, empty, field, form::summary, hidden, note, on, table,
    },
    paths,
    request::{AdminNav, Answer, Cx, Page, Place, TenantNav, done},
    router::Entry,
    tr,
    ui::Ui,
};

/// The pages of this area.
pub const ENTRIES: &[Entry] = &[
    Entry::page("/t/{tenant}/invitations", Access::Tenant, |cx| list(cx, Form::default(), None).boxed())
        .form(|cx| change(cx).boxed()),
    Entry::page(paths::ADMIN_INVITATIONS, Access::Platform, |cx| list(cx, Form::default(), None).boxed())
        .form(|cx| change(cx).boxed()),
];

/// Lifetimes to choose from, in days.
const LIVES: [u32; 4] = [1, 3, DAYS.0, DAYS.1];

/// The tenant of the page; none: the platform's.
fn tenant(cx: &Cx) -> Result<Option<TenantName>> {
    if cx.request.path == paths::ADMIN_INVITATIONS { Ok(None) } else { cx.tenant().map(Some) }
}

/// What the page shows.
struct Model {
    /// Into this tenant; none: onto the platform.
    tenant: Option<TenantName>,
    open: Vec<Invitation>,
    /// The roles that the tenant made.
    own: Vec<CustomRole>,
    /// Whether the reader may invite.
    may: bool,
    /// Why not, where it is for want of a role.
    closed: Option<Missing>,
    /// Whether they may invite owners.
    may_own: bool,
    form: Form,
    /// Whether mail is sent.
    sends: bool,
    /// The link that was just made: shown once.
    link: Option<String>,
}

async fn list(cx: Cx, form: Form, link: Option<String>) -> Result<Answer> {
    let (l, status, tenant) = (cx.lang(), form.status(), tenant(&cx)?);
    let open = cx.services.list_invitations(&cx.ctx, tenant.as_ref()).await?;
    let authz = cx.services.authz();
    let mut closed = None;
    let (place, may, may_own) = match &tenant {
        Some(tenant) => {
            let (grant, _) = cx.services.get_tenant(&cx.ctx, tenant).await?;
            let could = |resource, action| authz.could(&cx.ctx, &grant, resource, action);
            let may = could(Resource::Invitation, Action::Create);
            closed = access::missing(&cx, &grant, (Resource::Invitation, Action::Create)).await;
            (Place::Tenant(tenant.clone(), TenantNav::Members), may, could(Resource::Tenant, Action::Delete))
        }
        None => {
            let may = authz.platform(&cx.ctx, Resource::User, Action::Create).is_ok();
            (Place::Admin(AdminNav::People), may, false)
        }
    };
    let own = match &tenant {
        Some(tenant) if may => roles::own(&cx, tenant).await,
        _ => Vec::new(),
    };
    let view =
        view(cx.ui(), Model { tenant, open, own, may, closed, may_own, form, sends: cx.services.sends_mail(), link });
    let title = tr::links::invitations(l);
    Ok(Page::new(title, place, view).crumb(title, cx.request.path.clone()).status(status).into())
}

fn view(ui: Ui, m: Model) -> impl IntoView + 'static {
    let l = ui.lang;
    let into_tenant = m.tenant.is_some();
    let shown = m.link.map(|link| {
        let body = view! {
            <p><strong>{tr::links::made(l)}</strong></p>
            <p>{tr::links::made_hint(l)}</p>
            {secret(ui, link)}
        };
        view! { <div role="status">{note(Tone::Ok, body.into_any())}</div> }
    });
    let what = if into_tenant { tr::links::invitations_what(l) } else { tr::links::platform_what(l) };
    let make = m
        .may
        .then(|| card(tr::links::invite(l), None, invite_form(ui, m.form, (into_tenant, m.sends), m.may_own, &m.own)));
    let closed = m.closed.as_ref().map(|closed| access::closed(ui, tr::links::invite(l), closed));
    view! {
        <div class="head"><h1>{tr::links::invitations(l)}</h1><p>{what}</p><div class="do">{closed}</div></div>
        {shown}
        <section class="card" aria-label=tr::links::invitations(l)>{open_table(ui, m.open, into_tenant, m.may)}</section>
        {make}
    }
}

fn open_table(ui: Ui, open: Vec<Invitation>, into_tenant: bool, may: bool) -> AnyView {
    let l = ui.lang;
    if open.is_empty() {
        return empty(Icon::People, tr::links::none_open(l), tr::links::none_open_hint(l), None).into_any();
    }
    let rows: Vec<_> = open
        .into_iter()
        .map(|invitation| {
            let whom = invitation.email.unwrap_or_else(|| tr::links::anybody(l).to_owned());
            let act = may.then(|| {
                view! {
                    <form method="post">
                        {hidden("invitation", invitation.id.to_string())}
                        <button class="btn sm danger" name="do" value="revoke" data-confirm=tr::links::revoke_sure(l, &whom)>
                            {tr::links::revoke(l)}
                        </button>
                    </form>
                }
            });
            let role = into_tenant.then(|| view! { <td>{invitation.role.map(|role| role_name(l, role))}</td> });
            view! {
                <tr>
                    <td class="name">{whom.clone()}</td>
                    {role}
                    <td class="mono muted">{invitation.invited_by.to_string()}</td>
                    <td class="muted hide">{on(invitation.created_at)}</td>
                    <td class="muted">{on(invitation.expires_at)}</td>
                    <td class="act">{act}</td>
                </tr>
            }
        })
        .collect();
    let mut columns = vec![Column::text(tr::links::whom(l))];
    columns.extend(into_tenant.then(|| Column::text(tr::common::role(l))));
    columns.extend([
        Column::text(tr::links::by(l)),
        Column::text(tr::common::created(l)),
        Column::text(tr::shell::ends(l)),
        Column::actions(l),
    ]);
    table(columns, None, rows)
}

fn invite_form(
    ui: Ui,
    mut form: Form,
    (into_tenant, sends): (bool, bool),
    may_own: bool,
    own: &[CustomRole],
) -> AnyView {
    let l = ui.lang;
    for (field, value) in [("role", TenantRole::Developer.to_string()), ("days", DAYS.0.to_string())] {
        if form.value(field).is_empty() {
            form.values.push((field.to_owned(), value));
        }
    }
    let email = Field::text("email", tr::links::email(l)).max(254).placeholder("ann@example.com").hint(if sends {
        tr::links::email_hint_mail(l)
    } else {
        tr::links::email_hint(l)
    });
    let send = sends
        .then(|| field(ui, &form, Field::check("send", tr::links::send_mail(l)).hint(tr::links::send_mail_hint(l))));
    let days = LIVES.iter().map(|days| (days.to_string(), tr::common::days(l, days))).collect();
    let days = Field::select("days", tr::shell::lives(l), days);
    let role = into_tenant.then(|| {
        let role = Field::select("role", tr::common::role(l), choices(l, may_own, own)).hint(tr::shell::roles_hint(l));
        field(ui, &form, role)
    });
    view! {
        <form class="in" method="post">
            {summary(ui, &form, &["email", "role", "days", "send"])}
            {field(ui, &form, email)}
            {send}
            <div class="row">{role}{field(ui, &form, days)}</div>
            <div class="actions">{button(Button::Go, Some(Icon::Plus), tr::links::make(l), Some("invite"))}</div>
        </form>
    }
    .into_any()
}

async fn change(cx: Cx) -> Result<Answer> {
    let tenant = tenant(&cx)?;
    if cx.field("do") == "revoke" {
        let id = cx.field("invitation").parse().map_err(|_| Error::not_found())?;
        cx.services.revoke_invitation(&cx.ctx, tenant.as_ref(), id).await?;
        return Ok(done(cx.request.path.clone(), tr::links::revoked(cx.lang())));
    }
    let invite = Invite {
        role: tenant.as_ref().and_then(|_| TenantRole::from_word(cx.field("role"))),
        email: cx.field("email").to_owned(),
        // What is no number is as wrong as 0.
        days: Some(cx.field("days").trim().parse().unwrap_or(0)),
        send: (cx.field("send") == "on").then_some(cx.lang()),
    };
    match cx.services.invite(&cx.ctx, tenant.as_ref(), &invite).await {
        // Shown in the answer itself: a secret has no place in a redirect or a flash.
        Ok((_, secret)) => {
            let link = format!("{}{}", cx.request.base, paths::join(secret.expose_secret()));
            list(cx, Form::default(), Some(link)).await
        }
        Err(e) => {
            let form = Form::refused(&cx, &[], e)?;
            list(cx, form, None).await
        }
    }
}
