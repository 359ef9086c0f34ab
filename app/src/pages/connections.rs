//! The identity providers that open one's account: connect one, disconnect one.

use berth_core::{Error, Result, ports::pages::Access};
use berth_types::{ProviderName, provider::Identity};
use futures::FutureExt;
use leptos::prelude::*;

use super::session::refused;
use crate::{
    components::{Button, Column, Form, Icon, ago, button, card, empty, form::summary, hidden, on, table},
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
    form.message = form.message.or_else(|| refused(&cx));
    let view = view(cx.ui(), &form, identities, ways.providers);
    Ok(Page::new(tr::sign_in::ways(cx.lang()), Place::Home(HomeNav::Connections), view).status(status).into())
}

/// What opens the account, and what could.
fn view(
    ui: Ui,
    form: &Form,
    identities: Vec<Identity>,
    providers: Vec<(ProviderName, String)>,
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
    let connect: Vec<_> = providers
        .into_iter()
        .map(|(name, called)| {
            view! {
                <form class="in" method="post" action=paths::auth_start(name)>
                    {hidden("next", paths::CONNECTIONS.to_owned())}
                    {button(Button::Plain, Some(Icon::Plus), tr::sign_in::connect(l, called), Some("connect"))}
                </form>
            }
        })
        .collect();
    let connect = (!connect.is_empty()).then(|| card(tr::sign_in::connect_more(l), None, connect.into_any()));
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
