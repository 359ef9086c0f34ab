//! `kubectl` for members: a kubeconfig to download, and what to do with it.

use berth_core::{
    Result,
    authz::{Grant, NamespaceRef},
    ports::pages::Access,
    services::kubectl::KUBECONFIG_HOURS,
};
use berth_types::{
    Action, NamespaceName, Resource, TenantName,
    people::{ApiToken, TokenPurpose},
};
use futures::FutureExt;
use leptos::prelude::*;

use super::access::{self, Missing};
use crate::{
    components::{
        Button, Column, Field, Form, Icon, Tone, ago, button, card, code, empty, field, link_button, note, on, table,
    },
    paths,
    request::{Answer, Cx, Page, PageCx, Place, TenantNav},
    router::Entry,
    tr,
    ui::Ui,
};

/// The pages of this area. The form's target answers a file, so `web` has it.
pub const ENTRIES: &[Entry] = &[Entry::page("/t/{tenant}/kubectl", Access::Tenant, |cx| page(cx).boxed())];

/// The form's fields.
const NAMESPACE: &str = "namespace";
const HOURS: &str = "hours";
/// Hours to choose from.
const CHOICES: [u32; 4] = [1, 4, 8, KUBECONFIG_HOURS];
/// The choice when nothing is said: a working day.
const USUAL: u32 = 8;

/// What the page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The tenant.
    pub tenant: TenantName,
    /// The namespaces that the reader sees, each with its name in the cluster.
    pub namespaces: Vec<(NamespaceName, String)>,
    /// Those of them in which `kubectl` only reads.
    pub protected: Vec<NamespaceName>,
    /// The one that the reader comes from.
    pub here: Option<NamespaceName>,
    /// Theirs that are still good here.
    pub good: Vec<ApiToken>,
    /// Whether people reach Berth by https.
    pub secure: bool,
}

async fn load(cx: &Cx) -> Result<Model> {
    let tenant = cx.tenant()?;
    let overviews = cx.services.list_namespaces(&cx.ctx, &tenant).await?;
    let mut good = cx.services.my_tokens(&cx.ctx).await?;
    let now = cx.ctx.now();
    good.retain(|token| {
        token.purpose == TokenPurpose::Kubectl && token.scope.tenant.as_ref() == Some(&tenant) && token.expires_at > now
    });
    let namespaces: Vec<(NamespaceName, String)> =
        overviews.iter().map(|o| (o.namespace.name.clone(), o.namespace.kube_name.to_string())).collect();
    let protected = overviews.iter().filter(|o| o.namespace.protected);
    let protected = protected.map(|o| o.namespace.name.clone()).collect();
    let here = cx.request.param(NAMESPACE).and_then(|name| name.parse().ok());
    Ok(Model {
        here: here.filter(|here| namespaces.iter().any(|(name, _)| name == here)),
        tenant,
        namespaces,
        protected,
        good,
        secure: cx.request.base.starts_with("https://"),
    })
}

async fn page(cx: Cx) -> Result<Answer> {
    let model = load(&cx).await?;
    let title = tr::kubectl::title(cx.lang());
    let place = Place::Tenant(model.tenant.clone(), TenantNav::Namespaces);
    Ok(Page::new(title, place, view(cx.ui(), &model)).crumb(title, cx.request.path.clone()).into())
}

/// The page.
pub fn view(ui: Ui, m: &Model) -> impl IntoView + use<> {
    let l = ui.lang;
    let insecure = (!m.secure).then(|| note(Tone::Warn, view! { <p>{tr::kubectl::insecure(l)}</p> }.into_any()));
    let body = if m.namespaces.is_empty() {
        let back = link_button(Button::Plain, None, tr::common::namespaces(l), paths::tenant(&m.tenant)).into_any();
        let nothing = empty(Icon::Box, tr::kubectl::no_namespaces(l), tr::kubectl::no_namespaces_hint(l), Some(back));
        view! { <section class="card" aria-label=tr::kubectl::download(l)>{nothing}</section> }.into_any()
    } else {
        view! {
            {card(tr::kubectl::download(l), None, form(ui, m))}
            {card(tr::kubectl::then(l), None, steps(ui, m))}
        }
        .into_any()
    };
    let good = (!m.good.is_empty()).then(|| card(tr::kubectl::good(l), None, good(ui, &m.good)));
    view! {
        <div class="head"><h1>{tr::kubectl::title(l)}</h1><p>{tr::kubectl::what(l, &m.tenant)}</p></div>
        {insecure}
        {body}
        {good}
    }
}

fn form(ui: Ui, m: &Model) -> AnyView {
    let l = ui.lang;
    let chosen = m.here.as_ref().map(NamespaceName::to_string).unwrap_or_default();
    let form = Form::with([(NAMESPACE, chosen), (HOURS, USUAL.to_string())]);
    let mut places = vec![(String::new(), tr::kubectl::all(l).to_owned())];
    places.extend(m.namespaces.iter().map(|(name, _)| (name.to_string(), name.to_string())));
    let hours = CHOICES.iter().map(|hours| (hours.to_string(), tr::kubectl::hours(l, hours))).collect();
    let namespace = Field::select(NAMESPACE, tr::kubectl::namespaces(l), places).hint(tr::kubectl::namespaces_hint(l));
    let hours = Field::select(HOURS, tr::kubectl::lives(l), hours).hint(tr::kubectl::lives_hint(l));
    view! {
        <form class="in" method="post" action=paths::kubeconfig(&m.tenant)>
            <div class="row">{field(ui, &form, namespace)}{field(ui, &form, hours)}</div>
            <p class="small muted">{tr::kubectl::secret(l)}</p>
            <div class="actions">{button(Button::Go, Some(Icon::Download), tr::kubectl::save(l), None)}</div>
        </form>
    }
    .into_any()
}

/// Three lines for a shell.
fn steps(ui: Ui, m: &Model) -> AnyView {
    let l = ui.lang;
    let another = m.namespaces.last().map(|(name, _)| format!("{}-{name}", m.tenant)).unwrap_or_default();
    let lines = [
        (
            tr::kubectl::step_use(l),
            format!("export KUBECONFIG=$(ls -t ~/Downloads/{}*.kubeconfig | head -n 1)", m.tenant),
        ),
        (tr::kubectl::step_look(l), "kubectl get apps,pods".to_owned()),
        (tr::kubectl::step_switch(l), format!("kubectl config use-context {another}")),
    ];
    let lines: Vec<_> =
        lines.into_iter().map(|(what, line)| view! { <li><p>{what}</p>{code(line, what)}</li> }).collect();
    let protected = (!m.protected.is_empty()).then(|| {
        let names = m.protected.iter().map(NamespaceName::to_string).collect::<Vec<_>>().join(", ");
        note(Tone::Info, view! { <p>{tr::kubectl::reads_in(l, names)}</p> }.into_any())
    });
    view! {
        <div class="in">
            {protected}
            <ol class="steps">{lines}</ol>
            <p class="small muted">{tr::kubectl::limits(l)}</p>
        </div>
    }
    .into_any()
}

fn good(ui: Ui, tokens: &[ApiToken]) -> AnyView {
    let l = ui.lang;
    let rows: Vec<_> = tokens
        .iter()
        .map(|token| {
            let used = match token.last_used_at {
                Some(at) => ago(ui, at).into_any(),
                None => tr::shell::never(l).into_any(),
            };
            view! {
                <tr>
                    <td class="mono">{format!("{}…", token.prefix)}</td>
                    <td>{token.scope.namespace.as_ref().map_or(tr::kubectl::all(l).to_owned(), NamespaceName::to_string)}</td>
                    <td class="muted">{used}</td>
                    <td>{on(token.expires_at)}</td>
                </tr>
            }
        })
        .collect();
    let columns = [
        Column::text(tr::shell::begins_with(l)),
        Column::text(tr::common::namespace(l)),
        Column::text(tr::shell::last_used(l)),
        Column::text(tr::shell::ends(l)),
    ];
    view! {
        {table(columns, None, rows)}
        <p class="in small"><a href=paths::TOKENS>{tr::kubectl::revoke(l)}</a></p>
    }
    .into_any()
}

/// What is sent to protect a namespace, and to end that.
const PROTECT: &str = "protect";
const OPEN: &str = "open";

/// Whether `kubectl` changes something in a namespace, and the way to the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protection {
    /// It only reads.
    pub protected: bool,
    /// Whether the reader may change that.
    pub may: bool,
    /// Why not, where it is for want of a role.
    pub closed: Option<Missing>,
}

impl Protection {
    /// That of a namespace, for the reader.
    pub async fn of(cx: &PageCx, namespace: &Grant<NamespaceRef>) -> Self {
        let right = (Resource::Namespace, Action::Update);
        Self {
            protected: namespace.protected,
            may: cx.services.authz().could_in(&cx.ctx, namespace, right.0, right.1),
            closed: access::missing_in(cx, namespace, right).await,
        }
    }

    /// As a card.
    pub fn view(&self, ui: Ui) -> AnyView {
        let l = ui.lang;
        let (what, word, kind, send) = match self.protected {
            true => (tr::kubectl::protected_what(l), tr::kubectl::open(l), Button::Danger, OPEN),
            false => (tr::kubectl::open_what(l), tr::kubectl::protect(l), Button::Plain, PROTECT),
        };
        let way = self.may.then(|| view! { <div class="actions">{button(kind, None, word, Some(send))}</div> });
        let closed = self.closed.as_ref().map(|missing| access::closed(ui, word, missing));
        let body = view! { <form class="in" method="post"><p>{what}</p>{way}{closed}</form> };
        card(tr::kubectl::title(l), None, body.into_any()).into_any()
    }
}

/// Protects a namespace, or ends that, where it is what was sent: what to say then.
pub async fn protect(cx: &Cx, (tenant, namespace): (&TenantName, &NamespaceName)) -> Option<Result<String>> {
    let protected = match cx.field("do") {
        PROTECT => true,
        OPEN => false,
        _ => return None,
    };
    let l = cx.lang();
    let said = match protected {
        true => tr::kubectl::is_protected(l, namespace),
        false => tr::kubectl::is_open(l, namespace),
    };
    Some(cx.services.protect_namespace(&cx.ctx, tenant, namespace, protected).await.map(|_| said))
}
