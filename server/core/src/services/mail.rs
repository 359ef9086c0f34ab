//! A person's address and what they want to hear; and how it is with mail on the platform. What is sent when, is [`super::mailing`]'s.
//!
//! An address finds no account, ever: it is where mail goes, once its owner has shown that it is theirs.

use std::time::Duration;

use berth_types::{
    Action, FieldError, Resource, UserName,
    mail::{MailStatus, MyMail, Reachable},
    webhook::EventKind,
};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use uuid::Uuid;

use super::{
    Done, Services,
    identity::{after, digest, new_secret},
    tries::FREE_FAILURES,
};
use crate::{
    ctx::{OpCtx, Person},
    error::{Error, Result},
    links::Void,
    mail::{
        address::{typed, veiled, vouched},
        text::{self, Text},
        who::{choices, wants},
    },
    ports::{
        mail::{Mailbox, NewMail, Pending},
        pages::Language,
        sign_in::Claims,
    },
};

/// How long the link lives that shows whether an address is somebody's.
pub const VERIFY: Duration = Duration::from_hours(24);
/// Links to one address within an hour, whoever asks for them, after which it gets slower.
const FREE_LINKS: i64 = 3;

/// The address of a link that is good for `user` at `now`.
fn open(found: Option<(Uuid, Pending)>, user: Uuid, now: Timestamp) -> Result<Pending> {
    match found {
        None => Err(Void::Unknown.error()),
        Some((whose, _)) if whose != user => Err(Void::Other.error()),
        Some((_, pending)) if pending.expires_at <= now => Err(Void::Expired.error()),
        Some((_, pending)) => Ok(pending),
    }
}

fn at_email(code: &'static str, message: &'static str) -> Error {
    Error::field(FieldError::new("email", code, message))
}

/// Why nothing is sent where the settings name no server.
pub(super) fn mail_off() -> Error {
    at_email("mail_off", "mail is not sent from here: smtp_url is not set")
}

impl Services {
    /// Counts a link that is mailed to an address: who sends many (`key`), or many to one address, is slowed down.
    pub(super) async fn links_to(&self, now: Timestamp, address: &str, (key, free): (&str, i64)) -> Result<()> {
        let to = format!("mail-to:{}", address.to_lowercase());
        // Who is slowed down themselves slows nobody's address down.
        self.take_try(now, key, free).await?;
        self.take_try(now, &to, FREE_LINKS).await
    }

    /// Where the asking person gets mail, and which.
    ///
    /// # Errors
    /// Unauthenticated; the store's.
    pub async fn my_mail(&self, ctx: &OpCtx) -> Result<MyMail> {
        let person = self.authz.person(ctx)?.themselves()?;
        let mailbox = self.store.find_mailbox(person.id).await?;
        let available = self.mail_way().is_some();
        let muted = mailbox.as_ref().and_then(|mailbox| mailbox.muted.clone());
        let events = choices(person.platform_role).filter(|kind| wants(muted.as_deref(), *kind)).collect();
        let language = mailbox.as_ref().map_or(Language::default(), |mailbox| mailbox.language).tag().to_owned();
        let (verified, pending) = mailbox.map_or((None, None), |mailbox| (mailbox.verified, mailbox.pending));
        let (address, verified_at) = verified.unzip();
        let (pending, pending_until) = pending.map(|pending| (pending.address, pending.expires_at)).unzip();
        Ok(MyMail { available, address, verified_at, pending, pending_until, language, events })
    }

    /// Who has a password knows it: for what opens the account from then on, such as an address, where a link to another one goes.
    pub(super) async fn knows_password(&self, ctx: &OpCtx, person: &Person, current: &SecretString) -> Result<()> {
        if self.has_password(ctx).await? {
            self.password_again(ctx, person, current).await?;
        }
        Ok(())
    }

    /// Sends a link to an address that the asking person says is theirs; until it is opened, mail goes where it went.
    ///
    /// # Errors
    /// `Invalid` at `email`, `current`; `RateLimited`; forbidden for a token.
    pub async fn set_my_address(
        &self,
        ctx: &OpCtx,
        address: &str,
        current: &SecretString,
        language: Language,
    ) -> Result<()> {
        let work = async {
            let person = self.own_account(ctx)?;
            let way = self.mail_way().ok_or_else(mail_off)?;
            let address = typed(address)?.ok_or_else(|| at_email("email", "an address such as ann@example.com"))?;
            self.knows_password(ctx, person, current).await?;
            let before = self.store.find_mailbox(person.id).await?.and_then(|mailbox| mailbox.verified);
            if before.is_some_and(|(known, _)| known == address) {
                return Err(at_email("mail_same", "mail goes there already"));
            }
            let now = ctx.now();
            let key = format!("mail:{}", person.id);
            self.links_to(now, &address, (&key, FREE_FAILURES)).await?;
            let secret = SecretString::from(new_secret(&*self.random)?);
            let expires_at = after(now, VERIFY);
            let text = text::verify(language, way.site, (&person.name, &secret, expires_at));
            let mail = self.mail(&way, (Some(person.id), "address.verify", &address), &text, (now, expires_at))?;
            let pending = Pending { address, digest: digest(secret.expose_secret()), expires_at };
            self.store.set_pending_address(person.id, &pending, language, &mail).await?;
            Ok(Done::with((), json!({ "mail": mail.id, "expiresAt": expires_at })))
        };
        self.audited(ctx, "mail.address", ctx.actor.to_string(), None, work).await
    }

    /// Which address a link shows to be the asking person's. Uses nothing up.
    ///
    /// # Errors
    /// A [`Void`]; unauthenticated.
    pub async fn look_at_verification(&self, ctx: &OpCtx, secret: &SecretString) -> Result<String> {
        let person = self.authz.person(ctx)?.themselves()?;
        let found = self.store.find_verification(&digest(secret.expose_secret())).await?;
        Ok(open(found, person.id, ctx.now())?.address)
    }

    /// The address of a link is the asking person's from now on; the one before is told.
    ///
    /// # Errors
    /// A [`Void`], which is in the audit log; forbidden for a token.
    pub async fn verify_my_address(&self, ctx: &OpCtx, secret: &SecretString) -> Result<String> {
        let work = async {
            let person = self.own_account(ctx)?;
            let digest = digest(secret.expose_secret());
            let pending = open(self.store.find_verification(&digest).await?, person.id, ctx.now())?;
            let told = self.goodbye(ctx, person, Some(&pending.address)).await?;
            self.store.verify_address(person.id, &digest, ctx.now(), told.as_ref()).await?;
            Ok(Done::with(pending.address, json!({ "changed": told.is_some() })))
        };
        self.audited(ctx, "mail.verify", ctx.actor.to_string(), None, work).await
    }

    /// What the address that was theirs until now is told, where there is one.
    async fn goodbye(&self, ctx: &OpCtx, person: &Person, new: Option<&str>) -> Result<Option<NewMail>> {
        let Some(way) = self.mail_way() else { return Ok(None) };
        let Some(Mailbox { verified: Some((old, _)), language, .. }) = self.store.find_mailbox(person.id).await? else {
            return Ok(None);
        };
        let new = new.map(veiled);
        let text = text::moved(language, way.site, &person.name, new.as_deref());
        let until = after(ctx.now(), super::mailing::KEPT);
        self.mail(&way, (Some(person.id), "address.moved", &old), &text, (ctx.now(), until)).map(Some)
    }

    /// The asking person gets no more mail; the address that was theirs is told.
    ///
    /// # Errors
    /// `Invalid` at `current`; `NotFound` when there is none; forbidden for a token.
    pub async fn remove_my_address(&self, ctx: &OpCtx, current: &SecretString) -> Result<()> {
        let work = async {
            let person = self.own_account(ctx)?;
            self.knows_password(ctx, person, current).await?;
            let told = self.goodbye(ctx, person, None).await?;
            self.store.remove_address(person.id, told.as_ref()).await?;
            Ok(Done::plain(()))
        };
        self.audited(ctx, "mail.remove", ctx.actor.to_string(), None, work).await
    }

    /// In which language the asking person is written to, and of what they want to hear.
    ///
    /// # Errors
    /// `Invalid` at `events[…]`; forbidden for a token.
    pub async fn choose_mail(&self, ctx: &OpCtx, language: Language, events: &[String]) -> Result<()> {
        let work = async {
            let person = self.own_account(ctx)?;
            let offered: Vec<EventKind> = choices(person.platform_role).collect();
            let known = || offered.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
            let wrong: Vec<FieldError> = events
                .iter()
                .enumerate()
                .filter(|(_, word)| !offered.iter().any(|kind| kind.as_str() == word.as_str()))
                .map(|(i, _)| {
                    let error = FieldError::new(format!("events[{i}]"), "one_of", format!("one of {}", known()));
                    error.param("choices", known())
                })
                .collect();
            if !wrong.is_empty() {
                return Err(Error::invalid(wrong));
            }
            let muted: Vec<EventKind> =
                offered.iter().copied().filter(|kind| !events.iter().any(|word| word == kind.as_str())).collect();
            self.store.set_mail_choices(person.id, language, &muted).await?;
            Ok(Done::with((), json!({ "language": language.tag(), "muted": muted })))
        };
        self.audited(ctx, "mail.choose", ctx.actor.to_string(), None, work).await
    }

    /// Takes over the address that a provider vouches for, where somebody has none; whether it did.
    pub(super) async fn adopt_address(&self, user: Uuid, claims: &Claims, now: Timestamp) -> Result<bool> {
        let vouched = claims.email.as_deref().filter(|_| claims.email_verified).and_then(vouched);
        match (vouched, self.mail_way()) {
            (Some(address), Some(_)) => self.store.adopt_address(user, address, now).await,
            _ => Ok(false),
        }
    }

    /// Whether a person can be reached by mail; not where.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`.
    pub async fn is_reachable(&self, ctx: &OpCtx, user: &UserName) -> Result<Reachable> {
        self.authz.platform(ctx, Resource::User, Action::Read)?;
        let account = self.store.find_account(user).await?.ok_or_else(Error::not_found)?;
        let mailbox = self.store.find_mailbox(account.user.id).await?;
        Ok(Reachable { verified: mailbox.is_some_and(|mailbox| mailbox.verified.is_some()) })
    }

    /// How it is with mail.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`.
    pub async fn mail_status(&self, ctx: &OpCtx) -> Result<MailStatus> {
        let grant = self.authz.platform(ctx, Resource::Platform, Action::Read)?;
        let counts = self.store.count_mails(&grant).await?;
        let way = self.mail_way();
        Ok(MailStatus {
            on: way.is_some(),
            from: way.as_ref().map(|way| way.mailer.from()),
            server: way.as_ref().map(|way| way.mailer.server()),
            waiting: counts.waiting,
            delivered: counts.delivered,
            failed: counts.failed,
            last_delivered_at: counts.last_delivered_at,
            trouble: counts.trouble,
        })
    }

    /// Sends a test to the asking person's own address; it is tried once.
    ///
    /// # Errors
    /// `Invalid` at `email` where they have none; `RateLimited`; forbidden.
    pub async fn test_mail(&self, ctx: &OpCtx) -> Result<()> {
        let work = async {
            self.authz.platform(ctx, Resource::Platform, Action::Update)?;
            let person = self.authz.person(ctx)?;
            let way = self.mail_way().ok_or_else(mail_off)?;
            let Some(Mailbox { verified: Some((address, _)), language, .. }) =
                self.store.find_mailbox(person.id).await?
            else {
                return Err(at_email(
                    "mail_none",
                    "you have no address that you have shown to be yours: see your account",
                ));
            };
            let (now, key) = (ctx.now(), format!("mail-test:{}", person.id));
            self.take_try(now, &key, FREE_FAILURES).await?;
            let text = text::test(language, way.site, &person.name);
            let mail = self.mail(&way, (Some(person.id), "mail.test", &address), &text, (now, now))?;
            self.store.add_mail(&mail).await?;
            Ok(Done::with((), json!({ "mail": mail.id })))
        };
        self.audited(ctx, "mail.test", "platform".to_owned(), None, work).await
    }

    /// A mail to be sent, and tried again until `until`.
    pub(super) fn mail(
        &self,
        way: &super::mailing::Way<'_>,
        (user, kind, address): (Option<Uuid>, &'static str, &str),
        text: &Text,
        (now, until): (Timestamp, Timestamp),
    ) -> Result<NewMail> {
        let id = super::identity::new_id(now, &*self.random)?;
        let text = serde_json::to_vec(text).map_err(Error::internal)?;
        let sealed = way.seal.seal(&text, &super::mailing::place(id), &*self.random)?;
        let address = address.to_owned();
        Ok(NewMail { id, user, kind, address, sealed, created_at: now, until, says_dropped: false })
    }
}
