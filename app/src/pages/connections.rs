//! The identity providers that open one's account: connect one, disconnect one.

use berth_core::{Error, Result, ports::pages::Access};
use berth_types::{ProviderName, provider::Identity};
use futures::FutureExt;
use leptos::prelude::*;

use super::session::refused;
use crate::{
    components::{Column, Field, Form, Icon, ago, card, empty, field, form::summary, hidden, icon, on, table},
    paths,
    request::{Answer, Cx, HomeNav, Page, Place, done},
    router::Entry,
    tr,
    ui::Ui,
};

/// The pages of this area.
pub const ENTRIES: &[Entry] =
    &[Entry::page(paths::CONNECTIONS, Access::SignedIn, |cx| list(cx, Form::default()).boxed())
        .form(|cx| disconnect(cx).boxed())];

async fn list(cx: Cx, mut form: Form) -> Result<Answer> {
    let status = form.status();
    let identities = cx.services.my_identities(&cx.ctx).await?;
    let ways = cx.services.ways_in().await?;
    let password = cx.services.has_password(&cx.ctx).await?;
    form.message = form.message.or_else(|| refused(&cx));
    let view = view(cx.ui(), &form, identities, ways.providers, password);
    Ok(Page::new(tr::sign_in::ways(cx.lang()), Place::Home(HomeNav::Connections), view).status(status).into())
}

/// A button for each provider by which the account could be opened, too; all of them in one form where that takes its password.
fn connect_form(ui: Ui, providers: Vec<(ProviderName, String)>, password: bool) -> Option<AnyView> {
    let l = ui.lang;
    let first = paths::auth_start(&providers.first()?.0);
    let asked = password.then(|| {
        let current = Field::password("current", tr::factors::your_password(l), "current-password").required();
        view! { <p>{tr::sign_in::connect_what(l)}</p>{field(ui, &Form::default(), current)} }
    });
    let buttons: Vec<_> = providers
        .into_iter()
        .map(|(name, called)| {
            view! {
                <button class="btn" name="do" value="connect" formaction=paths::auth_start(name)>
                    {icon(Icon::Plus)}{tr::sign_in::connect(l, called)}
                </button>
            }
        })
        .collect();
    let form = view! {
        <form class="in" method="post" action=first>
            {hidden("next", paths::CONNECTIONS.to_owned())}
            {asked}
            <div class="actions">{buttons}</div>
        </form>
    };
    Some(card(tr::sign_in::connect_more(l), None, form.into_any()).into_any())
}

/// What opens the account, and what could; `password` where it has one.
fn view(
    ui: Ui,
    form: &Form,
    identities: Vec<Identity>,
    providers: Vec<(ProviderName, String)>,
    password: bool,
) -> impl IntoView + use<> {
    let l = ui.lang;
    let rows: Vec<_> = identities
        .into_iter()
        .map(|identity| {
            let sure = tr::sign_in::disconnect_sure(l, &identity.issuer);
            view! {
                <tr>
                    <td class="name">{identity.issuer}</td>
                    <td class="mono muted">{identity.subject}</td>
                    <td class="muted hide">{identity.email}</td>
                    <td class="muted">{ago(ui, identity.last_used_at)}</td>
                    <td class="muted hide">{on(identity.created_at)}</td>
                    <td class="act">
                        <form method="post">
                            {hidden("identity", identity.id.to_string())}
                            <button class="btn sm danger" name="do" value="disconnect" data-confirm=sure>
                                {tr::sign_in::disconnect(l)}
                            </button>
                        </form>
                    </td>
                </tr>
            }
        })
        .collect();
    let body = if rows.is_empty() {
        empty(Icon::Lock, tr::sign_in::no_ways(l), tr::sign_in::no_ways_hint(l), None).into_any()
    } else {
        let columns = [
            Column::text(tr::sign_in::issuer(l)),
            Column::text(tr::sign_in::subject(l)),
            Column::text(tr::sign_in::email(l)),
            Column::text(tr::shell::last_used(l)),
            Column::text(tr::shell::since(l)),
            Column::actions(l),
        ];
        table(columns, None, rows)
    };
    let connect = connect_form(ui, providers, password);
    view! {
        <div class="head"><h1>{tr::sign_in::ways(l)}</h1><p>{tr::sign_in::ways_what(l)}</p></div>
        {summary(ui, form, &[])}
        <section class="card" aria-label=tr::sign_in::ways(l)>{body}</section>
        {connect}
    }
}

async fn disconnect(cx: Cx) -> Result<Answer> {
    let id = cx.field("identity").parse().map_err(|_| Error::not_found())?;
    match cx.services.disconnect_identity(&cx.ctx, id).await {
        Ok(()) => Ok(done(paths::CONNECTIONS, tr::sign_in::disconnected(cx.lang()))),
        Err(e) => {
            let form = Form::refused(&cx, &[], e)?;
            list(cx, form).await
        }
    }
}
