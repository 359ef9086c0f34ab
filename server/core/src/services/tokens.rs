//! API tokens: a person's own, and what the others (of robots, CI jobs, kubectl) are made of.

use std::time::Duration;

use berth_types::{
    ErrorCode, FieldError, Right,
    people::{ApiToken, TokenPurpose, TokenScope},
};
use jiff::Timestamp;
use secrecy::SecretString;
use uuid::Uuid;

use super::{
    Done, Services,
    identity::{TOKEN_PREFIX, after, digest, new_id, new_secret},
};
use crate::{
    authz::matrix::{covers, is_ever_allowed, rule_for},
    ctx::{OpCtx, Person, Via},
    error::{Error, Result},
    ports::store::NewToken,
};

/// A token to be made.
pub(super) struct TokenDraft<'a> {
    pub(super) name: &'a str,
    pub(super) purpose: TokenPurpose,
    /// The token that makes it.
    pub(super) made_by: Option<Uuid>,
    pub(super) scope: TokenScope,
    pub(super) expires_at: Timestamp,
}

/// The limited token that makes another.
#[derive(Debug)]
pub(super) struct Maker {
    id: Uuid,
    end: Timestamp,
    scope: TokenScope,
}

impl Maker {
    /// `wanted`, where it is no more than the maker may itself; where it says nothing, what the maker may.
    ///
    /// # Errors
    /// `Invalid` at `scope.namespace`, and at each action, that is beyond it.
    pub(super) fn narrows(&self, mut wanted: TokenScope) -> Result<TokenScope> {
        let own = &self.scope;
        let beyond = |at: String, value: &dyn std::fmt::Display| {
            let message = format!("the token that you use is not for {value}: what it makes is neither");
            FieldError::new(at, "token_beyond", message).param("value", value)
        };
        let mut wrong = Vec::new();
        wanted.read_only |= own.read_only;
        match (&own.namespace, &wanted.namespace) {
            (Some(own), Some(other)) if own != other => wrong.push(beyond("scope.namespace".to_owned(), other)),
            (Some(own), _) => wanted.namespace = Some(own.clone()),
            (None, _) => {}
        }
        if !own.actions.is_empty() {
            let outside = wanted.actions.iter().enumerate().filter(|(_, right)| !covers(&own.actions, **right));
            wrong.extend(outside.map(|(i, right)| beyond(format!("scope.actions[{i}]"), right)));
            if wanted.actions.is_empty() {
                // What the platform's roles alone give is nothing to a robot.
                let given = |right: &&Right| rule_for(right.resource, right.action).tenant.is_some();
                wanted.actions = own.actions.iter().filter(given).copied().collect();
                if wanted.actions.is_empty() {
                    // No action would mean: all.
                    return Err(Error::new(ErrorCode::Forbidden, "the token that you use is for nothing in a tenant"));
                }
            }
        }
        if wrong.is_empty() { Ok(wanted) } else { Err(Error::invalid(wrong)) }
    }
}

/// Whether a token may less than its owner in the tenants that it is for.
fn is_limited(scope: &TokenScope) -> bool {
    scope.read_only || scope.namespace.is_some() || !scope.actions.is_empty()
}

/// The scope with each of its actions once.
///
/// # Errors
/// `Invalid` at each action that nobody may: a token for it would open nothing, and say nothing of it.
fn known_actions(mut scope: TokenScope) -> Result<TokenScope> {
    let nobody = scope.actions.iter().enumerate().filter(|(_, right)| !is_ever_allowed(**right));
    let wrong: Vec<FieldError> = nobody
        .map(|(i, right)| {
            let message = format!("no role gives {right}");
            FieldError::new(format!("scope.actions[{i}]"), "action_nobody", message).param("value", right)
        })
        .collect();
    if !wrong.is_empty() {
        return Err(Error::invalid(wrong));
    }
    scope.actions.sort_unstable();
    scope.actions.dedup();
    Ok(scope)
}

impl Services {
    /// The asking person's tokens, newest first.
    ///
    /// # Errors
    /// Unauthenticated.
    pub async fn my_tokens(&self, ctx: &OpCtx) -> Result<Vec<ApiToken>> {
        let person = self.authz.person(ctx)?.themselves()?;
        self.store.list_tokens(person.id).await
    }

    /// Makes a token for the asking person; the secret comes back once.
    ///
    /// # Errors
    /// `Invalid` at `name`, `expiresInDays`, `scope`; forbidden for tokens, which may not make tokens.
    pub async fn create_token(
        &self,
        ctx: &OpCtx,
        name: &str,
        scope: TokenScope,
        lives: Duration,
    ) -> Result<(ApiToken, SecretString)> {
        let work = async {
            let person = self.own_account(ctx)?;
            let (token, secret) = self.make_token(ctx, person, name, (scope, lives), None).await?;
            let detail =
                serde_json::json!({ "prefix": token.prefix, "scope": token.scope, "expiresAt": token.expires_at });
            Ok(Done::with((token, secret), detail))
        };
        self.audited(ctx, "token.create", name.chars().take(60).collect(), None, work).await
    }

    /// Refuses a scope that the person cannot see: a token for a misspelt tenant would open nothing, and say nothing of it.
    async fn scope_is_there(&self, person: &Person, scope: &TokenScope) -> Result<()> {
        let Some(tenant) = &scope.tenant else { return Ok(()) };
        let refused = |field: &str, what: &str, name: &str| {
            let message = format!("there is no {what} “{name}”");
            Err(Error::field(FieldError::new(field, "no_such_place", message).param("value", name)))
        };
        match self.authz.find_tenant(person, tenant).await {
            Err(e) if e.code() == ErrorCode::NotFound => return refused("scope.tenant", "tenant", tenant.as_str()),
            found => drop(found?),
        }
        let Some(namespace) = &scope.namespace else { return Ok(()) };
        match self.authz.find_namespace(person, tenant, namespace).await {
            Err(e) if e.code() == ErrorCode::NotFound => refused("scope.namespace", "namespace", namespace.as_str()),
            found => found.map(drop),
        }
    }

    /// The limited token by which somebody acts, and when it ends: what it makes is limited as it is, and ends with it.
    pub(super) async fn limited_maker(&self, ctx: &OpCtx) -> Result<Option<Maker>> {
        let person = self.authz.person(ctx)?;
        match person.via {
            Via::Token(id, _) if is_limited(&person.scope) => {
                let end = self.store.token_end(person.id, id).await?.ok_or_else(Error::unauthenticated)?;
                Ok(Some(Maker { id, end, scope: person.scope.clone() }))
            }
            _ => Ok(None),
        }
    }

    /// A token of `person`, no more than the limited one that makes it, where one does.
    pub(super) async fn make_token(
        &self,
        ctx: &OpCtx,
        person: &Person,
        name: &str,
        (scope, lives): (TokenScope, Duration),
        maker: Option<&Maker>,
    ) -> Result<(ApiToken, SecretString)> {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > 60 || name.chars().any(char::is_control) {
            return Err(Error::field(FieldError::new("name", "label", "1 to 60 characters").param("max", 60)));
        }
        if lives.is_zero() || lives > self.limits.token_max {
            let days = self.limits.token_max.as_secs() / 86_400;
            let message = format!("1 to {days} days");
            return Err(Error::field(
                FieldError::new("expiresInDays", "number_range", message).param("min", 1).param("max", days),
            ));
        }
        if scope.namespace.is_some() && scope.tenant.is_none() {
            return Err(Error::field(FieldError::new("scope.tenant", "required", "a namespace needs its tenant")));
        }
        let scope = known_actions(scope)?;
        self.scope_is_there(person, &scope).await?;
        let end = after(ctx.now(), lives);
        let (made_by, expires_at) = maker.map_or((None, end), |maker| (Some(maker.id), end.min(maker.end)));
        self.keep_token(ctx, person, TokenDraft { name, purpose: TokenPurpose::Api, made_by, scope, expires_at }).await
    }

    /// Makes a token that was found right.
    pub(super) async fn keep_token(
        &self,
        ctx: &OpCtx,
        person: &Person,
        draft: TokenDraft<'_>,
    ) -> Result<(ApiToken, SecretString)> {
        let now = ctx.now();
        let secret = format!("{TOKEN_PREFIX}{}", new_secret(&*self.random)?);
        let prefix = secret.chars().take(TOKEN_PREFIX.len() + 6).collect::<String>();
        let new = NewToken {
            id: new_id(now, &*self.random)?,
            digest: digest(&secret),
            user: person.id,
            name: draft.name.to_owned(),
            prefix: prefix.clone(),
            purpose: draft.purpose,
            made_by: draft.made_by,
            scope: draft.scope.clone(),
            created_at: now,
            expires_at: draft.expires_at,
        };
        self.store.create_token(&new).await?;
        let token = ApiToken {
            id: new.id,
            name: new.name,
            prefix,
            purpose: draft.purpose,
            scope: draft.scope,
            created_at: now,
            expires_at: new.expires_at,
            last_used_at: None,
        };
        Ok((token, secret.into()))
    }

    /// Revokes one of the asking person's tokens.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn revoke_token(&self, ctx: &OpCtx, id: Uuid) -> Result<()> {
        let work = async {
            let person = self.own_account(ctx)?;
            self.store.revoke_token(person.id, id).await?;
            Ok(Done::plain(()))
        };
        self.audited(ctx, "token.revoke", id.to_string(), None, work).await
    }
}
