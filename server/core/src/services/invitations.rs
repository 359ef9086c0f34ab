//! Invitations: a link brings somebody into a tenant with a role, or onto the platform, once.
//!
//! The link's secret is 256 random bits, shown once; the database knows its digest. Looking at a link uses nothing up, so that what
//! reads links on the way (mail scanners, previews) does no harm.

use std::time::Duration;

use berth_types::{
    Action, FieldError, Resource, TenantName, TenantRole, UserName,
    custom_role::CustomRole,
    people::{Invitation, User},
};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use uuid::Uuid;

use super::{
    Done, Services,
    identity::{SignedIn, after, check_password, digest, new_id, new_secret},
    mail::mail_off,
    namespace_members::{check_gift, giver},
    people::{label, name},
    roles::{held_rights, known_rights},
    tries::FREE_NETWORK_FAILURES,
};
use crate::{
    authz::{Grant, PlatformRef, TenantRef},
    ctx::OpCtx,
    error::{Error, Result},
    links::{Void, may_invite},
    mail::{
        address::{typed, veiled},
        text,
    },
    ports::{
        links::{FoundInvitation, Joiner, NewInvitation, Within},
        mail::NewMail,
        pages::Language,
        sign_in::{Refused, refusal},
        store::Account,
    },
    roles::rises,
};

/// How many days an invitation lives when nothing is said, and at most.
pub const DAYS: (u32, u32) = (7, 30);

/// An invitation to be made.
#[derive(Debug, Clone, Default)]
pub struct Invite {
    /// The role in the tenant; none onto the platform alone.
    pub role: Option<TenantRole>,
    /// Whom it is meant for; may be empty.
    pub email: String,
    /// How long it lives.
    pub days: Option<u32>,
    /// The link goes there by mail, too, in this language.
    pub send: Option<Language>,
}

/// What an invitation is for, as whoever has its link may know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invited {
    /// The tenant, and what it is called.
    pub tenant: Option<(TenantName, String)>,
    /// With this role.
    pub role: Option<TenantRole>,
    /// Who invites.
    pub by: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// An account to be made with an invitation.
pub struct SignUp {
    /// What they sign in as.
    pub name: String,
    /// What others see; the name when empty.
    pub display_name: String,
    /// Their password.
    pub password: SecretString,
}

/// The place that invitations, or webhooks, are for, granted.
#[expect(clippy::large_enum_variant, reason = "one at a time, for as long as an answer takes")]
pub(super) enum Granted {
    Tenant(Grant<TenantRef>),
    Platform(Grant<PlatformRef>),
}

impl Granted {
    pub(super) fn within(&self) -> Within<'_> {
        match self {
            Self::Tenant(tenant) => Within::Tenant(tenant),
            Self::Platform(platform) => Within::Platform(platform),
        }
    }
}

fn no_address() -> FieldError {
    FieldError::new("email", "invite_address", "say where the link shall be sent")
}

fn days(given: Option<u32>) -> Result<Duration> {
    let (usual, most) = DAYS;
    match given.unwrap_or(usual) {
        days if (1..=most).contains(&days) => Ok(Duration::from_hours(u64::from(days) * 24)),
        _ => {
            let error = FieldError::new("days", "number_range", format!("1 to {most} days"));
            Err(Error::field(error.param("min", 1).param("max", most)))
        }
    }
}

/// All that is right, or all that is wrong with it.
macro_rules! all {
    ($($name:ident = $value:expr),+ $(,)?) => {
        $(let $name = $value;)+
        let mut wrong = Vec::new();
        $(if let Err(e) = &$name { wrong.extend(e.fields().iter().cloned()); })+
        if !wrong.is_empty() {
            return Err(Error::invalid(wrong));
        }
        $(let $name = $name?;)+
    };
}

/// The audit log's name for an invitation.
fn target(found: Option<&FoundInvitation>) -> String {
    found.map_or_else(|| "invitation".to_owned(), |found| format!("invitation:{}", found.invitation.id))
}

/// The invitation, if it counts at `now`.
fn open(found: Option<FoundInvitation>, now: Timestamp) -> Result<FoundInvitation> {
    let found = found.ok_or_else(|| Void::Unknown.error())?;
    if let Some(void) = found.fate.void(now) {
        return Err(void.error());
    }
    if !may_invite(&found.inviter.user, found.inviter_role, found.invitation.role) {
        return Err(Void::Inviter.error());
    }
    if found.tenant.as_ref().is_some_and(|tenant| tenant.halt.is_some()) {
        return Err(Void::Halted.error());
    }
    Ok(found)
}

impl Services {
    /// What the asking person must be for invitations of `tenant`, or of the platform.
    async fn inviting(&self, ctx: &OpCtx, tenant: Option<&TenantName>, action: Action) -> Result<Granted> {
        Ok(match tenant {
            Some(tenant) => Granted::Tenant(self.authz.tenant(ctx, tenant, Resource::Invitation, action).await?),
            None => {
                // People are the platform's: who may make some may invite some.
                Granted::Platform(self.authz.platform(ctx, Resource::User, action)?)
            }
        })
    }

    /// Makes an invitation into `tenant`, or onto the platform; its secret comes back once.
    ///
    /// # Errors
    /// `Invalid` at `role`, `email`, `days`; forbidden, for an owner's role to all but owners; `NotFound`.
    pub async fn invite(
        &self,
        ctx: &OpCtx,
        tenant: Option<&TenantName>,
        invite: &Invite,
    ) -> Result<(Invitation, SecretString)> {
        let work = async {
            let granted = self.inviting(ctx, tenant, Action::Create).await?;
            let role = match (&granted, invite.role) {
                (Granted::Tenant(_), None) => {
                    let choices = TenantRole::ALL.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                    let error = FieldError::new("role", "one_of", format!("one of {choices}"));
                    Err(Error::field(error.param("choices", choices)))
                }
                (Granted::Tenant(grant), Some(role)) => {
                    self.check_owner_change(ctx, grant, None, Some(role))?;
                    let own = self.store.list_roles(grant).await?;
                    match known_rights(&own, role) {
                        Ok(rights) => check_gift(giver(ctx, grant.rights), None, Some(rights)).map(|()| Some(role)),
                        Err(e) => Err(e),
                    }
                }
                (Granted::Platform(_), None) => Ok(None),
                (Granted::Platform(_), Some(_)) => {
                    let message = "an invitation onto the platform has no role; invite into a tenant for one";
                    Err(Error::field(FieldError::new("role", "role_without_tenant", message)))
                }
            };
            all! { role = role, email = typed(&invite.email), lives = days(invite.days) }
            let person = self.authz.person(ctx)?;
            let now = ctx.now();
            let secret = new_secret(&*self.random)?;
            let expires_at = after(now, lives);
            let mail = match (invite.send, &email) {
                (None, _) => None,
                (Some(_), None) => return Err(Error::field(no_address())),
                (Some(language), Some(email)) => {
                    let link = (&SecretString::from(secret.as_str()), expires_at);
                    Some(self.invitation_mail(ctx, tenant, email, link, language).await?)
                }
            };
            let sent = mail.is_some();
            let new = NewInvitation {
                id: new_id(now, &*self.random)?,
                digest: digest(&secret),
                role,
                email: email.clone(),
                invited_by: person.id,
                created_at: now,
                expires_at,
                mail,
            };
            self.store.create_invitation(granted.within(), &new).await?;
            let invitation = Invitation {
                id: new.id,
                tenant: tenant.cloned(),
                role,
                email,
                invited_by: person.name.clone(),
                created_at: now,
                expires_at: new.expires_at,
            };
            let detail = json!({
                "invitation": new.id, "role": role, "email": invitation.email.as_deref().map(veiled),
                "expiresAt": invitation.expires_at, "sent": sent,
            });
            Ok(Done::with((invitation, secret.into()), detail))
        };
        let target = tenant.map_or_else(|| "platform".to_owned(), ToString::to_string);
        self.audited(ctx, "invitation.create", target, tenant, work).await
    }

    /// The mail that carries an invitation. Who sends many, or many to one address, is slowed down.
    async fn invitation_mail(
        &self,
        ctx: &OpCtx,
        tenant: Option<&TenantName>,
        email: &str,
        link: (&SecretString, Timestamp),
        language: Language,
    ) -> Result<NewMail> {
        let person = self.authz.person(ctx)?;
        let way = self.mail_way().ok_or_else(mail_off)?;
        let key = format!("mail-invite:{}", person.id);
        self.links_to(ctx.now(), email, (&key, FREE_NETWORK_FAILURES)).await?;
        let tenant = tenant.map(TenantName::as_str);
        let text = text::invitation(language, way.site, (person.name.as_str(), tenant), link);
        self.mail(&way, (None, "invitation", email), &text, (ctx.now(), link.1))
    }

    /// The open invitations into `tenant`, or onto the platform, newest first.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`, forbidden.
    pub async fn list_invitations(&self, ctx: &OpCtx, tenant: Option<&TenantName>) -> Result<Vec<Invitation>> {
        let granted = self.inviting(ctx, tenant, Action::Read).await?;
        self.store.list_invitations(granted.within(), ctx.now()).await
    }

    /// Takes an invitation back.
    ///
    /// # Errors
    /// `NotFound` when it is not open, or not there; forbidden.
    pub async fn revoke_invitation(&self, ctx: &OpCtx, tenant: Option<&TenantName>, id: Uuid) -> Result<()> {
        let work = async {
            let granted = self.inviting(ctx, tenant, Action::Delete).await?;
            self.store.revoke_invitation(granted.within(), id, ctx.now()).await?;
            Ok(Done::plain(()))
        };
        self.audited(ctx, "invitation.revoke", format!("invitation:{id}"), tenant, work).await
    }

    /// What an invitation is for. Uses nothing up.
    ///
    /// # Errors
    /// A [`Void`].
    pub async fn look_at_invitation(&self, ctx: &OpCtx, secret: &SecretString) -> Result<Invited> {
        let found = self.store.find_invitation(&digest(secret.expose_secret())).await?;
        let found = open(found, ctx.now())?;
        Ok(Invited {
            tenant: found.tenant.map(|tenant| (tenant.name, tenant.display_name)),
            role: found.invitation.role,
            by: found.inviter.user.display_name,
            expires_at: found.invitation.expires_at,
        })
    }

    /// Brings the asking person into the tenant of an invitation; which one that is.
    ///
    /// # Errors
    /// A [`Void`], which is in the audit log; unauthenticated; forbidden for tokens.
    pub async fn join(&self, ctx: &OpCtx, secret: &SecretString) -> Result<TenantName> {
        let digest = digest(secret.expose_secret());
        let found = self.store.find_invitation(&digest).await?;
        let (target, tenant) = (target(found.as_ref()), found.as_ref().and_then(|f| f.invitation.tenant.clone()));
        let work = async {
            let person = self.own_account(ctx)?;
            let found = open(found, ctx.now())?;
            let (Some(tenant), Some(role)) = (found.invitation.tenant, found.invitation.role) else {
                return Err(Void::Account.error());
            };
            let have = self.store.find_tenant_access(person.id, &tenant).await?.and_then(|access| access.role);
            // Who is not in it yet is told nothing of the tenant: Berth itself looks what the roles give.
            let system = OpCtx::system(self.clock.clone(), "invitation");
            let all = self.store.list_all_roles(&self.authz.platform(&system, Resource::Role, Action::Read)?).await?;
            let own: Vec<CustomRole> = all.into_iter().filter(|(of, _)| *of == tenant).map(|(_, role)| role).collect();
            if !rises(have.map(|have| held_rights(&own, have)), held_rights(&own, role)) {
                return Err(Void::Member.error());
            }
            self.store.accept_invitation(&digest, Joiner::Person(person.id), ctx.now()).await?;
            let detail = json!({ "before": have, "after": role, "invitedBy": found.invitation.invited_by });
            Ok(Done::with(tenant, detail))
        };
        self.audited(ctx, "invitation.accept", target, tenant.as_ref(), work).await
    }

    /// Makes a local account with an invitation, and signs it in; the tenant it is a member of now.
    ///
    /// # Errors
    /// A [`Void`], which is in the audit log; `Invalid` at `name`, `displayName`, `password`; `AlreadyExists` at `name`; a refusal
    /// where passwords are not taken.
    pub async fn sign_up(
        &self,
        ctx: &OpCtx,
        secret: &SecretString,
        new: &SignUp,
        user_agent: &str,
    ) -> Result<(SignedIn, Option<TenantName>)> {
        let digest = digest(secret.expose_secret());
        let found = self.store.find_invitation(&digest).await?;
        let (target, tenant) = (target(found.as_ref()), found.as_ref().and_then(|f| f.invitation.tenant.clone()));
        let work = async {
            let found = open(found, ctx.now())?;
            if !self.store.local_accounts().await? {
                return Err(refusal(Refused::Local));
            }
            let shown = if new.display_name.trim().is_empty() { new.name.trim() } else { &new.display_name };
            all! {
                name = name::<UserName>("name", &new.name, UserName::MAX),
                display_name = label("displayName", shown),
                fits = check_password("password", new.password.expose_secret(), new.name.trim()),
            }
            let () = fits;
            let now = ctx.now();
            let user = User {
                id: new_id(now, &*self.random)?,
                name,
                display_name,
                platform_role: None,
                disabled: false,
                must_change_password: false,
                second_factor: false,
                created_at: now,
            };
            let hash = self.passwords.hash(&new.password, &*self.random).await?;
            let account = Account { user, password_hash: Some(hash) };
            self.store.accept_invitation(&digest, Joiner::New(&account), now).await?;
            let signed_in = self.begin_session(ctx, &account, user_agent, None).await?;
            let detail = json!({
                "created": true, "role": found.invitation.role, "invitedBy": found.invitation.invited_by,
            });
            Ok(Done::with((signed_in, found.invitation.tenant), detail).by(account.user.name))
        };
        self.audited(ctx, "invitation.accept", target, tenant.as_ref(), work).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lives() {
        for (given, want) in
            [(None, Some(7)), (Some(1), Some(1)), (Some(30), Some(30)), (Some(0), None), (Some(31), None)]
        {
            assert_eq!(days(given).ok(), want.map(|days: u64| Duration::from_hours(days * 24)), "{given:?}");
        }
    }
}
