//! The forms that share a tenant's quota out: one namespace's share, and a part of one that becomes another's.

use berth_core::{Error, Result};
use berth_types::{
    Action, Resource,
    quota::{COMMON, NamespaceQuota, TenantQuota},
};
use leptos::prelude::*;

use super::{fields, words, written};
use crate::{
    components::{Button, Field, Form, button, card, field, form::summary, link_button},
    paths,
    request::{Answer, Cx, NamespaceNav, Page, Place, TenantNav, done},
    tr,
    ui::Ui,
};

/// A namespace with the quota it is a part of.
struct Part {
    quota: TenantQuota,
    own: NamespaceQuota,
}

impl Part {
    /// The keys that its form offers: what the tenant is limited in, or else what is limited most often.
    fn keys(&self) -> Vec<String> {
        let limited = self.quota.resources.iter().filter(|row| row.limit.is_some()).map(|row| row.resource.clone());
        let mut keys: Vec<String> =
            if self.quota.limited { limited.collect() } else { COMMON.iter().map(ToString::to_string).collect() };
        let own = self.own.share.iter().flat_map(|share| share.keys()).map(ToString::to_string);
        let new: Vec<String> = own.filter(|key| !keys.contains(key)).collect();
        keys.extend(new);
        keys
    }

    /// How much it may have of a key, and how much it uses.
    fn hint(&self, ui: Ui, key: &str) -> Option<String> {
        let l = ui.lang;
        let used = self.own.used.get(key).map(|used| words::amount(key, &used.to_string()));
        let row = self.quota.resources.iter().find(|row| row.resource == key);
        let most = row.and_then(|row| row.left.as_ref()).and_then(|left| {
            let own = self.own.share.as_ref().and_then(|share| share.get(key)).unwrap_or_default();
            let most = left.parse::<berth_types::Quantity>().ok()?.plus(own);
            Some(words::amount(key, &most.to_string()))
        });
        match (most, used) {
            (Some(most), Some(used)) => Some(tr::quotas::up_to(l, most, used)),
            (Some(most), None) => Some(tr::quotas::up_to_uncounted(l, most)),
            (None, Some(used)) => Some(tr::quotas::in_use(l, used)),
            (None, None) => None,
        }
    }
}

async fn part(cx: &Cx) -> Result<Part> {
    let (tenant, namespace) = (cx.tenant()?, cx.namespace()?);
    cx.services.authz().tenant(&cx.ctx, &tenant, Resource::Share, Action::Update).await?;
    let quotas = cx.services.tenant_quota(&cx.ctx, &tenant).await?;
    let found = quotas.into_iter().map(|overview| overview.quota).find_map(|quota| {
        let own = quota.namespaces.iter().find(|own| own.namespace == namespace)?.clone();
        Some(Part { quota, own })
    });
    found.ok_or_else(Error::not_found)
}

pub async fn edit(cx: Cx, refused: Option<Form>) -> Result<Answer> {
    let (tenant, namespace) = (cx.tenant()?, cx.namespace()?);
    let part = part(&cx).await?;
    let status = refused.as_ref().map_or(200, Form::status);
    let form = refused.unwrap_or_else(|| part.own.share.as_ref().map(written).unwrap_or_default());
    let place = Place::Namespace(tenant.clone(), namespace.clone(), NamespaceNav::Quota);
    let view = edit_view(cx.ui(), &tenant, &part, &form);
    let page = Page::new(tr::quotas::share_of(cx.lang(), &namespace), place, view);
    Ok(page.crumb(tr::quotas::quota(cx.lang()), cx.request.path.clone()).status(status).into())
}

fn edit_view(ui: Ui, tenant: &berth_types::TenantName, part: &Part, form: &Form) -> impl IntoView + use<> {
    let l = ui.lang;
    let namespace = part.own.namespace.clone();
    let keys = part.keys();
    let names: Vec<String> = keys.iter().map(|key| fields::name(key)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let what = if part.quota.limited { tr::quotas::share_what(l) } else { tr::quotas::share_what_unlimited(l) };
    let clear = part.own.share.is_some().then(|| {
        let sure = tr::quotas::clear_share_sure(l, &namespace);
        view! {
            <button class="btn danger" type="submit" name="do" value="clear" data-confirm=sure formnovalidate>
                {tr::quotas::clear_share(l)}
            </button>
        }
    });
    let body = view! {
        <form class="in" method="post">
            {summary(ui, form, &names)}
            {fields::amounts(ui, form, &keys, |key| part.hint(ui, key))}
            <div class="actions">
                {button(Button::Go, None, tr::quotas::save_share(l), Some("set"))}
                {clear}
                {link_button(Button::Quiet, None, tr::common::cancel(l), paths::tenant_quota(tenant))}
            </div>
        </form>
    };
    view! {
        <div class="head"><h1>{tr::quotas::share_of(l, &namespace)}</h1><p>{what}</p></div>
        {card(tr::quotas::limits(l), None, body.into_any())}
    }
}

pub async fn change(cx: Cx) -> Result<Answer> {
    let (tenant, namespace) = (cx.tenant()?, cx.namespace()?);
    let l = cx.lang();
    if let Some(form) = fields::fixed(&cx) {
        return edit(cx, Some(form)).await;
    }
    let clear = cx.field("do") == "clear";
    let written = if clear { None } else { Some(fields::sent(&cx)?) };
    match cx.services.set_share(&cx.ctx, &tenant, &namespace, written.as_ref()).await {
        Ok(_) => {
            let said =
                if clear { tr::quotas::share_cleared(l, namespace) } else { tr::quotas::share_saved(l, namespace) };
            Ok(done(paths::tenant_quota(&tenant), said))
        }
        Err(e) => {
            let keys = part(&cx).await?.keys();
            let form = fields::refused(&cx, &keys, e)?;
            edit(cx, Some(form)).await
        }
    }
}

pub async fn moving(cx: Cx, refused: Option<Form>) -> Result<Answer> {
    let tenant = cx.tenant()?;
    cx.services.authz().tenant(&cx.ctx, &tenant, Resource::Share, Action::Update).await?;
    let quotas = cx.services.tenant_quota(&cx.ctx, &tenant).await?;
    let status = refused.as_ref().map_or(200, Form::status);
    let form = refused.unwrap_or_else(|| Form::with([("from", cx.query("from").to_owned())]));
    let quotas: Vec<TenantQuota> = quotas.into_iter().map(|overview| overview.quota).collect();
    let view = moving_view(cx.ui(), &tenant, &quotas, &form);
    let title = tr::quotas::r#move(cx.lang());
    let page = Page::new(title, Place::Tenant(tenant, TenantNav::Quota), view);
    Ok(page.crumb(title, cx.request.path.clone()).status(status).into())
}

/// The keys of which any namespace has something to give.
fn movable(quotas: &[TenantQuota]) -> Vec<String> {
    let enforced = quotas.iter().flat_map(|quota| &quota.namespaces).filter_map(|n| n.enforced.as_ref());
    let keys: std::collections::BTreeSet<_> = enforced.flat_map(|limits| limits.keys()).collect();
    keys.into_iter().map(ToString::to_string).collect()
}

fn moving_view(ui: Ui, tenant: &berth_types::TenantName, quotas: &[TenantQuota], form: &Form) -> impl IntoView + use<> {
    let l = ui.lang;
    let keys = movable(quotas);
    let mut names: Vec<String> = keys.iter().map(|key| fields::name(key)).collect();
    names.extend(["from".to_owned(), "to".to_owned()]);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let several = quotas.len() > 1;
    let options: Vec<(String, String)> = quotas
        .iter()
        .flat_map(|quota| quota.namespaces.iter().map(move |n| (n, &quota.cluster)))
        .map(|(n, cluster)| {
            let name = n.namespace.to_string();
            (name.clone(), if several { format!("{name} ({cluster})") } else { name })
        })
        .collect();
    let from = Field::select("from", tr::quotas::from(l), options.clone());
    let to = Field::select("to", tr::quotas::to(l), options);
    let body = view! {
        <form class="in" method="post">
            {summary(ui, form, &names)}
            <div class="row">{field(ui, form, from)}{field(ui, form, to)}</div>
            <p class="small muted">{tr::quotas::move_hint(l)}</p>
            {fields::amounts(ui, form, &keys, |_| None)}
            <div class="actions">
                {button(Button::Go, None, tr::quotas::r#move(l), None)}
                {link_button(Button::Quiet, None, tr::common::cancel(l), paths::tenant_quota(tenant))}
            </div>
        </form>
    };
    view! {
        <div class="head"><h1>{tr::quotas::r#move(l)}</h1><p>{tr::quotas::move_what(l)}</p></div>
        {card(tr::quotas::limits(l), None, body.into_any())}
    }
}

pub async fn move_part(cx: Cx) -> Result<Answer> {
    let tenant = cx.tenant()?;
    if let Some(form) = fields::fixed(&cx) {
        return moving(cx, Some(form)).await;
    }
    let (from, to) = (cx.field("from"), cx.field("to"));
    let moved = cx.services.move_share(&cx.ctx, &tenant, from, to, &fields::sent(&cx)?).await;
    match moved {
        Ok(()) => Ok(done(paths::tenant_quota(&tenant), tr::quotas::moved(cx.lang(), from, to))),
        Err(e) => {
            let form = fields::refused(&cx, &[], e)?;
            moving(cx, Some(form)).await
        }
    }
}
