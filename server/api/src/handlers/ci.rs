//! CI systems, what robots trust of them, and the token that a job gets for its own (RFC 8693).

use axum::{
    extract::{FromRequest, Request, State},
    http::{HeaderValue, header},
};
use berth_core::{
    Error, OpCtx, RequestMeta, Result,
    ci::{MINUTES, TOKEN_MAX},
    services::ci::TrustText,
};
use berth_types::{
    ErrorCode, FieldError, UserName,
    ci::{CiIssuer, Condition, RobotTrust},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api,
    body::{Input, Sent, read},
    caller::Caller,
    places::{At, OfProvider, OfRobot, OfTrust},
    problem::{Failure, Reply},
    query::Asked,
    reply,
};

/// What is exchanged (RFC 8693 §2.1), for what (§3), and what comes back (§2.2.1).
const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const FORM: &str = "application/x-www-form-urlencoded";

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(list_ci_issuers))
        .routes(routes!(create_ci_issuer))
        .routes(routes!(delete_ci_issuer))
        .routes(routes!(list_trusts, create_trust))
        .routes(routes!(replace_trust, delete_trust))
}

/// What needs no token of Berth's.
pub(crate) fn open_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(exchange_token))
}

/// The CI systems whose jobs robots may trust.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CiIssuers {
    /// By name.
    pub items: Vec<CiIssuer>,
}

/// A CI system to be listed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewCiIssuer {
    /// What it is called here.
    pub name: String,
    /// Who signs its tokens, to the letter (`iss`).
    pub issuer: String,
}

impl Input for NewCiIssuer {}

/// What a robot trusts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Trusts {
    /// Oldest first.
    pub items: Vec<RobotTrust>,
}

/// Which jobs a robot shall trust.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewTrust {
    /// The CI system's name here.
    pub issuer: String,
    /// For whom the job's token must be made (`aud`), and for nobody else: the portal's address, say.
    pub audience: String,
    /// All of them must hold. `sub`, or a claim that names the project, must be among them.
    pub conditions: Vec<Condition>,
    /// Minutes that the robot's token lives, 1 to 60 (default 15).
    pub minutes: Option<i64>,
}

impl Input for NewTrust {}

impl From<NewTrust> for TrustText {
    fn from(NewTrust { issuer, audience, conditions, minutes }: NewTrust) -> Self {
        Self { issuer, audience, conditions, minutes: minutes.unwrap_or(MINUTES.0) }
    }
}

/// A job's token, to be exchanged (RFC 8693).
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "read by hand: it is a form")]
pub(crate) struct TokenExchange {
    /// `urn:ietf:params:oauth:grant-type:token-exchange`.
    pub grant_type: String,
    /// The token that the CI system gave the job.
    pub subject_token: String,
    /// `urn:ietf:params:oauth:token-type:jwt` (or `…:id_token`).
    pub subject_token_type: String,
    /// The robot: `robot:TENANT/NAME`.
    pub audience: String,
    /// `urn:ietf:params:oauth:token-type:access_token`, the only one there is.
    pub requested_token_type: Option<String>,
}

/// What a job gets (RFC 8693).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExchangedToken {
    /// `berth_…`.
    pub access_token: String,
    /// `urn:ietf:params:oauth:token-type:access_token`.
    pub issued_token_type: String,
    /// `Bearer`.
    pub token_type: String,
    /// Seconds until it ends.
    pub expires_in: i64,
}

impl ExchangedToken {
    pub(crate) fn new(access_token: String, expires_in: i64) -> Self {
        let (issued_token_type, token_type) = (ACCESS_TOKEN.to_owned(), "Bearer".to_owned());
        Self { access_token, issued_token_type, token_type, expires_in }
    }
}

/// The example of a [`TokenExchange`].
pub(crate) fn example() -> serde_json::Value {
    serde_json::json!({
        "grant_type": GRANT, "subject_token": "eyJhbGciOiJSUzI1NiIs…", "subject_token_type": JWT,
        "audience": "robot:shop/deploy",
    })
}

/// What a form asks: the robot, and the job's token.
struct Exchange {
    robot: UserName,
    token: SecretString,
}

/// Reads the form; all that is wrong with it at once.
fn exchange(form: &[u8]) -> Result<Exchange> {
    let mut wrong = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    let known = ["grant_type", "subject_token", "subject_token_type", "audience", "requested_token_type"];
    for (name, value) in url::form_urlencoded::parse(form) {
        if !known.contains(&&*name) {
            let message = format!("there is no such field; known: {}", known.join(", "));
            let error = FieldError::new(name.into_owned(), "unknown_field_known", message);
            wrong.push(error.param("known", known.join(", ")));
        } else if fields.iter().any(|(other, _)| *other == *name) {
            wrong.push(FieldError::new(name.clone().into_owned(), "duplicate", "sent twice").param("value", name));
        } else {
            fields.push((name.into_owned(), value.into_owned()));
        }
    }
    let value = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    for (name, values) in [
        ("grant_type", &[GRANT][..]),
        ("subject_token_type", &[JWT, ID_TOKEN]),
        ("requested_token_type", &[ACCESS_TOKEN]),
    ] {
        let missing = value(name).is_none();
        if value(name).is_some_and(|value| !values.contains(&value)) || (missing && name != "requested_token_type") {
            let choices = values.join(", ");
            let error = FieldError::new(name, "one_of", format!("one of {choices}"));
            wrong.push(error.param("choices", choices));
        }
    }
    let token = value("subject_token").unwrap_or_default();
    if token.is_empty() || token.len() > TOKEN_MAX {
        let message = format!("the job's token; 1 to {TOKEN_MAX} characters");
        wrong.push(FieldError::new("subject_token", "required", message));
    }
    let robot = value("audience").and_then(|text| UserName::stored(text).ok()).filter(|name| name.as_robot().is_some());
    match robot {
        Some(robot) if wrong.is_empty() => Ok(Exchange { robot, token: token.to_owned().into() }),
        Some(_) => Err(Error::invalid(wrong)),
        None => {
            wrong.push(FieldError::new("audience", "ci_robot", "the robot: robot:TENANT/NAME"));
            Err(Error::invalid(wrong))
        }
    }
}

/// A form of [`Exchange`].
pub(crate) struct SentExchange(Exchange);

impl<S: Send + Sync> FromRequest<S> for SentExchange {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or(FORM);
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case(FORM) {
            let message = format!("“{kind}” is not understood here; send {FORM}");
            return Err(Error::new(ErrorCode::UnsupportedMediaType, message).into());
        }
        let form = read(request.into_body()).await?;
        Ok(Self(exchange(&form)?))
    }
}

/// List the CI systems
///
/// Those whose jobs robots may trust. Platform admins keep the list.
#[utoipa::path(get, path = "/ci/issuers", tag = "members",
    responses((status = 200, description = "The CI systems.", body = CiIssuers)))]
pub(crate) async fn list_ci_issuers(State(api): State<Api>, caller: Caller, asked: Asked) -> Reply {
    Ok(reply::tagged(&asked, &CiIssuers { items: api.services().list_ci_issuers(&caller.ctx).await? })?)
}

/// List a CI system
///
/// It is asked for its keys before it is kept. From then on tenants may let its jobs come in as their robots.
#[utoipa::path(post, path = "/admin/ci-issuers", tag = "admin", request_body = NewCiIssuer,
    responses((status = 201, description = "The CI system.", body = CiIssuer)))]
pub(crate) async fn create_ci_issuer(
    State(api): State<Api>,
    caller: Caller,
    asked: Asked,
    Sent(new): Sent<NewCiIssuer>,
) -> Reply {
    let made = api.services().create_ci_issuer(&caller.ctx, &new.name, &new.issuer).await?;
    Ok(reply::created(&made, &format!("{}/{}", asked.uri.path(), made.name))?)
}

/// Remove a CI system
#[utoipa::path(delete, path = "/admin/ci-issuers/{provider}", tag = "admin",
    description = "With all that trusts it; tokens that its jobs got stop working at once.",
    responses((status = 204, description = "Removed.")))]
pub(crate) async fn delete_ci_issuer(State(api): State<Api>, caller: Caller, At(place): At<OfProvider>) -> Reply {
    api.services().delete_ci_issuer(&caller.ctx, &place.provider).await?;
    Ok(reply::nothing())
}

/// List what a robot trusts
#[utoipa::path(get, path = "/tenants/{tenant}/robots/{robot}/trusts", tag = "members",
    description = "Which jobs of which CI systems come in as the robot.",
    responses((status = 200, description = "Its trusts.", body = Trusts)))]
pub(crate) async fn list_trusts(State(api): State<Api>, caller: Caller, At(place): At<OfRobot>, asked: Asked) -> Reply {
    let items = api.services().list_trusts(&caller.ctx, &place.tenant, &place.robot).await?;
    Ok(reply::tagged(&asked, &Trusts { items })?)
}

/// Let jobs come in as a robot
///
/// A job whose token meets all conditions gets a token of the robot at `POST /ci/token`. What would take any job of the CI system
/// is refused: it signs tokens for strangers, too.
#[utoipa::path(post, path = "/tenants/{tenant}/robots/{robot}/trusts", tag = "members", request_body = NewTrust,
    responses((status = 201, description = "The trust.", body = RobotTrust)))]
pub(crate) async fn create_trust(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfRobot>,
    asked: Asked,
    Sent(new): Sent<NewTrust>,
) -> Reply {
    let made = api.services().create_trust(&caller.ctx, (&place.tenant, &place.robot), &new.into()).await?;
    Ok(reply::created(&made, &format!("{}/{}", asked.uri.path(), made.id))?)
}

/// Replace a trust
///
/// Tokens that it gave stop working at once: the jobs that got them may be none that come in any more.
#[utoipa::path(put, path = "/tenants/{tenant}/robots/{robot}/trusts/{trust}", tag = "members", request_body = NewTrust,
    responses((status = 200, description = "The trust as it is now.", body = RobotTrust)))]
pub(crate) async fn replace_trust(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfTrust>,
    Sent(wanted): Sent<NewTrust>,
) -> Reply {
    let robot = (&place.tenant, &place.robot);
    let changed = api.services().update_trust(&caller.ctx, robot, place.trust, &wanted.into()).await?;
    Ok(reply::json(&changed)?)
}

/// Take a trust back
#[utoipa::path(delete, path = "/tenants/{tenant}/robots/{robot}/trusts/{trust}", tag = "members",
    description = "Tokens that it gave stop working at once.",
    responses((status = 204, description = "Taken back.")))]
pub(crate) async fn delete_trust(State(api): State<Api>, caller: Caller, At(place): At<OfTrust>) -> Reply {
    api.services().delete_trust(&caller.ctx, &place.tenant, &place.robot, place.trust).await?;
    Ok(reply::nothing())
}

/// Exchange a job's token for one of a robot
///
/// RFC 8693: the token that a CI system signed for a job, once, for a short-lived token of the robot that `audience` names. Needs no
/// token of Berth's. All refusals are alike; the audit log says why.
#[utoipa::path(post, path = "/ci/token", tag = "members", security(()),
    request_body(content = TokenExchange, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "The robot's token.", body = ExchangedToken)))]
pub(crate) async fn exchange_token(
    State(api): State<Api>,
    meta: Option<axum::Extension<RequestMeta>>,
    SentExchange(asked): SentExchange,
) -> Reply {
    let services = api.services();
    let (id, network) =
        meta.map_or_else(|| ("unknown".into(), "".into()), |meta| (meta.0.request_id.clone(), meta.0.network.clone()));
    let ctx = OpCtx::anonymous(services.clock().clone(), id, network);
    let (token, secret) = services.redeem_job(&ctx, &asked.robot, &asked.token).await?;
    let expires_in = token.expires_at.as_second() - ctx.now().as_second();
    let mut reply = reply::json(&ExchangedToken::new(secret.expose_secret().to_owned(), expires_in))?;
    reply.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(reply)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn forms() {
        let good = || {
            let fields = example();
            fields
                .as_object()
                .unwrap()
                .iter()
                .map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned()))
                .collect::<Vec<_>>()
        };
        let read = |fields: &[(String, String)]| {
            let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
            exchange(form.as_bytes())
        };
        assert_eq!(read(&good()).ok().unwrap().robot.as_str(), "robot:shop/deploy");
        for (name, value, want) in [
            ("grant_type", "client_credentials", &["grant_type"][..]),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:saml2", &["subject_token_type"]),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:jwt", &["requested_token_type"]),
            ("audience", "ann", &["audience"]),
            ("audience", "robot:Shop/deploy", &["audience"]),
            ("subject_token", "", &["subject_token"]),
            ("scope", "all", &["scope"]),
        ] {
            let mut fields = good();
            fields.retain(|(known, _)| known != name);
            fields.push((name.to_owned(), value.to_owned()));
            let refused = read(&fields).err().unwrap();
            assert_eq!(refused.fields().iter().map(|e| e.field.as_str()).collect::<Vec<_>>(), want, "{name}={value}");
        }
        let mut twice = good();
        twice.push(("subject_token".to_owned(), "other".to_owned()));
        let refused = read(&twice).err().unwrap();
        assert_eq!((refused.fields().len(), refused.fields()[0].code.as_str()), (1, "duplicate"));
        assert!(!serde_json::to_string(refused.fields()).unwrap().contains("other"), "no token is said again");
        let nothing = exchange(b"").err().unwrap();
        assert_eq!(nothing.fields().len(), 4);
    }
}
