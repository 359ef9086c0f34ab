//! A namespace's network: what its pods reach, who reaches them, what nobody reaches.

use berth_core::{Result, ports::pages::Access, services::network::NetworkOverview};
use berth_types::{
    Action, Resource,
    network::{Egress, EgressMode, EgressRange, EgressText, Ports, RangeText},
};
use futures::FutureExt;
use leptos::prelude::*;

use super::access::{self, Missing};
use crate::{
    components::{Button, Column, Field, Form, button, card, field, form::summary, hidden, table},
    paths,
    request::{Answer, Cx, NamespaceNav, Page, PageCx, Place, done},
    router::Entry,
    tr,
    ui::Ui,
};

/// The pages of this area.
pub const ENTRIES: &[Entry] =
    &[Entry::page("/t/{tenant}/n/{namespace}/network", Access::Tenant, |cx| page(cx, None).boxed())
        .form(|cx| change(cx).boxed())];

/// The form's fields.
const MODE: &str = "mode";
const RANGES: &str = "ranges";
const VERSION: &str = "version";

/// Ranges as lines: `203.0.113.0/24 443/TCP,8000-8100/UDP # payments`.
fn lines(ranges: &[EgressRange]) -> String {
    let line = |range: &EgressRange| {
        let ports: Vec<String> = range.ports.iter().map(Ports::to_string).collect();
        let mut line = range.cidr.to_string();
        if !ports.is_empty() {
            line = format!("{line} {}", ports.join(","));
        }
        if range.name.is_empty() { line } else { format!("{line} # {}", range.name) }
    };
    ranges.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What somebody wrote into the lines; empty ones say nothing.
fn read(text: &str) -> Vec<RangeText> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let range = |line: &str| {
        let (range, name) = line.split_once('#').unwrap_or((line, ""));
        let mut words = range.split([' ', '\t', ',']).filter(|word| !word.is_empty());
        RangeText {
            cidr: words.next().unwrap_or_default().to_owned(),
            ports: words.map(str::to_owned).collect(),
            name: name.trim().to_owned(),
        }
    };
    lines.map(range).collect()
}

fn values(overview: &NetworkOverview) -> Form {
    Form::with([
        (MODE, overview.egress.mode.to_string()),
        (RANGES, lines(&overview.egress.ranges)),
        (VERSION, overview.version.to_string()),
    ])
}

/// What was sent and why it was refused: what is wrong with a range stands at the field that has them all.
fn refused(cx: &PageCx, error: berth_core::Error) -> Result<Form> {
    let mut form = Form::refused(cx, &[], error)?;
    for error in &mut form.errors {
        let at = error.field.strip_prefix("egress.").unwrap_or(&error.field);
        error.field = if at.starts_with(RANGES) { RANGES } else { at }.to_owned();
        // What was meant stands for one range, not for the whole field; the text names it.
        error.suggestions.clear();
    }
    Ok(form)
}

async fn page(cx: Cx, refused: Option<Form>) -> Result<Answer> {
    let (tenant, namespace) = (cx.tenant()?, cx.namespace()?);
    let overview = cx.services.get_network(&cx.ctx, &tenant, &namespace).await?;
    let may = cx.services.authz().could_in(&cx.ctx, &overview.namespace, Resource::Network, Action::Update);
    let status = refused.as_ref().map_or(200, Form::status);
    let form = refused.unwrap_or_else(|| values(&overview));
    let title = tr::network::network(cx.lang());
    let place = Place::Namespace(tenant, namespace, NamespaceNav::Network);
    let closed = access::missing_in(&cx, &overview.namespace, (Resource::Network, Action::Update)).await;
    let view = view(cx.ui(), &overview, &form, may, closed.as_ref());
    Ok(Page::new(title, place, view).crumb(title, cx.request.path.clone()).status(status).into())
}

async fn change(cx: Cx) -> Result<Answer> {
    let (tenant, namespace) = (cx.tenant()?, cx.namespace()?);
    let written = EgressText { mode: cx.field(MODE).to_owned(), ranges: read(cx.field(RANGES)) };
    let version = cx.field(VERSION).parse().ok();
    match cx.services.set_network(&cx.ctx, &tenant, &namespace, &written, version).await {
        Ok(_) => Ok(done(paths::namespace_network(&tenant, &namespace), tr::network::saved(cx.lang(), &namespace))),
        Err(e) => {
            let form = refused(&cx, e)?;
            page(cx, Some(form)).await
        }
    }
}

fn mode_name(ui: Ui, mode: EgressMode) -> &'static str {
    match mode {
        EgressMode::All => tr::network::all(ui.lang),
        EgressMode::Named => tr::network::named(ui.lang),
        EgressMode::None => tr::network::none(ui.lang),
    }
}

/// The page.
pub fn view(
    ui: Ui,
    overview: &NetworkOverview,
    form: &Form,
    may: bool,
    closed: Option<&Missing>,
) -> impl IntoView + use<> {
    let l = ui.lang;
    let way_out = if may { edit(ui, form) } else { shown(ui, &overview.egress, closed) };
    let mut reached = vec![
        (tr::network::same_tenant(l).to_owned(), tr::network::same_tenant_why(l)),
        (tr::network::load_balancers(l).to_owned(), tr::network::load_balancers_why(l)),
    ];
    reached.extend(overview.reached_from.iter().map(|from| (from.clone(), tr::network::platform_why(l))));
    let reached: Vec<_> = reached
        .into_iter()
        .map(|(from, why)| view! { <tr><td class="name">{from}</td><td class="muted">{why}</td></tr> })
        .collect();
    let columns = [Column::text(tr::network::from(l)), Column::text(tr::network::because(l))];
    let never: Vec<_> =
        overview.never.iter().map(|range| view! { <li class="mono">{range.to_string()}</li> }).collect();
    let never = view! {
        <div class="in">
            <p class="small muted">{tr::network::never_what(l)}</p>
            <ul class="small">{never}</ul>
        </div>
    };
    view! {
        <div class="head"><h1>{tr::network::network(l)}</h1><p>{tr::network::what(l)}</p></div>
        {card(tr::network::way_out(l), None, way_out)}
        {card(tr::network::way_in(l), None, table(columns, None, reached))}
        {card(tr::network::never(l), None, never.into_any())}
    }
}

fn edit(ui: Ui, form: &Form) -> AnyView {
    let l = ui.lang;
    let modes = EgressMode::ALL.iter().map(|mode| (mode.to_string(), mode_name(ui, *mode).to_owned())).collect();
    let mode = Field::select(MODE, tr::network::mode(l), modes).hint(tr::network::mode_hint(l));
    let ranges = Field::area(RANGES, tr::network::ranges(l), 6)
        .hint(tr::network::ranges_hint(l))
        .placeholder("203.0.113.0/24 443,8000-8100/UDP # payments");
    view! {
        <form class="in" method="post">
            {summary(ui, form, &[MODE, RANGES])}
            {hidden(VERSION, form.value(VERSION))}
            {field(ui, form, mode)}
            {field(ui, form, ranges)}
            <div class="actions">{button(Button::Go, None, tr::common::save(l), None)}</div>
        </form>
    }
    .into_any()
}

/// For who may not change it.
fn shown(ui: Ui, egress: &Egress, closed: Option<&Missing>) -> AnyView {
    let ranges = (egress.mode == EgressMode::Named).then(|| view! { <pre class="small">{lines(&egress.ranges)}</pre> });
    view! {
        <div class="in">
            <p>{mode_name(ui, egress.mode)}</p>
            {ranges}
            {closed.map(|closed| view! { <div class="small muted">{access::told(ui, closed)}</div> })}
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines_say_what_was_meant() {
        let text = "203.0.113.0/24 443/TCP,8000-8100/UDP # payments and more\n2001:db8::/32\n8.8.8.8/32 53/UDP";
        let written = EgressText { mode: "named".into(), ranges: read(text) };
        let egress = Egress::read("egress", &written, &[]).unwrap();
        assert_eq!(egress.ranges[0].name, "payments and more");
        assert_eq!(lines(&egress.ranges), text);
        assert_eq!(read("\n  \n"), []);
        let loose = read("10.1.2.0/24   80, 443 #x");
        assert_eq!(loose, read("10.1.2.0/24\t80,443 # x"));
        assert_eq!(loose[0].ports, ["80", "443"]);
    }
}
