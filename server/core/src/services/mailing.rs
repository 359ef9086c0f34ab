//! Mail on its way: who is told of a notice, which mail is due, what becomes of it. Run by the one process that leads.
//!
//! As with messages to webhooks, nothing is lost where it is killed: a notice leaves the outbox with its mail put in, and what was sent,
//! but not noted, is sent again with the same Message-ID.

use std::{sync::Arc, time::Duration};

use berth_types::{UserName, webhook::EventKind};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::{
    Services,
    identity::{after, digest, new_secret},
    resets::RESET,
};
use crate::{
    authz::{Grant, PlatformRef},
    ctx::OpCtx,
    error::{Error, Result},
    mail::{
        budget::{Budget, WINDOW, decide},
        text::{self, Text},
        who::{Why, why},
    },
    notices::Notice,
    ports::{
        links::NewReset,
        mail::{DueMail, Letter, Mailer, NewMail, RESET_LINK, Receiver, TriedMail, Unsent},
    },
    seal::SealKey,
    webhooks::schedule::again,
};

/// For how long a mail is tried that says nothing of its own about it.
pub(super) const KEPT: Duration = Duration::from_hours(36);
/// Nobody else sends a mail for so long after somebody took it: longer than all of a try takes.
const TAKEN: SignedDuration = SignedDuration::from_mins(2);
/// What is said of a mail whose time was over before it was sent.
const LATE: &str = "its time was over before it could be sent";
/// Mail that a person gets within an hour when nothing is said.
pub const PER_HOUR: i64 = 20;

/// How mail leaves.
pub struct Post {
    /// The way out; none: no mail is sent.
    pub mailer: Option<Arc<dyn Mailer>>,
    /// How much a person gets within an hour.
    pub per_hour: i64,
}

impl Default for Post {
    fn default() -> Self {
        Self { mailer: None, per_hour: PER_HOUR }
    }
}

/// All that a mail needs.
pub(super) struct Way<'a> {
    pub mailer: &'a dyn Mailer,
    pub site: &'a str,
    pub seal: &'a SealKey,
}

/// For what a mail's text is sealed.
pub(super) fn place(mail: Uuid) -> String {
    format!("mail:{mail}")
}

/// What a notice makes of mail.
#[derive(Default)]
pub(super) struct Mailing {
    pub mails: Vec<NewMail>,
    /// Those to whom one more was left out.
    pub dropped: Vec<Uuid>,
    /// The link that one of the mails holds.
    pub reset: Option<NewReset>,
}

impl Services {
    /// The same, which sends mail so.
    #[must_use]
    pub fn with_mail(&self, post: Post) -> Self {
        Self { post: Arc::new(post), ..self.clone() }
    }

    /// How mail leaves, where it does: there is a server, the portal's address is known, and what waits can be sealed.
    pub(super) fn mail_way(&self) -> Option<Way<'_>> {
        let (mailer, site) = (self.post.mailer.as_deref()?, self.hooks.site.as_deref()?);
        Some(Way { mailer, site, seal: self.seal_key()? })
    }

    /// Whether mail is sent.
    #[must_use]
    pub fn sends_mail(&self) -> bool {
        self.mail_way().is_some()
    }

    /// The mail that a notice makes, with the rights that people have now; who forgot their password gets a link, and the notice says so.
    pub(super) async fn mails_of(
        &self,
        ctx: &OpCtx,
        grant: &Grant<PlatformRef>,
        tenant: Option<Uuid>,
        notice: &mut Notice,
    ) -> Result<Mailing> {
        let Some(way) = self.mail_way() else { return Ok(Mailing::default()) };
        let about = notice.data.user.as_deref().and_then(|user| user.parse::<UserName>().ok());
        let since = ctx.now().checked_sub(WINDOW).map_err(Error::internal)?;
        let all = self.store.mail_receivers(grant, tenant, about.as_ref(), since).await?;
        let mut mailing = Mailing::default();
        if let (EventKind::PasswordForgotten, Some(whose)) = (notice.event, about) {
            let one = all.iter().find(|one| one.name == whose);
            if let Some((mail, reset)) = self.reset_by_mail(ctx, &way, one, notice).await? {
                (mailing.mails, mailing.reset) = (vec![mail], Some(reset));
                notice.data.outcome = Some(Notice::MAILED.to_owned());
            }
        }
        for one in &all {
            let Some(why) = why(notice, one) else { continue };
            match decide(one.recent, one.dropped, self.post.per_hour, why == Why::Account) {
                Budget::Drop => mailing.dropped.push(one.id),
                Budget::Send(dropped) => {
                    let text = text::notice(one.language, way.site, notice, why, dropped);
                    let until = after(ctx.now(), KEPT);
                    let to = (Some(one.id), notice.event.as_str(), one.address.as_str());
                    let mail = self.mail(&way, to, &text, (ctx.now(), until))?;
                    mailing.mails.push(NewMail { says_dropped: true, ..mail });
                }
            }
        }
        Ok(mailing)
    }

    /// The link to a new password, for who has one to forget and an address: who comes in by a provider alone gets no password by mail.
    async fn reset_by_mail(
        &self,
        ctx: &OpCtx,
        way: &Way<'_>,
        one: Option<&Receiver>,
        notice: &Notice,
    ) -> Result<Option<(NewMail, NewReset)>> {
        let Some(one) = one else { return Ok(None) };
        let account = self.store.find_account_by_id(one.id).await?;
        let has_one = account.is_some_and(|account| account.password_hash.is_some() && !account.user.disabled);
        if !has_one || !self.store.local_accounts().await? {
            return Ok(None);
        }
        let now = ctx.now();
        let secret = SecretString::from(new_secret(&*self.random)?);
        let expires_at = after(now, RESET);
        let network = notice.data.network.as_deref().unwrap_or("?");
        let text = text::reset(one.language, way.site, (&one.name, &secret, expires_at), network);
        let mail = self.mail(way, (Some(one.id), RESET_LINK, &one.address), &text, (now, expires_at))?;
        let digest = digest(secret.expose_secret());
        Ok(Some((mail, NewReset { digest, user: one.id, created_at: now, expires_at })))
    }

    /// Sends the mail that is due, a few side by side; how much.
    ///
    /// # Errors
    /// The store's.
    pub async fn send_mails(&self) -> Result<usize> {
        let Some(way) = self.mail_way() else { return Ok(0) };
        let (ctx, grant) = self.outbox()?;
        let until = ctx.now().checked_add(TAKEN).map_err(Error::internal)?;
        let due = self.store.take_mails(&grant, ctx.now(), until).await?;
        let sent = join_all(due.iter().map(|due| self.send_mail(&way, &grant, due))).await;
        sent.into_iter().collect::<Result<Vec<()>>>().map(|all| all.len())
    }

    async fn send_mail(&self, way: &Way<'_>, grant: &Grant<PlatformRef>, due: &DueMail) -> Result<()> {
        let at = self.clock.now();
        let sent = match opened(way, due) {
            // Nobody sent for long: what it says is not true any more, and its link is void.
            _ if last(due) <= at => Err(Unsent { reason: LATE.to_owned(), for_good: true }),
            Ok(letter) => way.mailer.send(&letter).await,
            Err(unsent) => Err(unsent),
        };
        let mut chance = [0; 2];
        self.random.fill(&mut chance).map_err(Error::internal)?;
        let trouble = sent.err();
        let again = trouble.as_ref().filter(|unsent| !unsent.for_good).and_then(|_| {
            let next = again(due.attempts + 1, self.clock.now(), u16::from_le_bytes(chance));
            next.filter(|next: &Timestamp| *next < due.until)
        });
        if let Some(unsent) = &trouble {
            tracing::warn!(mail = %due.id, attempts = due.attempts + 1, again = again.is_some(), "a mail was not taken: {}", unsent.reason);
        }
        let tried = TriedMail { id: due.id, at, trouble: trouble.map(|unsent| unsent.reason), again };
        self.store.note_mail(grant, &tried).await
    }
}

/// When a mail is not sent any more, not for the first time either. One that is tried once is good for as long as whoever takes it has it.
fn last(due: &DueMail) -> Timestamp {
    due.until.max(due.created_at.checked_add(TAKEN).unwrap_or(Timestamp::MAX))
}

/// A mail as it is handed over.
fn opened(way: &Way<'_>, due: &DueMail) -> Result<Letter, Unsent> {
    let lost = || Unsent {
        reason: "its text cannot be opened with the key that Berth has (second_factor_key_file)".to_owned(),
        for_good: true,
    };
    let text = way.seal.open(&due.sealed, &place(due.id)).ok_or_else(lost)?;
    let Text { subject, body } = serde_json::from_slice(text.expose_secret()).map_err(|_| lost())?;
    let settings = due.user.map(|_| text::link(way.site, text::SETTINGS));
    Ok(Letter { id: due.id, to: due.address.clone(), subject, text: body, at: due.created_at, settings })
}
