//! A shell in a container. The one page that needs JavaScript: without it, it says how to get the same from a command line.

use berth_core::Result;
use berth_types::{Action, Resource};
use leptos::prelude::*;

use super::{May, Spot, demand, pod_facts::PodFacts};
use crate::{
    components::{Button, Field, Form, button, field, note},
    paths,
    request::{Answer, Cx, NamespaceNav, Page, Place},
    tr,
    ui::Ui,
};

/// What the page shows.
#[derive(Debug, Clone)]
pub struct Terminal {
    /// Where.
    pub spot: Spot,
    /// The namespace's name in the cluster.
    pub kube_namespace: String,
    /// The pod.
    pub pod: String,
    /// Its containers.
    pub containers: Vec<String>,
    /// The one that is asked for.
    pub container: String,
}

/// GET.
pub async fn page(cx: Cx) -> Result<Answer> {
    let spot = Spot::of(&cx)?;
    let ui = cx.ui();
    let namespace =
        cx.services.authz().namespace(&cx.ctx, &spot.tenant, &spot.namespace, Resource::Workload, Action::Read).await?;
    demand(May::of(&cx, &namespace).exec, Resource::Exec, Action::Create)?;
    let pod = PodFacts::of(&cx.services.get_pod(&cx.ctx, spot.path(), cx.param("pod")?).await?);
    let containers: Vec<String> = pod.containers.iter().filter(|c| !c.init).map(|c| c.name.clone()).collect();
    let asked = cx.query("container");
    let container = containers.iter().find(|c| *c == asked).or(containers.first()).cloned().unwrap_or_default();
    let model = Terminal {
        spot: spot.clone(),
        kube_namespace: namespace.kube_name.to_string(),
        pod: pod.name.clone(),
        containers,
        container,
    };
    let title = format!("{} · {}", tr::apps::terminal(ui.lang), pod.name);
    let page = Page::new(title, Place::namespace(&namespace, NamespaceNav::Pods), view(ui, &model))
        .crumb(tr::apps::pods(ui.lang), spot.pods_url())
        .crumb(pod.name.clone(), spot.pod_url(&pod.name))
        .crumb(tr::apps::terminal(ui.lang), paths::terminal(&spot.tenant, &spot.namespace, &pod.name));
    Ok(page.into())
}

/// The page.
#[must_use]
pub fn view(ui: Ui, m: &Terminal) -> AnyView {
    let l = ui.lang;
    let socket = paths::with_query(
        &paths::exec(&m.spot.tenant, &m.spot.namespace, &m.pod),
        [("container", m.container.as_str())],
    );
    let command = format!("kubectl exec -it -n {} {} -c {} -- sh", m.kube_namespace, m.pod, m.container);
    let choose = (m.containers.len() > 1).then(|| {
        let options = m.containers.iter().map(|c| (c.clone(), c.clone())).collect();
        let form = Form::with([("container", m.container.clone())]);
        view! {
            <form class="tools" method="get">
                {field(ui, &form, Field::select("container", tr::apps::container(l), options))}
                {button(Button::Plain, None, tr::apps::open(l), None)}
            </form>
        }
    });
    view! {
        <div class="head">
            <h1>{tr::apps::terminal(l)}</h1>
            <span class="tag mono">{m.pod.clone()}</span>
            <p class="small">{tr::apps::terminal_hint(l)}</p>
        </div>
        {choose}
        <section class="card terminal" aria-label=tr::apps::terminal(l) data-island="terminal" data-src=socket>
            <div class="in">
                {note(
                    crate::components::Tone::Info,
                    view! {
                        <p>{tr::apps::terminal_needs(l)}</p>
                        <p><code>{command}</code></p>
                    }
                    .into_any(),
                )}
            </div>
        </section>
    }
    .into_any()
}
