//! A tenant's robots: accounts for machines, and their tokens.

use berth_core::{
    Error, Result,
    ports::{pages::Access, robots::RobotChange},
    services::robots::RobotText,
};
use berth_types::{
    Action, NamespaceName, Resource, RobotName, TenantName, TenantRole,
    custom_role::CustomRole,
    people::{ApiToken, Robot},
};
use futures::FutureExt;
use leptos::prelude::*;

use super::{
    access::{self, Missing},
    errors::role_name,
    members::{options, role_sent},
    roles,
    tokens::{self, Fresh, Whose},
    trusts::{self, Trusts},
};
use crate::{
    components::{
        Button, Column, Field, Form, Icon, Tone, ago, button, card, empty, field, form::summary, on, table, tone_tag,
    },
    paths,
    request::{Answer, Cx, Page, Place, TenantNav, done},
    router::Entry,
    tr,
    ui::Ui,
};

/// The pages of this area.
pub const ENTRIES: &[Entry] = &[
    Entry::page("/t/{tenant}/robots", Access::Tenant, |cx| list(cx, Form::default()).boxed())
        .form(|cx| create(cx).boxed()),
    Entry::page("/t/{tenant}/robots/{robot}", Access::Tenant, |cx| one(cx, Shown::default()).boxed())
        .form(|cx| change(cx).boxed()),
];

/// What the list shows.
struct Model {
    tenant: TenantName,
    robots: Vec<Robot>,
    namespaces: Vec<NamespaceName>,
    /// The roles that the tenant made.
    own: Vec<CustomRole>,
    /// Whether the reader may make some.
    may: bool,
    /// Why not, where it is for want of a role.
    closed: Option<Missing>,
    form: Form,
}

async fn list(cx: Cx, form: Form) -> Result<Answer> {
    let status = form.status();
    let tenant = cx.tenant()?;
    let robots = cx.services.list_robots(&cx.ctx, &tenant).await?;
    let (grant, _) = cx.services.get_tenant(&cx.ctx, &tenant).await?;
    let authz = cx.services.authz();
    let seen = authz.visible_namespaces(&cx.ctx, &grant).await?;
    let namespaces = seen.iter().map(|namespace| namespace.name.clone()).collect();
    let may = authz.could(&cx.ctx, &grant, Resource::Robot, Action::Create);
    let closed = access::missing(&cx, &grant, (Resource::Robot, Action::Create)).await;
    let own = roles::own(&cx, &tenant).await;
    let view = list_view(cx.ui(), Model { tenant: tenant.clone(), robots, namespaces, own, may, closed, form });
    let title = tr::robots::robots(cx.lang());
    let page = Page::new(title, Place::Tenant(tenant.clone(), TenantNav::Members), view);
    Ok(page.crumb(title, paths::robots(&tenant)).status(status).into())
}

fn list_view(ui: Ui, m: Model) -> impl IntoView + 'static {
    let l = ui.lang;
    let closed = m.closed.as_ref().map(|closed| access::closed(ui, tr::robots::new(l), closed));
    let make = m.may.then(|| card(tr::robots::new(l), None, new_form(ui, m.form, &m.namespaces, &m.own)));
    view! {
        <div class="head"><h1>{tr::robots::robots(l)}</h1><p>{tr::robots::what(l)}</p><div class="do">{closed}</div></div>
        <section class="card" aria-label=tr::robots::robots(l)>{robot_table(ui, &m.tenant, m.robots)}</section>
        {make}
    }
}

fn place(ui: Ui, robot: &Robot) -> String {
    robot.namespace.as_ref().map_or_else(|| tr::access::whole_tenant(ui.lang).to_owned(), ToString::to_string)
}

fn used(ui: Ui, robot: &Robot) -> AnyView {
    match robot.last_used_at {
        Some(at) => ago(ui, at).into_any(),
        None => tr::shell::never(ui.lang).into_any(),
    }
}

fn state(ui: Ui, robot: &Robot) -> Option<AnyView> {
    robot.disabled.then(|| tone_tag(Tone::Warn, tr::robots::disabled(ui.lang)).into_any())
}

fn robot_table(ui: Ui, tenant: &TenantName, robots: Vec<Robot>) -> AnyView {
    let l = ui.lang;
    if robots.is_empty() {
        return empty(Icon::Key, tr::robots::none(l), tr::robots::none_hint(l), None).into_any();
    }
    let rows: Vec<_> = robots
        .into_iter()
        .map(|robot| {
            view! {
                <tr>
                    <td class="name">
                        <a href=paths::robot(tenant, &robot.name)>{robot.name.to_string()}</a>" "{state(ui, &robot)}
                    </td>
                    <td>{robot.description.clone()}</td>
                    <td>{role_name(l, robot.role)}</td>
                    <td class="muted">{place(ui, &robot)}</td>
                    <td class="num">{robot.tokens}</td>
                    <td class="num muted">{used(ui, &robot)}</td>
                </tr>
            }
        })
        .collect();
    let columns = [
        Column::text(tr::common::name(l)),
        Column::text(tr::robots::description(l)),
        Column::text(tr::common::role(l)),
        Column::text(tr::access::place(l)),
        Column::number(tr::common::tokens(l)),
        Column::number(tr::shell::last_used(l)),
    ];
    table(columns, None, rows)
}

fn description(ui: Ui, form: &Form) -> AnyView {
    let l = ui.lang;
    field(
        ui,
        form,
        Field::text("description", tr::robots::description(l)).max(60).hint(tr::robots::description_hint(l)),
    )
}

fn new_form(ui: Ui, mut form: Form, namespaces: &[NamespaceName], own: &[CustomRole]) -> AnyView {
    let l = ui.lang;
    if form.value("role").is_empty() {
        form.values.push(("role".to_owned(), TenantRole::Developer.to_string()));
    }
    let name = Field::text("name", tr::common::name(l)).required().max(RobotName::MAX).mono().placeholder("deploy");
    let whole = (String::new(), tr::access::whole_tenant(l).to_owned());
    let places = std::iter::once(whole).chain(namespaces.iter().map(|n| (n.to_string(), n.to_string()))).collect();
    let role = Field::select("role", tr::common::role(l), options(l, TenantRole::IN_NAMESPACE, own));
    view! {
        <form class="in" method="post">
            {summary(ui, &form, &["name", "description", "role", "namespace"])}
            <div class="row">{field(ui, &form, name)}{description(ui, &form)}</div>
            <div class="row">
                {field(ui, &form, role.hint(tr::robots::role_hint(l)))}
                {field(ui, &form, Field::select("namespace", tr::access::place(l), places).hint(tr::robots::place_hint(l)))}
            </div>
            <div class="actions">{button(Button::Go, Some(Icon::Plus), tr::robots::make(l), Some("create"))}</div>
        </form>
    }
    .into_any()
}

async fn create(cx: Cx) -> Result<Answer> {
    let tenant = cx.tenant()?;
    let made = async {
        let namespace = match cx.field("namespace") {
            "" => None,
            name => Some(berth_core::services::people::name("namespace", name, NamespaceName::MAX)?),
        };
        let text = RobotText {
            name: cx.field("name").trim().to_owned(),
            description: cx.field("description").to_owned(),
            role: role_sent(&cx, TenantRole::IN_NAMESPACE, "namespace_role")?,
            namespace,
        };
        cx.services.create_robot(&cx.ctx, &tenant, &text).await
    }
    .await;
    match made {
        Ok(robot) => Ok(done(paths::robot(&tenant, &robot.name), tr::robots::made(cx.lang(), &robot.name))),
        Err(e) => {
            let form = Form::refused(&cx, &[], e)?;
            list(cx, form).await
        }
    }
}

/// What a robot's page shows besides it.
#[derive(Default)]
struct Shown {
    /// The form for a token, after it was refused.
    token: Form,
    /// The form for a trust, after it was refused.
    trust: Form,
    /// The form for the robot itself, after it was refused.
    settings: Option<Form>,
    /// The token that was just made.
    fresh: Option<Fresh>,
}

/// What a robot's page shows.
struct OneModel {
    robot: Robot,
    own: Vec<CustomRole>,
    tokens: Vec<ApiToken>,
    trusts: Trusts,
    /// Whether the reader may change it and make tokens.
    may: bool,
    /// Whether they may remove it.
    may_remove: bool,
    shown: Shown,
}

fn robot_name(cx: &Cx) -> Result<RobotName> {
    cx.param("robot")?.parse().map_err(|_| Error::not_found())
}

async fn one(cx: Cx, mut shown: Shown) -> Result<Answer> {
    let (tenant, name) = (cx.tenant()?, robot_name(&cx)?);
    let forms = [Some(&shown.token), Some(&shown.trust), shown.settings.as_ref()];
    let status = forms.into_iter().flatten().map(Form::status).max().unwrap_or(200);
    let robot = cx.services.get_robot(&cx.ctx, &tenant, &name).await?;
    let tokens = cx.services.list_robot_tokens(&cx.ctx, &tenant, &name).await?;
    let (grant, _) = cx.services.get_tenant(&cx.ctx, &tenant).await?;
    let could = |action| cx.services.authz().could(&cx.ctx, &grant, Resource::Robot, action);
    let (may, may_remove) = (could(Action::Update), could(Action::Delete));
    let trust = std::mem::take(&mut shown.trust);
    let trusts = trusts::load(&cx, (&tenant, &name, &robot.user), may, trust).await?;
    let view = one_view(
        cx.ui(),
        OneModel { robot, own: roles::own(&cx, &tenant).await, tokens, trusts, may, may_remove, shown },
    );
    let page = Page::new(name.to_string(), Place::Tenant(tenant.clone(), TenantNav::Members), view);
    let page = page.crumb(tr::robots::robots(cx.lang()), paths::robots(&tenant));
    Ok(page.crumb(name.to_string(), paths::robot(&tenant, &name)).status(status).into())
}

fn one_view(ui: Ui, m: OneModel) -> impl IntoView + 'static {
    let l = ui.lang;
    let robot = m.robot;
    let settings = m.may.then(|| {
        let form = m.shown.settings.unwrap_or_else(|| {
            let disabled = if robot.disabled { "on" } else { "" };
            Form::with([
                ("description", robot.description.clone()),
                ("role", robot.role.to_string()),
                ("disabled", disabled.to_owned()),
            ])
        });
        let role = Field::select("role", tr::common::role(l), options(l, TenantRole::IN_NAMESPACE, &m.own));
        let disabled = Field::check("disabled", tr::robots::disable(l)).hint(tr::robots::disable_hint(l));
        let body = view! {
            <form class="in" method="post">
                {summary(ui, &form, &["description", "role", "disabled"])}
                <div class="row">{description(ui, &form)}{field(ui, &form, role.hint(tr::robots::role_hint(l)))}</div>
                {field(ui, &form, disabled)}
                <div class="actions">{button(Button::Go, None, tr::common::save(l), Some("set"))}</div>
            </form>
        };
        card(tr::robots::settings(l), None, body.into_any())
    });
    let make = m.may.then(|| card(tr::shell::new_token(l), None, tokens::new(ui, m.shown.token, None, false)));
    let remove = m.may_remove.then(|| {
        let sure = tr::robots::remove_sure(l, &robot.name);
        view! {
            <form method="post">
                <button class="btn danger" name="do" value="remove" data-confirm=sure>{tr::robots::remove(l)}</button>
            </form>
        }
    });
    view! {
        <div class="head">
            <h1>{robot.name.to_string()}</h1>{state(ui, &robot)}
            <p>{robot.description.clone()}</p>
            <div class="do">{remove}</div>
        </div>
        {m.shown.fresh.map(|fresh| tokens::made(ui, fresh))}
        <div class="card in">
            <dl class="facts">
                <dt>{tr::robots::known_as(l)}</dt><dd class="mono">{robot.user.to_string()}</dd>
                <dt>{tr::common::role(l)}</dt><dd>{role_name(l, robot.role)}" · "{place(ui, &robot)}</dd>
                <dt>{tr::shell::last_used(l)}</dt><dd>{used(ui, &robot)}</dd>
                <dt>{tr::common::created(l)}</dt><dd>{on(robot.created_at)}</dd>
            </dl>
        </div>
        <section class="card" aria-label=tr::common::tokens(l)>
            <header><h2>{tr::common::tokens(l)}</h2></header>
            {tokens::list(ui, m.tokens, if m.may { Whose::Robot } else { Whose::Seen })}
        </section>
        {make}
        {trusts::view(ui, m.trusts)}
        {settings}
    }
}

async fn change(cx: Cx) -> Result<Answer> {
    let (tenant, name, l) = (cx.tenant()?, robot_name(&cx)?, cx.lang());
    if let Some(id) = tokens::revoked(&cx)? {
        cx.services.revoke_robot_token(&cx.ctx, &tenant, &name, id).await?;
        return Ok(done(paths::robot(&tenant, &name), tr::shell::revoked(l)));
    }
    match cx.field("do") {
        "distrust" => {
            let id = cx.field("trust").parse().map_err(|_| Error::not_found())?;
            cx.services.delete_trust(&cx.ctx, &tenant, &name, id).await?;
            Ok(done(paths::robot(&tenant, &name), tr::ci::distrusted(l)))
        }
        "trust" => match trusts::save(&cx, &tenant, &name).await {
            Ok(()) => Ok(done(paths::robot(&tenant, &name), tr::ci::trusted(l))),
            Err(e) => {
                let trust = Form::refused(&cx, &[], e)?;
                one(cx, Shown { trust, ..Shown::default() }).await
            }
        },
        "remove" => {
            cx.services.remove_robot(&cx.ctx, &tenant, &name).await?;
            Ok(done(paths::robots(&tenant), tr::robots::removed(l, &name)))
        }
        "set" => {
            let set = async {
                let change = RobotChange {
                    description: cx.field("description").to_owned(),
                    role: role_sent(&cx, TenantRole::IN_NAMESPACE, "namespace_role")?,
                    disabled: cx.field("disabled") == "on",
                };
                cx.services.update_robot(&cx.ctx, &tenant, &name, &change).await
            }
            .await;
            match set {
                Ok(_) => Ok(done(paths::robot(&tenant, &name), tr::robots::changed(l, &name))),
                Err(e) => {
                    let settings = Some(Form::refused(&cx, &[], e)?);
                    one(cx, Shown { settings, ..Shown::default() }).await
                }
            }
        }
        _ => {
            let made = async {
                let (scope, lives) = tokens::wanted(&cx)?;
                let robot = (&tenant, &name);
                cx.services.create_robot_token(&cx.ctx, robot, cx.field("name"), scope, lives).await
            }
            .await;
            match made {
                // Shown in the answer itself: a secret has no place in a redirect or a flash.
                Ok(made) => one(cx, Shown { fresh: Some(made.into()), ..Shown::default() }).await,
                Err(e) => {
                    let token = tokens::refused(&cx, e)?;
                    one(cx, Shown { token, ..Shown::default() }).await
                }
            }
        }
    }
}
