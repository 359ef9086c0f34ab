//! People: the list, a new one, one of them.

use berth_core::{Error, Result, services::people::NewUser};
use berth_types::{Action, ListQuery, PlatformRole, Resource, UserName, people::User, view_as::ViewRecord};
use leptos::prelude::*;
use secrecy::ExposeSecret;

use super::{may_change, platform_role_name};
use crate::{
    components::{
        Button, Column, Field, Form, Icon, List, Tone, button, card, empty, field, form::summary, link_button,
        list::chip, note, on, status, table, tag,
    },
    pages::{access, tokens::secret, view_as},
    paths,
    request::{AdminNav, Answer, Cx, Page, Place, done},
    tr,
    ui::Ui,
};

const PLACE: Place = Place::Admin(AdminNav::People);

pub async fn list(cx: Cx) -> Result<Answer> {
    let query = cx.list_query(&["role", "disabled"], "name");
    let rows = cx.services.list_users(&cx.ctx, &query).await?;
    let may = may_change(&cx, Resource::User, Action::Create);
    let closed =
        access::closed_on_platform(&cx, tr::shell::new_person(cx.lang()), (Resource::User, Action::Create)).await;
    let view = list_view(cx.ui(), List::of(&cx, query, rows), may, closed);
    Ok(Page::new(tr::common::people(cx.lang()), PLACE, view).into())
}

/// The list.
pub fn list_view(ui: Ui, list: List<User>, may: bool, closed: Option<AnyView>) -> impl IntoView + 'static {
    let l = ui.lang;
    let new = may.then(|| link_button(Button::Go, Some(Icon::Plus), tr::shell::new_person(l), paths::ADMIN_PERSON_NEW));
    let roles: Vec<_> = PlatformRole::ALL
        .iter()
        .map(|r| chip(&list.url, "role", r.as_str(), platform_role_name(l, *r), None))
        .collect();
    let disabled = chip(&list.url, "disabled", "true", tr::shell::disabled(l), None);
    let columns = [
        Column::text(tr::shell::user_name(l)).by("name"),
        Column::text(tr::shell::display_name(l)),
        Column::text(tr::common::role(l)),
        Column::text(tr::common::status(l)),
        Column::number(tr::common::created(l)).by("created"),
    ];
    let body = if list.page.items.is_empty() {
        list.empty(l, || empty(Icon::People, tr::shell::nobody(l), tr::shell::nobody_hint(l), None).into_any())
    } else {
        let rows: Vec<_> = list.page.items.iter().map(|user| row(ui, user)).collect();
        view! { {table(columns, list.sort(), rows)} {list.pager(l)} }.into_any()
    };
    let chips = view! { {roles} {disabled} }.into_any();
    view! {
        <div class="head">
            <h1>{tr::common::people(l)}</h1>
            <div class="do">
                {link_button(Button::Plain, None, tr::links::invitations(l), paths::ADMIN_INVITATIONS)}
                {closed}
                {new}
            </div>
        </div>
        {list.card(l, "people", (tr::common::people(l), tr::shell::filter_people(l)), chips, body)}
    }
}

fn state(ui: Ui, user: &User) -> AnyView {
    let l = ui.lang;
    if user.disabled {
        status(Tone::Off, tr::shell::disabled(l)).into_any()
    } else if user.must_change_password {
        status(Tone::Warn, tr::shell::one_time_pending(l)).into_any()
    } else {
        status(Tone::Ok, tr::shell::active(l)).into_any()
    }
}

fn row(ui: Ui, user: &User) -> AnyView {
    let l = ui.lang;
    view! {
        <tr>
            <td><a class="name" href=paths::admin_person(&user.name)>{user.name.to_string()}</a></td>
            <td>{user.display_name.clone()}</td>
            <td>{user.platform_role.map(|r| tag(platform_role_name(l, r)))}</td>
            <td>{state(ui, user)}{user.second_factor.then(|| view! { " " {tag(tr::factors::has(l))} })}</td>
            <td class="num muted hide">{on(user.created_at)}</td>
        </tr>
    }
    .into_any()
}

fn roles(ui: Ui) -> Vec<(String, String)> {
    let l = ui.lang;
    let mut all = vec![(String::new(), tr::shell::no_platform_role(l).to_owned())];
    all.extend(PlatformRole::ALL.iter().map(|r| (r.to_string(), platform_role_name(l, *r).to_owned())));
    all
}

pub async fn new(cx: Cx, form: Form) -> Result<Answer> {
    let status = form.status();
    cx.services.authz().platform(&cx.ctx, Resource::User, Action::Create)?;
    let title = tr::shell::new_person(cx.lang());
    let view = new_view(cx.ui(), form);
    Ok(Page::new(title, PLACE, view).crumb(title, paths::ADMIN_PERSON_NEW).status(status).into())
}

/// The form for a new person.
pub fn new_view(ui: Ui, form: Form) -> impl IntoView + 'static {
    let l = ui.lang;
    let name = Field::text("name", tr::shell::user_name(l))
        .required()
        .focus()
        .max(UserName::MAX)
        .checked_as("user")
        .placeholder("alice")
        .hint(tr::shell::user_name_hint(l));
    let called = Field::text("displayName", tr::shell::display_name(l)).max(60).placeholder("Alice Chen");
    let role =
        Field::select("platformRole", tr::shell::platform_role(l), roles(ui)).hint(tr::shell::platform_role_hint(l));
    view! {
        <div class="head"><h1>{tr::shell::new_person(l)}</h1><p>{tr::shell::new_person_what(l)}</p></div>
        <form class="card narrow in" method="post">
            {summary(ui, &form, &["name", "displayName", "platformRole"])}
            {field(ui, &form, name)}
            {field(ui, &form, called)}
            {field(ui, &form, role)}
            <div class="actions">
                {button(Button::Go, None, tr::shell::create_person(l), None)}
                {link_button(Button::Quiet, None, tr::common::cancel(l), paths::ADMIN_PEOPLE)}
            </div>
        </form>
    }
}

pub async fn create(cx: Cx) -> Result<Answer> {
    let user = NewUser {
        name: cx.field("name").to_owned(),
        display_name: cx.field("displayName").to_owned(),
        platform_role: PlatformRole::from_word(cx.field("platformRole")),
        password: None,
    };
    match cx.services.create_user(&cx.ctx, &user).await {
        Ok((user, password)) => {
            let text = tr::shell::person_made(cx.lang(), &user.name);
            Ok(once(&cx, user, text, tr::shell::password_once(cx.lang()), password.expose_secret().to_owned()))
        }
        Err(e) => {
            let form = Form::refused(&cx, &[], e)?;
            new(cx, form).await
        }
    }
}

/// The page of a person with a secret that is for them: in the answer itself, since it has no place in a redirect.
fn once(cx: &Cx, user: User, text: String, hint: &'static str, shown: String) -> Answer {
    let (ui, l) = (cx.ui(), cx.lang());
    let name = user.name.to_string();
    let body = view! {
        <p><strong>{text}</strong></p>
        <p>{hint}</p>
        {secret(ui, shown)}
    };
    let view = view! {
        <div class="head"><h1>{user.display_name}</h1><span class="tag mono">{name.clone()}</span></div>
        <div role="status">{note(Tone::Ok, body.into_any())}</div>
        <div class="actions">
            {link_button(Button::Go, None, tr::shell::to_person(l), paths::admin_person(&name))}
            {link_button(Button::Plain, None, tr::common::people(l), paths::ADMIN_PEOPLE)}
        </div>
    };
    let page = Page::new(name.clone(), PLACE, view);
    page.crumb(name.clone(), paths::admin_person(&name)).into()
}

async fn find(cx: &Cx) -> Result<User> {
    let name: UserName = cx.param("user")?.parse().map_err(|_| Error::not_found())?;
    // The service has lists only; `q` narrows to names that hold this one.
    let query = ListQuery { q: name.to_string(), limit: berth_types::list::MAX_LIMIT, ..ListQuery::default() };
    let found = cx.services.list_users(&cx.ctx, &query).await?;
    found.items.into_iter().find(|u| u.name == name).ok_or_else(Error::not_found)
}

/// One person.
pub async fn one(cx: Cx, refused: Option<Form>) -> Result<Answer> {
    person(cx, refused, None).await
}

/// The page; `look`: the form to look as them, where it was refused.
async fn person(cx: Cx, refused: Option<Form>, look: Option<Form>) -> Result<Answer> {
    let user = find(&cx).await?;
    let status = refused.as_ref().or(look.as_ref()).map_or(200, Form::status);
    let form = refused.unwrap_or_else(|| {
        Form::with([
            ("displayName", user.display_name.clone()),
            ("platformRole", user.platform_role.map(|r| r.to_string()).unwrap_or_default()),
            ("disabled", if user.disabled { "on".to_owned() } else { String::new() }),
        ])
    });
    let may = may_change(&cx, Resource::User, Action::Update);
    let own = cx.ctx.person().is_some_and(|p| p.id == user.id);
    let name = user.name.to_string();
    let look =
        (may_change(&cx, Resource::View, Action::Create) && !own && !user.disabled).then(|| look.unwrap_or_default());
    let looks = cx.services.list_views(&cx.ctx, &user.name).await?;
    let reachable = cx.services.is_reachable(&cx.ctx, &user.name).await?.verified;
    let closed = access::closed_on_platform(&cx, tr::common::change(cx.lang()), (Resource::User, Action::Update)).await;
    let view = one_view(cx.ui(), (user, reachable), form, (may, own, closed), (look, looks));
    let page = Page::new(name.clone(), PLACE, view);
    Ok(page.crumb(name.clone(), paths::admin_person(&name)).status(status).into())
}

/// One person; with the form to look as them, for who may, and who did.
pub fn one_view(
    ui: Ui,
    (user, reachable): (User, bool),
    form: Form,
    (may, own, closed): (bool, bool, Option<AnyView>),
    (look, looks): (Option<Form>, Vec<ViewRecord>),
) -> impl IntoView + 'static {
    let l = ui.lang;
    let look = look.map(|form| view_as::begin_card(ui, &user, &form));
    let looks = user
        .platform_role
        .is_none()
        .then(|| view_as::records(ui, tr::view_as::theirs(l), tr::view_as::theirs_what(l), looks));
    let called = Field::text("displayName", tr::shell::display_name(l)).required().max(60);
    let role =
        Field::select("platformRole", tr::shell::platform_role(l), roles(ui)).hint(tr::shell::platform_role_hint(l));
    let disabled = Field::check("disabled", tr::shell::may_not_sign_in(l)).hint(tr::shell::may_not_sign_in_hint(l));
    let edit = may.then(|| {
        let body = view! {
            <form class="in" method="post">
                {summary(ui, &form, &["displayName", "platformRole", "disabled"])}
                {field(ui, &form, called)}
                {field(ui, &form, role)}
                {field(ui, &form, disabled)}
                <div class="actions">{button(Button::Go, None, tr::common::save(l), Some("save"))}</div>
            </form>
        };
        card(tr::common::account(l), None, body.into_any())
    });
    let reset = (may && !own).then(|| {
        let body = view! {
            <form class="in" method="post">
                <p class="small">{tr::shell::reset_what(l)}</p>
                <div class="actions">
                    <button class="btn danger" name="do" value="reset" data-confirm=tr::shell::reset_sure(l, &user.name)>
                        {tr::shell::reset(l)}
                    </button>
                </div>
            </form>
        };
        card(tr::session::password(l), None, body.into_any())
    });
    let link = (may && !own && !user.disabled).then(|| {
        let body = view! {
            <form class="in" method="post">
                <p class="small">{tr::links::reset_link_what(l)}</p>
                <div class="actions">{button(Button::Plain, None, tr::links::make(l), Some("reset-link"))}</div>
            </form>
        };
        card(tr::links::reset_link(l), None, body.into_any())
    });
    let factor = (may && !own && user.second_factor).then(|| {
        let body = view! {
            <form class="in" method="post">
                <p class="small">{tr::factors::remove_theirs_what(l)}</p>
                <div class="actions">
                    <button class="btn danger" name="do" value="remove-factors" data-confirm=tr::factors::remove_theirs_sure(l, &user.name)>
                        {tr::factors::remove(l)}
                    </button>
                </div>
            </form>
        };
        card(tr::factors::title(l), None, body.into_any())
    });
    view! {
        <div class="head">
            <h1>{user.display_name.clone()}</h1>
            <span class="tag mono">{user.name.to_string()}</span>
            {state(ui, &user)}
            {user.second_factor.then(|| tag(tr::factors::has(l)))}
            {tag(if reachable { tr::mail::reachable(l) } else { tr::mail::unreachable(l) })}
            <div class="do">{closed}</div>
        </div>
        <div class="cols"><div class="stack">{edit}{look}{link}{reset}{factor}</div></div>
        {looks}
    }
}

pub async fn change(cx: Cx) -> Result<Answer> {
    let user = find(&cx).await?;
    let l = cx.lang();
    if cx.field("do") == "view-as" {
        return match view_as::begin(&cx, &user).await? {
            Ok(begun) => Ok(begun),
            Err(form) => person(cx, None, Some(form)).await,
        };
    }
    if cx.field("do") == "reset" {
        let password = cx.services.reset_password(&cx.ctx, &user.name).await?;
        let text = tr::shell::reset_done(l, &user.name);
        return Ok(once(&cx, user, text, tr::shell::password_once(l), password.expose_secret().to_owned()));
    }
    if cx.field("do") == "reset-link" {
        let (secret, _) = cx.services.reset_link(&cx.ctx, &user.name).await?;
        let text = tr::links::reset_link_made(l, &user.name);
        let link = format!("{}{}", cx.request.base, paths::reset(secret.expose_secret()));
        return Ok(once(&cx, user, text, tr::links::reset_link_hint(l), link));
    }
    if cx.field("do") == "remove-factors" {
        cx.services.remove_second_factors(&cx.ctx, &user.name).await?;
        return Ok(done(paths::admin_person(&user.name), tr::factors::removed_theirs(l, &user.name)));
    }
    let role = PlatformRole::from_word(cx.field("platformRole"));
    let disabled = cx.field("disabled") == "on";
    match cx.services.update_user(&cx.ctx, &user.name, cx.field("displayName"), role, disabled).await {
        Ok(_) => Ok(done(paths::admin_person(&user.name), tr::shell::saved(l))),
        Err(e) => {
            let form = Form::refused(&cx, &[], e)?;
            one(cx, Some(form)).await
        }
    }
}
