//! Addresses and mail of a [`FakeStore`]; a mailer that keeps what it is handed.

use async_trait::async_trait;
use berth_types::{UserName, mail::MailTrouble, webhook::EventKind};
use jiff::Timestamp;
use parking_lot::Mutex;
use uuid::Uuid;

use super::{FakeStore, store::Rows as AllRows};
use crate::{
    authz::{Grant, PlatformRef},
    error::{Error, Result},
    ports::{
        links::link_gone,
        mail::{
            DueMail, INVITATION, Letter, MailCounts, Mailbox, Mailer, Mails, NewMail, Pending, RESET_LINK, Receiver,
            TriedMail, Unsent, WARNINGS,
        },
        pages::Language,
        store::Digest,
        webhooks::Spread,
    },
};

struct Kept {
    new: NewMail,
    attempts: i64,
    next_at: Option<Timestamp>,
    tried_at: Option<Timestamp>,
    trouble: Option<String>,
}

#[derive(Default)]
pub(super) struct Rows {
    boxes: Vec<(Uuid, Mailbox, i64)>,
    mails: Vec<Kept>,
}

impl Rows {
    pub(super) fn add(&mut self, mail: &NewMail) {
        let next_at = Some(mail.created_at);
        self.mails.push(Kept { new: mail.clone(), attempts: 0, next_at, tried_at: None, trouble: None });
    }

    fn find(&mut self, user: Uuid) -> Option<&mut (Uuid, Mailbox, i64)> {
        self.boxes.iter_mut().find(|(whose, ..)| *whose == user)
    }

    fn begin(&mut self, user: Uuid, language: Language) -> Result<&mut Mailbox> {
        if self.find(user).is_none() {
            self.boxes.push((user, Mailbox { verified: None, pending: None, language, muted: None }, 0));
        }
        self.find(user).map(|(_, mailbox, _)| mailbox).ok_or_else(Error::not_found)
    }

    fn drop_waiting(&mut self, user: Uuid, kind: Option<&str>) {
        let goes = |kept: &Kept| {
            let fits = kind.map_or(!WARNINGS.contains(&kept.new.kind), |kind| kept.new.kind == kind);
            kept.new.user == Some(user) && kept.next_at.is_some() && fits
        };
        self.mails.retain(|kept| !goes(kept));
    }

    /// What waits of an invitation's mail goes with it.
    pub(super) fn drop_invitation(&mut self, id: Uuid) {
        self.mails.retain(|kept| kept.new.id != id || kept.new.kind != INVITATION || kept.next_at.is_none());
    }

    /// What waits of the mail with a link to a new password goes with it.
    pub(super) fn drop_reset(&mut self, user: Uuid) {
        self.drop_waiting(user, Some(RESET_LINK));
    }

    pub(super) fn spread(&mut self, spread: &Spread) {
        if let Some(reset) = &spread.reset {
            self.drop_reset(reset.user);
        }
        for mail in &spread.mails {
            self.add(mail);
            if let Some((.., dropped)) = mail.user.filter(|_| mail.says_dropped).and_then(|user| self.find(user)) {
                *dropped = 0;
            }
        }
        for user in &spread.dropped {
            if let Some((.., dropped)) = self.find(*user) {
                *dropped += 1;
            }
        }
    }

    pub(super) fn sweep(&mut self, before: Timestamp) -> usize {
        let had = self.mails.len();
        let late = before - jiff::SignedDuration::from_hours(6 * 24);
        self.mails.retain(|kept| kept.new.created_at >= late);
        had - self.mails.len()
    }
}

impl AllRows {
    fn receiver(&self, (user, mailbox, dropped): &(Uuid, Mailbox, i64), tenant: Option<Uuid>) -> Option<Receiver> {
        let account = self.account(*user).filter(|account| !account.user.disabled)?;
        let (address, _) = mailbox.verified.clone()?;
        let role = self.members.iter().find(|m| Some(m.tenant) == tenant && m.user == *user).map(|m| m.role);
        let theirs = |namespace: Uuid| self.namespaces.iter().any(|(of, n)| Some(*of) == tenant && n.id == namespace);
        let guest = self.given.iter().any(|(namespace, whose, ..)| whose == user && theirs(*namespace));
        Some(Receiver {
            id: *user,
            name: account.user.name.clone(),
            platform_role: account.user.platform_role,
            role,
            own: role.zip(tenant).map(|(role, tenant)| self.rights(tenant, role)),
            inside: role.is_some() || guest,
            address,
            language: mailbox.language,
            muted: mailbox.muted.clone(),
            recent: 0,
            dropped: *dropped,
        })
    }
}

#[async_trait]
impl Mails for FakeStore {
    async fn find_mailbox(&self, user: Uuid) -> Result<Option<Mailbox>> {
        Ok(self.rows()?.mail.find(user).map(|(_, mailbox, _)| mailbox.clone()))
    }

    async fn set_pending_address(
        &self,
        user: Uuid,
        pending: &Pending,
        language: Language,
        mail: &NewMail,
    ) -> Result<()> {
        let mut rows = self.rows()?;
        let mailbox = rows.mail.begin(user, language)?;
        mailbox.pending = Some(pending.clone());
        if mailbox.muted.is_none() {
            mailbox.language = language;
        }
        rows.mail.drop_waiting(user, Some(mail.kind));
        rows.mail.add(mail);
        Ok(())
    }

    async fn find_verification(&self, digest: &Digest) -> Result<Option<(Uuid, Pending)>> {
        let rows = self.rows()?;
        let found = rows.mail.boxes.iter().filter_map(|(user, mailbox, _)| Some((*user, mailbox.pending.clone()?)));
        Ok(found.into_iter().find(|(_, pending)| pending.digest == *digest))
    }

    async fn verify_address(&self, user: Uuid, digest: &Digest, now: Timestamp, told: Option<&NewMail>) -> Result<()> {
        let mut rows = self.rows()?;
        let (_, mailbox, _) = rows.mail.find(user).ok_or_else(link_gone)?;
        let good = |pending: &Pending| pending.digest == *digest && pending.expires_at > now;
        let pending = mailbox.pending.take_if(|pending| good(pending)).ok_or_else(link_gone)?;
        mailbox.verified = Some((pending.address, now));
        rows.links.password_set(user);
        rows.mail.drop_waiting(user, None);
        told.into_iter().for_each(|mail| rows.mail.add(mail));
        Ok(())
    }

    async fn adopt_address(&self, user: Uuid, address: &str, now: Timestamp) -> Result<bool> {
        let mut rows = self.rows()?;
        if rows.mail.find(user).is_some() {
            return Ok(false);
        }
        rows.mail.begin(user, Language::default())?.verified = Some((address.to_owned(), now));
        Ok(true)
    }

    async fn remove_address(&self, user: Uuid, told: Option<&NewMail>) -> Result<()> {
        let mut rows = self.rows()?;
        let (_, mailbox, _) = rows.mail.find(user).ok_or_else(Error::not_found)?;
        if mailbox.verified.is_none() && mailbox.pending.is_none() {
            return Err(Error::not_found());
        }
        (mailbox.verified, mailbox.pending) = (None, None);
        rows.mail.drop_waiting(user, None);
        rows.links.password_set(user);
        told.into_iter().for_each(|mail| rows.mail.add(mail));
        Ok(())
    }

    async fn set_mail_choices(&self, user: Uuid, language: Language, muted: &[EventKind]) -> Result<()> {
        let mut rows = self.rows()?;
        let mailbox = rows.mail.begin(user, language)?;
        (mailbox.language, mailbox.muted) = (language, Some(muted.to_vec()));
        Ok(())
    }

    async fn add_mail(&self, mail: &NewMail) -> Result<()> {
        self.rows()?.mail.add(mail);
        Ok(())
    }

    async fn mail_receivers(
        &self,
        _: &Grant<PlatformRef>,
        tenant: Option<Uuid>,
        who: Option<&UserName>,
        since: Timestamp,
    ) -> Result<Vec<Receiver>> {
        let rows = self.rows()?;
        let mut all: Vec<Receiver> = rows.mail.boxes.iter().filter_map(|one| rows.receiver(one, tenant)).collect();
        all.retain(|one| one.role.is_some() || one.platform_role.is_some() || Some(&one.name) == who);
        for one in &mut all {
            let recent = |kept: &&Kept| kept.new.user == Some(one.id) && kept.new.created_at >= since;
            one.recent = i64::try_from(rows.mail.mails.iter().filter(recent).count()).unwrap();
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    async fn take_mails(&self, _: &Grant<PlatformRef>, now: Timestamp, until: Timestamp) -> Result<Vec<DueMail>> {
        let mut rows = self.rows()?;
        let due = rows.mail.mails.iter_mut().filter(|kept| kept.next_at.is_some_and(|at| at <= now));
        let taken = due.map(|kept| {
            kept.next_at = Some(until);
            let NewMail { id, user, address, sealed, created_at, until, .. } = kept.new.clone();
            DueMail { id, user, address, sealed, created_at, until, attempts: kept.attempts }
        });
        Ok(taken.collect())
    }

    async fn note_mail(&self, _: &Grant<PlatformRef>, tried: &TriedMail) -> Result<()> {
        let mut rows = self.rows()?;
        for kept in rows.mail.mails.iter_mut().filter(|kept| kept.new.id == tried.id && kept.next_at.is_some()) {
            kept.attempts += 1;
            kept.next_at = tried.again;
            (kept.tried_at, kept.trouble) = (Some(tried.at), tried.trouble.clone());
        }
        Ok(())
    }

    async fn count_mails(&self, _: &Grant<PlatformRef>) -> Result<MailCounts> {
        let rows = self.rows()?;
        let mut counts = MailCounts::default();
        for kept in &rows.mail.mails {
            match (kept.next_at, &kept.trouble) {
                (Some(_), _) => counts.waiting += 1,
                (None, Some(_)) => counts.failed += 1,
                (None, None) => {
                    counts.delivered += 1;
                    counts.last_delivered_at = counts.last_delivered_at.max(kept.tried_at);
                }
            }
        }
        let tried = rows.mail.mails.iter().filter_map(|kept| {
            Some(MailTrouble { at: kept.tried_at?, reason: kept.trouble.clone()?, again_at: kept.next_at })
        });
        counts.trouble = tried.max_by_key(|trouble| trouble.at);
        Ok(counts)
    }
}

/// Keeps what it is handed, or refuses it as it is told.
#[derive(Default)]
pub struct FakeMailer {
    got: Mutex<Vec<Letter>>,
    says: Mutex<Option<Unsent>>,
}

impl FakeMailer {
    /// What came in since the last time.
    pub fn take(&self) -> Vec<Letter> {
        std::mem::take(&mut *self.got.lock())
    }

    /// From now on takes nothing: for now, or for good.
    pub fn refuses(&self, reason: &str, for_good: bool) {
        *self.says.lock() = Some(Unsent { reason: reason.to_owned(), for_good });
    }

    /// From now on takes all.
    pub fn accepts(&self) {
        *self.says.lock() = None;
    }
}

#[async_trait]
impl Mailer for FakeMailer {
    fn from(&self) -> String {
        "Berth <berth@example.com>".to_owned()
    }

    fn server(&self) -> String {
        "mail.example.com:587".to_owned()
    }

    async fn send(&self, letter: &Letter) -> Result<(), Unsent> {
        match self.says.lock().clone() {
            Some(unsent) => Err(unsent),
            None => {
                self.got.lock().push(letter.clone());
                Ok(())
            }
        }
    }
}
