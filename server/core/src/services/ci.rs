//! CI systems that platform admins list, what robots trust of them, and the token that a job gets for its own.

use std::time::Duration;

use berth_types::{
    Action, ErrorCode, FieldError, ProviderName, Resource, RobotName, TenantName, UserName,
    ci::{CiIssuer, Condition, RobotTrust},
    people::{ApiToken, TokenPurpose, TokenScope},
};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Done, Services,
    identity::{TOKEN_PREFIX, after, digest, new_id, new_secret},
    people::name,
    providers::issuer_url,
    tries::network,
};
use crate::{
    authz::{Grant, TenantRef},
    ci::{Mismatch, check, choose, said_issuer, shown},
    ctx::OpCtx,
    error::{Error, Result},
    ports::{
        ci::{NewTrust, Refused, refusal},
        store::{Account, NewToken},
    },
};

/// Refusals from one network after which tries are slowed down: runners often share an address.
const FREE_REFUSALS: i64 = 60;
/// How long after its end a token of a job is remembered: clocks differ.
const REMEMBERED: Duration = Duration::from_mins(5);

/// Which jobs a robot shall trust.
#[derive(Debug, Clone)]
pub struct TrustText {
    /// The CI system's name here.
    pub issuer: String,
    /// For whom the job's token must be made.
    pub audience: String,
    /// What must hold.
    pub conditions: Vec<Condition>,
    /// How long the robot's token lives.
    pub minutes: i64,
}

/// Refusals are all alike for who asks; the audit log has the reason by now.
fn alike(error: Error) -> Error {
    if error.code() == ErrorCode::Unauthenticated {
        return Error::new(ErrorCode::Unauthenticated, error.message().to_owned()).caused_by(error);
    }
    error
}

/// What the audit log says of a trust.
fn told(trust: &RobotTrust) -> Value {
    json!({
        "trust": trust.id, "issuer": trust.issuer_url, "audience": trust.audience, "conditions": trust.conditions,
        "minutes": trust.minutes,
    })
}

/// When a token of a job ends, as it says.
fn ends(claims: &Value) -> Option<Timestamp> {
    Timestamp::from_second(claims["exp"].as_i64()?).ok()
}

impl Services {
    /// The CI systems whose jobs robots may trust, by name. Everybody who is signed in may know them.
    ///
    /// # Errors
    /// Unauthenticated.
    pub async fn list_ci_issuers(&self, ctx: &OpCtx) -> Result<Vec<CiIssuer>> {
        self.authz.person(ctx)?;
        self.store.list_ci_issuers().await
    }

    /// Adds a CI system, if it answers as one.
    ///
    /// # Errors
    /// `Invalid` at `name` and `issuer`; `AlreadyExists`; `NotFound`, forbidden.
    pub async fn create_ci_issuer(&self, ctx: &OpCtx, called: &str, issuer: &str) -> Result<CiIssuer> {
        let work = async {
            let grant = self.authz.platform(ctx, Resource::SignIn, Action::Create)?;
            let read = issuer_url(issuer).map_err(Error::field);
            let named = name::<ProviderName>("name", called, ProviderName::MAX);
            let wrong: Vec<FieldError> = [named.as_ref().err(), read.as_ref().err()]
                .into_iter()
                .flatten()
                .flat_map(|e| e.fields().to_vec())
                .collect();
            if !wrong.is_empty() {
                return Err(Error::invalid(wrong));
            }
            let now = ctx.now();
            let new = CiIssuer { id: new_id(now, &*self.random)?, name: named?, issuer: read?, created_at: now };
            self.jobs.probe(&new.issuer).await?;
            self.store.create_ci_issuer(&grant, &new).await?;
            let detail = json!({ "issuer": new.issuer });
            Ok(Done::with(new, detail))
        };
        self.audited(ctx, "ci-issuer.create", called.chars().take(60).collect(), None, work).await
    }

    /// Removes a CI system with all that trusts it; tokens that its jobs got stop working at once.
    ///
    /// # Errors
    /// `NotFound`; forbidden.
    pub async fn delete_ci_issuer(&self, ctx: &OpCtx, issuer: &ProviderName) -> Result<()> {
        let work = async {
            let grant = self.authz.platform(ctx, Resource::SignIn, Action::Delete)?;
            self.store.delete_ci_issuer(&grant, issuer).await?;
            Ok(Done::plain(()))
        };
        self.audited(ctx, "ci-issuer.delete", issuer.to_string(), None, work).await
    }

    /// What a robot trusts, oldest first.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`, forbidden.
    pub async fn list_trusts(&self, ctx: &OpCtx, tenant: &TenantName, robot: &RobotName) -> Result<Vec<RobotTrust>> {
        let (grant, robot) = self.robot_for(ctx, tenant, robot, Action::Read).await?;
        self.store.list_trusts(&grant, robot.id).await
    }

    /// Lets jobs of a CI system come in as a robot.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` at `issuer`, `audience`, `conditions`, `minutes`, where it would take any job of the CI system, too;
    /// forbidden.
    pub async fn create_trust(
        &self,
        ctx: &OpCtx,
        (tenant, robot): (&TenantName, &RobotName),
        new: &TrustText,
    ) -> Result<RobotTrust> {
        let work = async {
            let (grant, robot) = self.robot_for(ctx, tenant, robot, Action::Update).await?;
            let id = new_id(ctx.now(), &*self.random)?;
            let trust = self.read_trust(ctx, id, robot.id, new).await?;
            self.store.create_trust(&grant, &trust).await?;
            let made = self.find_trust(&grant, robot.id, id).await?;
            let detail = told(&made);
            Ok(Done::with(made, detail))
        };
        self.audited(ctx, "robot.trust.create", format!("{tenant}/{robot}"), Some(tenant), work).await
    }

    /// Changes a trust; tokens that it gave stop working at once, as the jobs that got them may be none that come in any more.
    ///
    /// # Errors
    /// As of [`Self::create_trust`].
    pub async fn update_trust(
        &self,
        ctx: &OpCtx,
        (tenant, robot): (&TenantName, &RobotName),
        id: Uuid,
        new: &TrustText,
    ) -> Result<RobotTrust> {
        let work = async {
            let (grant, robot) = self.robot_for(ctx, tenant, robot, Action::Update).await?;
            let before = self.find_trust(&grant, robot.id, id).await?;
            let trust = self.read_trust(ctx, id, robot.id, new).await?;
            self.store.update_trust(&grant, &trust).await?;
            let after = self.find_trust(&grant, robot.id, id).await?;
            let detail = json!({ "trust": id, "before": told(&before), "after": told(&after) });
            Ok(Done::with(after, detail))
        };
        self.audited(ctx, "robot.trust.update", format!("{tenant}/{robot}"), Some(tenant), work).await
    }

    async fn find_trust(&self, grant: &Grant<TenantRef>, robot: Uuid, id: Uuid) -> Result<RobotTrust> {
        let known = self.store.list_trusts(grant, robot).await?;
        known.into_iter().find(|known| known.id == id).ok_or_else(Error::not_found)
    }

    /// All that is wrong at once, or the trust that `text` wants.
    async fn read_trust(&self, ctx: &OpCtx, id: Uuid, robot: Uuid, text: &TrustText) -> Result<NewTrust> {
        let known = self.store.list_ci_issuers().await?;
        let issuer = known.iter().find(|issuer| issuer.name.as_str() == text.issuer.trim());
        let names = known.iter().map(|issuer| issuer.name.to_string()).collect::<Vec<_>>().join(", ");
        let unknown = issuer.is_none().then(|| {
            let message = format!("a platform admin lists the CI systems; there are: {names}");
            FieldError::new("issuer", "ci_unknown", message).param("known", &names)
        });
        let audience = text.audience.trim();
        let wrong: Vec<FieldError> =
            unknown.into_iter().chain(check(audience, &text.conditions, text.minutes)).collect();
        let Some(issuer) = issuer.filter(|_| wrong.is_empty()) else { return Err(Error::invalid(wrong)) };
        Ok(NewTrust {
            id,
            robot,
            issuer: issuer.name.clone(),
            audience: audience.to_owned(),
            conditions: text.conditions.clone(),
            minutes: text.minutes,
            created_at: ctx.now(),
        })
    }

    /// Takes a trust back; tokens that it gave stop working at once.
    ///
    /// # Errors
    /// `NotFound`; forbidden.
    pub async fn delete_trust(&self, ctx: &OpCtx, tenant: &TenantName, robot: &RobotName, id: Uuid) -> Result<()> {
        let work = async {
            let (grant, robot) = self.robot_for(ctx, tenant, robot, Action::Update).await?;
            self.store.delete_trust(&grant, robot.id, id).await?;
            Ok(Done::with((), json!({ "trust": id })))
        };
        self.audited(ctx, "robot.trust.delete", format!("{tenant}/{robot}"), Some(tenant), work).await
    }

    /// A short-lived token of a robot for the token that a CI system gave a job. Whoever comes with it is nobody so far.
    ///
    /// # Errors
    /// Unauthenticated, always with the same words; `RateLimited`.
    pub async fn redeem_job(
        &self,
        ctx: &OpCtx,
        robot: &UserName,
        token: &SecretString,
    ) -> Result<(ApiToken, SecretString)> {
        let found = self.store.find_trusts(robot).await?;
        // The audit log of a tenant has what was tried at its robots, not at names that somebody made up.
        let tenant = found.as_ref().and_then(|_| robot.robot_tenant());
        let target = found.as_ref().map_or_else(|| "robot".to_owned(), |_| robot.to_string());
        let key = format!("ci:{}", network(&ctx.network));
        let work = async {
            self.not_too_often(ctx.now(), &key, FREE_REFUSALS).await?;
            let taken = self.take_job(ctx, found, token).await;
            if taken.as_ref().is_err_and(|e| e.code() == ErrorCode::Unauthenticated) {
                self.count_failure(ctx.now(), &key).await?;
            }
            taken
        };
        self.audited(ctx, "robot.token.redeem", target, tenant.as_ref(), work).await.map_err(alike)
    }

    async fn take_job(
        &self,
        ctx: &OpCtx,
        found: Option<(Account, Vec<RobotTrust>)>,
        token: &SecretString,
    ) -> Result<Done<(ApiToken, SecretString)>> {
        let issuer = said_issuer(token.expose_secret()).ok_or_else(|| refusal(Refused::Malformed))?;
        let (account, mut trusts) = found.ok_or_else(|| refusal(Refused::Untrusted))?;
        // From here on the issuer is one that a platform admin has listed: no other is asked for anything.
        trusts.retain(|trust| trust.issuer_url == issuer);
        if trusts.is_empty() {
            return Err(refusal(Refused::Untrusted));
        }
        let claims = self.jobs.claims(&issuer, token).await?;
        let trust = choose(&trusts, &claims).map_err(|mismatch| {
            refusal(match mismatch {
                Mismatch::Audience => Refused::Audience,
                Mismatch::Claims => Refused::Claims,
            })
        })?;
        let ends = ends(&claims).ok_or_else(|| refusal(Refused::Token))?;
        // Without an id of its own a token is its own id.
        let id = claims["jti"].as_str().filter(|id| !id.is_empty());
        let used = digest(&format!("{issuer}\n{}", id.unwrap_or(token.expose_secret())));
        let now = ctx.now();
        let secret = format!("{TOKEN_PREFIX}{}", new_secret(&*self.random)?);
        let row = new_id(now, &*self.random)?;
        let lives = Duration::from_secs(60 * u64::try_from(trust.minutes).unwrap_or_default());
        let new = NewToken {
            id: row,
            digest: digest(&secret),
            user: account.user.id,
            name: format!("job {row}"),
            prefix: secret.chars().take(TOKEN_PREFIX.len() + 6).collect(),
            purpose: TokenPurpose::Api,
            made_by: None,
            scope: TokenScope { tenant: account.user.name.robot_tenant(), ..TokenScope::default() },
            created_at: now,
            expires_at: after(now, lives),
        };
        self.store.redeem_job(trust, &used, after(ends, REMEMBERED), &new).await.map_err(|e| match e.code() {
            ErrorCode::AlreadyExists => refusal(Refused::Used).caused_by(e),
            _ => e,
        })?;
        let detail = json!({
            "trust": trust.id, "iss": issuer, "sub": shown(&claims, "sub"), "jti": shown(&claims, "jti"),
            "prefix": new.prefix, "expiresAt": new.expires_at,
        });
        let made = ApiToken {
            id: new.id,
            name: new.name,
            prefix: new.prefix,
            purpose: new.purpose,
            scope: new.scope,
            created_at: now,
            expires_at: new.expires_at,
            last_used_at: None,
        };
        Ok(Done::with((made, secret.into()), detail).by(account.user.name))
    }
}
