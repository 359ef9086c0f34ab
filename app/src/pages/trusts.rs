//! Which jobs of which CI systems come in as a robot, with what a pipeline has to say: a part of the robot's page.

use berth_core::{
    Error, Result,
    ci::{CONDITIONS_MAX, MINUTES},
    services::ci::TrustText,
};
use berth_types::{
    FieldError, RobotName, TenantName, UserName,
    ci::{CiIssuer, Condition, RobotTrust},
};
use leptos::prelude::*;

use crate::{
    components::{
        Button, Column, Field, Form, Icon, Tone, button, card, code, empty, field, form::summary, hidden, link_button,
        note, table,
    },
    paths,
    request::{Cx, PageCx},
    tr,
    ui::Ui,
};

/// Conditions that the form has room for, and no less than there are in one that is changed.
const ROWS: usize = 3;

/// Lifetimes to choose from, in minutes.
const LIVES: [i64; 4] = [5, 15, 30, 60];

/// What the part shows.
pub struct Trusts {
    /// The robot's whole name.
    pub robot: UserName,
    /// What it trusts.
    pub trusts: Vec<RobotTrust>,
    /// The CI systems that there are.
    pub issuers: Vec<CiIssuer>,
    /// The portal's address.
    pub base: String,
    /// Whether the reader may change it.
    pub may: bool,
    /// The form for another, or for one that is changed: then it carries its id.
    pub form: Form,
    /// This page.
    pub here: String,
}

/// What the form shows first of a trust that is to be changed.
fn values(trust: &RobotTrust) -> Form {
    let mut pairs = vec![
        ("trust".to_owned(), trust.id.to_string()),
        ("trust.issuer".to_owned(), trust.issuer.to_string()),
        ("trust.audience".to_owned(), trust.audience.clone()),
        ("trust.minutes".to_owned(), trust.minutes.to_string()),
    ];
    for (i, condition) in trust.conditions.iter().enumerate() {
        pairs.push((format!("conditions[{i}].claim"), condition.claim.clone()));
        pairs.push((format!("conditions[{i}].value"), condition.value.clone()));
    }
    Form { values: pairs, ..Form::default() }
}

/// All of it.
///
/// # Errors
/// Those of the services.
pub async fn load(
    cx: &PageCx,
    (tenant, robot, user): (&TenantName, &RobotName, &UserName),
    may: bool,
    form: Form,
) -> Result<Trusts> {
    let trusts = cx.services.list_trusts(&cx.ctx, tenant, robot).await?;
    // What was refused shows what was typed.
    let chosen = trusts.iter().find(|trust| !form.is_refused() && trust.id.to_string() == cx.query("trust"));
    Ok(Trusts {
        form: chosen.map_or(form, values),
        here: cx.request.path.clone(),
        robot: user.clone(),
        trusts,
        issuers: cx.services.list_ci_issuers(&cx.ctx).await?,
        base: cx.request.base.clone(),
        may,
    })
}

/// The part.
#[must_use]
pub fn view(ui: Ui, m: Trusts) -> AnyView {
    let l = ui.lang;
    let audience = m.trusts.first().map_or_else(|| m.base.clone(), |trust| trust.audience.clone());
    let pipeline = (!m.trusts.is_empty()).then(|| {
        let body = view! {
            <div class="in">
                <p>{tr::ci::pipeline_what(l)}</p>
                <h3>"GitHub Actions"</h3>
                {code(github(&m.base, &audience, &m.robot), "GitHub Actions")}
                <h3>"GitLab CI"</h3>
                {code(gitlab(&m.base, &audience, &m.robot), "GitLab CI")}
            </div>
        };
        card(tr::ci::pipeline(l), None, body.into_any())
    });
    let changes = !m.form.value("trust").is_empty();
    let title = if changes { tr::ci::edit_trust(l) } else { tr::ci::new_trust(l) };
    let make = m.may.then(|| {
        let body = match m.issuers.is_empty() {
            true => {
                view! { <div class="in">{note(Tone::Info, tr::ci::no_issuers_here(l).into_any())}</div> }.into_any()
            }
            false => form(ui, m.form, &m.issuers, &m.base, m.here.clone()),
        };
        view! { <div id="trust">{card(title, None, body)}</div> }
    });
    view! {
        <section class="card" aria-label=tr::ci::trusts(l)>
            <header><h2>{tr::ci::trusts(l)}</h2></header>
            {list(ui, m.trusts, m.may, &m.here)}
        </section>
        {make}
        {pipeline}
    }
    .into_any()
}

fn list(ui: Ui, trusts: Vec<RobotTrust>, may: bool, here: &str) -> AnyView {
    let l = ui.lang;
    if trusts.is_empty() {
        return empty(Icon::Lock, tr::ci::no_trusts(l), tr::ci::no_trusts_hint(l), None).into_any();
    }
    let rows: Vec<_> = trusts
        .into_iter()
        .map(|trust| {
            let conditions: Vec<_> =
                trust.conditions.iter().map(|c| view! { <div>{format!("{} = {}", c.claim, c.value)}</div> }).collect();
            let act = may.then(|| {
                let edit = format!("{}#trust", paths::with_query(here, [("trust", trust.id.to_string().as_str())]));
                view! {
                    <a class="btn sm" href=edit>{tr::ci::edit(l)}</a>
                    <form method="post">
                        {hidden("trust", trust.id.to_string())}
                        <button class="btn sm danger" name="do" value="distrust" data-confirm=tr::ci::distrust_sure(l)>
                            {tr::common::remove(l)}
                        </button>
                    </form>
                }
            });
            view! {
                <tr>
                    <td class="name">{trust.issuer.to_string()}</td>
                    <td class="mono">{conditions}</td>
                    <td class="mono muted hide">{trust.audience}</td>
                    <td class="num">{tr::ci::minutes(l, trust.minutes)}</td>
                    <td class="act">{act}</td>
                </tr>
            }
        })
        .collect();
    let columns = [
        Column::text(tr::ci::issuer(l)),
        Column::text(tr::ci::conditions(l)),
        Column::text(tr::ci::audience(l)),
        Column::number(tr::shell::lives(l)),
        Column::actions(l),
    ];
    table(columns, None, rows)
}

fn form(ui: Ui, mut form: Form, issuers: &[CiIssuer], base: &str, here: String) -> AnyView {
    let l = ui.lang;
    let minutes = MINUTES.0.to_string();
    for (name, value) in [("conditions[0].claim", "sub"), ("trust.audience", base), ("trust.minutes", minutes.as_str())]
    {
        if form.values.iter().all(|(key, _)| key != name) {
            form.values.push((name.to_owned(), value.to_owned()));
        }
    }
    let options = issuers.iter().map(|i| (i.name.to_string(), format!("{} ({})", i.name, i.issuer))).collect();
    let mut lives: Vec<i64> = LIVES.to_vec();
    // The API takes any.
    lives.extend(form.value("trust.minutes").parse::<i64>().ok().filter(|n| !LIVES.contains(n)));
    lives.sort_unstable();
    let lives = lives.iter().map(|n| (n.to_string(), tr::ci::minutes(l, n))).collect();
    let filled = (0..CONDITIONS_MAX).rev().find(|i| !form.value(&format!("conditions[{i}].claim")).is_empty());
    let count = filled.map_or(ROWS, |last| ROWS.max(last + 1));
    let rows: Vec<_> = (0..count)
        .map(|i| {
            let claim = Field::text(format!("conditions[{i}].claim"), tr::ci::claim(l, i + 1)).max(100).mono();
            let value = Field::text(format!("conditions[{i}].value"), tr::ci::value(l, i + 1)).max(301).mono();
            let value = if i == 0 { value.placeholder("repo:acme/web:*") } else { value };
            view! { <div class="row">{field(ui, &form, claim)}{field(ui, &form, value)}</div> }
        })
        .collect();
    let names: Vec<String> =
        (0..count).flat_map(|i| [format!("conditions[{i}].claim"), format!("conditions[{i}].value")]).collect();
    let mut shown = vec!["trust.issuer", "trust.audience", "trust.minutes"];
    shown.extend(names.iter().map(String::as_str));
    let audience = Field::text("trust.audience", tr::ci::audience(l)).required().max(300).mono();
    let id = form.value("trust").to_owned();
    let (go, symbol) = match id.is_empty() {
        true => (tr::ci::make_trust(l), Icon::Plus),
        false => (tr::common::save(l), Icon::Ok),
    };
    let cancel = (!id.is_empty()).then(|| link_button(Button::Quiet, None, tr::common::cancel(l), here.clone()));
    view! {
        <form class="in" method="post" action=here>
            {summary(ui, &form, &shown)}
            {(!id.is_empty()).then(|| hidden("trust", id))}
            <div class="row">
                {field(ui, &form, Field::select("trust.issuer", tr::ci::issuer(l), options))}
                {field(ui, &form, Field::select("trust.minutes", tr::shell::lives(l), lives))}
            </div>
            {field(ui, &form, audience.hint(tr::ci::audience_hint(l)))}
            <p class="hint">{tr::ci::conditions_hint(l)}</p>
            {rows}
            <div class="actions">{button(Button::Go, Some(symbol), go, Some("trust"))}{cancel}</div>
        </form>
    }
    .into_any()
}

/// Makes the trust that a form wants, or changes the one whose id it carries.
///
/// # Errors
/// Those of the service, at the form's own fields.
pub async fn save(cx: &Cx, tenant: &TenantName, robot: &RobotName) -> Result<()> {
    let mut rows = Vec::new();
    let mut conditions = Vec::new();
    for row in 0..CONDITIONS_MAX {
        let part = |name: &str| cx.field(&format!("conditions[{row}].{name}")).trim().to_owned();
        let (claim, value) = (part("claim"), part("value"));
        // The first claim is filled in: without a value it is as good as empty.
        if !value.is_empty() || (!claim.is_empty() && row > 0) {
            rows.push(row);
            conditions.push(Condition { claim, value });
        }
    }
    let text = TrustText {
        issuer: cx.field("trust.issuer").to_owned(),
        audience: cx.field("trust.audience").to_owned(),
        conditions,
        minutes: cx.field("trust.minutes").trim().parse().unwrap_or(0),
    };
    let made = match cx.field("trust") {
        "" => cx.services.create_trust(&cx.ctx, (tenant, robot), &text).await,
        id => {
            let id = id.parse().map_err(|_| Error::not_found())?;
            cx.services.update_trust(&cx.ctx, (tenant, robot), id, &text).await
        }
    };
    made.map(drop).map_err(|e| if e.fields().is_empty() { e } else { Error::invalid(at_rows(e.fields(), &rows)) })
}

/// Errors at the rows of the form, some of which were left empty.
fn at_rows(errors: &[FieldError], rows: &[usize]) -> Vec<FieldError> {
    let moved = |error: &FieldError| {
        let mut error = error.clone();
        if let Some((number, rest)) = error.field.strip_prefix("conditions[").and_then(|rest| rest.split_once(']')) {
            let row = number.parse::<usize>().ok().and_then(|i| rows.get(i));
            error.field = format!("conditions[{}]{rest}", row.copied().unwrap_or_default());
        } else if matches!(&*error.field, "issuer" | "audience" | "minutes") {
            error.field = format!("trust.{}", error.field);
        }
        error
    };
    errors.iter().map(moved).collect()
}

/// What is asked of Berth with the job's token in `$jwt`, and one of its operations with what comes back.
fn exchange(base: &str, robot: &UserName, indent: &str, jwt: &str) -> String {
    let lines = [
        format!("token=$(curl -sSf {base}/api/v1/ci/token \\"),
        "  -d grant_type=urn:ietf:params:oauth:grant-type:token-exchange \\".to_owned(),
        "  -d subject_token_type=urn:ietf:params:oauth:token-type:jwt \\".to_owned(),
        format!("  -d audience={robot} -d \"subject_token={jwt}\" | jq -r .access_token)"),
        format!("curl -sSf {base}/api/v1/me -H \"Authorization: Bearer $token\""),
    ];
    lines.map(|line| format!("{indent}{line}\n")).concat()
}

fn github(base: &str, audience: &str, robot: &UserName) -> String {
    let encoded = paths::encode(audience);
    format!(
        "jobs:\n  deploy:\n    runs-on: ubuntu-latest\n    permissions:\n      id-token: write\n    steps:\n      - run: |\n          \
         jwt=$(curl -sSf -H \"Authorization: bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN\" \\\n            \
         \"$ACTIONS_ID_TOKEN_REQUEST_URL&audience={encoded}\" | jq -r .value)\n{}",
        exchange(base, robot, "          ", "$jwt")
    )
}

fn gitlab(base: &str, audience: &str, robot: &UserName) -> String {
    format!(
        "deploy:\n  image: alpine:3.22\n  id_tokens:\n    BERTH_JWT:\n      aud: {audience}\n  before_script:\n    \
         - apk add curl jq\n  script:\n    - |\n{}",
        exchange(base, robot, "      ", "$BERTH_JWT")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_stand_at_the_rows_that_were_filled() {
        let errors = ["conditions[0].value", "conditions[1].claim", "conditions", "audience"]
            .map(|field| FieldError::new(field, "x", "x"));
        let fields: Vec<String> = at_rows(&errors, &[0, 2]).into_iter().map(|e| e.field).collect();
        assert_eq!(fields, ["conditions[0].value", "conditions[2].claim", "conditions", "trust.audience"]);
    }

    #[test]
    fn pipelines_are_yaml_that_says_what_to_do() -> Result<()> {
        let robot = UserName::stored("robot:shop/deploy").map_err(Error::internal)?;
        for text in
            [github, gitlab].map(|made| made("https://berth.example.com", "https://berth.example.com/x", &robot))
        {
            berth_core::yaml::parse(&text)?;
            for word in ["https://berth.example.com/api/v1/ci/token", "audience=robot:shop/deploy", "token-exchange"] {
                assert!(text.contains(word), "{text}");
            }
        }
        Ok(())
    }
}
