//! Proving who one is: passwords, sessions, tokens.
//!
//! Secrets are 256 random bits; only their SHA-256 is stored (they cannot be guessed, so a slow hash would add nothing).
//! Passwords are hashed with Argon2id on the blocking pool. The same answer, after the same work, for a wrong name and a
//! wrong password.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use berth_types::{
    ErrorCode, FieldError, UserName,
    people::{Session, TokenPurpose, TokenScope},
};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{
    Done, Services,
    second_factors::Entered,
    tries::{FREE_FAILURES, FREE_NETWORK_FAILURES, of_account, of_network},
};
use crate::{
    ctx::{Actor, OpCtx, Person, Via},
    env::Random,
    error::{Error, Result},
    ports::{
        sign_in::{Refused, refusal},
        store::{Account, Digest, NewSession},
    },
};

/// Shortest password.
pub const PASSWORD_MIN: usize = 12;
/// Longest password, in bytes: more would only cost time.
pub const PASSWORD_MAX: usize = 256;
/// What API tokens begin with, so that scanners find leaked ones.
pub const TOKEN_PREFIX: &str = "berth_";

/// Bounds of identity, from the configuration.
#[derive(Debug, Clone)]
pub struct Limits {
    /// A session ends when it was not used for so long.
    pub session_idle: Duration,
    /// A session ends after so long in any case.
    pub session_absolute: Duration,
    /// A token lives at most so long.
    pub token_max: Duration,
    /// Memory of one password hash, KiB.
    pub argon2_memory_kib: u32,
    /// Passes of one password hash.
    pub argon2_passes: u32,
}

impl Default for Limits {
    /// OWASP's Argon2id parameters (19 MiB, 2 passes); a working day idle, a week in all; tokens for a year.
    fn default() -> Self {
        Self {
            session_idle: Duration::from_hours(12),
            session_absolute: Duration::from_hours(7 * 24),
            token_max: Duration::from_hours(366 * 24),
            argon2_memory_kib: 19 * 1024,
            argon2_passes: 2,
        }
    }
}

/// A new session, with its secret: shown to the browser, never stored.
pub struct SignedIn {
    /// For the cookie.
    pub secret: SecretString,
    /// Who.
    pub person: Arc<Person>,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
}

/// The digest that stands in the database for a secret.
#[must_use]
pub fn digest(secret: &str) -> Digest {
    Sha256::digest(secret.as_bytes()).into()
}

/// 256 random bits as text.
pub(crate) fn new_secret(random: &dyn Random) -> Result<String> {
    let mut bytes = [0; 32];
    random.fill(&mut bytes).map_err(Error::internal)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

pub(super) fn before(now: Timestamp, span: Duration) -> Timestamp {
    SignedDuration::try_from(span).ok().and_then(|d| now.checked_sub(d).ok()).unwrap_or(Timestamp::MIN)
}

pub(super) fn after(now: Timestamp, span: Duration) -> Timestamp {
    SignedDuration::try_from(span).ok().and_then(|d| now.checked_add(d).ok()).unwrap_or(Timestamp::MAX)
}

/// A time-ordered id made from injected time and chance.
pub(crate) fn new_id(now: Timestamp, random: &dyn Random) -> Result<Uuid> {
    let mut bytes = [0; 10];
    random.fill(&mut bytes).map_err(Error::internal)?;
    let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
    Ok(uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid())
}

/// Checks a new password.
///
/// # Errors
/// Too short, too long, or made from the account's own name.
pub fn check_password(field: &str, password: &str, name: &str) -> Result<()> {
    let error = if password.chars().count() < PASSWORD_MIN {
        FieldError::new(field, "password_short", format!("at least {PASSWORD_MIN} characters"))
            .param("min", PASSWORD_MIN)
    } else if password.len() > PASSWORD_MAX {
        FieldError::new(field, "password_long", format!("at most {PASSWORD_MAX} bytes")).param("max", PASSWORD_MAX)
    } else if password.to_lowercase().contains(&name.to_lowercase()) && password.len() < name.len() + 8 {
        FieldError::new(field, "password_name", "not your own name with a little added")
    } else if password.chars().collect::<std::collections::BTreeSet<_>>().len() < 5 {
        FieldError::new(field, "password_repeats", "at least 5 different characters")
    } else {
        return Ok(());
    };
    Err(Error::field(error))
}

fn not_theirs() -> Error {
    Error::field(FieldError::new("current", "password_wrong", "this is not your password"))
}

pub(super) fn to_person(account: &Account, via: Via, scope: TokenScope) -> Arc<Person> {
    Arc::new(Person {
        id: account.user.id,
        name: account.user.name.clone(),
        display_name: account.user.display_name.as_str().into(),
        platform_role: account.user.platform_role,
        via,
        scope,
        must_change_password: account.user.must_change_password,
        needs_second_factor: false,
    })
}

impl Services {
    /// Signs in with name and password; who has a second factor is asked for a code first.
    ///
    /// # Errors
    /// `Unauthenticated` for a wrong name, a wrong password and a disabled account alike; `RateLimited` with a time; a refusal
    /// where passwords are not taken.
    pub async fn sign_in(&self, ctx: &OpCtx, name: &str, password: &SecretString, user_agent: &str) -> Result<Entered> {
        let attempt = async {
            if !self.store.local_accounts().await? {
                return Err(refusal(Refused::Local));
            }
            let now = ctx.now();
            let (whose, network) = (of_account(name), of_network(&ctx.network));
            self.not_too_often(now, &network, FREE_NETWORK_FAILURES).await?;
            self.take_try(now, &whose, FREE_FAILURES).await?;
            let account = match name.parse::<UserName>() {
                Ok(name) => self.store.find_account(&name).await?,
                Err(_) => None,
            };
            let hash = account.as_ref().filter(|a| !a.user.disabled).and_then(|a| a.password_hash.clone());
            let fits = self.passwords.verify(password, hash.clone()).await?;
            // Others of the network, who tried other names meanwhile, came before.
            self.not_too_often(ctx.now(), &network, FREE_NETWORK_FAILURES).await?;
            let (Some(account), Some(hash), true) = (account, hash, fits) else {
                self.count_failure(ctx.now(), &network).await?;
                return Err(Error::new(ErrorCode::Unauthenticated, "name or password is wrong"));
            };
            self.store.clear_failures(&whose).await?;
            let done = if account.user.second_factor {
                let begun = self.begin_second_step(ctx, &account).await?;
                // No session: the log must not read as if there were one.
                Done::plain(Entered::NeedsCode(begun)).called("session.password")
            } else {
                Done::plain(Entered::SignedIn(self.begin_session(ctx, &account, user_agent, None).await?))
            };
            // Last: what began knows the password by the hash that was looked at.
            if self.passwords.is_weaker(&hash) {
                let new = self.passwords.hash(password, &*self.random).await?;
                self.store.rehash_password(account.user.id, &hash, &new).await?;
            }
            Ok(done.by(account.user.name))
        };
        self.audited(ctx, "session.begin", name.chars().take(60).collect(), None, attempt).await
    }

    /// A session, which began by `provider` or with the password of `account` as it was looked at.
    ///
    /// # Errors
    /// A [`refusal`] where the account has changed since.
    pub(super) async fn begin_session(
        &self,
        ctx: &OpCtx,
        account: &Account,
        user_agent: &str,
        provider: Option<Uuid>,
    ) -> Result<SignedIn> {
        let now = ctx.now();
        let secret = new_secret(&*self.random)?;
        let session = NewSession {
            id: new_id(now, &*self.random)?,
            digest: digest(&secret),
            user: account.user.id,
            created_at: now,
            expires_at: after(now, self.limits.session_absolute),
            user_agent: user_agent.chars().filter(|c| !c.is_control()).take(200).collect(),
            network: ctx.network.to_string(),
            provider,
            password: account.password_hash.clone().filter(|_| provider.is_none()),
        };
        if !self.store.create_session(&session).await? {
            return Err(refusal(Refused::Changed));
        }
        Ok(SignedIn {
            secret: secret.into(),
            person: self.in_session(account, session.id).await?,
            expires_at: session.expires_at,
        })
    }

    /// The person of a session.
    async fn in_session(&self, account: &Account, session: Uuid) -> Result<Arc<Person>> {
        let mut person = to_person(account, Via::Session(session), TokenScope::default());
        if self.needs_second_factor(account).await? {
            Arc::make_mut(&mut person).needs_second_factor = true;
        }
        Ok(person)
    }

    /// The person of a session's secret, or as whom they look in it; `None` when it has ended or never was.
    ///
    /// # Errors
    /// The store's.
    pub async fn authenticate_session(&self, now: Timestamp, secret: &str) -> Result<Option<Arc<Person>>> {
        let idle_before = before(now, self.limits.session_idle);
        let found = self.store.find_session(&digest(secret), now, idle_before).await?;
        let Some((session, account, view)) = found else {
            return Ok(None);
        };
        if after(session.last_seen_at, Duration::from_mins(1)) < now {
            self.store.touch_session(session.id, now).await?;
        }
        let person = self.in_session(&account, session.id).await?;
        self.looking(person, view, now).await.map(Some)
    }

    /// The person of an API token; `None` when it has ended or never was.
    ///
    /// # Errors
    /// Unauthenticated for one that is good for something else; the store's.
    pub async fn authenticate_token(&self, now: Timestamp, token: &str) -> Result<Option<Arc<Person>>> {
        self.authenticate_for(TokenPurpose::Api, now, token).await
    }

    /// The person of a token that is good for `purpose`; `None` when it has ended or never was.
    ///
    /// # Errors
    /// Unauthenticated for one that is good for something else; the store's.
    pub async fn authenticate_for(
        &self,
        purpose: TokenPurpose,
        now: Timestamp,
        token: &str,
    ) -> Result<Option<Arc<Person>>> {
        if !token.starts_with(TOKEN_PREFIX) {
            return Ok(None);
        }
        let Some((token, account)) = self.store.find_token(&digest(token), now).await? else {
            return Ok(None);
        };
        if token.purpose != purpose {
            let message = match token.purpose {
                TokenPurpose::Api => "this token is good for Berth's API alone; for kubectl, make a kubeconfig",
                TokenPurpose::Kubectl => "this token is good for kubectl alone",
            };
            return Err(Error::new(ErrorCode::Unauthenticated, message));
        }
        if token.last_used_at.is_none_or(|at| after(at, Duration::from_mins(1)) < now) {
            self.store.touch_token(token.id, now).await?;
        }
        Ok(Some(to_person(&account, Via::Token(token.id, token.prefix.as_str().into()), token.scope)))
    }

    /// Ends the session that asks. Where the browser ends the one at the provider by which it began, if it shall; that sends it back
    /// to `back`, an address of ours.
    ///
    /// # Errors
    /// Unauthenticated.
    pub async fn sign_out(&self, ctx: &OpCtx, back: &str) -> Result<Option<String>> {
        let work = async {
            let person = ctx.person().ok_or_else(Error::unauthenticated)?;
            let (owner, id) = match &person.via {
                Via::Session(id) => (person.id, *id),
                // The session is theirs who looks.
                Via::View(view) => {
                    match self.end_view(ctx).await {
                        // Another tab did.
                        Err(e) if e.code() == ErrorCode::Conflict => {}
                        ended => drop(ended?),
                    }
                    (view.viewer, view.session)
                }
                _ => return Ok(Done::plain(None)),
            };
            let provider = self.store.session_provider(id).await?;
            self.store.end_session(owner, id).await?;
            match provider.filter(|provider| provider.sign_out_there) {
                Some(provider) => Ok(Done::plain(self.protocol().sign_out_address(&provider, back).await)),
                None => Ok(Done::plain(None)),
            }
        };
        // Who looks as somebody else may leave, too.
        let whose =
            ctx.person().and_then(Person::viewed_by).map_or_else(|| ctx.actor.to_string(), |v| v.by.to_string());
        self.written_down(ctx, "session.end", whose, None, work).await
    }

    /// The asking person's sessions, newest first.
    ///
    /// # Errors
    /// Unauthenticated.
    pub async fn my_sessions(&self, ctx: &OpCtx) -> Result<Vec<Session>> {
        let person = self.authz.person(ctx)?.themselves()?;
        let mut sessions = self.store.list_sessions(person.id, ctx.now()).await?;
        // Those that nobody used for long have ended, too.
        let idle_before = before(ctx.now(), self.limits.session_idle);
        sessions.retain(|session| session.last_seen_at > idle_before);
        for session in &mut sessions {
            session.current = person.via == Via::Session(session.id);
        }
        Ok(sessions)
    }

    /// Ends one of the asking person's sessions.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`.
    pub async fn end_session(&self, ctx: &OpCtx, id: Uuid) -> Result<()> {
        let work = async {
            let person = self.own_account(ctx)?;
            self.store.end_session(person.id, id).await?;
            Ok(Done::plain(()))
        };
        self.audited(ctx, "session.end", id.to_string(), None, work).await
    }

    /// Ends all of the asking person's sessions but the one that asks; how many.
    ///
    /// # Errors
    /// Unauthenticated.
    pub async fn sign_out_everywhere(&self, ctx: &OpCtx) -> Result<u64> {
        let work = async {
            let person = self.own_account(ctx)?;
            let keep = match person.via {
                Via::Session(id) => Some(id),
                _ => None,
            };
            let ended = self.store.end_sessions(person.id, keep).await?;
            Ok(Done::with(ended, serde_json::json!({ "ended": ended })))
        };
        self.audited(ctx, "session.end-all", ctx.actor.to_string(), None, work).await
    }

    /// The account of somebody who is signed in, if they know their password.
    ///
    /// # Errors
    /// `Invalid` at `current`; `RateLimited`.
    pub(super) async fn password_again(&self, ctx: &OpCtx, person: &Person, current: &SecretString) -> Result<Account> {
        let (key, now) = (format!("password:{}", person.id), ctx.now());
        self.take_try(now, &key, FREE_FAILURES).await?;
        let account = self.store.find_account_by_id(person.id).await?.ok_or_else(Error::unauthenticated)?;
        if !self.passwords.verify(current, account.password_hash.clone()).await? {
            return Err(not_theirs());
        }
        self.store.clear_failures(&key).await?;
        Ok(account)
    }

    /// Changes the asking person's password, ends all their sessions, and begins a new one: a secret that somebody else may
    /// have seen is worth nothing afterwards.
    ///
    /// # Errors
    /// `Invalid` at `current` or `new`; `RateLimited`.
    pub async fn change_password(
        &self,
        ctx: &OpCtx,
        current: &SecretString,
        new: &SecretString,
        user_agent: &str,
    ) -> Result<SignedIn> {
        let work = async {
            let person = ctx.person().ok_or_else(Error::unauthenticated)?;
            let Via::Session(_) = person.via else {
                return Err(Error::new(ErrorCode::Forbidden, "a password is changed in the browser, not with a token"));
            };
            check_password("new", new.expose_secret(), person.name.as_str())?;
            let mut account = self.password_again(ctx, person, current).await?;
            if current.expose_secret() == new.expose_secret() {
                return Err(Error::field(FieldError::new("new", "password_same", "choose another one than before")));
            }
            let hash = self.passwords.hash(new, &*self.random).await?;
            let old = account.password_hash.take().unwrap_or_default();
            // Somebody set another one meanwhile, and that is the one that counts.
            if !self.store.change_password(person.id, &old, &hash, ctx.now()).await? {
                return Err(not_theirs());
            }
            account.password_hash = Some(hash);
            account.user.must_change_password = false;
            Ok(Done::plain(self.begin_session(ctx, &account, user_agent, None).await?))
        };
        self.audited(ctx, "password.change", ctx.actor.to_string(), None, work).await
    }

    /// The person, if they came in as themselves: a token changes nothing about its owner's account.
    pub(super) fn own_account<'a>(&self, ctx: &'a OpCtx) -> Result<&'a Person> {
        let person = self.authz.person(ctx)?;
        match person.via {
            Via::Token(..) => {
                Err(Error::new(ErrorCode::Forbidden, "an API token cannot change the account it belongs to"))
            }
            Via::View(_) => person.themselves(),
            Via::Session(_) | Via::Cli | Via::Begun => Ok(person),
        }
    }

    /// A context for `person` in the request of `ctx`.
    #[must_use]
    pub fn as_person(&self, ctx: &OpCtx, person: Arc<Person>) -> OpCtx {
        ctx.with_actor(Actor::Person(person))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn weak_passwords_are_refused_with_the_rule() {
        for (password, code) in [
            ("short", Some("password_short")),
            ("alicealice12", Some("password_name")),
            ("aaaaaaaaaaaaaa", Some("password_repeats")),
            ("correct horse battery", None),
        ] {
            let got = check_password("new", password, "alicealice").err().map(|e| e.fields()[0].code.clone());
            assert_eq!(got.as_deref(), code, "{password}");
        }
    }
}
