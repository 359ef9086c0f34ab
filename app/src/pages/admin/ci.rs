//! CI systems whose jobs robots may trust.

use berth_core::{Error, Result};
use berth_types::{Action, ProviderName, Resource, ci::CiIssuer};
use leptos::prelude::*;

use super::may_change;
use crate::{
    components::{Button, Column, Field, Form, Icon, button, card, empty, field, form::summary, hidden, on, table},
    pages::access,
    paths,
    request::{AdminNav, Answer, Cx, Page, Place, done},
    tr,
    ui::Ui,
};

pub async fn list(cx: Cx, form: Form) -> Result<Answer> {
    cx.services.authz().platform(&cx.ctx, Resource::SignIn, Action::Read)?;
    let issuers = cx.services.list_ci_issuers(&cx.ctx).await?;
    let may = may_change(&cx, Resource::SignIn, Action::Create);
    let (title, status) = (tr::ci::issuers(cx.lang()), form.status());
    let closed =
        access::closed_on_platform(&cx, tr::ci::add_issuer(cx.lang()), (Resource::SignIn, Action::Create)).await;
    let view = view(cx.ui(), issuers, (may, closed), form);
    let page = Page::new(title, Place::Admin(AdminNav::SignIn), view).crumb(title, paths::ADMIN_CI);
    Ok(page.status(status).into())
}

fn view(ui: Ui, issuers: Vec<CiIssuer>, (may, closed): (bool, Option<AnyView>), form: Form) -> impl IntoView + 'static {
    let l = ui.lang;
    let name = Field::text("name", tr::common::name(l)).required().max(ProviderName::MAX).mono().placeholder("github");
    let issuer = Field::text("issuer", tr::sign_in::issuer(l))
        .required()
        .max(500)
        .mono()
        .placeholder("https://token.actions.githubusercontent.com")
        .hint(tr::ci::issuer_hint(l));
    let make = may.then(|| {
        let body = view! {
            <form class="in" method="post">
                {summary(ui, &form, &["name", "issuer"])}
                {field(ui, &form, name)}
                {field(ui, &form, issuer)}
                <div class="actions">{button(Button::Go, Some(Icon::Plus), tr::ci::add_issuer(l), Some("add"))}</div>
            </form>
        };
        card(tr::ci::add_issuer(l), None, body.into_any())
    });
    view! {
        <div class="head"><h1>{tr::ci::issuers(l)}</h1><p>{tr::ci::issuers_what(l)}</p><div class="do">{closed}</div></div>
        <section class="card" aria-label=tr::ci::issuers(l)>{issuer_table(ui, issuers, may)}</section>
        {make}
    }
}

fn issuer_table(ui: Ui, issuers: Vec<CiIssuer>, may: bool) -> AnyView {
    let l = ui.lang;
    if issuers.is_empty() {
        return empty(Icon::Lock, tr::ci::no_issuers(l), tr::ci::no_issuers_hint(l), None).into_any();
    }
    let rows: Vec<_> = issuers
        .into_iter()
        .map(|issuer| {
            let act = may.then(|| {
                let sure = tr::ci::remove_issuer_sure(l, &issuer.name);
                view! {
                    <form method="post">
                        {hidden("issuer", issuer.name.to_string())}
                        <button class="btn sm danger" name="do" value="remove" data-confirm=sure>
                            {tr::common::remove(l)}
                        </button>
                    </form>
                }
            });
            view! {
                <tr>
                    <td class="name">{issuer.name.to_string()}</td>
                    <td class="mono muted">{issuer.issuer}</td>
                    <td class="muted hide">{on(issuer.created_at)}</td>
                    <td class="act">{act}</td>
                </tr>
            }
        })
        .collect();
    let columns = [
        Column::text(tr::common::name(l)),
        Column::text(tr::sign_in::issuer(l)),
        Column::text(tr::common::created(l)),
        Column::actions(l),
    ];
    table(columns, None, rows)
}

pub async fn change(cx: Cx) -> Result<Answer> {
    let l = cx.lang();
    if cx.field("do") == "remove" {
        let issuer: ProviderName = cx.field("issuer").parse().map_err(|_| Error::not_found())?;
        cx.services.delete_ci_issuer(&cx.ctx, &issuer).await?;
        return Ok(done(paths::ADMIN_CI, tr::ci::issuer_removed(l, &issuer)));
    }
    match cx.services.create_ci_issuer(&cx.ctx, cx.field("name"), cx.field("issuer")).await {
        Ok(made) => Ok(done(paths::ADMIN_CI, tr::ci::issuer_added(l, &made.name))),
        Err(e) => {
            let form = Form::refused(&cx, &[], e)?;
            list(cx, form).await
        }
    }
}
