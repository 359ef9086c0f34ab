//! Who belongs to a tenant, and who may do what in one of its namespaces.

use berth_core::{
    Result,
    ports::pages::{Access, Language},
};
use berth_types::{
    Action, FieldError, NamespaceName, Resource, TenantName, TenantRole, UserName,
    custom_role::CustomRole,
    people::{Guest, Member, NamespaceMember},
};
use futures::FutureExt;
use leptos::prelude::*;

use super::{
    access::{self, Missing},
    errors::role_name,
    kubectl::{self, Protection},
    roles,
};
use crate::{
    components::{
        Button, Column, Field, Form, Icon, button, card, field, form::summary, hidden, link_button, on, table, tag,
    },
    paths,
    request::{Answer, Cx, NamespaceNav, Page, Place, TenantNav, done},
    router::Entry,
    tr,
    ui::Ui,
};

/// The pages of this area.
pub const ENTRIES: &[Entry] = &[
    Entry::page("/t/{tenant}/members", Access::Tenant, |cx| members(cx, Form::default()).boxed())
        .form(|cx| change_member(cx).boxed()),
    Entry::page("/t/{tenant}/n/{namespace}/members", Access::Tenant, |cx| here(cx, Form::default()).boxed())
        .form(|cx| change_here(cx).boxed()),
];

/// What the members' page shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Members {
    /// The tenant.
    pub tenant: TenantName,
    /// Who belongs to it, strongest role first.
    pub members: Vec<Member>,
    /// The roles that it made.
    pub own: Vec<CustomRole>,
    /// Whether the reader may see these.
    pub may_roles: bool,
    /// Whether the reader may change that.
    pub may_change: bool,
    /// Whether the reader may make and unmake owners.
    pub may_own: bool,
    /// Whether the reader may see and make invitations.
    pub may_invite: bool,
    /// Whether the reader may see the tenant's robots.
    pub may_robots: bool,
    /// Why not, where it is for want of a role.
    pub closed: Option<Missing>,
    /// Why they may not see invitations and robots, where it is for want of a role.
    pub others: Option<Missing>,
    /// Who was given a role in a namespace alone.
    pub guests: Vec<Guest>,
    /// The form to add somebody.
    pub form: Form,
}

async fn members(cx: Cx, form: Form) -> Result<Answer> {
    let status = form.status();
    let (grant, _) = cx.services.get_tenant(&cx.ctx, &cx.tenant()?).await?;
    let could = |resource, action| cx.services.authz().could(&cx.ctx, &grant, resource, action);
    let model = Members {
        tenant: grant.name.clone(),
        members: cx.services.list_members(&cx.ctx, &grant.name).await?,
        own: roles::own(&cx, &grant.name).await,
        may_roles: could(Resource::Role, Action::Read),
        may_change: could(Resource::Membership, Action::Update),
        may_own: could(Resource::Tenant, Action::Delete),
        may_invite: could(Resource::Invitation, Action::Read),
        may_robots: could(Resource::Robot, Action::Read),
        closed: access::missing(&cx, &grant, (Resource::Membership, Action::Update)).await,
        others: access::missing(&cx, &grant, (Resource::Invitation, Action::Read)).await,
        guests: cx.services.list_guests(&cx.ctx, &grant.name).await?,
        form,
    };
    let inbox = access::inbox(&cx, &grant.name, None).await?;
    let place = Place::Tenant(grant.name.clone(), TenantNav::Members);
    let title = tr::common::members(cx.lang());
    let view = members_view(cx.ui(), inbox, model);
    Ok(Page::new(title, place, view).status(status).into())
}

/// Roles to choose from: these, and the tenant's `own`.
pub fn options(lang: Language, roles: &[TenantRole], own: &[CustomRole]) -> Vec<(String, String)> {
    let all = roles.iter().map(|r| (r.to_string(), role_name(lang, *r)));
    all.chain(own.iter().map(|role| (role.name.to_string(), roles::label(role)))).collect()
}

/// The roles that somebody may give in a tenant, `own` among them.
pub fn choices(lang: Language, may_own: bool, own: &[CustomRole]) -> Vec<(String, String)> {
    options(lang, if may_own { TenantRole::ALL } else { TenantRole::IN_NAMESPACE }, own)
}

/// The form that gives somebody a role.
fn add(ui: Ui, mut form: Form, choices: Vec<(String, String)>, title: &'static str, hint: &'static str) -> AnyView {
    let l = ui.lang;
    if form.value("role").is_empty() {
        form.values.push(("role".to_owned(), TenantRole::Developer.to_string()));
    }
    let user = Field::text("user", tr::shell::user_name(l)).required().max(UserName::MAX).checked_as("user");
    let role = Field::select("role", tr::common::role(l), choices).hint(hint);
    let body = view! {
        <form class="in" method="post">
            {summary(ui, &form, &["user", "role"])}
            <div class="row">{field(ui, &form, user)}{field(ui, &form, role)}</div>
            <div class="actions">{button(Button::Go, Some(Icon::Plus), title, Some("add"))}</div>
        </form>
    };
    card(title, None, body.into_any()).into_any()
}

/// The form in a row that changes or takes away the role that somebody has.
fn change(
    ui: Ui,
    (user, display_name): (&UserName, &str),
    role: TenantRole,
    choices: Vec<(String, String)>,
    sure: String,
) -> AnyView {
    let l = ui.lang;
    let choices: Vec<_> = choices
        .into_iter()
        .map(|(value, label)| {
            let selected = value == role.as_str();
            view! { <option value=value selected=selected>{label}</option> }
        })
        .collect();
    view! {
        <form method="post">
            {hidden("user", user.to_string())}
            <select name="role" aria-label=tr::shell::role_of(l, display_name)>{choices}</select>
            <button class="btn sm" name="do" value="set">{tr::common::change(l)}</button>
            <button class="btn sm danger" name="do" value="remove" data-confirm=sure>{tr::common::remove(l)}</button>
        </form>
    }
    .into_any()
}

/// The role that a form names: one of `choices`, else refused as `code`.
pub fn role_sent(cx: &Cx, choices: &[TenantRole], code: &'static str) -> Result<TenantRole> {
    TenantRole::from_word(cx.field("role")).ok_or_else(|| {
        let choices = choices.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let message = format!("one of {choices}");
        berth_core::Error::field(FieldError::new("role", code, message).param("choices", choices))
    })
}

/// What one of these forms wants: whose role, and which it shall be; none: taken away.
fn wanted(cx: &Cx) -> Result<(UserName, Option<TenantRole>)> {
    let user: UserName = berth_core::services::people::name("user", cx.field("user"), UserName::MAX)?;
    if cx.field("do") == "remove" {
        return Ok((user, None));
    }
    Ok((user, Some(role_sent(cx, TenantRole::ALL, "one_of")?)))
}

/// The members' page.
pub fn members_view(ui: Ui, inbox: Option<AnyView>, m: Members) -> impl IntoView + 'static {
    let l = ui.lang;
    let rows: Vec<_> = m.members.iter().map(|member| member_row(ui, &m, member)).collect();
    let form = m.form;
    let add = m
        .may_change
        .then(|| add(ui, form, choices(l, m.may_own, &m.own), tr::shell::add_member(l), tr::shell::roles_hint(l)));
    let closed = m.closed.as_ref().map(|closed| access::closed(ui, tr::shell::add_member(l), closed));
    let invite = m
        .may_invite
        .then(|| link_button(Button::Plain, Some(Icon::Plus), tr::links::invite(l), paths::invitations(&m.tenant)));
    let others = m.others.as_ref().map(|why| access::closed(ui, tr::links::invite(l), why));
    let guests = guests(ui, &m.tenant, &m.guests);
    let own = m.may_roles.then(|| link_button(Button::Plain, None, tr::roles::roles(l), paths::roles(&m.tenant)));
    let robots = m
        .may_robots
        .then(|| link_button(Button::Plain, Some(Icon::Key), tr::robots::robots(l), paths::robots(&m.tenant)));
    view! {
        <div class="head"><h1>{tr::common::members(l)}</h1><div class="do">{own}{robots}{invite}{others}{closed}</div></div>
        {inbox}
        <section class="card" aria-label=tr::common::members(l)>
            {table(
                [Column::text(tr::common::name(l)),
                 Column::text(tr::shell::user_name(l)),
                 Column::text(tr::common::role(l)),
                 Column::text(tr::shell::since(l)),
                 Column::actions(l)],
                None,
                rows,
            )}
        </section>
        {guests}
        {add}
    }
}

/// Who sees one namespace alone, and where that is changed.
fn guests(ui: Ui, tenant: &TenantName, guests: &[Guest]) -> Option<AnyView> {
    let l = ui.lang;
    if guests.is_empty() {
        return None;
    }
    let row = |guest: &Guest| {
        view! {
            <tr>
                <td class="name">{guest.display_name.clone()}{robot_tag(l, &guest.user)}</td>
                <td class="mono muted">{guest.user.to_string()}</td>
                <td>{role_name(l, guest.role)}</td>
                <td><a href=paths::namespace_members(tenant, &guest.namespace)>{guest.namespace.to_string()}</a></td>
                <td class="muted hide">{on(guest.created_at)}</td>
            </tr>
        }
    };
    let rows: Vec<_> = guests.iter().map(row).collect();
    let columns = [
        Column::text(tr::common::name(l)),
        Column::text(tr::shell::user_name(l)),
        Column::text(tr::common::role(l)),
        Column::text(tr::common::namespace(l)),
        Column::text(tr::shell::since(l)),
    ];
    let body = view! { <p class="in small muted">{tr::access::guests_what(l)}</p> {table(columns, None, rows)} };
    Some(card(tr::access::guests(l), None, body.into_any()).into_any())
}

/// Says that a member is a robot, where it is one.
fn robot_tag(l: Language, user: &UserName) -> Option<AnyView> {
    user.as_robot().map(|_| view! { " "{tag(tr::robots::robot(l))} }.into_any())
}

fn member_row(ui: Ui, m: &Members, member: &Member) -> AnyView {
    let l = ui.lang;
    let robot = member.user.as_robot();
    let changeable = robot.is_none() && m.may_change && (m.may_own || member.role != TenantRole::Owner);
    let change = changeable.then(|| {
        let sure = tr::shell::remove_member_sure(l, &member.display_name);
        change(ui, (&member.user, &member.display_name), member.role, choices(l, m.may_own, &m.own), sure)
    });
    let user = match robot.filter(|_| m.may_robots) {
        Some(robot) => view! { <a href=paths::robot(&m.tenant, robot)>{member.user.to_string()}</a> }.into_any(),
        None => member.user.to_string().into_any(),
    };
    let by_rule = member.provider.as_ref().map(|provider| {
        view! { " "<span class="muted small">{tr::sign_in::by_rule(l, provider)}</span> }
    });
    view! {
        <tr>
            <td class="name">{member.display_name.clone()}{robot_tag(l, &member.user)}</td>
            <td class="mono muted">{user}</td>
            <td>{role_name(l, member.role)}{by_rule}</td>
            <td class="muted hide">{on(member.created_at)}</td>
            <td class="act">{change}</td>
        </tr>
    }
    .into_any()
}

async fn change_member(cx: Cx) -> Result<Answer> {
    let tenant = cx.tenant()?;
    let l = cx.lang();
    let outcome: Result<String> = async {
        if let Some(decided) = access::decide(&cx, &tenant).await {
            return decided;
        }
        match wanted(&cx)? {
            (user, None) => {
                cx.services.remove_member(&cx.ctx, &tenant, &user).await?;
                Ok(tr::shell::member_removed(l, &user))
            }
            (user, Some(role)) => {
                cx.services.set_member(&cx.ctx, &tenant, &user, role).await?;
                Ok(tr::shell::member_set(l, &user, role_name(l, role)))
            }
        }
    }
    .await;
    match outcome {
        Ok(flash) => Ok(done(paths::members(&tenant), flash)),
        Err(e) => {
            let form = Form::refused(&cx, &[], e)?;
            members(cx, form).await
        }
    }
}

/// What a namespace's page of members shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Here {
    /// The tenant.
    pub tenant: TenantName,
    /// The namespace.
    pub namespace: NamespaceName,
    /// All who have a role here, strongest first.
    pub members: Vec<NamespaceMember>,
    /// The roles that the reader may give here; none: they may not.
    pub may_give: Vec<TenantRole>,
    /// The roles that the tenant made, of which they may give all.
    pub own: Vec<CustomRole>,
    /// Why none, where it is for want of a role.
    pub closed: Option<Missing>,
    /// The form to give somebody a role.
    pub form: Form,
}

async fn here(cx: Cx, form: Form) -> Result<Answer> {
    let status = form.status();
    let (tenant, namespace) = (cx.tenant()?, cx.namespace()?);
    let members = cx.services.list_namespace_members(&cx.ctx, (&tenant, &namespace)).await?;
    let grant = cx.services.get_namespace(&cx.ctx, &tenant, &namespace).await?.namespace;
    let may = cx.services.authz().could_in(&cx.ctx, &grant, Resource::Membership, Action::Update);
    // Who may give roles here is an admin at least, or keeps the platform.
    let may_give = if may { TenantRole::IN_NAMESPACE.to_vec() } else { Vec::new() };
    let closed = access::missing_in(&cx, &grant, (Resource::Membership, Action::Update)).await;
    let inbox = access::inbox(&cx, &tenant, Some(&namespace)).await?;
    let own = if may { roles::own(&cx, &tenant).await } else { Vec::new() };
    let model = Here { tenant: tenant.clone(), namespace: namespace.clone(), members, may_give, own, closed, form };
    let title = tr::access::access(cx.lang());
    let place = Place::Namespace(tenant, namespace, NamespaceNav::Access);
    let protection = Protection::of(&cx, &grant).await;
    let view = here_view(cx.ui(), inbox, model, &protection);
    Ok(Page::new(title, place, view).crumb(title, cx.request.path.clone()).status(status).into())
}

/// The page.
pub fn here_view(ui: Ui, inbox: Option<AnyView>, m: Here, protection: &Protection) -> impl IntoView + use<> {
    let l = ui.lang;
    let rows: Vec<_> = m.members.iter().map(|member| row_here(ui, &m, member)).collect();
    let form = m.form;
    let closed = m.closed.as_ref().map(|closed| access::closed(ui, tr::access::give(l), closed));
    let choices = options(l, &m.may_give, &m.own);
    let add = (!choices.is_empty()).then(|| add(ui, form, choices, tr::access::give(l), tr::access::give_hint(l)));
    view! {
        <div class="head">
            <h1>{tr::access::access(l)}</h1>
            <p>{tr::access::what(l)}</p>
            <div class="do">{closed}</div>
        </div>
        {inbox}
        <section class="card" aria-label=tr::access::access(l)>
            {table(
                [Column::text(tr::common::name(l)),
                 Column::text(tr::shell::user_name(l)),
                 Column::text(tr::access::role_here(l)),
                 Column::text(tr::access::from(l)),
                 Column::actions(l)],
                None,
                rows,
            )}
        </section>
        {add}
        {protection.view(ui)}
    }
}

fn row_here(ui: Ui, m: &Here, member: &NamespaceMember) -> AnyView {
    let l = ui.lang;
    let who = (&member.user, member.display_name.as_str());
    // What a robot may is changed where it is kept.
    let person = member.user.as_robot().is_none();
    let changeable = |given: &TenantRole| given.is_custom() && !m.may_give.is_empty() || m.may_give.contains(given);
    let change = member.given.filter(|given| person && changeable(given)).map(|given| {
        let sure = tr::access::take_away_sure(l, &member.display_name, &m.namespace);
        change(ui, who, given, options(l, &m.may_give, &m.own), sure)
    });
    let from = match (member.given, member.tenant_role) {
        (Some(_), None) => tr::access::only_here(l).to_owned(),
        (Some(_), Some(role)) => tr::access::given_here(l, role_name(l, role)),
        (None, _) => tr::access::whole_tenant(l).to_owned(),
    };
    view! {
        <tr>
            <td class="name">{member.display_name.clone()}{robot_tag(l, &member.user)}</td>
            <td class="mono muted">{member.user.to_string()}</td>
            <td>{role_name(l, member.role)}</td>
            <td class="muted">{from}</td>
            <td class="act">{change}</td>
        </tr>
    }
    .into_any()
}

async fn change_here(cx: Cx) -> Result<Answer> {
    let (tenant, namespace) = (cx.tenant()?, cx.namespace()?);
    let (path, l) = ((&tenant, &namespace), cx.lang());
    let outcome: Result<String> = async {
        if let Some(decided) = access::decide(&cx, &tenant).await {
            return decided;
        }
        if let Some(protected) = kubectl::protect(&cx, path).await {
            return protected;
        }
        match wanted(&cx)? {
            (user, None) => {
                cx.services.remove_namespace_member(&cx.ctx, path, &user).await?;
                Ok(tr::access::taken_away(l, &user, &namespace))
            }
            (user, Some(role)) => {
                cx.services.set_namespace_member(&cx.ctx, path, &user, role).await?;
                Ok(tr::access::given(l, &user, role_name(l, role), &namespace))
            }
        }
    }
    .await;
    match outcome {
        Ok(flash) => Ok(done(paths::namespace_members(&tenant, &namespace), flash)),
        Err(e) => {
            let form = Form::refused(&cx, &[], e)?;
            here(cx, form).await
        }
    }
}
