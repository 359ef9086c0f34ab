//! Links that bring somebody in once, from the side of who opens them: an invitation, a new password; and a forgotten password.
//!
//! A link's own address only puts its secret aside and leads on: what is shown then has no secret in its address.

use berth_core::{
    Error, Result,
    links::Void,
    ports::pages::{Access, LinkChange, PageResponse},
    services::{
        identity::PASSWORD_MIN,
        invitations::{Invited, SignUp},
        sign_in::WaysIn,
    },
};
use berth_types::{ErrorCode, FieldError, UserName};
use futures::FutureExt;
use leptos::prelude::*;
use secrecy::SecretString;

use super::{
    errors::role_name,
    session::{agreed, provider_forms},
};
use crate::{
    components::{
        Button, Field, Form, Icon, button, door, exactly, field,
        form::{explain, summary},
        link_button, note,
        status::Tone,
    },
    paths,
    request::{Answer, Cx, Page, Place},
    router::Entry,
    tr,
    ui::Ui,
};

/// The pages of this area.
pub const ENTRIES: &[Entry] = &[
    Entry::page(paths::JOIN, Access::Public, |cx| join(cx, Form::default()).boxed()).form(|cx| accept(cx).boxed()),
    Entry::page("/join/{secret}", Access::Public, |cx| async move { opened(&cx, paths::JOIN) }.boxed()),
    Entry::page(paths::RESET, Access::Public, |cx| reset(cx, Form::default()).boxed()).form(|cx| set(cx).boxed()),
    Entry::page("/reset/{secret}", Access::Public, |cx| async move { opened(&cx, paths::RESET) }.boxed()),
    Entry::page(paths::FORGOT, Access::Public, |cx| forgot(cx, Form::default()).boxed())
        .form(|cx| forgotten(cx).boxed()),
];

/// The fields of a new account.
const SIGN_UP: &[&str] = &["name", "displayName", "password", "again"];

/// Puts the secret of a link aside and leads on.
///
/// # Errors
/// The route has no secret.
pub fn opened(cx: &Cx, to: &str) -> Result<Answer> {
    let link = LinkChange::Hold(cx.param("secret")?.into());
    Ok(PageResponse { link, ..PageResponse::redirect(to) }.into())
}

/// The secret that was put aside.
///
/// # Errors
/// None was: [`Void::Unknown`].
pub fn held(cx: &Cx) -> Result<&SecretString> {
    cx.request.link.as_ref().ok_or_else(|| Void::Unknown.error())
}

/// The page of a link that does nothing: why, and where to go on.
///
/// # Errors
/// `e` itself, where it is about no link.
pub fn nothing(cx: &Cx, title: &'static str, e: Error) -> Result<Answer> {
    let Some(void) = Void::of(&e) else { return Err(e) };
    let l = cx.lang();
    let why = tr::field_error(l, &FieldError::new("link", void.code(), void.message()));
    let body = view! {
        {note(Tone::Warn, view! { <p>{why}</p> }.into_any())}
        <div class="actions">{link_button(Button::Plain, None, tr::links::onwards(l), paths::HOME)}</div>
    };
    Ok(Page::new(title, Place::Nowhere, door(title, body.into_any())).status(403).into())
}

/// A link that has done what it was for.
fn finished(to: String, flash: String) -> PageResponse {
    PageResponse { link: LinkChange::Drop, flash: Some(flash), ..PageResponse::redirect(to) }
}

/// Somebody to whom an invitation is shown.
struct Guest {
    invited: Invited,
    /// What they sign in as, if they are signed in.
    person: Option<(String, UserName)>,
    ways: WaysIn,
}

async fn join(cx: Cx, form: Form) -> Result<Answer> {
    let title = tr::links::invitation(cx.lang());
    let status = form.status();
    let invited = match held(&cx) {
        Ok(secret) => cx.services.look_at_invitation(&cx.ctx, secret).await,
        Err(e) => Err(e),
    };
    let invited = match invited {
        Ok(invited) => invited,
        Err(e) => return nothing(&cx, title, e),
    };
    let person = cx.ctx.person().map(|person| (person.display_name.to_string(), person.name.clone()));
    let guest = Guest { invited, person, ways: cx.services.ways_in().await? };
    let view = join_view(cx.ui(), guest, form);
    Ok(Page::new(title, Place::Nowhere, view).status(status).into())
}

fn join_view(ui: Ui, guest: Guest, form: Form) -> impl IntoView + 'static {
    let l = ui.lang;
    let Guest { invited, person, ways } = guest;
    let (title, role) = match (&invited.tenant, invited.role) {
        (Some((_, called)), Some(role)) => {
            (tr::links::join_title(l, called), Some(tr::links::with_role(l, role_name(l, role))))
        }
        _ => (tr::links::account_title(l).to_owned(), None),
    };
    let into_tenant = invited.tenant.is_some();
    let body = match person {
        Some((called, name)) => as_person(ui, &form, called, &name),
        None => as_nobody(ui, &form, ways, into_tenant),
    };
    let body = view! {
        <p>{tr::links::invites(l, &invited.by)}" "{role}</p>
        {body}
        <p class="small muted">{tr::links::until(l)}" "{exactly(invited.expires_at)}</p>
    };
    door(title, body.into_any())
}

fn as_person(ui: Ui, form: &Form, called: String, name: &UserName) -> AnyView {
    let l = ui.lang;
    view! {
        <form method="post" action=paths::JOIN class="card in">
            {summary(ui, form, &[])}
            <p>{tr::links::signed_in_as(l, called, name)}</p>
            {button(Button::Go, Some(Icon::Ok), tr::links::join(l), Some("join"))}
        </form>
        <form method="post" action=paths::SIGN_OUT class="in">
            <p class="small muted">{tr::links::not_you(l)}</p>
            {button(Button::Quiet, None, tr::common::sign_out(l), None)}
        </form>
    }
    .into_any()
}

fn as_nobody(ui: Ui, form: &Form, ways: WaysIn, into_tenant: bool) -> AnyView {
    let l = ui.lang;
    // Who has an account, or gets one from a provider, comes back here signed in. An invitation onto the platform gives them nothing.
    let providers = if into_tenant { provider_forms(ui, ways.providers, paths::JOIN) } else { Vec::new() };
    let have = (into_tenant && ways.local_accounts).then(|| {
        view! { <p><a href=paths::sign_in(paths::JOIN)>{tr::links::have_account(l)}</a></p> }
    });
    let nowhere = (!ways.local_accounts && providers.is_empty())
        .then(|| note(Tone::Warn, view! { <p>{tr::links::no_way(l)}</p> }.into_any()));
    let make = ways.local_accounts.then(|| {
        let name = Field::text("name", tr::shell::user_name(l))
            .required()
            .focus()
            .autocomplete("username")
            .max(UserName::MAX)
            .checked_as("user")
            .hint(tr::shell::user_name_hint(l));
        let called = Field::text("displayName", tr::shell::display_name(l)).autocomplete("name").max(60);
        let password = Field::password("password", tr::session::password(l), "new-password")
            .required()
            .hint(tr::session::password_hint(l, PASSWORD_MIN));
        let again = Field::password("again", tr::links::password_again(l), "new-password").required();
        view! {
            <form method="post" action=paths::JOIN class="card in">
                {summary(ui, form, SIGN_UP)}
                {field(ui, form, name)}
                {field(ui, form, called)}
                {field(ui, form, password)}
                {field(ui, form, again)}
                {button(Button::Go, None, tr::links::make_account(l), Some("sign-up"))}
            </form>
        }
    });
    view! { {nowhere}{make}{have}{providers} }.into_any()
}

async fn accept(cx: Cx) -> Result<Answer> {
    let l = cx.lang();
    let title = tr::links::invitation(l);
    let secret = match held(&cx) {
        Ok(secret) => secret.clone(),
        Err(e) => return nothing(&cx, title, e),
    };
    if cx.field("do") == "join" {
        return match cx.services.join(&cx.ctx, &secret).await {
            Ok(tenant) => Ok(finished(paths::tenant(&tenant), tr::links::joined(l, &tenant)).into()),
            Err(e) => nothing(&cx, title, e),
        };
    }
    let secrets = &["password", "again"];
    let made = match agreed(&cx, "password") {
        Ok(password) => {
            let (name, display_name) = (cx.field("name").to_owned(), cx.field("displayName").to_owned());
            let new = SignUp { name, display_name, password };
            cx.services.sign_up(&cx.ctx, &secret, &new, &cx.request.user_agent).await
        }
        Err(e) => Err(e),
    };
    match made {
        Ok((signed_in, tenant)) => {
            let to = tenant.as_ref().map_or_else(|| paths::HOME.to_owned(), paths::tenant);
            let flash = tr::links::account_made(l).to_owned();
            let begun = PageResponse::begin(signed_in, to.clone());
            Ok(PageResponse { session: begun.session, ..finished(to, flash) }.into())
        }
        Err(e) if Void::of(&e).is_some() => nothing(&cx, title, e),
        Err(e) => {
            let form = local_refused(&cx, secrets, e)?;
            join(cx, form).await
        }
    }
}

/// A form that was refused; that passwords are not taken is said like anything else that is wrong.
fn local_refused(cx: &Cx, secrets: &[&str], e: Error) -> Result<Form> {
    match (e.code(), e.fields().first()) {
        (ErrorCode::Unauthenticated, Some(why)) => {
            let message = Some(tr::field_error(cx.lang(), why));
            Ok(Form { message, code: Some(e.code()), ..Form::sent(cx, secrets) })
        }
        _ => {
            let taken = e.code() == ErrorCode::AlreadyExists;
            let mut form = Form::refused(cx, secrets, e)?;
            if taken {
                form.message = Some(tr::links::name_taken(cx.lang()).to_owned());
            }
            Ok(form)
        }
    }
}

async fn reset(cx: Cx, form: Form) -> Result<Answer> {
    let title = tr::session::new_password(cx.lang());
    let status = form.status();
    let whose = match held(&cx) {
        Ok(secret) => cx.services.look_at_reset(&cx.ctx, secret).await,
        Err(e) => Err(e),
    };
    match whose {
        Ok(whose) => {
            let view = reset_view(cx.ui(), &form, &whose);
            Ok(Page::new(title, Place::Nowhere, view).status(status).into())
        }
        Err(e) => nothing(&cx, title, e),
    }
}

fn reset_view(ui: Ui, form: &Form, whose: &UserName) -> impl IntoView + use<> {
    let l = ui.lang;
    let new = Field::password("new", tr::session::new_password(l), "new-password")
        .required()
        .focus()
        .hint(tr::session::password_hint(l, PASSWORD_MIN));
    let again = Field::password("again", tr::session::once_more(l), "new-password").required();
    let body = view! {
        <form method="post" action=paths::RESET class="card in">
            {summary(ui, form, &["new", "again"])}
            <p>{tr::links::reset_for(l, whose)}</p>
            <input class="sr" type="text" name="username" autocomplete="username" value=whose.to_string() tabindex="-1" aria-hidden="true" readonly />
            {field(ui, form, new)}
            {field(ui, form, again)}
            {button(Button::Go, Some(Icon::Ok), tr::session::set_password(l), None)}
        </form>
    };
    door(tr::session::new_password(l), body.into_any())
}

async fn set(cx: Cx) -> Result<Answer> {
    let (l, secrets) = (cx.lang(), &["new", "again"]);
    let title = tr::session::new_password(l);
    let set = match (held(&cx), agreed(&cx, "new")) {
        (Err(e), _) | (_, Err(e)) => Err(e),
        (Ok(secret), Ok(new)) => cx.services.finish_reset(&cx.ctx, secret, &new).await,
    };
    match set {
        Ok(_) => Ok(finished(paths::SIGN_IN.to_owned(), tr::links::reset_done(l).to_owned()).into()),
        Err(e) if Void::of(&e).is_some() => nothing(&cx, title, e),
        Err(e) => {
            let form = local_refused(&cx, secrets, e)?;
            reset(cx, form).await
        }
    }
}

async fn forgot(cx: Cx, form: Form) -> Result<Answer> {
    let (l, status) = (cx.lang(), form.status());
    let local = cx.services.ways_in().await?.local_accounts;
    let name = Field::text("name", tr::shell::user_name(l)).required().focus().autocomplete("username").max(60);
    let ui = cx.ui();
    let (what, send) = if cx.services.sends_mail() {
        (tr::links::forgot_what_mail(l), tr::links::forgot_send_mail(l))
    } else {
        (tr::links::forgot_what(l), tr::links::forgot_send(l))
    };
    let body = if local {
        view! {
            <form method="post" action=paths::FORGOT class="card in">
                {summary(ui, &form, &["name"])}
                <p>{what}</p>
                {field(ui, &form, name)}
                {button(Button::Go, None, send, None)}
            </form>
        }
        .into_any()
    } else {
        note(Tone::Info, view! { <p>{tr::sign_in::local_off(l)}</p> }.into_any()).into_any()
    };
    let body = view! {
        {body}
        <p class="small"><a href=paths::SIGN_IN>{tr::links::back_to_sign_in(l)}</a></p>
    };
    let title = tr::links::forgot(l);
    Ok(Page::new(title, Place::Nowhere, door(title, body.into_any())).status(status).into())
}

async fn forgotten(cx: Cx) -> Result<Answer> {
    match cx.services.forgot_password(&cx.ctx, cx.field("name")).await {
        Ok(()) => {
            let l = cx.lang();
            let said =
                if cx.services.sends_mail() { tr::links::forgot_done_mail(l) } else { tr::links::forgot_done(l) };
            let flash = Some(said.to_owned());
            Ok(PageResponse { flash, ..PageResponse::redirect(paths::SIGN_IN) }.into())
        }
        Err(e) if e.code() == ErrorCode::RateLimited => {
            let message = Some(explain(&cx, &e));
            let form = Form { message, code: Some(e.code()), ..Form::sent(&cx, &[]) };
            Ok(forgot(cx, form).await?.retry_after(&e))
        }
        Err(e) => Err(e),
    }
}
