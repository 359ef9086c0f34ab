//! A namespace that a cluster has already becomes a tenant's: what is in it, what would change, and the step itself.

use berth_core::{
    Error, Result,
    ports::pages::Access,
    services::{
        adoption::{Adopted, MAX_KUBE_NAME},
        life::confirmed,
    },
};
use berth_types::{
    Action, NamespaceName, QuotaKey, Resource, TenantName,
    adoption::{Effect, EffectKind, Preview},
    cluster::ClusterChoice,
};
use futures::FutureExt;
use leptos::prelude::*;

use super::quotas::{fields, words};
use crate::{
    components::{
        Button, Column, Field, Form, Icon, Tone, button, card, field, form::summary, link_button, note, status, table,
    },
    paths,
    request::{Answer, Cx, Page, Place, TenantNav, done},
    router::Entry,
    tr,
    ui::Ui,
};

/// The pages of this area.
pub const ENTRIES: &[Entry] =
    &[Entry::page("/t/{tenant}/adopt", Access::Tenant, |cx| page(cx, Form::default(), None).boxed())
        .form(|cx| act(cx).boxed())];

/// The form's fields.
const KUBE_NAME: &str = "kubeName";
const NAME: &str = "name";
const CLUSTER: &str = "cluster";
const CONFIRM: &str = "confirm";

/// What the form offers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// Names of namespaces that are nobody's; the cluster may not have said.
    pub names: Vec<String>,
    /// The clusters.
    pub clusters: Vec<ClusterChoice>,
    /// The keys that the tenant is limited in.
    pub keys: Vec<String>,
}

fn asked(cx: &Cx) -> Result<Adopted> {
    let share = fields::sent(cx)?;
    Ok(Adopted {
        kube_name: cx.field(KUBE_NAME).trim().to_owned(),
        name: cx.field(NAME).to_owned(),
        cluster: cx.field(CLUSTER).parse().ok(),
        share: (!share.is_empty()).then_some(share),
    })
}

async fn page(cx: Cx, form: Form, preview: Option<Preview>) -> Result<Answer> {
    let tenant = cx.tenant()?;
    cx.services.authz().tenant(&cx.ctx, &tenant, Resource::Adoption, Action::Create).await?;
    let clusters = cx.services.cluster_choices(&cx.ctx, &tenant).await?;
    // Names to choose from are a help: without them one types.
    let names = cx.services.adoptable(&cx.ctx, &tenant, None).await.unwrap_or_default();
    let quotas = cx.services.tenant_quota(&cx.ctx, &tenant).await?;
    let mut keys: Vec<String> =
        quotas.into_iter().flat_map(|overview| overview.quota.resources).map(|row| row.resource).collect();
    keys.dedup();
    let title = tr::adopt::title(cx.lang());
    let place = Place::Tenant(tenant.clone(), TenantNav::Namespaces);
    let status = form.status();
    let view = view(cx.ui(), &tenant, &Offer { names, clusters, keys }, form, preview);
    Ok(Page::new(title, place, view).crumb(title, cx.request.path.clone()).status(status).into())
}

async fn act(cx: Cx) -> Result<Answer> {
    let tenant = cx.tenant()?;
    let (services, ctx) = (&cx.services, &cx.ctx);
    // Who may only look may not send this form.
    services.authz().tenant(ctx, &tenant, Resource::Adoption, Action::Create).await?;
    let adopts = cx.field("do") == "adopt";
    let asked = match asked(&cx) {
        Ok(asked) => asked,
        Err(e) => return again(cx, e, None).await,
    };
    let preview = match services.preview_adoption(ctx, &tenant, &asked).await {
        Ok(preview) => preview,
        Err(e) => return again(cx, e, None).await,
    };
    if !adopts {
        let mut form = Form::sent(&cx, &[]);
        if asked.share.is_none() {
            let taken = preview.takes.written().into_iter();
            form.values.extend(taken.map(|(key, amount)| (fields::name(&key), amount)));
        }
        return page(cx, form, Some(preview)).await;
    }
    let adopted = match confirmed(cx.field(CONFIRM), &asked.kube_name) {
        Ok(()) => services.adopt_namespace(ctx, &tenant, &asked).await,
        Err(e) => Err(e),
    };
    match adopted {
        Ok(row) => {
            let said = tr::adopt::done(cx.lang(), &row.kube_name, &row.name);
            Ok(done(paths::namespace(&tenant, &row.name), said))
        }
        Err(e) => again(cx, e, Some(preview)).await,
    }
}

async fn again(cx: Cx, error: Error, preview: Option<Preview>) -> Result<Answer> {
    let form = Form::refused(&cx, &[], error)?;
    page(cx, form, preview).await
}

/// The page.
pub fn view(ui: Ui, tenant: &TenantName, offer: &Offer, form: Form, preview: Option<Preview>) -> impl IntoView + use<> {
    let l = ui.lang;
    let mut places: Vec<String> = [KUBE_NAME, NAME, CLUSTER, CONFIRM].map(str::to_owned).to_vec();
    places.extend(offer.keys.iter().map(|key| fields::name(key)));
    let places: Vec<&str> = places.iter().map(String::as_str).collect();
    let kube_name = Field::text(KUBE_NAME, tr::adopt::kube_name(l))
        .required()
        .mono()
        .max(MAX_KUBE_NAME)
        .choices(offer.names.clone())
        .hint(if offer.names.is_empty() { tr::adopt::no_names(l) } else { tr::adopt::kube_name_hint(l) });
    let kube_name = if preview.is_none() { kube_name.focus() } else { kube_name };
    let name = Field::text(NAME, tr::adopt::name(l, tenant))
        .required()
        .max(NamespaceName::MAX)
        .checked_as("namespace")
        .placeholder("legacy");
    let cluster = (offer.clusters.len() > 1).then(|| {
        let options = offer.clusters.iter().map(|c| (c.name.to_string(), c.line())).collect();
        field(ui, &form, Field::select(CLUSTER, tr::shell::cluster(l), options))
    });
    let step = preview.as_ref().map(|preview| {
        let share = (!offer.keys.is_empty()).then(|| {
            let taken = |key: &str| {
                let key = key.parse::<QuotaKey>().ok()?;
                Some(tr::adopt::takes(l, words::amount(key.as_str(), &key.write(preview.takes.of(&key)))))
            };
            view! {
                <fieldset>
                    <legend>{tr::quotas::share_at_creation(l)}</legend>
                    {fields::amounts(ui, &form, &offer.keys, taken)}
                </fieldset>
            }
        });
        let confirm = Field::text(CONFIRM, tr::adopt::confirm(l, &preview.kube_name)).mono().max(MAX_KUBE_NAME).focus();
        view! { {share} {field(ui, &form, confirm)} }
    });
    let adopt = preview.is_some().then(|| button(Button::Go, Some(Icon::Plus), tr::adopt::adopt(l), Some("adopt")));
    let look = if preview.is_some() { Button::Plain } else { Button::Go };
    let found = preview.map(|preview| found(ui, &preview));
    view! {
        <div class="head"><h1>{tr::adopt::title(l)}</h1><p>{tr::adopt::what(l)}</p></div>
        {found}
        <form class="card narrow in" method="post" novalidate>
            {summary(ui, &form, &places)}
            {field(ui, &form, kube_name)}
            {field(ui, &form, name)}
            {cluster}
            {step}
            <div class="actions">
                {adopt}
                {button(look, None, tr::adopt::look(l), Some("look"))}
                {link_button(Button::Quiet, None, tr::common::cancel(l), paths::tenant(tenant))}
            </div>
        </form>
    }
}

/// What is in it, and what becomes of it.
fn found(ui: Ui, preview: &Preview) -> AnyView {
    let l = ui.lang;
    let holds: Vec<_> = preview
        .holds
        .iter()
        .map(|held| {
            view! {
                <tr><td class="name">{held.name.clone()}</td><td>{held.kind.clone()}</td><td class="num">{held.pods}</td></tr>
            }
        })
        .collect();
    let holds = if holds.is_empty() {
        view! { <p class="in muted">{tr::adopt::empty(l)}</p> }.into_any()
    } else {
        let columns =
            [Column::text(tr::common::name(l)), Column::text(tr::adopt::kind(l)), Column::number(tr::common::pods(l))];
        table(columns, None, holds)
    };
    let breaks = preview.effects.iter().any(|effect| effect.kind.breaks());
    let warning = breaks.then(|| note(Tone::Warn, view! { <p>{tr::adopt::breaks(l)}</p> }.into_any()));
    let effects: Vec<_> = preview.effects.iter().map(|effect| change(ui, effect)).collect();
    view! {
        {warning}
        {card(tr::adopt::holds(l, &preview.kube_name), None, holds)}
        {card(tr::adopt::effects(l), None, view! { <ul class="in">{effects}</ul> }.into_any())}
    }
    .into_any()
}

fn change(ui: Ui, effect: &Effect) -> impl IntoView + use<> {
    let l = ui.lang;
    let (what, meaning) = match effect.kind {
        EffectKind::PodSecurity => (tr::adopt::pod_security(l), tr::adopt::pod_security_what(l)),
        EffectKind::Quota => (tr::adopt::quota(l), tr::adopt::quota_what(l)),
        EffectKind::Token => (tr::adopt::token(l), tr::adopt::token_what(l)),
        EffectKind::Closed => (tr::adopt::closed(l), tr::adopt::closed_what(l)),
        EffectKind::Policies => (tr::adopt::policies(l), tr::adopt::policies_what(l)),
        EffectKind::Bindings => (tr::adopt::bindings(l), tr::adopt::bindings_what(l)),
        EffectKind::Quotas => (tr::adopt::quotas(l), tr::adopt::quotas_what(l)),
    };
    let tone = if effect.kind.breaks() { Tone::Warn } else { Tone::Info };
    let concerns: Vec<_> =
        effect.concerns.iter().map(|one| view! { <li class="mono small">{one.clone()}</li> }).collect();
    let concerns = (!concerns.is_empty()).then(|| view! { <ul>{concerns}</ul> });
    view! { <li>{status(tone, what)} <p class="small">{meaning}</p> {concerns}</li> }
}
