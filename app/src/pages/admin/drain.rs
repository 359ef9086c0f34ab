//! Emptying a node: what becomes of each pod before one begins, and how far it is once one has.

use berth_core::{Result, ports::pages::Fragment};
use berth_types::{
    Action, Resource,
    node::{DrainConsent, DrainMark, DrainPlan, DrainStep, PodFate},
};
use leptos::prelude::*;

use super::{
    may_change,
    nodes::{PLACE, Spot, fragment, whose},
};
use crate::{
    components::{
        Button, Column, Field, Form, Icon, Meter, Tone, ago, button, card, empty, field, fill, form::summary,
        link_button, meter, note, status, table,
    },
    request::{Answer, Cx, Page, done},
    tr,
    ui::Ui,
};

const CHECKED: &str = "on";

struct Model {
    spot: Spot,
    plan: DrainPlan,
    may: bool,
}

async fn load(cx: &Cx) -> Result<Model> {
    let spot = Spot::of(cx)?;
    let plan = cx.services.plan_drain(&cx.ctx, &spot.cluster, cx.param("node")?).await?;
    Ok(Model { spot, plan, may: may_change(cx, Resource::Node, Action::Update) })
}

/// The mark of a drain that goes on.
fn running(plan: &DrainPlan) -> Option<&DrainMark> {
    plan.drain.as_ref().filter(|mark| mark.done.is_none())
}

/// GET `/admin/nodes/{node}/drain`.
pub async fn page(cx: Cx, refused: Option<Form>) -> Result<Answer> {
    let m = load(&cx).await?;
    let (ui, l, form) = (cx.ui(), cx.lang(), refused.unwrap_or_default());
    let node = m.plan.node.clone();
    let title = tr::nodes::drain_title(l, &node);
    let order = (running(&m.plan).is_none() && m.may).then(|| order(ui, &m, &form));
    let view = view! {
        <div class="head"><h1>{title.clone()}</h1><p>{tr::nodes::drain_what(l)}</p></div>
        <div id="drain-state" class="stack">{state(ui, &m)}</div>
        {order}
        <div id="drain-pods">{pods(ui, &m.plan)}</div>
    };
    let page = Page::new(title, PLACE, view)
        .crumb(tr::nodes::nodes(l), m.spot.list())
        .crumb(node.clone(), m.spot.node(&node))
        .crumb(tr::nodes::drain(l), m.spot.drain(&node));
    Ok(page.status(form.status()).into())
}

/// The parts that move.
pub async fn live(cx: Cx) -> Result<Vec<Fragment>> {
    let m = load(&cx).await?;
    let ui = cx.ui();
    Ok(vec![fragment("drain-state", state(ui, &m)), fragment("drain-pods", pods(ui, &m.plan))])
}

/// POST `/admin/nodes/{node}/drain`: begin or stop.
pub async fn act(cx: Cx) -> Result<Answer> {
    let (l, spot) = (cx.lang(), Spot::of(&cx)?);
    let node = cx.param("node")?.to_owned();
    let (ctx, services) = (&cx.ctx, &cx.services);
    let said = async {
        if cx.field("do") == "stop" {
            services.stop_drain(ctx, &spot.cluster, &node).await?;
            return Ok(tr::nodes::stop_done(l, &node));
        }
        let agreed = |name: &str| cx.field(name) == CHECKED;
        let consent = DrainConsent { lose_pods: agreed("losePods"), lose_data: agreed("loseData") };
        services.drain_node(ctx, &spot.cluster, &node, cx.field("confirm"), consent).await?;
        Ok(tr::nodes::drain_begun(l, &node))
    }
    .await;
    match said {
        Ok(said) => Ok(done(spot.drain(&node), said)),
        Err(e) => {
            let form = Form::refused(&cx, &[], e)?;
            page(cx, Some(form)).await
        }
    }
}

fn count(plan: &DrainPlan, fits: impl Fn(&DrainStep) -> bool) -> usize {
    plan.pods.iter().filter(|pod| fits(pod)).count()
}

/// How far it is, or what it would do, in sentences.
fn state(ui: Ui, m: &Model) -> AnyView {
    let (l, plan) = (ui.lang, &m.plan);
    let blocked = count(plan, |pod| pod.fate == PodFate::Blocked);
    let homeless = count(plan, |pod| pod.fits == Some(false));
    let tied = count(plan, |pod| pod.tied);
    let held = count(plan, |pod| pod.held);
    let mut minds = Vec::new();
    let mut mind = |n: usize, tone: Tone, text: fn(berth_core::ports::pages::Language, usize) -> String| {
        if n > 0 {
            minds.push(note(tone, view! { <p>{text(l, n)}</p> }.into_any()));
        }
    };
    mind(blocked, Tone::Warn, tr::nodes::some_blocked);
    mind(homeless, Tone::Warn, tr::nodes::some_homeless);
    mind(tied, Tone::Warn, tr::nodes::some_tied);
    let Some(mark) = &plan.drain else {
        return view! { <p>{sentence(ui, plan)}</p> {minds} }.into_any();
    };
    if let Some(at) = mark.done {
        let text = tr::nodes::is_drained(l, &mark.by);
        return note(Tone::Ok, view! { <p>{text} " " {ago(ui, at)}</p> }.into_any()).into_any();
    }
    if held > 0 {
        minds.push(note(Tone::Warn, view! { <p>{tr::nodes::some_held(l, held)}</p> }.into_any()));
    }
    let stalled = plan.stalled.then(|| note(Tone::Bad, view! { <p>{tr::nodes::stalled(l, &mark.by)}</p> }.into_any()));
    let (all, left) = (mark.pods.max(plan.left()), plan.left());
    #[expect(clippy::cast_precision_loss, reason = "numbers of pods are small")]
    let gone = if all == 0 { 1.0 } else { (all - left) as f64 / all as f64 };
    let text = tr::nodes::gone_of(l, all - left, all);
    let bar = meter(Meter {
        label: tr::nodes::gone(l).into(),
        text: text.into(),
        // A bar that is full is good news here.
        used: Some(gone.min(0.89)),
        asked: None,
    });
    let stop = m.may.then(|| {
        view! {
            <form method="post">{button(Button::Plain, Some(Icon::Pause), tr::nodes::stop(l), Some("stop"))}</form>
        }
    });
    let body = view! {
        <div class="in">
            {bar}
            <p class="muted">{tr::nodes::begun_by(l, &mark.by)} " " {ago(ui, mark.at)}</p>
            {stop}
        </div>
    };
    view! { {stalled} {card(tr::nodes::draining(l), None, body.into_any())} {minds} }.into_any()
}

/// What it would do.
fn sentence(ui: Ui, plan: &DrainPlan) -> String {
    let l = ui.lang;
    let moves = count(plan, |pod| matches!(pod.fate, PodFate::Moves | PodFate::Blocked));
    let lost = count(plan, |pod| pod.fate == PodFate::Lost);
    let stays = count(plan, |pod| pod.fate == PodFate::Stays);
    [tr::nodes::sum_moves(l, moves), tr::nodes::sum_lost(l, lost), tr::nodes::sum_stays(l, stays)].join(" ")
}

/// The form that begins it.
fn order(ui: Ui, m: &Model, form: &Form) -> AnyView {
    let l = ui.lang;
    let needs = m.plan.needs();
    let pods = needs
        .lose_pods
        .then(|| field(ui, form, Field::check("losePods", tr::nodes::lose_pods(l)).hint(tr::nodes::lose_pods_hint(l))));
    let data = needs
        .lose_data
        .then(|| field(ui, form, Field::check("loseData", tr::nodes::lose_data(l)).hint(tr::nodes::lose_data_hint(l))));
    let confirm = Field::text("confirm", tr::apps::type_name(l, &m.plan.node)).required().mono();
    let body = view! {
        <form class="in" method="post" novalidate>
            {summary(ui, form, &["confirm", "losePods", "loseData"])}
            {pods}
            {data}
            {field(ui, form, confirm)}
            <div class="actions">
                {button(Button::Danger, None, tr::nodes::drain_now(l), Some("drain"))}
                {link_button(Button::Quiet, None, tr::common::cancel(l), m.spot.node(&m.plan.node))}
            </div>
        </form>
    };
    card(tr::nodes::drain_now(l), None, body.into_any()).into_any()
}

fn fate(ui: Ui, pod: &DrainStep) -> (Tone, &'static str) {
    let l = ui.lang;
    match pod.fate {
        PodFate::Blocked => (Tone::Warn, tr::nodes::fate_blocked(l)),
        PodFate::Lost => (Tone::Bad, tr::nodes::fate_lost(l)),
        PodFate::Moves => (Tone::Ok, tr::nodes::fate_moves(l)),
        PodFate::Leaving => (Tone::Info, tr::nodes::fate_leaving(l)),
        PodFate::Ended => (Tone::Off, tr::nodes::fate_ended(l)),
        PodFate::Stays => (Tone::Off, tr::nodes::fate_stays(l)),
    }
}

/// What there is to mind about a pod.
fn why(ui: Ui, pod: &DrainStep) -> String {
    let l = ui.lang;
    let mut parts = Vec::new();
    if !pod.budgets.is_empty() {
        parts.push(tr::nodes::by_budget(l, pod.budgets.join(", ")));
    }
    if pod.loses_data {
        parts.push(tr::nodes::loses_data(l).to_owned());
    }
    if pod.tied {
        parts.push(tr::nodes::tied(l).to_owned());
    }
    if pod.fits == Some(false) {
        parts.push(tr::nodes::no_room(l).to_owned());
    }
    parts.join(" · ")
}

fn pods(ui: Ui, plan: &DrainPlan) -> AnyView {
    let l = ui.lang;
    if plan.pods.is_empty() {
        let nothing = empty(Icon::Pods, tr::nodes::no_pods(l), tr::nodes::no_pods_hint(l), None).into_any();
        return card(tr::nodes::what_becomes(l), None, nothing).into_any();
    }
    let rows: Vec<_> = plan
        .pods
        .iter()
        .map(|pod| {
            let (tone, word) = fate(ui, pod);
            view! {
                <tr>
                    <td class="name mono">{pod.name.clone()}</td>
                    <td>{whose(pod.tenant.as_ref(), pod.namespace.as_ref(), &pod.kube_namespace)}</td>
                    <td>{status(tone, word)}</td>
                    <td class="mono muted">{pod.owner.clone().unwrap_or_else(|| "–".to_owned())}</td>
                    {fill(why(ui, pod))}
                </tr>
            }
        })
        .collect();
    let columns = [
        Column::text(tr::nodes::pod(l)),
        Column::text(tr::nodes::whose(l)),
        Column::text(tr::nodes::what_becomes(l)),
        Column::text(tr::nodes::made_by(l)),
        Column::text(tr::shell::why(l)),
    ];
    card(tr::nodes::what_becomes(l), None, table(columns, None, rows)).into_any()
}
