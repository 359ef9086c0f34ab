//! Passkeys: added, renamed and removed in one's own account; the second factor of a sign-in, or both factors at once.

use berth_types::{ErrorCode, FieldError, people::Passkey};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{
    Done, Services,
    identity::{SignedIn, after, digest, new_id, new_secret},
    people::label,
    second_factors::{Begun, ENROLMENT, STEP},
    tries::{FREE_NETWORK_FAILURES, network as shared, of_network},
};
use crate::{
    ctx::{OpCtx, Person},
    error::{Error, Result},
    ports::{
        passkeys::{Ceremony, StoredPasskey},
        sign_in::{Most, Refused, refusal},
        store::Account,
    },
    webauthn::{self, Assertion, Challenge, Site, Unavailable, Wrong},
};

/// Passkeys of a person.
pub const PASSKEYS: usize = 20;
/// Questions that may wait at once.
const MOST: Most = Most { of_network: 200, of_user: 10, overall: 10_000 };

/// Where passkeys are for.
pub(super) struct Place(Result<Site, Unavailable>);

impl Default for Place {
    fn default() -> Self {
        Self(Err(Unavailable::NoAddress))
    }
}

/// A passkey to be added.
pub struct NewPasskey {
    /// Comes back with the answer.
    pub token: SecretString,
    /// For `navigator.credentials.create`.
    pub options: Value,
}

/// What can end a sign-in that waits for a second factor.
pub struct Waiting {
    /// Codes of an app can.
    pub app: bool,
    /// A passkey can: for `navigator.credentials.get`.
    pub passkey: Option<Value>,
}

/// What an authenticator is asked to sign, made of the browser's secret: nothing of it need be kept, and what is shown of it does not
/// give the secret away.
fn challenge(secret: &SecretString) -> Challenge {
    Sha256::new().chain_update("berth passkey ").chain_update(secret.expose_secret()).finalize().into()
}

/// Why a passkey is not taken.
pub(super) fn at_passkey(wrong: Wrong) -> FieldError {
    FieldError::new("credential", wrong.code(), wrong.message())
}

/// Why nobody is signed in.
fn denied(wrong: Wrong) -> Error {
    Error::new(ErrorCode::Unauthenticated, wrong.message()).with_fields(vec![at_passkey(wrong)])
}

fn credentials(passkeys: &[StoredPasskey]) -> Vec<Vec<u8>> {
    passkeys.iter().map(|passkey| passkey.credential.clone()).collect()
}

fn creation(site: &Site, token: &SecretString, account: &Account, have: &[StoredPasskey]) -> Value {
    let owner = webauthn::Owner {
        handle: account.user.id.as_bytes(),
        name: account.user.name.as_str(),
        display_name: &account.user.display_name,
        have: &credentials(have),
    };
    webauthn::creation(site, &challenge(token), &owner)
}

impl Services {
    /// The same, with passkeys for this site, or without any.
    #[must_use]
    pub fn with_passkeys(self, site: Result<Site, Unavailable>) -> Self {
        Self { passkeys: Place(site).into(), ..self }
    }

    /// The site that passkeys are for.
    ///
    /// # Errors
    /// Why there are none.
    pub fn passkey_site(&self) -> Result<&Site, Unavailable> {
        self.passkeys.0.as_ref().map_err(|why| *why)
    }

    fn site(&self) -> Result<&Site> {
        let none = |_| Error::new(ErrorCode::Forbidden, "passkeys need the portal's address by https: see public_url");
        self.passkey_site().map_err(none)
    }

    /// The site, the asking person, and the passkeys that they have, of which there is room for one more.
    async fn room_for_one(&self, person: &Person) -> Result<Vec<StoredPasskey>> {
        let have = self.store.list_passkeys(person.id).await?;
        if have.len() >= PASSKEYS {
            return Err(Error::new(ErrorCode::Conflict, format!("at most {PASSKEYS} passkeys: remove one first")));
        }
        Ok(have)
    }

    /// Begins to add a passkey: the question for the browser.
    ///
    /// # Errors
    /// `Invalid` at `current`; `RateLimited`; `Conflict` when there are too many; forbidden for a token, and where there are no passkeys.
    pub async fn begin_passkey(&self, ctx: &OpCtx, current: &SecretString) -> Result<NewPasskey> {
        let work = async {
            let person = self.in_browser(ctx)?;
            let site = self.site()?;
            let account = self.password_again(ctx, person, current).await?;
            let have = self.room_for_one(person).await?;
            let token = SecretString::from(new_secret(&*self.random)?);
            let ceremony = Ceremony {
                digest: digest(token.expose_secret()),
                user: Some(person.id),
                network: shared(&ctx.network),
                expires_at: after(ctx.now(), ENROLMENT),
            };
            self.store.begin_ceremony(&ceremony, MOST, ctx.now()).await?;
            Ok(Done::plain(NewPasskey { options: creation(site, &token, &account, &have), token }))
        };
        self.audited(ctx, "second-factor.begin", ctx.actor.to_string(), None, work).await
    }

    /// Shows a question again, after a name that was wrong.
    ///
    /// # Errors
    /// As of [`Self::begin_passkey`].
    pub async fn look_at_passkey(&self, ctx: &OpCtx, token: SecretString) -> Result<NewPasskey> {
        let person = self.in_browser(ctx)?;
        let account = self.store.find_account_by_id(person.id).await?.ok_or_else(Error::unauthenticated)?;
        let have = self.store.list_passkeys(person.id).await?;
        Ok(NewPasskey { options: creation(self.site()?, &token, &account, &have), token })
    }

    /// Adds the passkey that `answer` speaks of; recovery codes, which come back once, if it is the first factor.
    ///
    /// # Errors
    /// `Invalid` at `name`, before anything else is looked at, or at `credential`; `AlreadyExists` for one that is known; `Conflict`.
    pub async fn confirm_passkey(
        &self,
        ctx: &OpCtx,
        token: &SecretString,
        name: &str,
        answer: &str,
    ) -> Result<Vec<SecretString>> {
        let work = async {
            let person = self.in_browser(ctx)?;
            let site = self.site()?;
            let name = label("name", name)?;
            let now = ctx.now();
            let refused = |wrong| Error::field(at_passkey(wrong));
            // Whatever comes of it, it answers nothing a second time.
            let asked = self.store.take_ceremony(&digest(token.expose_secret())).await?;
            asked
                .filter(|asked| asked.user == Some(person.id) && asked.expires_at > now)
                .ok_or_else(|| refused(Wrong::Challenge))?;
            let made = webauthn::made(site, &challenge(token), answer).map_err(refused)?;
            self.room_for_one(person).await?;
            let (codes, digests) = self.recovery_codes()?;
            let new = StoredPasskey {
                user: person.id,
                credential: made.credential,
                key: made.key,
                count: made.count,
                shown: Passkey { id: new_id(now, &*self.random)?, name, created_at: now, last_used_at: None },
            };
            let first = self.store.add_passkey(&new, &digests).await?;
            let detail = json!({ "secondFactor": "passkey", "name": new.shown.name });
            Ok(Done::with(if first { codes } else { Vec::new() }, detail))
        };
        self.audited(ctx, "second-factor.add", ctx.actor.to_string(), None, work).await
    }

    /// One of the asking person's passkeys.
    ///
    /// # Errors
    /// Unauthenticated; `NotFound`.
    pub async fn my_passkey(&self, ctx: &OpCtx, id: Uuid) -> Result<Passkey> {
        let person = self.authz.with_password(ctx)?.themselves()?;
        let all = self.store.list_passkeys(person.id).await?;
        let found = all.into_iter().map(|passkey| passkey.shown).find(|passkey| passkey.id == id);
        found.ok_or_else(Error::not_found)
    }

    /// Renames one of the asking person's passkeys.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` at `name`; forbidden for a token.
    pub async fn rename_passkey(&self, ctx: &OpCtx, id: Uuid, name: &str) -> Result<()> {
        let work = async {
            let person = self.in_browser(ctx)?;
            let before = self.my_passkey(ctx, id).await?;
            let name = label("name", name)?;
            self.store.rename_passkey(person.id, id, &name).await?;
            Ok(Done::with((), json!({ "before": before.name, "after": name })))
        };
        self.audited(ctx, "second-factor.rename", ctx.actor.to_string(), None, work).await
    }

    /// Removes one of the asking person's passkeys, and ends their other sessions.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` at `current`; `RateLimited`; forbidden for a token.
    pub async fn remove_passkey(&self, ctx: &OpCtx, id: Uuid, current: &SecretString) -> Result<()> {
        let work = async {
            let person = self.in_browser(ctx)?;
            let passkey = self.my_passkey(ctx, id).await?;
            self.password_again(ctx, person, current).await?;
            self.store.remove_passkey(person.id, id, person.session(), ctx.now()).await?;
            Ok(Done::with((), json!({ "secondFactor": "passkey", "name": passkey.name })))
        };
        self.audited(ctx, "second-factor.remove", ctx.actor.to_string(), None, work).await
    }

    /// What can end the sign-in whose secret the browser holds; none when it is over.
    ///
    /// # Errors
    /// The store's.
    pub async fn look_at_second_step(&self, ctx: &OpCtx, secret: &SecretString) -> Result<Option<Waiting>> {
        let found = self.store.look_at_second_step(&digest(secret.expose_secret()), ctx.now()).await?;
        let Some(user) = found else { return Ok(None) };
        let passkeys = self.store.list_passkeys(user).await?;
        let passkey = match self.passkey_site() {
            Ok(site) if !passkeys.is_empty() => {
                Some(webauthn::request(site, &challenge(secret), &credentials(&passkeys)))
            }
            _ => None,
        };
        Ok(Some(Waiting { app: self.store.find_authenticator(user).await?.is_some(), passkey }))
    }

    /// Takes a passkey that answers a question made of `secret`: whose it is and whether it checked who uses it, or why it is not taken.
    async fn take_passkey(
        &self,
        ctx: &OpCtx,
        secret: &SecretString,
        assertion: &Assertion,
        found: Option<(StoredPasskey, Account)>,
    ) -> Result<Result<(StoredPasskey, Account, bool), Wrong>> {
        let Some((passkey, account)) = found else { return Ok(Err(Wrong::Unknown)) };
        // Not every authenticator says whose it is; what one says has to be so.
        if assertion.user.as_ref().is_some_and(|user| user != passkey.user.as_bytes()) {
            return Ok(Err(Wrong::Unknown));
        }
        let used = match assertion.check(self.site()?, &challenge(secret), &passkey.key) {
            Ok(used) => used,
            Err(wrong) => return Ok(Err(wrong)),
        };
        if !self.store.use_passkey(passkey.shown.id, used.count, ctx.now()).await? {
            tracing::warn!(user = %account.user.name, passkey = %passkey.shown.id, "a passkey counts no higher than before");
            return Ok(Err(Wrong::Count));
        }
        Ok(Ok((passkey, account, used.verified)))
    }

    /// Takes one of `account`'s passkeys as its second factor: what the audit log says of it, or why it is not taken.
    pub(super) async fn take_second_passkey(
        &self,
        ctx: &OpCtx,
        account: &Account,
        secret: &SecretString,
        answer: &str,
    ) -> Result<Result<Value, FieldError>> {
        let assertion = match Assertion::read(answer) {
            Ok(assertion) => assertion,
            Err(wrong) => return Ok(Err(at_passkey(wrong))),
        };
        let found = self.store.find_passkey(&assertion.credential).await?;
        let theirs = found.filter(|(passkey, _)| passkey.user == account.user.id);
        let taken = self.take_passkey(ctx, secret, &assertion, theirs).await?;
        Ok(taken
            .map(|(passkey, ..)| json!({ "secondFactor": "passkey", "name": passkey.shown.name }))
            .map_err(at_passkey))
    }

    /// Begins a sign-in with nothing but a passkey: the browser's secret. Nothing is said of anybody.
    ///
    /// # Errors
    /// `RateLimited`; a refusal where passwords are not taken; forbidden where there are no passkeys.
    pub async fn begin_passkey_sign_in(&self, ctx: &OpCtx) -> Result<Begun> {
        if let Some(person) = ctx.person() {
            person.themselves()?;
        }
        self.site()?;
        if !self.store.local_accounts().await? {
            return Err(refusal(Refused::Local));
        }
        self.not_too_often(ctx.now(), &of_network(&ctx.network), FREE_NETWORK_FAILURES).await?;
        let secret = new_secret(&*self.random)?;
        let expires_at = after(ctx.now(), STEP);
        let network = shared(&ctx.network);
        let ceremony = Ceremony { digest: digest(&secret), user: None, network, expires_at };
        self.store.begin_ceremony(&ceremony, MOST, ctx.now()).await?;
        Ok(Begun { secret: secret.into(), expires_at })
    }

    /// What the browser whose secret that is asks its authenticators: for `navigator.credentials.get`.
    ///
    /// # Errors
    /// Forbidden where there are no passkeys.
    pub fn passkey_question(&self, secret: &SecretString) -> Result<Value> {
        Ok(webauthn::request(self.site()?, &challenge(secret), &[]))
    }

    /// Ends a sign-in with nothing but a passkey, which has to check who uses it: then it is both factors.
    ///
    /// # Errors
    /// `Unauthenticated`, at `credential` for one that is not taken, else as a [`refusal`]; `RateLimited`.
    pub async fn finish_passkey_sign_in(
        &self,
        ctx: &OpCtx,
        secret: Option<&SecretString>,
        answer: &str,
        user_agent: &str,
    ) -> Result<SignedIn> {
        let (now, network) = (ctx.now(), of_network(&ctx.network));
        let looked = async {
            self.not_too_often(now, &network, FREE_NETWORK_FAILURES).await?;
            let secret = secret.ok_or_else(|| denied(Wrong::Challenge))?;
            let asked = self.store.take_ceremony(&digest(secret.expose_secret())).await?;
            asked
                .filter(|asked| asked.user.is_none() && asked.expires_at > now)
                .ok_or_else(|| denied(Wrong::Challenge))?;
            let assertion = Assertion::read(answer).map_err(denied)?;
            let found = self.store.find_passkey(&assertion.credential).await?;
            Ok((secret, assertion, found))
        };
        let looked = looked.await;
        let whose = match &looked {
            Ok((_, _, Some((_, account)))) => account.user.name.to_string(),
            _ => String::new(),
        };
        let work = async {
            let taken = match looked {
                Ok((secret, assertion, found)) => {
                    // Whoever has no password comes in by a provider, and its rules count.
                    let found =
                        found.filter(|(_, account)| account.password_hash.is_some() && assertion.user.is_some());
                    self.take_passkey(ctx, secret, &assertion, found).await?.map_err(denied)
                }
                Err(e) => Err(e),
            };
            let taken = taken.and_then(
                |(passkey, account, verified)| {
                    if verified { Ok((passkey, account)) } else { Err(denied(Wrong::Person)) }
                },
            );
            let (passkey, account) = match taken {
                Ok(taken) => taken,
                Err(e) => {
                    if e.code() == ErrorCode::Unauthenticated {
                        self.count_failure(now, &network).await?;
                    }
                    return Err(e);
                }
            };
            if !self.store.local_accounts().await? {
                return Err(refusal(Refused::Local));
            }
            let signed_in = self.begin_session(ctx, &account, user_agent, None).await?;
            let detail = json!({ "by": "passkey", "name": passkey.shown.name });
            Ok(Done::with(signed_in, detail).by(account.user.name))
        };
        self.audited(ctx, "session.begin", whose, None, work).await
    }
}
