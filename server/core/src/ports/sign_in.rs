//! Sign-in by identity providers: their rows ([`SignIns`]), and the protocol spoken with them ([`Protocol`]).

use async_trait::async_trait;
use berth_types::{
    ErrorCode, FieldError, ProviderName, TenantName, TenantRole,
    provider::{GroupRule, Identity, IdentityProvider},
};
use jiff::Timestamp;
use secrecy::SecretString;
use uuid::Uuid;

use super::store::{Account, Digest};
use crate::{
    authz::{Grant, PlatformRef, Rights},
    error::{Error, Result},
};

/// Whether a provider may be at such an address: nobody on the way reads or changes what is said. IPv6 addresses in brackets or
/// without.
#[must_use]
pub fn is_private(scheme: &str, host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    let loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    match scheme {
        "https" => !host.is_empty(),
        "http" => loopback,
        _ => false,
    }
}

/// A sign-in that was begun: what is kept until the browser comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Of the browser's secret.
    pub digest: Digest,
    /// By which provider.
    pub provider: Uuid,
    /// Whose account shall be connected; none for a sign-in.
    pub user: Option<Uuid>,
    /// A path of ours.
    pub return_to: String,
    /// Where it was begun.
    pub network: String,
    /// Worth nothing from then on.
    pub expires_at: Timestamp,
}

/// How many sign-ins may be under way: where there are more, those that end first make room. Strangers begin as many as they like, and
/// to refuse would let one of them keep the others out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Most {
    /// From one network; many people may share one.
    pub of_network: i64,
    /// To connect one account.
    pub of_user: i64,
    /// In all.
    pub overall: i64,
}

/// A rule to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGroupRule {
    /// Its id.
    pub id: Uuid,
    /// As the provider calls it.
    pub group: String,
    /// In this tenant.
    pub tenant: TenantName,
    /// This role.
    pub role: TenantRole,
    /// When.
    pub created_at: Timestamp,
}

/// What a person is in one tenant, and whose doing it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The tenant.
    pub tenant: Uuid,
    /// The role.
    pub role: TenantRole,
    /// The provider whose rule made it; none: a person did.
    pub provider: Option<Uuid>,
}

/// What must happen to somebody's memberships so that they are as a provider's rules want them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Memberships to make or to change.
    pub set: Vec<(Uuid, TenantRole)>,
    /// Tenants to leave.
    pub remove: Vec<Uuid>,
}

/// The changes after which somebody who stands so, and for whom `provider`'s rules `want` these roles, has what they want.
///
/// Of several roles in one tenant the strongest counts: one that gives all that the others do; where none does, the one that stands
/// first among roles. What a person gave by hand, or another provider's rule, stays as it is.
#[must_use]
pub fn changes(standing: &[Standing], provider: Uuid, want: &[(Uuid, TenantRole, Rights)]) -> Changes {
    let mut best: Vec<(Uuid, TenantRole, Rights)> = Vec::new();
    for (tenant, role, rights) in want {
        match best.iter_mut().find(|(known, ..)| known == tenant) {
            Some((_, have, held)) => {
                let (more, less) = (rights.covers(*held), held.covers(*rights));
                if (more && !less) || (more == less && role < have) {
                    (*have, *held) = (*role, *rights);
                }
            }
            None => best.push((*tenant, *role, *rights)),
        }
    }
    let wanted: Vec<(Uuid, TenantRole)> = best.into_iter().map(|(tenant, role, _)| (tenant, role)).collect();
    let standing_in = |tenant: Uuid| standing.iter().find(|standing| standing.tenant == tenant);
    let set = wanted.iter().copied().filter(|(tenant, role)| match standing_in(*tenant) {
        Some(standing) => standing.provider == Some(provider) && standing.role != *role,
        None => true,
    });
    let gone = |standing: &&Standing| {
        standing.provider == Some(provider) && !wanted.iter().any(|(tenant, _)| *tenant == standing.tenant)
    };
    Changes { set: set.collect(), remove: standing.iter().filter(gone).map(|standing| standing.tenant).collect() }
}

/// What became of somebody's memberships.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Roles that they have now and had not.
    pub set: Vec<(TenantName, TenantRole)>,
    /// Tenants that they left.
    pub removed: Vec<TenantName>,
}

/// Providers, whom they know, what their groups mean, and sign-ins under way.
#[async_trait]
pub trait SignIns: Send + Sync {
    /// All providers, by name; what the public may know of them is for the service to say.
    async fn list_providers(&self) -> Result<Vec<IdentityProvider>>;
    /// A new provider. `AlreadyExists` when the name, or another provider's issuer, is taken.
    async fn create_provider(&self, grant: &Grant<PlatformRef>, provider: &IdentityProvider) -> Result<()>;
    /// Sets all but name and time, if the version is still `provider.version`; the new version. `Conflict` otherwise.
    async fn update_provider(&self, grant: &Grant<PlatformRef>, provider: &IdentityProvider) -> Result<i64>;
    /// Removes a provider with its rules and the memberships that those made. `NotFound`.
    async fn delete_provider(&self, grant: &Grant<PlatformRef>, name: &ProviderName) -> Result<()>;

    /// The provider by which a session began, if one did that is still there.
    async fn session_provider(&self, session: Uuid) -> Result<Option<IdentityProvider>>;

    /// Keeps an attempt, and of all no more than `most`; those that are over at `now` go.
    async fn begin_attempt(&self, attempt: &Attempt, most: Most, now: Timestamp) -> Result<()>;
    /// Takes the attempt of a secret away, ended or not: of those who come with it at once, one gets it.
    async fn take_attempt(&self, digest: &Digest) -> Result<Option<Attempt>>;

    /// The identity of issuer and subject, and the account that it opens.
    async fn find_identity(&self, issuer: &str, subject: &str) -> Result<Option<(Identity, Account)>>;
    /// Connects an identity with an account. `AlreadyExists` when it is connected with one.
    async fn add_identity(&self, user: Uuid, identity: &Identity) -> Result<()>;
    /// A new account with its first identity, both or neither. `AlreadyExists` at `name`, or at `identity`.
    async fn create_user_with(&self, account: &Account, identity: &Identity) -> Result<()>;
    /// Notes a sign-in.
    async fn touch_identity(&self, id: Uuid, email: Option<&str>, now: Timestamp) -> Result<()>;
    /// A person's identities, oldest first.
    async fn list_identities(&self, user: Uuid) -> Result<Vec<Identity>>;
    /// Disconnects one of a person's identities. `NotFound` when it is not theirs; [`last_way_in`] when they have no other of a provider
    /// that is there and open, and `password_counts` not, or they have no password.
    async fn remove_identity(&self, user: Uuid, id: Uuid, password_counts: bool) -> Result<()>;

    /// A provider's rules, by group and tenant.
    async fn list_group_rules(&self, provider: Uuid) -> Result<Vec<GroupRule>>;
    /// A new rule. `AlreadyExists` at `group` when it has one for that tenant; `NotFound` when there is no such tenant.
    async fn create_group_rule(&self, grant: &Grant<PlatformRef>, provider: Uuid, rule: &NewGroupRule) -> Result<()>;
    /// Removes a rule of a provider. `NotFound`. What it made goes at the next sign-in of each.
    async fn delete_group_rule(&self, grant: &Grant<PlatformRef>, provider: Uuid, rule: Uuid) -> Result<()>;
    /// Makes somebody's memberships what the provider's rules say of these groups ([`changes`]).
    async fn apply_group_rules(&self, user: Uuid, provider: Uuid, groups: &[String], now: Timestamp)
    -> Result<Applied>;

    /// Whether passwords of local accounts are taken.
    async fn local_accounts(&self) -> Result<bool>;
    /// Says whether they are.
    async fn set_local_accounts(&self, grant: &Grant<PlatformRef>, allowed: bool) -> Result<()>;
}

/// Why somebody's only way in stays.
#[must_use]
pub fn last_way_in() -> Error {
    let message = "this is the only way into the account: connect another one or set a password first";
    Error::field(FieldError::new("identity", "last_way_in", message))
}

/// What the browser takes along to the provider. All of it is made of the browser's own secret.
#[derive(Clone)]
pub struct Challenge {
    /// Comes back in the answer's query.
    pub state: String,
    /// Comes back in the ID token.
    pub nonce: String,
    /// Proves that who redeems the code asked for it (PKCE); only its SHA-256 goes out before.
    pub verifier: SecretString,
    /// Where the provider sends the browser back to.
    pub redirect_uri: String,
}

/// What came back with the browser.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Must be the one that was sent.
    pub state: String,
    /// To be redeemed, once.
    pub code: Option<String>,
    /// Why there is none (RFC 6749 §4.1.2.1).
    pub error: Option<String>,
    /// Who answers (RFC 9207).
    pub issuer: Option<String>,
}

/// What a provider says of a person, checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// What it calls them; with the issuer, who they are.
    pub subject: String,
    /// What they would like to be called.
    pub preferred_username: Option<String>,
    /// Their name for others.
    pub name: Option<String>,
    /// Proves nothing: never looked up by.
    pub email: Option<String>,
    /// Whether the provider says that it looked: then mail may go there.
    pub email_verified: bool,
    /// As the claim lists them.
    pub groups: Vec<String>,
}

/// The protocol spoken with providers.
#[async_trait]
pub trait Protocol: Send + Sync {
    /// Whether all that Berth needs of the provider is there: its description, its keys, its secret.
    ///
    /// # Errors
    /// `Invalid` at `issuer`, `secret` or `algorithms`.
    async fn probe(&self, provider: &IdentityProvider) -> Result<()>;
    /// Where the browser is sent to.
    ///
    /// # Errors
    /// [`refusal`].
    async fn address(&self, provider: &IdentityProvider, challenge: &Challenge) -> Result<String>;
    /// Redeems the code of an answer whose state was checked, and checks what comes of it.
    ///
    /// # Errors
    /// [`refusal`].
    async fn redeem(&self, provider: &IdentityProvider, challenge: &Challenge, answer: &Answer) -> Result<Claims>;
    /// Where the browser ends its session at the provider and is sent back to `back` (OpenID Connect RP-Initiated Logout); none where
    /// the provider offers no such thing, or does not answer: who signs out here is signed out.
    async fn sign_out_address(&self, provider: &IdentityProvider, back: &str) -> Option<String>;
}

/// Why nobody was signed in. Each is a translation key of a field's error, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There is no such provider, or it is switched off.
    Unknown,
    /// The answer fits no attempt of this browser: begun elsewhere, used already, or never begun.
    State,
    /// It took more than ten minutes.
    Expired,
    /// The person or the provider said no.
    Denied,
    /// The provider's answer does not hold.
    Answer,
    /// The provider does not answer, or not as it should.
    Away,
    /// In none of the groups that are let in.
    Group,
    /// The account is suspended.
    Suspended,
    /// The identity opens another account.
    Taken,
    /// Passwords are not taken any more.
    Local,
    /// No code is waited for in this browser any more: five minutes are over, or five tries were wrong.
    Step,
    /// The password was changed, or the account suspended, between the question and the answer.
    Changed,
    /// The password that is asked for before an account gets another way in is not theirs.
    Password,
}

impl Refused {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Unknown,
        Self::State,
        Self::Expired,
        Self::Denied,
        Self::Answer,
        Self::Away,
        Self::Group,
        Self::Suspended,
        Self::Taken,
        Self::Local,
        Self::Step,
        Self::Changed,
        Self::Password,
    ];

    /// The translation key.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Unknown => "sign_in_unknown",
            Self::State => "sign_in_state",
            Self::Expired => "sign_in_expired",
            Self::Denied => "sign_in_denied",
            Self::Answer => "sign_in_answer",
            Self::Away => "sign_in_away",
            Self::Group => "sign_in_group",
            Self::Suspended => "sign_in_suspended",
            Self::Taken => "sign_in_taken",
            Self::Local => "sign_in_local",
            Self::Step => "sign_in_step",
            Self::Changed => "sign_in_changed",
            Self::Password => "sign_in_password",
        }
    }

    /// In English.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Unknown => "there is no such way to sign in any more",
            Self::State => "this answer belongs to no sign-in of this browser; begin again",
            Self::Expired => "the sign-in took more than ten minutes; begin again",
            Self::Denied => "the provider did not let you in",
            Self::Answer => "the provider's answer does not hold; nothing was done",
            Self::Away => "the provider does not answer as it should; try again, or tell a platform admin",
            Self::Group => "you are in none of the groups that may come in; ask a platform admin",
            Self::Suspended => "this account is suspended; ask a platform admin",
            Self::Taken => "this identity opens another account",
            Self::Local => "passwords are not taken here; sign in by a provider",
            Self::Step => "this took more than five minutes, or five codes were wrong; begin again",
            Self::Changed => "the account was changed while you signed in; begin again",
            Self::Password => "that was not your password; nothing was connected",
        }
    }

    /// The one whose translation key this is.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|refused| refused.code() == code)
    }
}

/// Nobody is signed in. What the log shall know is for `caused_by`.
#[must_use]
pub fn refusal(why: Refused) -> Error {
    let message = why.message();
    Error::new(ErrorCode::Unauthenticated, message).with_fields(vec![FieldError::new("provider", why.code(), message)])
}

/// For a portal that speaks with no provider, such as the command line.
pub struct NoProtocol;

#[async_trait]
impl Protocol for NoProtocol {
    async fn probe(&self, _: &IdentityProvider) -> Result<()> {
        Err(refusal(Refused::Away))
    }
    async fn address(&self, _: &IdentityProvider, _: &Challenge) -> Result<String> {
        Err(refusal(Refused::Away))
    }
    async fn redeem(&self, _: &IdentityProvider, _: &Challenge, _: &Answer) -> Result<Claims> {
        Err(refusal(Refused::Away))
    }
    async fn sign_out_address(&self, _: &IdentityProvider, _: &str) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use TenantRole::{Admin, Developer, Owner, Viewer};

    use super::*;

    type Roles<'a> = &'a [(Uuid, TenantRole)];
    /// Name, what they are, what the rules want; what is set and what is left.
    type Case<'a> = (&'a str, &'a [Standing], Roles<'a>, Roles<'a>, &'a [Uuid]);

    #[test]
    fn memberships_by_rule() {
        let [ours, other] = [1, 2].map(Uuid::from_u128);
        let [a, b] = [10, 20].map(Uuid::from_u128);
        let by = |tenant, role, provider| Standing { tenant, role, provider };
        let own = |name| TenantRole::from_word(name).unwrap();
        let given = |role: TenantRole| match role.as_str() {
            "deployer" => Rights::from_words("app.update"),
            "releaser" => Rights::from_words("app.update log.read"),
            "watcher" => Rights::from_words("exec.create"),
            _ => Rights::from(Some(role)),
        };
        let cases: &[Case<'_>] = &[
            ("nothing", &[], &[], &[], &[]),
            ("a new one", &[], &[(a, Viewer)], &[(a, Viewer)], &[]),
            ("the strongest of several", &[], &[(a, Viewer), (a, Admin), (a, Developer)], &[(a, Admin)], &[]),
            ("a tenant's own", &[], &[(a, own("releaser"))], &[(a, own("releaser"))], &[]),
            ("the one that has all", &[], &[(a, own("deployer")), (a, own("releaser"))], &[(a, own("releaser"))], &[]),
            ("neither has all", &[], &[(a, own("watcher")), (a, own("deployer"))], &[(a, own("deployer"))], &[]),
            ("more than its own", &[], &[(a, own("releaser")), (a, Developer)], &[(a, Developer)], &[]),
            ("as it is", &[by(a, Viewer, Some(ours))], &[(a, Viewer)], &[], &[]),
            ("stronger now", &[by(a, Viewer, Some(ours))], &[(a, Admin)], &[(a, Admin)], &[]),
            ("weaker now", &[by(a, Admin, Some(ours))], &[(a, Viewer)], &[(a, Viewer)], &[]),
            ("the group is gone", &[by(a, Viewer, Some(ours)), by(b, Viewer, Some(ours))], &[(b, Viewer)], &[], &[a]),
            ("by hand", &[by(a, Owner, None)], &[(a, Viewer)], &[], &[]),
            ("by hand, no group", &[by(a, Viewer, None)], &[], &[], &[]),
            ("another provider's", &[by(a, Viewer, Some(other))], &[(a, Admin)], &[], &[]),
            ("another provider's, no group", &[by(a, Viewer, Some(other))], &[], &[], &[]),
        ];
        for (name, standing, want, set, remove) in cases {
            let want: Vec<_> = want.iter().map(|(tenant, role)| (*tenant, *role, given(*role))).collect();
            let got = changes(standing, ours, &want);
            assert_eq!((got.set.as_slice(), got.remove.as_slice()), (*set, *remove), "{name}");
        }
    }

    #[test]
    fn every_refusal_has_a_code_of_its_own() {
        for refused in Refused::ALL {
            assert_eq!(Refused::from_code(refused.code()), Some(refused));
        }
        assert_eq!(Refused::from_code("sign_in"), None);
    }
}
