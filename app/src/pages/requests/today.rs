//! How a request's keys stand now, beside how they stood when it was made: whoever decides sees both.

use berth_core::{Result, services::quotas::QuotaOverview};
use berth_types::quota::{QuotaRow, request::QuotaRequest};
use leptos::prelude::*;

use crate::{
    components::{Column, card, table},
    pages::quotas::words,
    request::Cx,
    tr,
    ui::Ui,
};

/// The tenant's quota on the request's cluster as it is now, while somebody is still to decide; none for who may not see it.
pub async fn look(cx: &Cx, request: &QuotaRequest) -> Result<Option<QuotaOverview>> {
    if !request.state.is_open() {
        return Ok(None);
    }
    let tenant = cx.tenant()?;
    match cx.services.tenant_quota(&cx.ctx, &tenant).await {
        Ok(all) => Ok(all.into_iter().find(|one| one.quota.cluster == request.cluster)),
        Err(e) if e.code() == berth_types::ErrorCode::Forbidden => Ok(None),
        Err(e) => Err(e),
    }
}

/// What is said of one key, then and now, and whether it is another.
fn both(then: Option<String>, now: Option<String>, none: &str) -> [AnyView; 2] {
    let differs = then != now;
    let text = |text: Option<String>| text.unwrap_or_else(|| none.to_owned());
    let now = text(now);
    [text(then).into_any(), if differs { view! { <b>{now}</b> }.into_any() } else { now.into_any() }]
}

/// Limit and use of each key that is asked for, then and now.
pub fn shown(ui: Ui, request: &QuotaRequest, now: Option<&QuotaOverview>) -> Option<AnyView> {
    let l = ui.lang;
    let now = &now?.quota.resources;
    let row = |key: &str| {
        let find = |rows: &[QuotaRow]| rows.iter().find(|row| row.resource == key).cloned();
        let (then, now) = (find(&request.ask.evidence.resources), find(now));
        let amount = |text: Option<String>| text.map(|text| words::amount(key, &text));
        let of = |row: &Option<QuotaRow>, part: fn(&QuotaRow) -> Option<String>| amount(row.as_ref().and_then(part));
        let limit = |row: &Option<QuotaRow>| of(row, |row| row.limit.clone());
        let shared = |row: &Option<QuotaRow>| of(row, |row| Some(row.shared.clone()));
        let used = |row: &Option<QuotaRow>| of(row, |row| row.used.clone());
        let cells = [
            both(limit(&then), limit(&now), tr::quotas::unlimited(l)),
            both(shared(&then), shared(&now), tr::quotas::nothing(l)),
            both(used(&then), used(&now), tr::quotas::nothing(l)),
        ];
        let cells: Vec<_> = cells.into_iter().flatten().map(|cell| view! { <td class="num">{cell}</td> }).collect();
        view! { <tr><td class="name">{words::label(l, key)}</td>{cells}</tr> }
    };
    let rows: Vec<_> = request.ask.terms.resources.keys().map(|key| row(key.as_str())).collect();
    let columns = [
        Column::text(tr::quotas::resource(l)),
        Column::number(tr::requests::limit_then(l)),
        Column::number(tr::requests::limit_now(l)),
        Column::number(tr::requests::shared_then(l)),
        Column::number(tr::requests::shared_now(l)),
        Column::number(tr::requests::used_then(l)),
        Column::number(tr::requests::used_now(l)),
    ];
    Some(card(tr::requests::then_and_now(l), None, table(columns, None, rows)).into_any())
}
