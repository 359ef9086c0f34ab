//! A request: where it is, its evidence, what was done, and what can be done.

use berth_core::{
    Error, Result,
    ports::pages::{Fragment, Language},
    services::{
        quotas::QuotaOverview,
        requests::{Decision, Deed},
    },
};
use berth_types::{
    Action, Resource,
    quota::request::{MAX_LOAN_DAYS, QuotaRequest, RequestMove, RequestState, RequestStep, Terms},
};
use jiff::Timestamp;
use leptos::prelude::*;

use super::{asked_text, fragment, state_word, terms_text, today, until};
use crate::{
    components::{
        Button, Field, Form, Tone, ago, button, card, exactly, field, form::summary, hidden, note, on, status, tag,
        timeline,
    },
    pages::{
        quotas::{fields, limits, words},
        usage,
    },
    paths,
    request::{Answer, Cx, Page, Place, TenantNav, done},
    tr,
    ui::Ui,
};

/// What the page shows.
struct Model {
    request: QuotaRequest,
    /// The reader may approve, refuse and offer.
    may_decide: bool,
    /// The reader asked, or may share the tenant's quota out.
    may_answer: bool,
    /// The quota as it is now, while somebody is still to decide.
    now: Option<QuotaOverview>,
    form: Form,
}

/// What the form of an offer shows first: what was offered before, or what is asked.
fn first(request: &QuotaRequest) -> Form {
    let terms = request.offer().unwrap_or(&request.ask.terms);
    let written = terms.resources.written().into_iter();
    let mut values: Vec<(String, String)> = written.map(|(key, n)| (fields::name(&key), n)).collect();
    values.push(("until".to_owned(), terms.until.map(moment).unwrap_or_default()));
    Form { values, ..Form::default() }
}

/// As a field of day and time takes it, in UTC.
fn moment(at: Timestamp) -> String {
    at.to_string().chars().take(16).collect()
}

pub async fn page(cx: Cx, refused: Option<Form>) -> Result<Answer> {
    let (grant, _) = cx.services.get_tenant(&cx.ctx, &cx.tenant()?).await?;
    let id = cx.param("request")?.parse().map_err(|_| Error::not_found())?;
    let request = cx.services.get_request(&cx.ctx, &grant.name, id).await?;
    let could = |resource| cx.services.authz().could(&cx.ctx, &grant, resource, Action::Update);
    let own = cx.ctx.person().is_some_and(|person| person.name == request.ask.by);
    let status = refused.as_ref().map_or(200, Form::status);
    let now = today::look(&cx, &request).await?;
    let freshness = now.as_ref().map(|now| now.freshness.clone());
    let model = Model {
        may_decide: could(Resource::Quota),
        may_answer: could(Resource::Request) && (own || could(Resource::Share)),
        form: refused.unwrap_or_else(|| first(&request)),
        now,
        request,
    };
    let title = asked_text(cx.lang(), &model.request);
    let href = paths::quota_request(&grant.name, model.request.id);
    let view = view(cx.ui(), &model);
    let list = paths::quota_requests(&grant.name);
    let mut page = Page::new(title.clone(), Place::Tenant(grant.name.clone(), TenantNav::Quota), view);
    page.freshness = freshness;
    Ok(page.crumb(tr::requests::requests(cx.lang()), list).crumb(title, href).status(status).into())
}

/// How it stands.
fn standing(ui: Ui, request: &QuotaRequest) -> AnyView {
    let (tone, word) = state_word(ui.lang, request.state);
    view! { {status(tone, word)} " " {until(ui, &request.ask.terms)} }.into_any()
}

/// The parts that move. Forms stay: what is typed must not vanish, and what somebody else decided meanwhile is said when it is sent.
pub async fn live(cx: Cx) -> Result<Vec<Fragment>> {
    let id = cx.param("request")?.parse().map_err(|_| Error::not_found())?;
    let request = cx.services.get_request(&cx.ctx, &cx.tenant()?, id).await?;
    let ui = cx.ui();
    let now = today::look(&cx, &request).await?;
    let (state, history) = (standing(ui, &request), history(ui, &request));
    let now = today::shown(ui, &request, now.as_ref()).unwrap_or_else(|| ().into_any());
    Ok(vec![fragment("request-state", state), fragment("request-now", now), fragment("request-history", history)])
}

fn view(ui: Ui, m: &Model) -> AnyView {
    let l = ui.lang;
    let request = &m.request;
    let findings: Vec<_> = request.ask.findings.iter().map(|e| view! { <li>{tr::field_error(l, e)}</li> }).collect();
    let findings = (request.state.is_open() && !findings.is_empty())
        .then(|| note(Tone::Info, view! { <p>{tr::requests::why_waits(l)}</p><ul>{findings}</ul> }.into_any()));
    view! {
        <div class="head">
            <h1>{asked_text(l, request)}</h1>
            <p id="request-state">{standing(ui, request)}</p>
        </div>
        <div class="cols">
            <div class="stack">
                {m.form.is_refused().then(|| summary(ui, &m.form, &names(request).iter().map(String::as_str).collect::<Vec<_>>()))}
                {findings}
                <div id="request-now">{today::shown(ui, request, m.now.as_ref())}</div>
                {answer(ui, m)}
                {decision(ui, m)}
                {evidence(ui, request)}
            </div>
            <div class="stack">{asked(ui, request)}<div id="request-history">{history(ui, request)}</div></div>
        </div>
    }
    .into_any()
}

/// The names of all fields, for the summary of what is wrong elsewhere.
fn names(request: &QuotaRequest) -> Vec<String> {
    let keys = request.ask.terms.resources.keys().map(|key| fields::name(key.as_str()));
    keys.chain(["until".to_owned(), "comment".to_owned()]).collect()
}

fn asked(ui: Ui, request: &QuotaRequest) -> AnyView {
    let l = ui.lang;
    let place = match &request.ask.namespace {
        Some(name) => tr::requests::for_namespace(l, name),
        None => tr::requests::for_tenant(l).to_owned(),
    };
    let body = view! {
        <div class="in">
            <p>{request.ask.by.to_string()} " · " {ago(ui, request.created_at)} " · " {request.cluster.to_string()}</p>
            <p class="pre">{request.ask.reason.clone()}</p>
            <p class="small muted">{place}</p>
        </div>
    };
    card(tr::requests::reason(l), None, body.into_any()).into_any()
}

fn evidence(ui: Ui, request: &QuotaRequest) -> AnyView {
    let l = ui.lang;
    let evidence = &request.ask.evidence;
    let when = match evidence.as_of {
        Some(at) => view! { {tr::requests::evidence_of(l)} " " {on(at)} }.into_any(),
        None => tr::requests::evidence_unknown(l).into_any(),
    };
    let plan = evidence.plan.as_ref().map(|plan| tag(tr::quotas::by_plan(l, plan)));
    let lacking = (!evidence.lacking.is_empty()).then(|| {
        let terms = Terms { resources: evidence.lacking.clone(), until: None };
        view! { <p class="in">{tr::requests::was_lacking(l, terms_text(l, &terms))}</p> }
    });
    let body = view! {
        <p class="in small muted">{when} " " {plan}</p>
        {lacking}
        {limits(ui, &evidence.resources)}
        {usage::evidence(ui, &evidence.usage, evidence.usage_hours)}
    };
    card(tr::requests::evidence(l), None, body.into_any()).into_any()
}

fn done_word(l: Language, what: RequestMove) -> &'static str {
    match what {
        RequestMove::Ask => tr::requests::did_ask(l),
        RequestMove::Approve => tr::requests::did_approve(l),
        RequestMove::Refuse => tr::requests::did_refuse(l),
        RequestMove::Offer => tr::requests::did_offer(l),
        RequestMove::Accept => tr::requests::did_accept(l),
        RequestMove::Withdraw => tr::requests::did_withdraw(l),
    }
}

/// Who did it: a person, or a rule in words.
fn who(l: Language, by: &str) -> String {
    match by {
        "rule:decrease" => tr::requests::rule_decrease(l).to_owned(),
        "rule:step" => tr::requests::rule_step(l).to_owned(),
        name => name.to_owned(),
    }
}

fn history(ui: Ui, request: &QuotaRequest) -> AnyView {
    let l = ui.lang;
    let item = |step: &RequestStep| {
        let terms = step.terms.as_ref().map(|terms| {
            view! { <p>{terms_text(l, terms)} " " <span class="muted">{until(ui, terms)}</span></p> }
        });
        let said = (step.what != RequestMove::Ask && !step.comment.is_empty())
            .then(|| view! { <p class="pre">{step.comment.clone()}</p> });
        let class = match step.what {
            RequestMove::Approve | RequestMove::Accept => "good",
            RequestMove::Ask | RequestMove::Offer if request.state.is_open() => "now",
            _ => "",
        };
        let body = view! {
            <p><b>{done_word(l, step.what)}</b> " · " {who(l, &step.by)} " · " {exactly(step.at)}</p>
            {terms}
            {said}
        };
        (class, body.into_any())
    };
    let items: Vec<_> = request.steps.iter().rev().map(item).collect();
    let body = view! { <div class="in">{timeline(items)}</div> };
    card(tr::requests::history(l), None, body.into_any()).into_any()
}

/// What who asked can do.
fn answer(ui: Ui, m: &Model) -> Option<AnyView> {
    let l = ui.lang;
    if !m.may_answer || !m.request.state.is_open() {
        return None;
    }
    let offer = m.request.offer().map(|terms| {
        view! {
            <p>{tr::requests::offered(l)} " " <b>{terms_text(l, terms)}</b> " " {until(ui, terms)}</p>
        }
    });
    let accept = m.request.offer().is_some().then(|| button(Button::Go, None, tr::requests::accept(l), Some("accept")));
    let body = view! {
        <form class="in" method="post">
            {hidden("version", m.request.version.to_string())}
            {offer}
            <div class="actions">{accept}{button(Button::Plain, None, tr::requests::withdraw(l), Some("withdraw"))}</div>
        </form>
    };
    let title = match m.request.state {
        RequestState::Offered => tr::requests::offer(l),
        _ => tr::requests::yours(l),
    };
    Some(card(title, None, body.into_any()).into_any())
}

/// What admins can do.
fn decision(ui: Ui, m: &Model) -> Option<AnyView> {
    let l = ui.lang;
    if !m.may_decide || !m.request.state.is_open() {
        return None;
    }
    let keys: Vec<String> = m.request.ask.terms.resources.keys().map(ToString::to_string).collect();
    let wanted = |key: &str| {
        let wanted = m.request.ask.terms.resources.get(key)?;
        Some(tr::requests::asked_for(l, words::amount(key, &wanted.to_string())))
    };
    let end = Field::moment("until", tr::requests::until(l)).hint(tr::requests::until_hint(l, MAX_LOAN_DAYS));
    let comment = Field::area("comment", tr::requests::comment(l), 3).hint(tr::requests::comment_hint(l));
    let note = Field::area("note", tr::requests::comment(l), 3);
    // Two forms: Enter in a field of the offer must send the offer, and never approve.
    let body = view! {
        <form class="in" method="post">
            {hidden("version", m.request.version.to_string())}
            {field(ui, &m.form, comment)}
            <div class="actions">
                {button(Button::Go, None, tr::requests::approve(l), Some("approve"))}
                {button(Button::Danger, None, tr::requests::refuse(l), Some("refuse"))}
            </div>
        </form>
    };
    let offer = view! {
        <form class="in" method="post">
            {hidden("version", m.request.version.to_string())}
            {fields::amounts(ui, &m.form, &keys, wanted)}
            {field(ui, &m.form, end)}
            {field(ui, &m.form, note)}
            <div class="actions">{button(Button::Plain, None, tr::requests::send_offer(l), Some("offer"))}</div>
        </form>
    };
    let decide = card(tr::requests::decide(l), None, body.into_any());
    let offer = card(tr::requests::offer_else(l), None, offer.into_any());
    Some(view! { {decide} {offer} }.into_any())
}

pub async fn decide(cx: Cx) -> Result<Answer> {
    let (tenant, id) = (cx.tenant()?, cx.param("request")?.parse().map_err(|_| Error::not_found())?);
    let l = cx.lang();
    if let Some(form) = fields::fixed(&cx) {
        return page(cx, Some(form)).await;
    }
    let decided = async {
        let (deed, said) = match cx.field("do") {
            "approve" => (Deed::Approve, tr::requests::done_approve(l)),
            "refuse" => (Deed::Refuse, tr::requests::done_refuse(l)),
            "accept" => (Deed::Accept, tr::requests::done_accept(l)),
            "withdraw" => (Deed::Withdraw, tr::requests::done_withdraw(l)),
            "offer" => {
                let until = Some(cx.field("until").to_owned()).filter(|text| !text.trim().is_empty());
                (Deed::Offer { resources: fields::sent(&cx)?, until }, tr::requests::done_offer(l))
            }
            _ => return Err(Error::not_found()),
        };
        let version = cx.field("version").parse().ok();
        let comment = if matches!(deed, Deed::Offer { .. }) { cx.field("note") } else { cx.field("comment") };
        let decision = Decision { deed, comment: comment.to_owned(), version };
        cx.services.decide_request(&cx.ctx, &tenant, id, &decision).await?;
        Ok(said)
    }
    .await;
    match decided {
        Ok(said) => Ok(done(paths::quota_request(&tenant, id), said)),
        Err(e) => {
            let request = cx.services.get_request(&cx.ctx, &tenant, id).await?;
            let keys: Vec<String> = request.ask.terms.resources.keys().map(ToString::to_string).collect();
            let mut form = fields::refused(&cx, &keys, e)?;
            // Each of the page's forms sends its own fields: the others show what they showed first.
            let others: Vec<_> =
                first(&request).values.into_iter().filter(|(name, _)| form.value(name).is_empty()).collect();
            form.values.extend(others);
            page(cx, Some(form)).await
        }
    }
}
