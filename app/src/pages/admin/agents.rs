//! Clusters that an agent leads to: registering one, and what is known of its agent.

use berth_core::{Result, services::agents::MadeAgent};
use berth_types::{
    Action, ClusterId, Resource,
    cluster::{ClusterAgent, ClusterView, NewAgent},
};
use leptos::prelude::*;
use secrecy::ExposeSecret as _;

use super::clusters::{PLACE, labels_sent, name_and_labels};
use crate::{
    components::{Button, Form, Tone, ago, button, card, form::summary, link_button, note, on, status},
    pages::tokens::secret,
    paths,
    request::{Answer, Cx, Page},
    tr,
    ui::Ui,
};

/// GET `/admin/clusters/-/agent`.
pub async fn new(cx: Cx, form: Form) -> Result<Answer> {
    cx.services.authz().platform(&cx.ctx, Resource::Cluster, Action::Create)?;
    let (ui, l) = (cx.ui(), cx.lang());
    let title = tr::agents::register(l);
    let view = view! {
        <div class="head"><h1>{title}</h1><p>{tr::agents::register_what(l)}</p></div>
        <form class="card narrow in" method="post" novalidate>
            {summary(ui, &form, &["name", "label", "labels"])}
            {name_and_labels(ui, &form)}
            <p class="small muted">{tr::agents::rights(l)}</p>
            <div class="actions">
                {button(Button::Go, None, tr::clusters::register_it(l), Some("register"))}
                {link_button(Button::Plain, None, tr::agents::by_kubeconfig(l), paths::ADMIN_CLUSTER_NEW)}
                {link_button(Button::Quiet, None, tr::common::cancel(l), paths::ADMIN_CLUSTERS)}
            </div>
        </form>
    };
    let page = Page::new(title, PLACE, view).crumb(tr::shell::clusters(l), paths::ADMIN_CLUSTERS);
    Ok(page.crumb(title, paths::ADMIN_CLUSTER_AGENT).status(form.status()).into())
}

/// POST `/admin/clusters/-/agent`.
pub async fn create(cx: Cx) -> Result<Answer> {
    let new_agent = NewAgent {
        name: cx.field("name").to_owned(),
        label: cx.field("label").to_owned(),
        labels: labels_sent(cx.field("labels")),
    };
    match cx.services.register_agent(&cx.ctx, &new_agent).await {
        Ok(made) => shown(&cx, &made),
        Err(e) => {
            let form = Form::refused(&cx, &[], e)?;
            new(cx, form).await
        }
    }
}

/// The page with a token that was just made: the only one that has it.
pub fn shown(cx: &Cx, made: &MadeAgent) -> Result<Answer> {
    let (ui, l) = (cx.ui(), cx.lang());
    let manifest = cx.services.agent_manifest(&cx.request.base, &made.token)?;
    let file = format!("data:application/yaml;charset=utf-8,{}", escaped(&manifest));
    let name = made.cluster.called().to_owned();
    let title = tr::agents::made(l, &name);
    let here = paths::admin_cluster(&made.cluster.name);
    let base = &cx.request.base;
    let nowhere = (!base.starts_with("https://"))
        .then(|| note(Tone::Bad, view! { <p>{tr::agents::not_https(l, base)}</p> }.into_any()));
    let view = view! {
        <div class="head"><h1>{title.clone()}</h1><p>{tr::agents::made_what(l)}</p></div>
        {nowhere}
        {note(Tone::Warn, view! { <p>{tr::shell::shown_once(l)}</p> }.into_any())}
        {card(tr::agents::token(l), None, view! { <div class="in">{secret(ui, made.token.expose_secret().to_owned())}</div> }.into_any())}
        {card(tr::agents::manifest(l), None, view! {
            <div class="in stack">
                <p>{tr::agents::manifest_what(l)} " " <code>"kubectl apply -f -"</code></p>
                <pre class="code" tabindex="0"><code data-manifest>{manifest}</code></pre>
                <div class="actions">
                    <a class="btn" href=file download="berth-agent.yaml">{tr::agents::download(l)}</a>
                    {link_button(Button::Go, None, tr::agents::to_cluster(l), here.clone())}
                </div>
            </div>
        }.into_any())}
    };
    let page = Page::new(title, PLACE, view).crumb(tr::shell::clusters(l), paths::ADMIN_CLUSTERS);
    Ok(page.crumb(name, here).into())
}

/// As a URL has it.
fn escaped(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn state_of(ui: Ui, agent: &ClusterAgent) -> (Tone, &'static str) {
    let l = ui.lang;
    match agent {
        ClusterAgent { token: None, .. } => (Tone::Bad, tr::agents::revoked(l)),
        ClusterAgent { tunnels: 0, seen_at: None, .. } => (Tone::Info, tr::agents::expected(l)),
        ClusterAgent { tunnels: 0, .. } => (Tone::Bad, tr::agents::away(l)),
        ClusterAgent { tunnels, replicas, .. } if tunnels < replicas => (Tone::Warn, tr::agents::partly(l)),
        _ => (Tone::Ok, tr::agents::there(l)),
    }
}

/// What is known of a cluster's agent, where one leads to it.
pub fn facts(ui: Ui, cluster: &ClusterView) -> Option<AnyView> {
    let (l, agent) = (ui.lang, cluster.agent.as_ref()?);
    let (tone, word) = state_of(ui, agent);
    let refused = agent.refused.clone().map(|why| {
        let when = agent.refused_at.map(|at| ago(ui, at));
        note(Tone::Bad, view! { <p>{tr::agents::refused(l)} " " {why} " " {when}</p> }.into_any())
    });
    let seen = agent.seen_at.map(|at| view! { <dt>{tr::agents::seen(l)}</dt><dd>{ago(ui, at)}</dd> });
    let since = agent.since.map(|at| view! { <dt>{tr::agents::since(l)}</dt><dd>{ago(ui, at)}</dd> });
    let version = agent.version.clone().map(|version| {
        let address = agent.address.clone().unwrap_or_else(|| "–".to_owned());
        view! {
            <dt>{tr::agents::version(l)}</dt><dd class="mono">{version}</dd>
            <dt>{tr::agents::address(l)}</dt><dd class="mono">{address}</dd>
        }
    });
    let token = agent.token.clone().map_or_else(|| "–".to_owned(), |prefix| format!("{prefix}…"));
    let body = view! {
        {refused}
        <dl class="in facts">
            <dt>{tr::common::status(l)}</dt><dd>{status(tone, word)}</dd>
            <dt>{tr::agents::tunnels(l)}</dt><dd>{tr::agents::tunnels_of(l, agent.tunnels, agent.replicas)}</dd>
            {since}
            {seen}
            {version}
            <dt>{tr::agents::token(l)}</dt><dd><span class="mono">{token}</span> " " {agent.made_by.clone()} " " {on(agent.made_at)}</dd>
        </dl>
    };
    Some(card(tr::agents::agent(l), None, body.into_any()).into_any())
}

/// What may be done with its token.
pub fn access(ui: Ui, agent: &ClusterAgent) -> AnyView {
    let l = ui.lang;
    let revoke =
        agent.token.is_some().then(|| button(Button::Danger, None, tr::agents::revoke(l), Some("agent-revoke")));
    let body = view! {
        <form class="in" method="post">
            <p>{tr::agents::renew_what(l)}</p>
            <div class="actions">
                {button(Button::Plain, None, tr::agents::renew(l), Some("agent-renew"))}
                {revoke}
            </div>
        </form>
    };
    card(tr::agents::token(l), None, body.into_any()).into_any()
}

/// What is to be done in the cluster when it is removed.
pub fn leaves(ui: Ui, cluster: &ClusterView) -> Option<AnyView> {
    let l = ui.lang;
    cluster.agent.as_ref().map(|_| {
        view! { <p>{tr::agents::remove_what(l)} " " <code>"kubectl delete -f berth-agent.yaml"</code></p> }.into_any()
    })
}

/// POST `/admin/clusters/{cluster}`, for its agent's token: the page with a new one, or what to say.
pub async fn change(cx: &Cx, id: &ClusterId) -> Result<Option<Answer>> {
    if cx.field("do") == "agent-revoke" {
        cx.services.revoke_agent(&cx.ctx, id).await?;
        return Ok(None);
    }
    let made = cx.services.renew_agent(&cx.ctx, id).await?;
    shown(cx, &made).map(Some)
}
