//! Nodes: a list by pressure, one node with what is on it, and the page that empties one.

use berth_core::{
    Result,
    ports::{cluster::Freshness, pages::Fragment},
};
use berth_types::{
    Action, ClusterId, Quantity, Resource,
    node::{NodePod, NodeResource, NodeRow, NodeState, NodeView, amount},
    text::printable,
};
use leptos::prelude::*;

use super::may_change;
use crate::{
    components::{
        Button, Column, Form, Icon, List, Meter, Tone, ago, button, card, empty, fill, form::summary, link_button,
        meter, note, pod_status, status, table, tag,
    },
    pages::access::{self, Missing},
    paths,
    request::{AdminNav, Answer, Cx, Page, Place, done},
    tr,
    ui::Ui,
};

pub(super) const PLACE: Place = Place::Admin(AdminNav::Nodes);
const FILTERS: &[&str] = &["state", "role", "version"];

/// Which cluster's nodes a page shows, and how it says so in links.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    pub cluster: ClusterId,
    /// Named in links: it is not the one that a link without a name means.
    named: bool,
    /// All, to choose from.
    all: Vec<ClusterId>,
}

impl Spot {
    /// The cluster that `cx` asks for, or the first.
    pub(super) fn of(cx: &Cx) -> Result<Self> {
        let all: Vec<ClusterId> = cx.services.clusters().all().iter().map(|c| c.id().clone()).collect();
        let first = all.first().cloned().unwrap_or_else(ClusterId::local);
        let cluster = match cx.query("cluster") {
            "" => first.clone(),
            name => name.parse().map_err(|_| berth_core::Error::not_found())?,
        };
        Ok(Self { named: cluster != first, cluster, all })
    }

    fn link(&self, path: &str) -> String {
        paths::with_query(path, self.named.then(|| ("cluster", self.cluster.as_str())))
    }

    /// The way to the same page of other clusters, where there are some.
    pub(super) fn others(&self, path: &str) -> Option<AnyView> {
        let link = |id: &ClusterId| {
            let (href, here) = (paths::with_query(path, [("cluster", id.as_str())]), *id == self.cluster);
            view! { <a class="chip" href=href aria-current=here.then_some("true")>{id.to_string()}</a> }
        };
        let links = (self.all.len() > 1).then(|| self.all.iter().map(link).collect::<Vec<_>>())?;
        Some(view! { <div class="chips">{links}</div> }.into_any())
    }

    pub(super) fn list(&self) -> String {
        self.link(paths::ADMIN_NODES)
    }

    pub(super) fn node(&self, node: &str) -> String {
        self.link(&paths::admin_node(node))
    }

    pub(super) fn drain(&self, node: &str) -> String {
        self.link(&paths::admin_node_drain(node))
    }
}

/// Tone and word of a node's state.
#[must_use]
pub(super) fn state_of(ui: Ui, state: NodeState) -> (Tone, &'static str) {
    let l = ui.lang;
    match state {
        NodeState::NotReady => (Tone::Bad, tr::nodes::not_ready(l)),
        NodeState::Pressed => (Tone::Warn, tr::nodes::pressed(l)),
        NodeState::Draining => (Tone::Info, tr::nodes::draining(l)),
        NodeState::Drained => (Tone::Off, tr::nodes::drained(l)),
        NodeState::Cordoned => (Tone::Off, tr::nodes::cordoned(l)),
        NodeState::Ready => (Tone::Ok, tr::nodes::ready(l)),
    }
}

/// An amount as people read it: `2.5`, `16 GiB`, `110`.
#[must_use]
pub(super) fn shown(resource: &str, amount: Quantity) -> String {
    match resource {
        "cpu" => amount.cores(),
        "memory" | "ephemeral-storage" => amount.bytes(),
        _ => amount.as_units().to_string(),
    }
}

/// What a resource is called.
#[must_use]
pub(super) fn called(ui: Ui, resource: &str) -> String {
    match resource {
        "cpu" => tr::nodes::cpu(ui.lang).to_owned(),
        "memory" => tr::nodes::memory(ui.lang).to_owned(),
        "pods" => tr::common::pods(ui.lang).to_owned(),
        "ephemeral-storage" => tr::nodes::disk(ui.lang).to_owned(),
        other => other.to_owned(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a bar needs no more than 52 bits")]
pub(super) fn part(some: Quantity, all: Quantity) -> f64 {
    some.thousandths_of(all).map_or(f64::from(some > Quantity::ZERO), |part| part as f64 / 1000.0)
}

/// Used (solid) and asked for (hatched) of what pods may have.
fn bar(ui: Ui, resource: &NodeResource) -> AnyView {
    let (all, asked) = (amount(&resource.allocatable), amount(&resource.requested));
    let name = resource.resource.as_str();
    let used = resource.used.as_deref().map(amount);
    let text = tr::nodes::of(ui.lang, shown(name, asked), shown(name, all));
    // Where nothing is measured, what is asked for is all there is to see.
    let (solid, hatched) = match used {
        Some(used) => (part(used, all), Some(part(asked, all))),
        None => (part(asked, all), None),
    };
    let label = called(ui, name);
    meter(Meter { label: label.into(), text: text.into(), used: Some(solid), asked: hatched }).into_any()
}

struct Listed {
    spot: Spot,
    list: List<NodeRow>,
    freshness: Freshness,
}

async fn load(cx: &Cx) -> Result<Listed> {
    let spot = Spot::of(cx)?;
    // Who needs help comes first.
    let query = cx.list_query(FILTERS, "state,-pressure");
    let found = cx.services.list_nodes(&cx.ctx, &spot.cluster, &query).await?;
    let list = List::of(cx, query, found.page).read(&found.freshness);
    Ok(Listed { spot, list, freshness: found.freshness })
}

/// GET `/admin/nodes`.
pub async fn list(cx: Cx) -> Result<Answer> {
    let m = load(&cx).await?;
    let (ui, l) = (cx.ui(), cx.lang());
    let body = m.list.card(l, "nodes", (tr::nodes::nodes(l), tr::nodes::filter(l)), chips(ui, &m), rows(ui, &m));
    let view = view! {
        <div class="head"><h1>{tr::nodes::nodes(l)}</h1><p>{tr::nodes::what(l)}</p></div>
        {m.spot.others(paths::ADMIN_NODES)}
        {body}
    };
    Ok(Page::new(tr::nodes::nodes(l), PLACE, view).fresh(m.freshness).into())
}

/// The parts of the list that move.
pub async fn list_live(cx: Cx) -> Result<Vec<Fragment>> {
    let m = load(&cx).await?;
    let ui = cx.ui();
    Ok(vec![fragment("nodes-chips", chips(ui, &m)), fragment("nodes-rows", rows(ui, &m))])
}

pub(super) fn fragment(id: &str, view: AnyView) -> Fragment {
    Fragment { id: id.to_owned(), html: view.to_html() }
}

fn chips(ui: Ui, m: &Listed) -> AnyView {
    let states = m.list.chips("state", NodeState::ALL, |state| (state.as_str(), state_of(ui, state).1));
    view! { {states} {m.list.chosen(&FILTERS[1..])} }.into_any()
}

fn rows(ui: Ui, m: &Listed) -> AnyView {
    let l = ui.lang;
    if m.list.page.items.is_empty() {
        let nothing = || empty(Icon::Screen, tr::nodes::none(l), tr::nodes::none_hint(l), None).into_any();
        return m.list.empty(l, nothing);
    }
    let rows: Vec<_> = m.list.page.items.iter().map(|node| row(ui, &m.spot, node)).collect();
    let columns = [
        Column::text(tr::common::name(l)).by("name"),
        Column::text(tr::common::status(l)).by("state"),
        Column::text(tr::shell::why(l)),
        Column::number(tr::nodes::pressure(l)).by("pressure"),
        Column::text(tr::nodes::asked_for(l)),
        Column::text(tr::nodes::version(l)).by("version"),
        Column::number(tr::nodes::age(l)).by("created"),
    ];
    view! { {table(columns, m.list.sort(), rows)} {m.list.pager(l)} }.into_any()
}

fn why(node: &NodeRow) -> String {
    let message = node.message.as_deref().map(|text| printable(text).into_owned());
    [node.reason.clone(), message].into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn row(ui: Ui, spot: &Spot, node: &NodeRow) -> AnyView {
    let (tone, word) = state_of(ui, node.state);
    let bars: Vec<_> = ["cpu", "memory", "pods"].iter().filter_map(|r| node.resource(r)).map(|r| bar(ui, r)).collect();
    let roles: Vec<_> = node.roles.iter().map(|role| view! { " " {tag(role.clone())} }).collect();
    view! {
        <tr>
            <td><a class="name mono" href=spot.node(&node.name)>{node.name.clone()}</a>{roles}</td>
            <td>{status(tone, word)}</td>
            {fill(why(node))}
            <td class="num">{node.pressure.map_or_else(|| "–".to_owned(), |part| format!("{} %", part / 10))}</td>
            <td>{bars}</td>
            <td class="muted">{node.version.clone()}</td>
            <td class="num muted">{ago(ui, node.created_at)}</td>
        </tr>
    }
    .into_any()
}

struct One {
    spot: Spot,
    view: NodeView,
    freshness: Freshness,
    may: bool,
    closed: Option<Missing>,
}

async fn load_one(cx: &Cx) -> Result<One> {
    let spot = Spot::of(cx)?;
    let (view, freshness) = cx.services.get_node(&cx.ctx, &spot.cluster, cx.param("node")?).await?;
    let right = (Resource::Node, Action::Update);
    let closed = access::missing_on_platform(cx, right).await;
    Ok(One { spot, view, freshness, may: may_change(cx, right.0, right.1), closed })
}

/// GET `/admin/nodes/{node}`.
pub async fn one(cx: Cx, refused: Option<Form>) -> Result<Answer> {
    let m = load_one(&cx).await?;
    let (ui, form) = (cx.ui(), refused.unwrap_or_default());
    let name = m.view.node.name.clone();
    let view = view! {
        {summary(ui, &form, &[])}
        <div id="node-head">{head(ui, &m)}</div>
        <div id="node-body" class="stack">{body(ui, &m)}</div>
    };
    let page = Page::new(name.clone(), PLACE, view).crumb(tr::nodes::nodes(cx.lang()), m.spot.list());
    Ok(page.crumb(name.clone(), m.spot.node(&name)).fresh(m.freshness).status(form.status()).into())
}

/// The parts of a node's page that move.
pub async fn one_live(cx: Cx) -> Result<Vec<Fragment>> {
    let m = load_one(&cx).await?;
    let ui = cx.ui();
    Ok(vec![fragment("node-head", head(ui, &m)), fragment("node-body", body(ui, &m))])
}

/// POST `/admin/nodes/{node}`: cordon, uncordon.
pub async fn change(cx: Cx) -> Result<Answer> {
    let (l, spot) = (cx.lang(), Spot::of(&cx)?);
    let node = cx.param("node")?.to_owned();
    let cordon = cx.field("do") != "uncordon";
    match cx.services.cordon_node(&cx.ctx, &spot.cluster, &node, cordon).await {
        Ok(()) if cordon => Ok(done(spot.node(&node), tr::nodes::cordon_done(l, &node))),
        Ok(()) => Ok(done(spot.node(&node), tr::nodes::uncordon_done(l, &node))),
        Err(e) => {
            let form = Form::refused(&cx, &[], e)?;
            one(cx, Some(form)).await
        }
    }
}

fn head(ui: Ui, m: &One) -> AnyView {
    let (l, node) = (ui.lang, &m.view.node);
    let (tone, word) = state_of(ui, node.state);
    let closed = m.closed.as_ref().map(|closed| access::closed(ui, tr::nodes::drain(l), closed));
    let actions = m.may.then(|| {
        let toggle = match node.cordoned {
            true => button(Button::Plain, Some(Icon::Play), tr::nodes::uncordon(l), Some("uncordon")).into_any(),
            false => button(Button::Plain, Some(Icon::Pause), tr::nodes::cordon(l), Some("cordon")).into_any(),
        };
        let drain = match node.state {
            NodeState::Draining => tr::nodes::drain_progress(l),
            _ => tr::nodes::drain(l),
        };
        view! {
            <form method="post">{toggle}</form>
            {link_button(Button::Plain, None, drain, m.spot.drain(&node.name))}
        }
    });
    view! {
        <div class="head">
            <h1>{node.name.clone()} " " {status(tone, word)}</h1>
            <p>{why(node)}</p>
            <div class="do">{closed}{actions}</div>
        </div>
    }
    .into_any()
}

fn body(ui: Ui, m: &One) -> AnyView {
    let (l, node) = (ui.lang, &m.view.node);
    let measured = match node.measured_at {
        Some(at) => view! { {tr::nodes::measured(l)} " " {ago(ui, at)} }.into_any(),
        None => tr::nodes::not_measured_hint(l).into_any(),
    };
    let has = view! { {resources(ui, &node.resources)} <p class="in muted small">{measured}</p> }.into_any();
    let drained = node.drain.as_ref().filter(|_| node.state == NodeState::Drained).map(|mark| {
        let text = tr::nodes::is_drained(l, &mark.by);
        note(Tone::Ok, view! { <p>{text} " " {mark.done.map(|at| ago(ui, at))}</p> }.into_any())
    });
    view! {
        {drained}
        {card(tr::nodes::resources(l), None, has)}
        {card(tr::nodes::on_it(l, m.view.pods.len()), None, pods(ui, &m.view.pods))}
        {card(tr::nodes::says(l), None, facts(ui, &m.view))}
    }
    .into_any()
}

fn resources(ui: Ui, rows: &[NodeResource]) -> AnyView {
    let l = ui.lang;
    let row = |r: &NodeResource| {
        let text = |text: &str| shown(&r.resource, amount(text));
        let used = r.used.as_deref().map_or_else(|| tr::nodes::not_measured(l).to_owned(), text);
        view! {
            <tr>
                <td class="name">{called(ui, &r.resource)}</td>
                <td class="num">{text(&r.capacity)}</td>
                <td class="num">{text(&r.allocatable)}</td>
                <td class="num">{text(&r.requested)}</td>
                <td class="num">{used}</td>
                <td>{bar(ui, r)}</td>
            </tr>
        }
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    let columns = [
        Column::text(tr::quotas::resource(l)),
        Column::number(tr::nodes::capacity(l)),
        Column::number(tr::nodes::allocatable(l)),
        Column::number(tr::nodes::requested(l)),
        Column::number(tr::nodes::used(l)),
        Column::text(tr::quotas::how_full(l)),
    ];
    table(columns, None, rows)
}

/// Whose a pod is: a link for a tenant's, the cluster's own namespace else.
pub(super) fn whose(
    tenant: Option<&berth_types::TenantName>,
    namespace: Option<&berth_types::NamespaceName>,
    kube: &str,
) -> AnyView {
    match (tenant, namespace) {
        (Some(tenant), Some(namespace)) => {
            view! { <a href=paths::namespace(tenant, namespace)>{format!("{tenant} / {namespace}")}</a> }.into_any()
        }
        _ => view! { <span class="mono muted">{kube.to_owned()}</span> }.into_any(),
    }
}

fn pods(ui: Ui, pods: &[NodePod]) -> AnyView {
    let l = ui.lang;
    if pods.is_empty() {
        return empty(Icon::Pods, tr::nodes::no_pods(l), tr::nodes::no_pods_hint(l), None).into_any();
    }
    let asks = |pod: &NodePod, name: &str| {
        pod.requests.get(name).map_or_else(|| "–".to_owned(), |text| shown(name, amount(text)))
    };
    let rows: Vec<_> = pods
        .iter()
        .map(|pod| {
            view! {
                <tr>
                    <td class="name mono">{pod.name.clone()}</td>
                    <td>{whose(pod.tenant.as_ref(), pod.namespace.as_ref(), &pod.kube_namespace)}</td>
                    <td>{pod_status(l, pod.phase)}</td>
                    <td class="num">{asks(pod, "cpu")}</td>
                    <td class="num">{asks(pod, "memory")}</td>
                </tr>
            }
        })
        .collect();
    let columns = [
        Column::text(tr::nodes::pod(l)),
        Column::text(tr::nodes::whose(l)),
        Column::text(tr::common::status(l)),
        Column::number(tr::nodes::cpu(l)),
        Column::number(tr::nodes::memory(l)),
    ];
    table(columns, None, rows)
}

fn facts(ui: Ui, m: &NodeView) -> AnyView {
    let l = ui.lang;
    let (node, system) = (&m.node, &m.system);
    let taints: Vec<_> = node.taints.iter().map(|taint| view! { <dd class="mono">{taint.clone()}</dd> }).collect();
    let taints = (!taints.is_empty()).then(|| view! { <dt>{tr::nodes::taints(l)}</dt> {taints} });
    let zone = node.zone.clone().map(|zone| view! { <dt>{tr::nodes::zone(l)}</dt><dd>{zone}</dd> });
    let said = [&system.os_image, &system.kernel_version, &system.container_runtime_version, &system.architecture];
    let said: Vec<&str> = said.iter().map(|text| text.as_str()).filter(|text| !text.is_empty()).collect();
    let rows: Vec<_> = m
        .conditions
        .iter()
        .map(|c| {
            let text = format!("{} · {}", c.reason, printable(&c.message));
            view! {
                <tr>
                    <td class="name">{c.kind.clone()}</td>
                    <td>{c.status.clone()}</td>
                    {fill(text)}
                    <td class="num muted">{c.since.map(|at| ago(ui, at))}</td>
                </tr>
            }
        })
        .collect();
    let columns = [
        Column::text(tr::nodes::condition(l)),
        Column::text(tr::common::status(l)),
        Column::text(tr::shell::why(l)),
        Column::number(tr::nodes::since(l)),
    ];
    view! {
        <dl class="in facts">
            <dt>{tr::nodes::version(l)}</dt><dd>{node.version.clone()}</dd>
            <dt>{tr::nodes::system(l)}</dt><dd>{said.join(" · ")}</dd>
            {zone}
            {taints}
        </dl>
        {table(columns, None, rows)}
    }
    .into_any()
}
