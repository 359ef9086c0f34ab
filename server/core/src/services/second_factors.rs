//! A second factor besides the password: an authenticator app or a passkey, and recovery codes for who lost it. Asked of local accounts alone: who
//! comes in by an identity provider has shown there what it wants to see.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use berth_types::{
    Action, ErrorCode, FieldError, PlatformRole, Resource, UserName,
    people::{SecondFactors, User},
};
use data_encoding::BASE32_NOPAD;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Done, Services,
    identity::{SignedIn, after, digest, new_secret},
    tries::{FREE_FAILURES, FREE_NETWORK_FAILURES, of_network},
};
use crate::{
    ctx::{OpCtx, Person, Via},
    env::Random,
    error::{Error, Result},
    ports::{
        second_factors::{Authenticator, SecondStep},
        sign_in::{Refused, refusal},
        store::{Account, Digest},
    },
    seal::SealKey,
    totp::{self, Checked},
};

/// A sign-in that is not finished by then is begun again.
pub const STEP: Duration = Duration::from_mins(5);
/// Codes that may be tried in one sign-in.
pub const TRIES: i64 = 5;
/// Sign-ins of one person that wait for a code; those that end first make room for more.
const STEPS: i64 = 5;
/// For how long a secret that was shown may be confirmed.
pub(super) const ENROLMENT: Duration = Duration::from_mins(15);
/// Recovery codes of a person.
pub const RECOVERY_CODES: usize = 10;
/// Bytes of one: too many to be guessed, hence a fast hash of it stands in the database, as of tokens. A slow one would protect what
/// people make up.
const RECOVERY_BYTES: usize = 15;
/// Characters of one, and how many of them stand together.
const RECOVERY_LENGTH: usize = 24;
const RECOVERY_GROUP: usize = 6;

/// Of whom the platform requires a second factor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Required {
    /// Of nobody.
    #[default]
    None,
    /// Of platform admins.
    Admins,
    /// Of everybody with a password.
    All,
}

impl Required {
    /// Whether it is required of somebody with a password.
    fn of(self, user: &User) -> bool {
        match self {
            Self::None => false,
            Self::Admins => user.platform_role == Some(PlatformRole::Admin),
            Self::All => true,
        }
    }
}

/// How second factors are kept here.
#[derive(Default)]
pub(super) struct Factors {
    seal: Option<SealKey>,
    required: Required,
}

/// What shows that somebody has their second factor.
#[derive(Debug, Clone, Copy)]
pub enum Proof<'a> {
    /// A code of the app, or a recovery code, as it was typed.
    Code(&'a str),
    /// What a passkey answers, as the browser hands it on.
    Passkey(&'a str),
}

/// What came of a right password.
pub enum Entered {
    /// Somebody is in.
    SignedIn(SignedIn),
    /// A code is asked for first.
    NeedsCode(Begun),
}

impl Entered {
    /// The session, if nothing more is asked.
    #[must_use]
    pub fn session(self) -> Option<SignedIn> {
        match self {
            Self::SignedIn(signed_in) => Some(signed_in),
            Self::NeedsCode(_) => None,
        }
    }
}

/// A sign-in that waits for a code.
pub struct Begun {
    /// For a cookie; brought back with the code.
    pub secret: SecretString,
    /// When it is worth nothing any more.
    pub expires_at: Timestamp,
}

/// An authenticator app to be added.
pub struct Enrolment {
    /// Comes back with the first code. Holds the secret, sealed: nothing is kept of what is not confirmed.
    pub token: SecretString,
    /// The secret, to be typed.
    pub secret: SecretString,
    /// The same, to be scanned.
    pub uri: SecretString,
}

/// A new recovery code as people read it, and what is kept of it.
fn recovery_code(random: &dyn Random) -> Result<(SecretString, Digest)> {
    let mut bytes = [0; RECOVERY_BYTES];
    random.fill(&mut bytes).map_err(Error::internal)?;
    let text = BASE32_NOPAD.encode(&bytes);
    let groups: Vec<String> = text.chars().collect::<Vec<_>>().chunks(RECOVERY_GROUP).map(String::from_iter).collect();
    Ok((groups.join("-").into(), digest(&text)))
}

/// What was typed, if it can be a recovery code; digits that none has are the letters that look like them.
fn recovery_typed(typed: &str) -> Option<String> {
    let letter = |c: char| match c.to_ascii_uppercase() {
        '0' => 'O',
        '1' => 'I',
        '8' => 'B',
        c => c,
    };
    let text: String = typed.chars().filter(|c| !c.is_whitespace() && *c != '-').map(letter).collect();
    let fits = |b: u8| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b);
    (text.len() == RECOVERY_LENGTH && text.bytes().all(fits)).then_some(text)
}

/// Where the secret of somebody's app is sealed for.
fn place(user: Uuid) -> String {
    format!("authenticator of {user}")
}

/// Whether a key opens the secret of somebody's app: for `doctor`.
#[must_use]
pub fn opens(seal: &SealKey, user: Uuid, app: &Authenticator) -> bool {
    seal.open(&app.sealed, &place(user)).is_some()
}

/// A code that is not taken.
fn refused(code: &'static str, message: &'static str) -> FieldError {
    FieldError::new("code", code, message)
}

fn wrong() -> FieldError {
    refused("code_wrong", "this is not the code that the app shows now")
}

fn not_recovery() -> FieldError {
    refused("recovery_wrong", "this is none of your recovery codes, or it was used")
}

fn used() -> FieldError {
    refused("code_used", "this code was used; wait for the next one")
}

impl Services {
    /// The same, which keeps secrets of authenticator apps sealed with `seal`, and asks these people for one. Without a key nobody can
    /// add one.
    #[must_use]
    pub fn with_second_factors(self, seal: Option<SealKey>, required: Required) -> Self {
        Self { factors: Factors { seal, required }.into(), ..self }
    }

    /// The key with which secrets stand sealed in the database, where there is one.
    pub(super) fn seal_key(&self) -> Option<&SealKey> {
        self.factors.seal.as_ref()
    }

    fn seal(&self) -> Result<&SealKey> {
        let none = || Error::new(ErrorCode::Forbidden, "second factors need a key: see second_factor_key_file");
        self.seal_key().ok_or_else(none)
    }

    /// Whether nothing else opens for the person of `account` before they have a second factor. Whoever has no password, or where none
    /// is taken, has no need of one here.
    pub(super) async fn needs_second_factor(&self, account: &Account) -> Result<bool> {
        let lacks = !account.user.second_factor && account.password_hash.is_some();
        Ok(lacks && self.factors.required.of(&account.user) && self.ways_in().await?.local_accounts)
    }

    /// The second factors of the asking person.
    ///
    /// # Errors
    /// Unauthenticated; forbidden while the password must be changed.
    pub async fn my_second_factors(&self, ctx: &OpCtx) -> Result<SecondFactors> {
        let person = self.authz.with_password(ctx)?.themselves()?;
        let account = self.store.find_account_by_id(person.id).await?.ok_or_else(Error::unauthenticated)?;
        let authenticator = self.store.find_authenticator(person.id).await?;
        Ok(SecondFactors {
            authenticator_since: authenticator.map(|authenticator| authenticator.created_at),
            recovery_codes_left: self.store.count_recovery_codes(person.id).await?,
            required: account.password_hash.is_some() && self.factors.required.of(&account.user),
            available: self.factors.seal.is_some(),
            passkeys: self.store.list_passkeys(person.id).await?.into_iter().map(|passkey| passkey.shown).collect(),
            passkeys_available: self.passkey_site().is_ok(),
        })
    }

    /// The person, if they are in the browser: a token changes nothing about its owner's account.
    pub(super) fn in_browser<'a>(&self, ctx: &'a OpCtx) -> Result<&'a Person> {
        let person = self.authz.with_password(ctx)?.themselves()?;
        match person.via {
            Via::Session(_) => Ok(person),
            _ => Err(Error::new(ErrorCode::Forbidden, "second factors are changed in the browser, not with a token")),
        }
    }

    /// Begins to add an authenticator app: its secret, for a page that asks for the first code. `site` is the portal's address.
    ///
    /// # Errors
    /// `Invalid` at `current`; `RateLimited`; `AlreadyExists`; forbidden for a token, and without a key.
    pub async fn begin_authenticator(&self, ctx: &OpCtx, current: &SecretString, site: &str) -> Result<Enrolment> {
        let work = async {
            let person = self.in_browser(ctx)?;
            let seal = self.seal()?;
            self.password_again(ctx, person, current).await?;
            if self.store.find_authenticator(person.id).await?.is_some() {
                return Err(Error::new(
                    ErrorCode::AlreadyExists,
                    "there is an authenticator app already: remove it first",
                ));
            }
            let mut secret = [0; totp::SECRET_BYTES];
            self.random.fill(&mut secret).map_err(Error::internal)?;
            let ends = after(ctx.now(), ENROLMENT).as_second().to_be_bytes();
            let sealed = seal.seal(&[ends.as_slice(), &secret].concat(), &enrolment_place(person), &*self.random)?;
            let secret = SecretSlice::from(secret.to_vec());
            Ok(Done::plain(shown(person, site, &secret, URL_SAFE_NO_PAD.encode(sealed).into())))
        };
        self.audited(ctx, "second-factor.begin", ctx.actor.to_string(), None, work).await
    }

    /// The secret that a page showed to the asking person, in this session, not long ago.
    fn open_enrolment(&self, ctx: &OpCtx, token: &SecretString) -> Result<SecretSlice<u8>> {
        let person = self.in_browser(ctx)?;
        let over = || Error::field(refused("enrolment_over", "it took too long, or was begun elsewhere; begin again"));
        let sealed = URL_SAFE_NO_PAD.decode(token.expose_secret()).map_err(|_| over())?;
        let opened = self.seal()?.open(&sealed, &enrolment_place(person)).ok_or_else(over)?;
        let (ends, secret) = opened.expose_secret().split_first_chunk::<8>().ok_or_else(over)?;
        if i64::from_be_bytes(*ends) <= ctx.now().as_second() {
            return Err(over());
        }
        Ok(secret.to_vec().into())
    }

    /// Shows again what was begun, after a code that was wrong.
    ///
    /// # Errors
    /// `Invalid` at `code` when it is over.
    pub fn look_at_enrolment(&self, ctx: &OpCtx, token: &SecretString, site: &str) -> Result<Enrolment> {
        let secret = self.open_enrolment(ctx, token)?;
        Ok(shown(self.in_browser(ctx)?, site, &secret, token.clone()))
    }

    /// Adds the app whose first code is `code`; recovery codes, which come back once, if it is the first factor.
    ///
    /// # Errors
    /// `Invalid` at `code`; `RateLimited`; `AlreadyExists`.
    pub async fn confirm_authenticator(
        &self,
        ctx: &OpCtx,
        token: &SecretString,
        code: &str,
    ) -> Result<Vec<SecretString>> {
        let work = async {
            let person = self.in_browser(ctx)?;
            let secret = self.open_enrolment(ctx, token)?;
            let now = ctx.now();
            let Checked::Step(step) = totp::check(&secret, now, 0, code) else {
                return Err(Error::field(wrong()));
            };
            let sealed = self.seal()?.seal(secret.expose_secret(), &place(person.id), &*self.random)?;
            let (codes, digests) = self.recovery_codes()?;
            let new = Authenticator { sealed, created_at: now, last_step: step };
            let first = self.store.add_authenticator(person.id, &new, &digests).await?;
            let codes = if first { codes } else { Vec::new() };
            Ok(Done::with(codes, json!({ "secondFactor": "authenticator" })))
        };
        self.audited(ctx, "second-factor.add", ctx.actor.to_string(), None, work).await
    }

    pub(super) fn recovery_codes(&self) -> Result<(Vec<SecretString>, Vec<Digest>)> {
        let made: Result<Vec<_>> = (0..RECOVERY_CODES).map(|_| recovery_code(&*self.random)).collect();
        Ok(made?.into_iter().unzip())
    }

    /// New recovery codes for the asking person, which come back once; those from before are worth nothing.
    ///
    /// # Errors
    /// `Invalid` at `current`; `RateLimited`; `NotFound` without a second factor.
    pub async fn new_recovery_codes(&self, ctx: &OpCtx, current: &SecretString) -> Result<Vec<SecretString>> {
        let work = async {
            let person = self.in_browser(ctx)?;
            self.password_again(ctx, person, current).await?;
            let (codes, digests) = self.recovery_codes()?;
            self.store.replace_recovery_codes(person.id, &digests).await?;
            Ok(Done::plain(codes))
        };
        self.audited(ctx, "second-factor.codes", ctx.actor.to_string(), None, work).await
    }

    /// Removes the asking person's authenticator app, and ends their other sessions.
    ///
    /// # Errors
    /// `Invalid` at `current`; `RateLimited`; `NotFound` without one.
    pub async fn remove_my_authenticator(&self, ctx: &OpCtx, current: &SecretString) -> Result<()> {
        let work = async {
            let person = self.in_browser(ctx)?;
            self.password_again(ctx, person, current).await?;
            self.store.remove_authenticator(person.id, person.session(), ctx.now()).await?;
            Ok(Done::with((), json!({ "secondFactor": "authenticator" })))
        };
        self.audited(ctx, "second-factor.remove", ctx.actor.to_string(), None, work).await
    }

    /// Removes somebody's second factors, such as those on a phone that was lost, and ends all their sessions. One's own are removed with
    /// one's password.
    ///
    /// # Errors
    /// `NotFound` for nobody and for who has none; `Invalid` for one's own.
    pub async fn remove_second_factors(&self, ctx: &OpCtx, user: &UserName) -> Result<()> {
        let work = async {
            self.authz.platform(ctx, Resource::User, Action::Update)?;
            let account = self.store.find_account(user).await?.ok_or_else(Error::not_found)?;
            if ctx.person().is_some_and(|person| person.id == account.user.id) {
                return Err(Error::field(FieldError::new("user", "own_account", "not for your own account")));
            }
            self.store.remove_second_factors(account.user.id, ctx.now()).await?;
            Ok(Done::plain(()))
        };
        self.audited(ctx, "second-factor.remove", user.to_string(), None, work).await
    }

    /// Keeps that the password of `account` was right, until a code comes.
    pub(super) async fn begin_second_step(&self, ctx: &OpCtx, account: &Account) -> Result<Begun> {
        let secret = new_secret(&*self.random)?;
        let expires_at = after(ctx.now(), STEP);
        let password = account.password_hash.clone();
        let step = SecondStep { digest: digest(&secret), user: account.user.id, expires_at, password };
        if !self.store.begin_second_step(&step, STEPS).await? {
            return Err(refusal(Refused::Changed));
        }
        Ok(Begun { secret: secret.into(), expires_at })
    }

    /// Ends a sign-in that waits for a second factor: `secret` is the browser's.
    ///
    /// # Errors
    /// `Unauthenticated`, at `code` or `credential` for one that is wrong, else as a [`refusal`] where all must be begun again; `RateLimited`.
    pub async fn finish_second_step(
        &self,
        ctx: &OpCtx,
        secret: Option<&SecretString>,
        proof: Proof<'_>,
        user_agent: &str,
    ) -> Result<SignedIn> {
        let network = of_network(&ctx.network);
        let digest = secret.map(|secret| digest(secret.expose_secret()));
        let tried = async {
            self.not_too_often(ctx.now(), &network, FREE_NETWORK_FAILURES).await?;
            match &digest {
                Some(digest) => self.store.try_second_step(digest, ctx.now()).await,
                None => Ok(None),
            }
        };
        let tried = tried.await;
        let whose = match &tried {
            Ok(Some((account, _))) => account.user.name.to_string(),
            _ => String::new(),
        };
        let work = async {
            let (Some((account, tries)), Some(digest)) = (tried?, digest) else { return Err(refusal(Refused::Step)) };
            if tries > TRIES {
                return Err(refusal(Refused::Step));
            }
            if !self.store.local_accounts().await? {
                return Err(refusal(Refused::Local));
            }
            let taken = match (proof, secret) {
                (Proof::Passkey(answer), Some(secret)) => {
                    self.take_second_passkey(ctx, &account, secret, answer).await?
                }
                (Proof::Code(typed), _) => self.take_code(ctx, &account, typed).await?,
                (Proof::Passkey(_), None) => return Err(refusal(Refused::Step)),
            };
            let by = match taken {
                Ok(by) => by,
                Err(why) => {
                    self.count_failure(ctx.now(), &network).await?;
                    if tries == TRIES {
                        self.store.end_second_step(&digest).await?;
                        return Err(refusal(Refused::Step));
                    }
                    let message = why.message.clone();
                    return Err(Error::new(ErrorCode::Unauthenticated, message).with_fields(vec![why]));
                }
            };
            // Whoever else came with the same step has it now.
            if !self.store.end_second_step(&digest).await? {
                return Err(refusal(Refused::Step));
            }
            let signed_in = self.begin_session(ctx, &account, user_agent, None).await?;
            Ok(Done::with(signed_in, by).by(account.user.name))
        };
        self.audited(ctx, "session.begin", whose, None, work).await
    }

    /// Takes a code of the app or a recovery code: what the audit log says of it, or why it is not taken.
    async fn take_code(&self, ctx: &OpCtx, account: &Account, typed: &str) -> Result<Result<Value, FieldError>> {
        let user = account.user.id;
        // Nobody guesses a recovery code: it is not slowed down, and opens the door when somebody else keeps the codes of the app
        // from being taken.
        if let Some(code) = recovery_typed(typed) {
            if !self.store.take_recovery_code(user, &digest(&code)).await? {
                return Ok(Err(not_recovery()));
            }
            let left = self.store.count_recovery_codes(user).await?;
            return Ok(Ok(json!({ "secondFactor": "recovery-code", "left": left })));
        }
        let (now, key) = (ctx.now(), format!("second-factor:{user}"));
        self.take_try(now, &key, FREE_FAILURES).await?;
        let Some(authenticator) = self.store.find_authenticator(user).await? else {
            // Who has passkeys alone types recovery codes alone.
            return Ok(Err(not_recovery()));
        };
        let opened = self.seal()?.open(&authenticator.sealed, &place(user));
        let secret = opened.ok_or_else(|| {
            Error::internal("the secret of an authenticator app does not open: second_factor_key_file is another one")
        })?;
        match totp::check(&secret, now, authenticator.last_step, typed) {
            Checked::Step(step) if self.store.take_step(user, step).await? => {
                self.store.clear_failures(&key).await?;
                Ok(Ok(json!({ "secondFactor": "authenticator" })))
            }
            Checked::Step(_) | Checked::Used => Ok(Err(used())),
            Checked::Wrong => Ok(Err(wrong())),
        }
    }
}

/// Where what a page shows is sealed for: in another session it is worth nothing.
fn enrolment_place(person: &Person) -> String {
    format!("enrolment of {} in {}", person.id, person.session().unwrap_or_default())
}

fn shown(person: &Person, site: &str, secret: &SecretSlice<u8>, token: SecretString) -> Enrolment {
    Enrolment { token, secret: totp::text(secret), uri: totp::uri(secret, person.name.as_str(), site) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::env::SystemRandom;

    #[test]
    fn recovery_codes_are_read_as_people_type_them() {
        let (code, kept) = recovery_code(&SystemRandom).unwrap();
        let code = code.expose_secret();
        assert_eq!((code.len(), code.matches('-').count()), (27, 3), "{code}");
        for typed in [code.to_owned(), code.to_lowercase(), code.replace('-', " "), format!(" {code}\n")] {
            assert_eq!(digest(&recovery_typed(&typed).unwrap()), kept, "{typed}");
        }
        assert_eq!(recovery_typed("0188AA-AAAAAA-AAAAAA-AAAAAA").unwrap(), "OIBBAAAAAAAAAAAAAAAAAAAA");
        for typed in
            ["", "123456", "AAAAAA-AAAAAA-AAAAAA-AAAAA9", "AAAAAA-AAAAAA-AAAAAA-AAAAA", "ÄAAAAA-AAAAAA-AAAAAA-AAAAA"]
        {
            assert_eq!(recovery_typed(typed), None, "{typed}");
        }
    }

    #[test]
    fn of_whom_it_is_required() {
        let user = |platform_role| User {
            id: Uuid::nil(),
            name: "ann".parse().unwrap(),
            display_name: "Ann".to_owned(),
            platform_role,
            disabled: false,
            must_change_password: false,
            second_factor: false,
            created_at: Timestamp::UNIX_EPOCH,
        };
        for (required, role, want) in [
            (Required::None, Some(PlatformRole::Admin), false),
            (Required::Admins, Some(PlatformRole::Admin), true),
            (Required::Admins, Some(PlatformRole::Auditor), false),
            (Required::Admins, None, false),
            (Required::All, None, true),
        ] {
            assert_eq!(required.of(&user(role)), want, "{required:?} {role:?}");
        }
    }
}
