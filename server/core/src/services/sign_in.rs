//! Signing in by an identity provider (authorization code with PKCE), and connecting one with an account.
//!
//! The browser holds 256 random bits for as long as the sign-in takes; state, nonce and verifier are made of them, and the database
//! knows their digest. So an answer is worth something only in the browser that asked, only once, and what stands in
//! the database helps nobody. Who somebody is, issuer and subject say; nobody is ever looked up by e-mail address.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use berth_types::{
    ErrorCode, ProviderName, UserName,
    names::hyphenated,
    provider::{Identity, IdentityProvider},
    text::own_path,
};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use secrecy::SecretString;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{
    Done, Services,
    identity::{SignedIn, after, digest, new_id, new_secret},
    tries::network as shared,
};
use crate::{
    ctx::{OpCtx, Via},
    error::{Error, Result},
    ports::{
        sign_in::{Answer, Applied, Attempt, Challenge, Claims, Most, Refused, refusal},
        store::Account,
    },
};

/// A sign-in that is not finished by then is begun again.
pub const ATTEMPT: Duration = Duration::from_mins(10);
/// Sign-ins that may be under way at once.
const MOST: Most = Most { of_network: 200, of_user: 10, overall: 10_000 };
/// Names that are tried for a new person before chance is asked.
const NUMBERED: u32 = 9;

/// What somebody wants of a provider.
#[derive(Debug, Clone, Copy)]
pub enum Purpose<'a> {
    /// To come in.
    SignIn,
    /// Another way into the account they are signed in to, whose password they know, where it has one: it opens without that, and without
    /// a second factor, from then on.
    Connect(&'a SecretString),
}

/// A sign-in that was begun.
pub struct Begun {
    /// Where the browser goes now.
    pub address: String,
    /// For a cookie; brought back by the browser.
    pub secret: SecretString,
    /// When it is worth nothing any more.
    pub expires_at: Timestamp,
    /// What the provider is called.
    pub provider: String,
}

/// What came of it.
pub enum Finished {
    /// Somebody is in.
    SignedIn(SignedIn),
    /// The account has one more way in.
    Connected,
}

/// How people may sign in here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaysIn {
    /// With name and password.
    pub local_accounts: bool,
    /// With a passkey of a local account.
    pub passkeys: bool,
    /// By these providers, each with what it is called.
    pub providers: Vec<(ProviderName, String)>,
}

/// What the sign-in page shows, and since when it is known.
pub(super) type KnownWays = Mutex<Option<(Timestamp, WaysIn)>>;

/// For how long that is believed: strangers ask for the page as often as they like, and the database need not hear of it. What was
/// changed in another replica is seen after that; what is allowed is asked anew each time.
const BELIEVED_FOR: SignedDuration = SignedDuration::from_secs(2);

/// What the provider is sent, made of the browser's secret.
fn challenge(secret: &str, redirect_uri: &str) -> Challenge {
    let made = |what: &str| {
        URL_SAFE_NO_PAD.encode(Sha256::new().chain_update(what).chain_update([0]).chain_update(secret).finalize())
    };
    Challenge {
        state: made("berth sign-in state"),
        nonce: made("berth sign-in nonce"),
        verifier: made("berth sign-in verifier").into(),
        redirect_uri: redirect_uri.to_owned(),
    }
}

/// The name of an account as near as possible to what the provider calls the person.
fn base_name(claims: &Claims) -> String {
    let wish = [&claims.preferred_username, &claims.email, &claims.name].into_iter().flatten().next();
    let wish = wish.map_or("", |wish| wish.split('@').next().unwrap_or_default());
    let mut name = hyphenated(wish.chars().flat_map(char::to_lowercase));
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        name.insert_str(0, if name.is_empty() { "person" } else { "u" });
    }
    // Leaves room for a number.
    name.truncate(UserName::MAX - 7);
    name.trim_end_matches('-').to_owned()
}

/// The names to try for a new person, best first; the last has `chance` in it.
fn names(claims: &Claims, chance: u16) -> Vec<UserName> {
    let base = base_name(claims);
    let numbered = (2..=NUMBERED).map(|n| format!("{base}-{n}"));
    let all = std::iter::once(base.clone()).chain(numbered).chain(std::iter::once(format!("{base}-{chance:05}")));
    all.filter_map(|name| name.parse().ok()).collect()
}

/// What others see of a new person.
fn shown_name(claims: &Claims, name: &UserName) -> String {
    let text: String = claims.name.iter().flat_map(|name| name.chars()).filter(|c| !c.is_control()).take(60).collect();
    let text = text.trim();
    if text.is_empty() { name.to_string() } else { text.to_owned() }
}

/// Whether somebody in these groups may come in by the provider.
fn lets_in(provider: &IdentityProvider, groups: &[String]) -> bool {
    provider.allowed_groups.is_empty() || groups.iter().any(|group| provider.allowed_groups.contains(group))
}

/// What the audit log calls a provider.
fn target(provider: &str) -> String {
    format!("provider:{}", provider.chars().take(ProviderName::MAX).collect::<String>())
}

/// What the audit log says of a sign-in.
fn said(provider: &IdentityProvider, claims: &Claims, created: bool, applied: &Applied) -> serde_json::Value {
    let mut said = json!({ "provider": provider.name, "issuer": provider.issuer, "subject": claims.subject });
    if created {
        said["created"] = true.into();
    }
    if *applied != Applied::default() {
        let set = applied.set.iter().map(|(tenant, role)| json!({ "tenant": tenant, "role": role }));
        said["memberships"] = json!({ "set": set.collect::<Vec<_>>(), "removed": applied.removed });
    }
    said
}

impl Services {
    /// How people may sign in: for the page where they do.
    ///
    /// # Errors
    /// The store's.
    pub async fn ways_in(&self) -> Result<WaysIn> {
        let now = self.clock.now();
        let known = self.ways.lock().clone();
        if let Some((since, ways)) = known
            && now.duration_since(since).abs() < BELIEVED_FOR
        {
            return Ok(ways);
        }
        let providers = self.store.list_providers().await?.into_iter().filter(|provider| provider.enabled);
        let local_accounts = self.store.local_accounts().await?;
        let ways = WaysIn {
            local_accounts,
            passkeys: local_accounts && self.passkey_site().is_ok(),
            providers: providers.map(|provider| (provider.name, provider.display_name)).collect(),
        };
        *self.ways.lock() = Some((now, ways.clone()));
        Ok(ways)
    }

    /// The ways in have changed, or may have.
    pub(super) fn forget_ways_in(&self) {
        *self.ways.lock() = None;
    }

    async fn open_provider(&self, name: &str) -> Result<IdentityProvider> {
        let all = self.store.list_providers().await?;
        let found = all.into_iter().find(|provider| provider.enabled && provider.name.as_str() == name);
        found.ok_or_else(|| refusal(Refused::Unknown))
    }

    /// Begins a sign-in. `redirect_uri` is where the provider shall send the browser back to; `return_to` a path of ours, home
    /// otherwise.
    ///
    /// # Errors
    /// A [`refusal`]; unauthenticated, or forbidden for a token, and `RateLimited`, where an account shall be connected.
    pub async fn begin_sign_in(
        &self,
        ctx: &OpCtx,
        provider: &str,
        redirect_uri: &str,
        return_to: &str,
        purpose: Purpose<'_>,
    ) -> Result<Begun> {
        if let Some(person) = ctx.person() {
            person.themselves()?;
        }
        let user = match purpose {
            Purpose::SignIn => None,
            Purpose::Connect(current) => Some(self.may_connect(ctx, provider, current).await?),
        };
        let provider = self.open_provider(provider).await?;
        let secret = new_secret(&*self.random)?;
        let address = self.protocol.address(&provider, &challenge(&secret, redirect_uri)).await?;
        let expires_at = after(ctx.now(), ATTEMPT);
        let return_to = own_path(return_to).unwrap_or("/").to_owned();
        let network = shared(&ctx.network);
        let attempt = Attempt { digest: digest(&secret), provider: provider.id, user, return_to, network, expires_at };
        self.store.begin_attempt(&attempt, MOST, ctx.now()).await?;
        Ok(Begun { address, secret: secret.into(), expires_at, provider: provider.display_name })
    }

    /// Whose account gets another way in, if they know its password.
    async fn may_connect(&self, ctx: &OpCtx, provider: &str, current: &SecretString) -> Result<Uuid> {
        let work = async {
            let person = self.own_account(ctx)?;
            match self.knows_password(ctx, person, current).await {
                Err(e) if e.code() == ErrorCode::Invalid => Err(refusal(Refused::Password)),
                known => known.map(|()| Done::plain(person.id)),
            }
        };
        self.audited(ctx, "identity.begin", target(provider), None, work).await
    }

    /// Ends a sign-in: `secret` is the browser's, `answer` what the provider sent along. Where to go then, and what came of it.
    ///
    /// # Errors
    /// A [`refusal`], which is in the audit log.
    pub async fn finish_sign_in(
        &self,
        ctx: &OpCtx,
        provider: &str,
        redirect_uri: &str,
        secret: Option<&str>,
        answer: &Answer,
        user_agent: &str,
    ) -> Result<(Finished, String)> {
        let taken = self.take_attempt(ctx, secret, redirect_uri, answer).await;
        let connects = taken.as_ref().is_ok_and(|(attempt, _)| attempt.user.is_some());
        let action = if connects { "identity.connect" } else { "session.begin" };
        let work = async {
            let (attempt, challenge) = taken?;
            let provider = self.open_provider(provider).await?;
            if attempt.provider != provider.id {
                return Err(refusal(Refused::State));
            }
            let claims = self.protocol.redeem(&provider, &challenge, answer).await?;
            if !lets_in(&provider, &claims.groups) {
                return Err(refusal(Refused::Group));
            }
            let done = match attempt.user {
                Some(user) => self.connect(ctx, user, &provider, &claims).await?,
                None => self.come_in(ctx, &provider, &claims, user_agent).await?,
            };
            Ok(Done { value: (done.value, attempt.return_to), detail: done.detail, by: done.by, action: done.action })
        };
        self.audited(ctx, action, target(provider), None, work).await
    }

    /// The attempt that an answer belongs to, which from now on belongs to none.
    async fn take_attempt(
        &self,
        ctx: &OpCtx,
        secret: Option<&str>,
        redirect_uri: &str,
        answer: &Answer,
    ) -> Result<(Attempt, Challenge)> {
        let secret = secret.ok_or_else(|| refusal(Refused::State))?;
        let challenge = challenge(secret, redirect_uri);
        // Before the attempt is taken: another site that sends the browser here with an answer of its own ends nothing.
        if !bool::from(challenge.state.as_bytes().ct_eq(answer.state.as_bytes())) {
            return Err(refusal(Refused::State));
        }
        let attempt = self.store.take_attempt(&digest(secret)).await?.ok_or_else(|| refusal(Refused::State))?;
        if attempt.expires_at <= ctx.now() {
            return Err(refusal(Refused::Expired));
        }
        Ok((attempt, challenge))
    }

    async fn come_in(
        &self,
        ctx: &OpCtx,
        provider: &IdentityProvider,
        claims: &Claims,
        user_agent: &str,
    ) -> Result<Done<Finished>> {
        let now = ctx.now();
        let (account, created) = match self.store.find_identity(&provider.issuer, &claims.subject).await? {
            Some((_, account)) if account.user.disabled => return Err(refusal(Refused::Suspended)),
            Some((identity, account)) => {
                self.store.touch_identity(identity.id, claims.email.as_deref(), now).await?;
                (account, false)
            }
            None => (self.make_person(now, provider, claims).await?, true),
        };
        let applied = self.store.apply_group_rules(account.user.id, provider.id, &claims.groups, now).await?;
        // Where there is a password, mail may bring a link to another one: then its owner says where it goes.
        let adopted = account.password_hash.is_none() && self.adopt_address(account.user.id, claims, now).await?;
        let signed_in = self.begin_session(ctx, &account, user_agent, Some(provider.id)).await?;
        let mut detail = said(provider, claims, created, &applied);
        if let (true, Some(detail)) = (adopted, detail.as_object_mut()) {
            detail.insert("mailAddress".to_owned(), "taken over".into());
        }
        Ok(Done::with(Finished::SignedIn(signed_in), detail).by(account.user.name))
    }

    async fn connect(
        &self,
        ctx: &OpCtx,
        user: Uuid,
        provider: &IdentityProvider,
        claims: &Claims,
    ) -> Result<Done<Finished>> {
        // Whoever began it may have gone, and somebody else be signed in, in this very browser.
        if !ctx.person().is_some_and(|person| person.id == user && matches!(person.via, Via::Session(_))) {
            return Err(refusal(Refused::State));
        }
        let now = ctx.now();
        match self.store.find_identity(&provider.issuer, &claims.subject).await? {
            Some((identity, account)) if account.user.id == user => {
                self.store.touch_identity(identity.id, claims.email.as_deref(), now).await?;
            }
            Some(_) => return Err(refusal(Refused::Taken)),
            None => {
                let identity = self.new_identity(now, provider, claims)?;
                let taken = |e: Error| if e.code() == ErrorCode::AlreadyExists { refusal(Refused::Taken) } else { e };
                self.store.add_identity(user, &identity).await.map_err(taken)?;
            }
        }
        let applied = self.store.apply_group_rules(user, provider.id, &claims.groups, now).await?;
        Ok(Done::with(Finished::Connected, said(provider, claims, false, &applied)))
    }

    fn new_identity(&self, now: Timestamp, provider: &IdentityProvider, claims: &Claims) -> Result<Identity> {
        Ok(Identity {
            id: new_id(now, &*self.random)?,
            issuer: provider.issuer.clone(),
            subject: claims.subject.clone(),
            email: claims.email.clone(),
            created_at: now,
            last_used_at: now,
        })
    }

    /// A new person for an identity that nobody has.
    async fn make_person(&self, now: Timestamp, provider: &IdentityProvider, claims: &Claims) -> Result<Account> {
        let identity = self.new_identity(now, provider, claims)?;
        let mut chance = [0; 2];
        self.random.fill(&mut chance).map_err(Error::internal)?;
        let mut refused = None;
        for name in names(claims, u16::from_be_bytes(chance)) {
            let user = berth_types::people::User {
                id: new_id(now, &*self.random)?,
                display_name: shown_name(claims, &name),
                name,
                platform_role: None,
                disabled: false,
                must_change_password: false,
                second_factor: false,
                created_at: now,
            };
            let account = Account { user, password_hash: None };
            match self.store.create_user_with(&account, &identity).await {
                Err(e) if e.code() == ErrorCode::AlreadyExists => {
                    // The same person in two tabs: one of them made the account.
                    if e.fields().iter().any(|field| field.field == "identity") {
                        let found = self.store.find_identity(&provider.issuer, &claims.subject).await?;
                        return found.map(|(_, account)| account).ok_or(e);
                    }
                    refused = Some(e);
                }
                made => return made.map(|()| account),
            }
        }
        Err(refused.unwrap_or_else(|| Error::internal("no name for a new person")))
    }

    /// The ways by which the asking person comes in besides a password.
    ///
    /// # Errors
    /// Unauthenticated.
    pub async fn my_identities(&self, ctx: &OpCtx) -> Result<Vec<Identity>> {
        let person = self.authz.person(ctx)?.themselves()?;
        self.store.list_identities(person.id).await
    }

    /// Whether a password opens the asking person's account: they have one, and passwords are taken.
    ///
    /// # Errors
    /// Unauthenticated.
    pub async fn has_password(&self, ctx: &OpCtx) -> Result<bool> {
        let person = self.authz.with_password(ctx)?;
        let account = self.store.find_account_by_id(person.id).await?.ok_or_else(Error::unauthenticated)?;
        Ok(account.password_hash.is_some() && self.store.local_accounts().await?)
    }

    /// Disconnects one of them.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` at `identity` for the only way into the account.
    pub async fn disconnect_identity(&self, ctx: &OpCtx, id: Uuid) -> Result<()> {
        let work = async {
            let person = self.own_account(ctx)?;
            let before = self.store.list_identities(person.id).await?;
            let before = before.into_iter().find(|identity| identity.id == id).ok_or_else(Error::not_found)?;
            let password_counts = self.store.local_accounts().await?;
            self.store.remove_identity(person.id, id, password_counts).await?;
            Ok(Done::with((), json!({ "issuer": before.issuer, "subject": before.subject })))
        };
        self.audited(ctx, "identity.disconnect", id.to_string(), None, work).await
    }

    /// The protocol, for what keeps providers.
    pub(super) fn protocol(&self) -> &Arc<dyn crate::ports::sign_in::Protocol> {
        &self.protocol
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn called(preferred_username: Option<&str>, email: Option<&str>, name: Option<&str>) -> Claims {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Claims { preferred_username: own(preferred_username), email: own(email), name: own(name), ..Claims::default() }
    }

    #[test]
    fn names_of_new_people() {
        let long = "x".repeat(80);
        for (claims, want) in [
            (called(Some("ada"), None, None), "ada"),
            (called(Some("Ada.Lovelace@example.com"), Some("other@x"), None), "ada-lovelace"),
            (called(None, Some("grace@navy.mil"), Some("Grace")), "grace"),
            (called(None, None, Some("Zoë  O'Neill")), "zo-o-neill"),
            (called(Some("--7th--"), None, None), "u7th"),
            (called(Some("王小明"), None, None), "person"),
            (called(None, None, None), "person"),
            // Reserved, so the next is taken.
            (called(Some("system"), None, None), "system-2"),
            (called(Some(&long), None, None), &long[..33]),
        ] {
            let names = names(&claims, 7);
            assert_eq!(names[0].as_str(), want);
            let last = names.last().map(UserName::to_string).unwrap_or_default();
            assert!(last.ends_with("-00007"), "{last}");
        }
    }

    #[test]
    fn names_for_others() {
        let name: UserName = "ada".parse().unwrap_or_else(|_| unreachable!());
        for (given, want) in [(Some(" Ada\u{7} Lovelace "), "Ada Lovelace"), (Some(" \n"), "ada"), (None, "ada")] {
            assert_eq!(shown_name(&called(None, None, given), &name), want);
        }
    }

    #[test]
    fn what_is_sent_is_made_of_the_secret_and_does_not_tell_it() {
        let (one, again, other) = (challenge("a", "/"), challenge("a", "/"), challenge("b", "/"));
        assert_eq!((&one.state, &one.nonce), (&again.state, &again.nonce));
        assert!(one.state != other.state && one.nonce != other.nonce);
        assert!(one.state != one.nonce && one.state != *one.verifier.expose_secret());
        // RFC 7636 §4.1: 43 to 128 of these.
        assert!(one.verifier.expose_secret().len() == 43);
    }
}
