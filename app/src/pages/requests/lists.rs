//! A tenant's requests, and the inbox of those who decide.

use berth_core::{
    Result,
    listing::{Column as ListColumn, Key, Listing},
    ports::pages::{Fragment, Language},
};
use berth_types::{
    Action, Resource, TenantName,
    quota::request::{QuotaRequest, RequestState},
};
use leptos::prelude::*;

use super::{asked_text, fragment, state_word, until};
use crate::{
    components::{Button, Column, Icon, List, ago, empty, link_button, status, table},
    paths,
    request::{AdminNav, Answer, Cx, Page, Place, TenantNav},
    tr,
    ui::Ui,
};

static LISTING: Listing<QuotaRequest> = Listing {
    columns: &[
        // What waits for an admin, what waits for who asked, what is decided; in each the newest first.
        ListColumn { name: "order", key: Some(order), value: None, facet: false },
        ListColumn {
            name: "tenant",
            key: Some(|r| r.tenant.as_str().into()),
            value: Some(|r| r.tenant.to_string()),
            facet: true,
        },
        ListColumn { name: "created", key: Some(|r| r.created_at.into()), value: None, facet: false },
        ListColumn { name: "state", key: None, value: Some(|r| r.state.to_string()), facet: true },
    ],
    search: |r| format!("{} {} {}", r.tenant, r.ask.by, r.ask.reason),
    unique: "order",
    descending: false,
};

fn order(request: &QuotaRequest) -> Key {
    let rank = match request.state {
        RequestState::Open => 0,
        RequestState::Offered => 1,
        _ => 2,
    };
    let age = i64::MAX - request.created_at.as_microsecond();
    Key::Text(format!("{rank} {age:020} {}", request.id))
}

/// The columns of a list; the tenant's where there are several.
pub fn columns(l: Language, tenants: bool) -> Vec<Column> {
    let tenant = tenants.then(|| Column::text(tr::common::tenant(l)).by("tenant"));
    let rest = [
        Column::text(tr::common::status(l)),
        Column::text(tr::requests::by(l)),
        Column::number(tr::requests::made(l)).by("created"),
    ];
    [Column::text(tr::requests::wanted(l))].into_iter().chain(tenant).chain(rest).collect()
}

/// A request in a list.
pub fn row(ui: Ui, request: &QuotaRequest, tenants: bool) -> AnyView {
    let l = ui.lang;
    let (tone, word) = state_word(l, request.state);
    let href = paths::quota_request(&request.tenant, request.id);
    let tenant = tenants.then(|| {
        let only = paths::with_query(paths::ADMIN_REQUESTS, [("tenant", request.tenant.as_str())]);
        view! { <td><a href=only>{request.tenant.to_string()}</a></td> }
    });
    view! {
        <tr>
            <td>
                <a class="name" href=href>{asked_text(l, request)}</a>
                " "
                <span class="muted small">{until(ui, &request.ask.terms)}</span>
            </td>
            {tenant}
            <td>{status(tone, word)}</td>
            <td>{request.ask.by.to_string()}</td>
            <td class="num muted">{ago(ui, request.created_at)}</td>
        </tr>
    }
    .into_any()
}

fn chips(l: Language, list: &List<QuotaRequest>, tenants: bool) -> AnyView {
    let states = list.chips("state", RequestState::ALL, |state| (state.as_str(), state_word(l, state).1));
    let chosen = tenants.then(|| list.chosen(&["tenant"]));
    view! { {states} {chosen} }.into_any()
}

/// What a list shows.
struct Model {
    /// The tenant, and whether the reader may ask; none: those of all.
    tenant: Option<(TenantName, bool)>,
    list: List<QuotaRequest>,
}

async fn load(cx: &Cx) -> Result<Model> {
    if cx.param("tenant").is_err() {
        let requests = cx.services.list_all_requests(&cx.ctx).await?;
        let query = cx.list_query(&["state", "tenant"], "order");
        let page = LISTING.page(requests, &query)?;
        return Ok(Model { tenant: None, list: List::of(cx, query, page) });
    }
    let (grant, _) = cx.services.get_tenant(&cx.ctx, &cx.tenant()?).await?;
    let requests = cx.services.list_requests(&cx.ctx, &grant.name).await?;
    let query = cx.list_query(&["state"], "order");
    let page = LISTING.page(requests, &query)?;
    let may = cx.services.authz().could(&cx.ctx, &grant, Resource::Request, Action::Create);
    Ok(Model { tenant: Some((grant.name.clone(), may)), list: List::of(cx, query, page) })
}

fn new(l: Language, tenant: &TenantName) -> AnyView {
    link_button(Button::Go, Some(Icon::Plus), tr::requests::ask(l), paths::quota_request_new(tenant)).into_any()
}

fn rows(ui: Ui, m: &Model) -> AnyView {
    let (l, list, tenants) = (ui.lang, &m.list, m.tenant.is_none());
    if list.page.items.is_empty() {
        return list.empty(l, || {
            let step = m.tenant.as_ref().filter(|(_, may)| *may).map(|(tenant, _)| new(l, tenant));
            let hint = if tenants { tr::requests::none_admin(l) } else { tr::requests::none_hint(l) };
            empty(Icon::Gauge, tr::requests::none(l), hint, step).into_any()
        });
    }
    let rows: Vec<_> = list.page.items.iter().map(|request| row(ui, request, tenants)).collect();
    view! { {table(columns(l, tenants), list.sort(), rows)} {list.pager(l)} }.into_any()
}

/// The parts that move, of both lists.
pub async fn live(cx: Cx) -> Result<Vec<Fragment>> {
    let m = load(&cx).await?;
    let ui = cx.ui();
    let chips = chips(ui.lang, &m.list, m.tenant.is_none());
    Ok(vec![fragment("requests-chips", chips), fragment("requests-rows", rows(ui, &m))])
}

pub async fn page(cx: Cx) -> Result<Answer> {
    let m = load(&cx).await?;
    let ui = cx.ui();
    let l = ui.lang;
    let tenants = m.tenant.is_none();
    let top = m.tenant.as_ref().filter(|(_, may)| *may && m.list.page.total > 0).map(|(tenant, _)| new(l, tenant));
    let title = tr::requests::requests(l);
    let what = if tenants { tr::requests::inbox_what(l) } else { tr::requests::what(l) };
    let view = view! {
        <div class="head"><h1>{title}</h1><p>{what}</p><div class="do">{top}</div></div>
        {m.list.card(l, "requests", (title, tr::requests::filter(l)), chips(l, &m.list, tenants), rows(ui, &m))}
    };
    Ok(match m.tenant {
        Some((tenant, _)) => {
            let path = paths::quota_requests(&tenant);
            Page::new(title, Place::Tenant(tenant, TenantNav::Quota), view).crumb(title, path).into()
        }
        None => Page::new(title, Place::Admin(AdminNav::Requests), view).into(),
    })
}
