//! Clusters: which there are and how they are doing, one with what was found and what is left on it, and registering one.

use std::collections::BTreeMap;

use berth_core::{
    Error, Result,
    ports::pages::Fragment,
    services::clusters::{MAX_LABEL, Tried},
};
use berth_types::{
    Action, ClusterId, Resource,
    cluster::{
        CheckVerdict, ClusterChange, ClusterCheck, ClusterHealth, ClusterProbe, ClusterRemains, ClusterState,
        ClusterView, NewCluster,
    },
    node::amount,
    text::printable,
};
use leptos::prelude::*;
use secrecy::ExposeSecret as _;

use super::{
    agents, may_change,
    nodes::{fragment, shown},
};
use crate::{
    components::{
        Button, Column, Field, Form, Icon, Tone, ago, button, card, empty, field, form::summary, hidden, link_button,
        note, on, status, table, tag,
    },
    pages::access::{self, Missing},
    paths,
    request::{AdminNav, Answer, Cx, Page, PageCx, Place, done},
    tr,
    ui::Ui,
};

pub(super) const PLACE: Place = Place::Admin(AdminNav::Clusters);
const KUBECONFIG: &str = "kubeconfig";
/// A kubeconfig that was tried: sealed, so that it need not be sent again.
const KEPT: &str = "kept";
const FIELDS: [&str; 5] = ["name", "label", "labels", KUBECONFIG, "state"];

fn health_of(ui: Ui, health: ClusterHealth) -> (Tone, &'static str) {
    let l = ui.lang;
    match health {
        ClusterHealth::Live => (Tone::Ok, tr::shell::cluster_live(l)),
        ClusterHealth::Idle => (Tone::Warn, tr::common::idle(l)),
        ClusterHealth::Connecting => (Tone::Info, tr::clusters::connecting(l)),
        ClusterHealth::Away => (Tone::Bad, tr::shell::cluster_stale(l)),
        ClusterHealth::Locked => (Tone::Bad, tr::clusters::locked(l)),
    }
}

fn state_of(ui: Ui, state: ClusterState) -> (Tone, &'static str) {
    let l = ui.lang;
    match state {
        ClusterState::Open => (Tone::Ok, tr::clusters::open(l)),
        ClusterState::Closed => (Tone::Off, tr::clusters::closed(l)),
        ClusterState::Draining => (Tone::Info, tr::clusters::draining(l)),
    }
}

fn verdict_of(ui: Ui, verdict: CheckVerdict) -> (Tone, &'static str) {
    let l = ui.lang;
    match verdict {
        CheckVerdict::Good => (Tone::Ok, tr::clusters::good(l)),
        CheckVerdict::Lacking => (Tone::Warn, tr::clusters::lacking(l)),
        CheckVerdict::Bad => (Tone::Bad, tr::clusters::bad(l)),
    }
}

/// What was looked at, in the reader's language where it has words for it.
fn checked(ui: Ui, what: &str) -> String {
    let key: String =
        what.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    tr::template(ui.lang, "clusters", &format!("check_{key}")).map_or_else(|| what.to_owned(), str::to_owned)
}

fn labels_of(labels: &BTreeMap<String, String>) -> Vec<String> {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect()
}

/// Labels as a form has them: `key=value`, one a line.
pub(super) fn labels_sent(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let pair = |line: &str| {
        line.split_once('=')
            .map_or((line.to_owned(), String::new()), |(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
    };
    lines.map(pair).collect()
}

/// GET `/admin/clusters`.
pub async fn list(cx: Cx) -> Result<Answer> {
    let all = cx.services.list_clusters(&cx.ctx).await?;
    let (ui, l) = (cx.ui(), cx.lang());
    let new = may_change(&cx, Resource::Cluster, Action::Create)
        .then(|| link_button(Button::Go, Some(Icon::Plus), tr::clusters::register(l), paths::ADMIN_CLUSTER_NEW));
    let closed = access::closed_on_platform(&cx, tr::clusters::register(l), (Resource::Cluster, Action::Create)).await;
    let title = tr::shell::clusters(l);
    let view = view! {
        <div class="head"><h1>{title}</h1><p>{tr::clusters::what(l)}</p><div class="do">{closed}{new}</div></div>
        <section class="card" id="clusters" aria-label=title>{rows(ui, &all)}</section>
    };
    Ok(Page::new(title, PLACE, view).into())
}

/// The part of the list that moves.
pub async fn list_live(cx: Cx) -> Result<Vec<Fragment>> {
    let all = cx.services.list_clusters(&cx.ctx).await?;
    Ok(vec![fragment("clusters", rows(cx.ui(), &all))])
}

fn rows(ui: Ui, all: &[ClusterView]) -> AnyView {
    let l = ui.lang;
    let columns = [
        Column::text(tr::common::name(l)),
        Column::text(tr::common::status(l)),
        Column::text(tr::clusters::takes(l)),
        Column::text(tr::clusters::version(l)),
        Column::number(tr::nodes::nodes(l)),
        Column::number(tr::nodes::cpu(l)),
        Column::number(tr::nodes::memory(l)),
        Column::number(tr::common::namespaces(l)),
        Column::number(tr::clusters::latency(l)),
        Column::number(tr::shell::last_heard(l)),
    ];
    table(columns, None, all.iter().map(|cluster| row(ui, cluster)).collect::<Vec<_>>())
}

fn amount_of(resource: &str, text: Option<&String>) -> String {
    text.map_or_else(|| "–".to_owned(), |text| shown(resource, amount(text)))
}

/// Ready ones, and how many there are where some are not.
fn nodes_of(cluster: &ClusterView) -> String {
    match (cluster.ready, cluster.nodes) {
        (Some(ready), Some(all)) if ready == all => all.to_string(),
        (Some(ready), Some(all)) => format!("{ready}/{all}"),
        _ => "–".to_owned(),
    }
}

fn latency_of(probe: Option<&ClusterProbe>) -> String {
    probe.and_then(|probe| probe.latency_ms).map_or_else(|| "–".to_owned(), |ms| format!("{ms} ms"))
}

fn row(ui: Ui, cluster: &ClusterView) -> AnyView {
    let ((tone, word), (takes, said)) = (health_of(ui, cluster.health), state_of(ui, cluster.state));
    let handle =
        (!cluster.label.is_empty()).then(|| view! { " " <span class="mono muted">{cluster.name.to_string()}</span> });
    let labels: Vec<_> = labels_of(&cluster.labels).into_iter().map(|label| view! { " " {tag(label)} }).collect();
    let why = cluster.reason.as_deref().map(|why| view! { <p class="small muted">{printable(why).into_owned()}</p> });
    let version = cluster.probe.as_ref().and_then(|probe| probe.version.clone()).unwrap_or_else(|| "–".to_owned());
    view! {
        <tr>
            <td class="wrap"><a class="name" href=paths::admin_cluster(&cluster.name)>{cluster.called().to_owned()}</a>{handle}{labels}{why}</td>
            <td>{status(tone, word)}</td>
            <td>{status(takes, said)}</td>
            <td class="muted">{version}</td>
            <td class="num">{nodes_of(cluster)}</td>
            <td class="num">{amount_of("cpu", cluster.cpu.as_ref())}</td>
            <td class="num">{amount_of("memory", cluster.memory.as_ref())}</td>
            <td class="num">{cluster.namespaces}</td>
            <td class="num muted">{latency_of(cluster.probe.as_ref())}</td>
            <td class="num muted">{cluster.as_of.map(|at| ago(ui, at))}</td>
        </tr>
    }
    .into_any()
}

/// What was found, each with what mends it.
fn checklist(ui: Ui, probe: &ClusterProbe) -> AnyView {
    let l = ui.lang;
    let row = |check: &ClusterCheck| {
        let (tone, word) = verdict_of(ui, check.verdict);
        let fix = check.fix.clone().map(|fix| view! { <p class="small muted">{fix}</p> });
        view! {
            <tr>
                <td class="name">{checked(ui, &check.what)}</td>
                <td>{status(tone, word)}</td>
                <td class="wrap">{printable(&check.found).into_owned()} {fix}</td>
            </tr>
        }
    };
    let rows: Vec<_> = probe.checks.iter().map(row).collect();
    let columns = [
        Column::text(tr::clusters::looked_at(l)),
        Column::text(tr::common::status(l)),
        Column::text(tr::clusters::found(l)),
    ];
    table(columns, None, rows)
}

fn fields(ui: Ui, form: &Form) -> AnyView {
    let l = ui.lang;
    let label = Field::text("label", tr::clusters::label(l)).max(MAX_LABEL).hint(tr::clusters::label_hint(l));
    let labels = Field::area("labels", tr::clusters::labels(l), 3).placeholder("region=eu\ntier=gold");
    view! { {field(ui, form, label)} {field(ui, form, labels.hint(tr::clusters::labels_hint(l)))} }.into_any()
}

/// The fields that every cluster has that is registered.
pub(super) fn name_and_labels(ui: Ui, form: &Form) -> AnyView {
    let l = ui.lang;
    let name = Field::text("name", tr::common::name(l)).required().focus().max(ClusterId::MAX).placeholder("frankfurt");
    let name = name.hint(tr::clusters::name_hint(l, ClusterId::MAX));
    view! { {field(ui, form, name)} {fields(ui, form)} }.into_any()
}

/// GET `/admin/clusters/new`; `tried`: what was found when the kubeconfig was tried.
pub async fn new(cx: Cx, form: Form, tried: Option<(String, ClusterProbe)>) -> Result<Answer> {
    cx.services.authz().platform(&cx.ctx, Resource::Cluster, Action::Create)?;
    let (ui, l) = (cx.ui(), cx.lang());
    let title = tr::clusters::register(l);
    let kept = form.value(KEPT).to_owned();
    let kubeconfig = Field::area(KUBECONFIG, tr::clusters::kubeconfig(l), 12);
    let kubeconfig = kubeconfig.hint(match kept.is_empty() {
        true => tr::clusters::kubeconfig_hint(l),
        false => tr::clusters::kept_hint(l),
    });
    let found = tried.map(|(server, probe)| {
        let (tone, said) = match probe.verdict() {
            CheckVerdict::Bad => (Tone::Bad, tr::clusters::tried_bad(l)),
            CheckVerdict::Lacking => (Tone::Warn, tr::clusters::tried_lacking(l)),
            CheckVerdict::Good => (Tone::Ok, tr::clusters::tried_good(l)),
        };
        view! {
            {note(tone, view! { <p>{said}</p> }.into_any())}
            {card(tr::clusters::found_at(l, server), None, checklist(ui, &probe))}
        }
    });
    let status = form.status();
    let keeps = (!kept.is_empty()).then(|| hidden(KEPT, kept));
    let view = view! {
        <div class="head"><h1>{title}</h1><p>{tr::clusters::register_what(l)}</p></div>
        {found}
        <form class="card narrow in" method="post" novalidate>
            {summary(ui, &form, &FIELDS)}
            {keeps}
            {name_and_labels(ui, &form)}
            {field(ui, &form, kubeconfig)}
            <p class="small muted">{tr::clusters::rights(l)}</p>
            <div class="actions">
                {button(Button::Go, None, tr::clusters::register_it(l), Some("register"))}
                {button(Button::Plain, None, tr::clusters::try_it(l), Some("try"))}
                {link_button(Button::Plain, None, tr::agents::by_agent(l), paths::ADMIN_CLUSTER_AGENT)}
                {link_button(Button::Quiet, None, tr::common::cancel(l), paths::ADMIN_CLUSTERS)}
            </div>
        </form>
    };
    let page = Page::new(title, PLACE, view).crumb(tr::shell::clusters(l), paths::ADMIN_CLUSTERS);
    Ok(page.crumb(title, paths::ADMIN_CLUSTER_NEW).status(status).into())
}

/// The kubeconfig that was pasted, or tried before.
fn given(cx: &PageCx) -> Result<secrecy::SecretString> {
    match (cx.field(KUBECONFIG), cx.field(KEPT)) {
        (text, kept) if text.trim().is_empty() && !kept.is_empty() => cx.services.tried_kubeconfig(&cx.ctx, kept),
        (text, _) => Ok(text.to_owned().into()),
    }
}

/// POST `/admin/clusters/new`.
pub async fn create(cx: Cx) -> Result<Answer> {
    cx.services.authz().platform(&cx.ctx, Resource::Cluster, Action::Create)?;
    let kubeconfig = match given(&cx) {
        Ok(kubeconfig) => kubeconfig,
        Err(e) => return refused(cx, e, None).await,
    };
    if cx.field("do") == "try" {
        return match cx.services.try_cluster(&cx.ctx, &kubeconfig).await {
            Ok(tried) => {
                let form = Form::sent(&cx, &[KUBECONFIG, KEPT]);
                shown_again(cx, form, Some(tried)).await
            }
            Err(e) => refused(cx, e, None).await,
        };
    }
    let new = NewCluster {
        name: cx.field("name").to_owned(),
        label: cx.field("label").to_owned(),
        labels: labels_sent(cx.field("labels")),
        kubeconfig: kubeconfig.expose_secret().to_owned(),
    };
    match cx.services.register_cluster(&cx.ctx, &new).await {
        Ok(made) => Ok(done(paths::admin_cluster(&made.name), tr::clusters::registered(cx.lang(), made.called()))),
        Err(e) => {
            // What was pasted need not be pasted again where it could be used at all.
            let tried = cx.services.try_cluster(&cx.ctx, &kubeconfig).await.ok();
            refused(cx, e, tried).await
        }
    }
}

/// The form once more, without what was pasted; what was tried need not be sent again.
async fn refused(cx: Cx, error: Error, tried: Option<Tried>) -> Result<Answer> {
    let form = Form::refused(&cx, &[KUBECONFIG, KEPT], error)?;
    shown_again(cx, form, tried).await
}

async fn shown_again(cx: Cx, mut form: Form, tried: Option<Tried>) -> Result<Answer> {
    if let Some(tried) = &tried {
        form.values.push((KEPT.to_owned(), tried.kept.expose_secret().to_owned()));
    }
    new(cx, form, tried.map(|tried| (tried.server, tried.probe))).await
}

struct One {
    cluster: ClusterView,
    remains: ClusterRemains,
    may: bool,
    closed: Option<Missing>,
}

fn id(cx: &PageCx) -> Result<ClusterId> {
    cx.param("cluster")?.parse().map_err(|_| Error::not_found())
}

async fn load(cx: &Cx) -> Result<One> {
    let id = id(cx)?;
    Ok(One {
        cluster: cx.services.get_cluster(&cx.ctx, &id).await?,
        remains: cx.services.cluster_remains(&cx.ctx, &id).await?,
        may: may_change(cx, Resource::Cluster, Action::Update),
        closed: access::missing_on_platform(cx, (Resource::Cluster, Action::Update)).await,
    })
}

/// GET `/admin/clusters/{cluster}`.
pub async fn one(cx: Cx, refused: Option<Form>) -> Result<Answer> {
    let m = load(&cx).await?;
    let (ui, l) = (cx.ui(), cx.lang());
    let form = refused.unwrap_or_default().or([
        ("label", m.cluster.label.clone()),
        ("labels", labels_of(&m.cluster.labels).join("\n")),
        ("state", m.cluster.state.to_string()),
    ]);
    let title = m.cluster.called().to_owned();
    let forms = m.may.then(|| {
        view! { {settings(ui, &m.cluster, &form)} {access(ui, &m.cluster, &form)} {ending(ui, &m, &form)} }
    });
    let view = view! {
        <div id="cluster-head">{head(ui, &m)}</div>
        {summary(ui, &form, &["label", "labels", "state", KUBECONFIG, "confirm"])}
        <div id="cluster-body" class="stack">{body(ui, &m)}</div>
        {forms}
    };
    let page = Page::new(title.clone(), PLACE, view).crumb(tr::shell::clusters(l), paths::ADMIN_CLUSTERS);
    Ok(page.crumb(title, paths::admin_cluster(&m.cluster.name)).status(form.status()).into())
}

/// The parts of a cluster's page that move.
pub async fn one_live(cx: Cx) -> Result<Vec<Fragment>> {
    let m = load(&cx).await?;
    let ui = cx.ui();
    Ok(vec![fragment("cluster-head", head(ui, &m)), fragment("cluster-body", body(ui, &m))])
}

fn head(ui: Ui, m: &One) -> AnyView {
    let (l, cluster) = (ui.lang, &m.cluster);
    let ((tone, word), (takes, said)) = (health_of(ui, cluster.health), state_of(ui, cluster.state));
    let labels: Vec<_> = labels_of(&cluster.labels).into_iter().map(|label| view! { {tag(label)} " " }).collect();
    let probe = m.may.then(|| {
        view! { <form method="post">{button(Button::Plain, None, tr::clusters::probe(l), Some("probe"))}</form> }
    });
    let to = |path: &str| paths::with_query(path, [("cluster", cluster.name.as_str())]);
    view! {
        <div class="head">
            <h1>{cluster.called().to_owned()} " " {status(tone, word)} " " {status(takes, said)}</h1>
            <p>{cluster.reason.as_deref().map(|why| printable(why).into_owned())} " " {labels}</p>
            <div class="do">
                {link_button(Button::Plain, None, tr::nodes::nodes(l), to(paths::ADMIN_NODES))}
                {link_button(Button::Plain, None, tr::capacity::capacity(l), to(paths::ADMIN_CAPACITY))}
                {m.closed.as_ref().map(|closed| access::closed(ui, tr::common::change(l), closed))}
                {probe}
            </div>
        </div>
    }
    .into_any()
}

fn body(ui: Ui, m: &One) -> AnyView {
    let (l, cluster) = (ui.lang, &m.cluster);
    let probed = match &cluster.probe {
        Some(probe) => {
            let when = view! { <p class="in muted small"><span>{tr::clusters::probed(l, latency_of(Some(probe)))} " " {ago(ui, probe.at)}</span></p> };
            view! { {checklist(ui, probe)} {when} }.into_any()
        }
        None => empty(Icon::Gauge, tr::clusters::no_probe(l), tr::clusters::no_probe_hint(l), None).into_any(),
    };
    view! {
        {card(tr::clusters::facts(l), None, facts(ui, cluster))}
        {agents::facts(ui, cluster)}
        {card(tr::clusters::checks(l), None, probed)}
        {card(tr::clusters::remains(l), None, remains(ui, m))}
    }
    .into_any()
}

fn facts(ui: Ui, cluster: &ClusterView) -> AnyView {
    let l = ui.lang;
    let server = match &cluster.server {
        Some(server) => view! { <span class="mono">{server.clone()}</span> }.into_any(),
        None if cluster.agent.is_some() => tr::agents::not_yet(l).into_any(),
        None => tr::clusters::configured(l).into_any(),
    };
    let by = cluster.created_by.clone().zip(cluster.created_at).map(|(by, at)| {
        view! { <dt>{tr::clusters::registered_by(l)}</dt><dd>{by} " " {on(at)}</dd> }
    });
    view! {
        <dl class="in facts">
            <dt>{tr::common::name(l)}</dt><dd class="mono">{cluster.name.to_string()}</dd>
            <dt>{tr::clusters::server(l)}</dt><dd>{server}</dd>
            <dt>{tr::nodes::nodes(l)}</dt><dd>{nodes_of(cluster)}</dd>
            <dt>{tr::nodes::cpu(l)}</dt><dd>{amount_of("cpu", cluster.cpu.as_ref())}</dd>
            <dt>{tr::nodes::memory(l)}</dt><dd>{amount_of("memory", cluster.memory.as_ref())}</dd>
            {by}
        </dl>
    }
    .into_any()
}

fn remains(ui: Ui, m: &One) -> AnyView {
    let l = ui.lang;
    let quotas = (!m.remains.quotas.is_empty()).then(|| {
        let names: Vec<String> = m.remains.quotas.iter().map(ToString::to_string).collect();
        view! { <p class="in muted small">{tr::clusters::only_quotas(l, names.join(", "))}</p> }
    });
    if m.remains.namespaces.is_empty() {
        return view! {
            {empty(Icon::Box, tr::clusters::nothing_left(l), tr::clusters::nothing_left_hint(l), None)}
            {quotas}
        }
        .into_any();
    }
    let number = |n: Option<usize>| n.map_or_else(|| "–".to_owned(), |n| n.to_string());
    let rows: Vec<_> = m
        .remains
        .namespaces
        .iter()
        .map(|left| {
            let going = left.leaving.then(|| view! { " " {tag(tr::clusters::leaving(l))} });
            view! {
                <tr>
                    <td><a href=paths::tenant(&left.tenant)>{left.tenant.to_string()}</a></td>
                    <td><a class="name" href=paths::namespace(&left.tenant, &left.namespace)>{left.namespace.to_string()}</a>{going}</td>
                    <td class="mono muted hide">{left.kube_name.clone()}</td>
                    <td class="num">{number(left.apps)}</td>
                    <td class="num">{number(left.pods)}</td>
                    <td class="num">{number(left.volumes)}</td>
                </tr>
            }
        })
        .collect();
    let columns = [
        Column::text(tr::common::tenant(l)),
        Column::text(tr::common::namespace(l)),
        Column::text(tr::shell::in_cluster(l)),
        Column::number(tr::common::apps(l)),
        Column::number(tr::common::pods(l)),
        Column::number(tr::clusters::volumes(l)),
    ];
    let stays = (!m.cluster.state.takes_more())
        .then(|| note(Tone::Info, view! { <p>{tr::clusters::nothing_moves(l)}</p> }.into_any()));
    view! { {stays} {table(columns, None, rows)} {quotas} }.into_any()
}

fn settings(ui: Ui, cluster: &ClusterView, form: &Form) -> AnyView {
    let l = ui.lang;
    let states = ClusterState::ALL.iter().map(|state| {
        let said = match state {
            ClusterState::Open => tr::clusters::open_what(l),
            ClusterState::Closed => tr::clusters::closed_what(l),
            ClusterState::Draining => tr::clusters::draining_what(l),
        };
        (state.as_str().to_owned(), said.to_owned())
    });
    let state = Field::select("state", tr::clusters::takes(l), states.collect()).hint(tr::clusters::state_hint(l));
    let body = view! {
        <form class="in" method="post" novalidate>
            {hidden("version", cluster.version.to_string())}
            {fields(ui, form)}
            {field(ui, form, state)}
            <div class="actions">{button(Button::Go, None, tr::common::save(l), Some("save"))}</div>
        </form>
    };
    card(tr::common::settings(l), None, body.into_any()).into_any()
}

fn access(ui: Ui, cluster: &ClusterView, form: &Form) -> Option<AnyView> {
    let l = ui.lang;
    if let Some(agent) = &cluster.agent {
        return Some(agents::access(ui, agent));
    }
    let text = Field::area(KUBECONFIG, tr::clusters::kubeconfig(l), 8).hint(tr::clusters::access_hint(l));
    let body = view! {
        <form class="in" method="post" novalidate>
            {field(ui, form, text)}
            <div class="actions">{button(Button::Plain, None, tr::clusters::replace(l), Some("access"))}</div>
        </form>
    };
    (!cluster.configured).then(|| card(tr::clusters::access(l), None, body.into_any()).into_any())
}

fn ending(ui: Ui, m: &One, form: &Form) -> AnyView {
    let (l, cluster) = (ui.lang, &m.cluster);
    if cluster.configured {
        let why = view! { <p class="in">{tr::clusters::configured_stays(l)}</p> };
        return card(tr::clusters::remove(l), None, why.into_any()).into_any();
    }
    let body = if m.remains.namespaces.is_empty() {
        view! {
            <form class="in" method="post">
                <p>{tr::clusters::remove_what(l)} " " <code>"berth crds | kubectl delete -f -"</code></p>
                {agents::leaves(ui, cluster)}
                <div class="actions">{button(Button::Danger, Some(Icon::Bin), tr::clusters::remove(l), Some("remove"))}</div>
            </form>
        }
        .into_any()
    } else {
        let confirm = Field::text("confirm", tr::clusters::confirm(l, &cluster.name)).mono();
        view! {
            <form class="in" method="post" novalidate>
                <p>{tr::clusters::still_used(l, m.remains.namespaces.len())}</p>
                <p>{tr::clusters::forget_what(l)}</p>
                {field(ui, form, confirm)}
                <div class="actions">{button(Button::Danger, Some(Icon::Bin), tr::clusters::forget(l), Some("forget"))}</div>
            </form>
        }
        .into_any()
    };
    card(tr::clusters::remove(l), None, body).into_any()
}

/// POST `/admin/clusters/{cluster}`.
pub async fn change(cx: Cx) -> Result<Answer> {
    let (id, l) = (id(&cx)?, cx.lang());
    let (services, ctx) = (&cx.services, &cx.ctx);
    let here = paths::admin_cluster(&id);
    let outcome = match cx.field("do") {
        "agent-renew" | "agent-revoke" => match agents::change(&cx, &id).await {
            Ok(Some(page)) => return Ok(page),
            Ok(None) => Ok((here, tr::agents::revoked_now(l).to_owned())),
            Err(e) => Err(e),
        },
        "probe" => services.probe_cluster(ctx, &id).await.map(|_| (here, tr::clusters::probe_done(l).to_owned())),
        "access" => {
            let kubeconfig = cx.field(KUBECONFIG).to_owned().into();
            let replaced = services.replace_cluster_access(ctx, &id, &kubeconfig).await;
            replaced.map(|_| (here, tr::clusters::replaced(l).to_owned()))
        }
        "remove" => {
            let gone = services.remove_cluster(ctx, &id).await;
            gone.map(|()| (paths::ADMIN_CLUSTERS.to_owned(), tr::clusters::removed(l, &id)))
        }
        "forget" => {
            let gone = services.forget_cluster(ctx, &id, cx.field("confirm")).await;
            gone.map(|()| (paths::ADMIN_CLUSTERS.to_owned(), tr::clusters::forgotten(l, &id)))
        }
        _ => {
            let change = ClusterChange {
                label: cx.field("label").to_owned(),
                labels: labels_sent(cx.field("labels")),
                state: cx.field("state").to_owned(),
            };
            let changed = services.update_cluster(ctx, &id, &change, cx.field("version").parse().ok()).await;
            changed.map(|_| (here, tr::clusters::changed(l).to_owned()))
        }
    };
    match outcome {
        Ok((to, said)) => Ok(done(to, said)),
        Err(e) => {
            let form = Form::refused(&cx, &[KUBECONFIG], e)?;
            one(cx, Some(form)).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_lines() {
        for (text, want) in [
            ("", &[][..]),
            ("region=eu\n\n tier = gold ", &[("region", "eu"), ("tier", "gold")]),
            ("alone\r\na=b=c", &[("alone", ""), ("a", "b=c")]),
        ] {
            let want: BTreeMap<String, String> = want.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            assert_eq!(labels_sent(text), want, "{text:?}");
        }
    }
}
