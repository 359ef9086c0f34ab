//! People, tenants and what they hold, as the API and the pages show them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    life::Halt,
    names::{ClusterId, NamespaceName, ProviderName, RobotName, TenantName, UserName},
    network::Egress,
    role::{PlatformRole, Right, TenantRole, words},
};

words!(
    /// What a token is good for, and for nothing else.
    TokenPurpose {
        /// The REST API.
        Api = "api",
        /// A cluster's own API, through Berth: it is part of a kubeconfig.
        Kubectl = "kubectl",
    }
);

macro_rules! dto {
    ($(#[$meta:meta])* pub struct $name:ident { $($body:tt)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
        #[serde(rename_all = "camelCase")]
        pub struct $name { $($body)* }
    };
}

dto! {
    /// A person with a local account.
    pub struct User {
        /// Never changes, never used again.
        pub id: Uuid,
        /// What they sign in as.
        pub name: UserName,
        /// What others see.
        pub display_name: String,
        /// Role on the platform, if any.
        pub platform_role: Option<PlatformRole>,
        /// May not sign in.
        pub disabled: bool,
        /// The password was given by somebody else and must be changed first.
        pub must_change_password: bool,
        /// They have a second factor: a code or a passkey is asked for besides the password.
        pub second_factor: bool,
        /// When the account was made.
        pub created_at: Timestamp,
    }
}

dto! {
    /// What is asked of a person besides the password.
    pub struct SecondFactors {
        /// Since when they have an authenticator app; absent without one.
        pub authenticator_since: Option<Timestamp>,
        /// How many recovery codes they have left.
        pub recovery_codes_left: i64,
        /// The platform requires a second factor of them.
        pub required: bool,
        /// Authenticator apps can be added here.
        pub available: bool,
        /// Passkeys, oldest first.
        pub passkeys: Vec<Passkey>,
        /// Passkeys can be added here.
        pub passkeys_available: bool,
    }
}

dto! {
    /// A key that a phone, a computer or a stick keeps for its owner, and that opens this portal alone.
    pub struct Passkey {
        /// Never changes.
        pub id: Uuid,
        /// What its owner calls it.
        pub name: String,
        /// When it was added.
        pub created_at: Timestamp,
        /// When it opened the account last.
        pub last_used_at: Option<Timestamp>,
    }
}

dto! {
    /// A signed-in browser.
    pub struct Session {
        /// For revoking; not the secret.
        pub id: Uuid,
        /// When it began.
        pub created_at: Timestamp,
        /// Last use, to within a minute.
        pub last_seen_at: Timestamp,
        /// When it ends at the latest.
        pub expires_at: Timestamp,
        /// What the browser called itself.
        pub user_agent: String,
        /// Network address at sign-in.
        pub network: String,
        /// The one that asks.
        pub current: bool,
    }
}

dto! {
    /// What a token may do. An absent limit means: all that its owner may.
    #[derive(Default)]
    pub struct TokenScope {
        /// Only reading.
        pub read_only: bool,
        /// Only this tenant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub tenant: Option<TenantName>,
        /// Only this namespace of the tenant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub namespace: Option<NamespaceName>,
        /// Only these actions of the role matrix (`app.update`), and what each of them needs; empty: all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub actions: Vec<Right>,
    }
}

dto! {
    /// A tenant's account for machines: a role and tokens, but no password, no sign-in and no pages.
    pub struct Robot {
        /// Never changes.
        pub id: Uuid,
        /// Its name within the tenant.
        pub name: RobotName,
        /// What it is called everywhere else: `robot:TENANT/NAME`.
        pub user: UserName,
        /// What it is for.
        pub description: String,
        /// What it may, in the tenant or in its namespace.
        pub role: TenantRole,
        /// The only namespace that it sees; absent: the whole tenant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub namespace: Option<NamespaceName>,
        /// Its tokens are not taken.
        pub disabled: bool,
        /// How many tokens it has that have not ended.
        pub tokens: i64,
        /// When one of them was used last, to within a minute.
        pub last_used_at: Option<Timestamp>,
        /// When it was made.
        pub created_at: Timestamp,
    }
}

dto! {
    /// An API token, without its secret.
    pub struct ApiToken {
        /// For revoking.
        pub id: Uuid,
        /// What it is for, in its owner's words.
        pub name: String,
        /// Its first characters, to tell tokens apart.
        pub prefix: String,
        /// What it is good for.
        pub purpose: TokenPurpose,
        /// What it may do.
        pub scope: TokenScope,
        /// When it was made.
        pub created_at: Timestamp,
        /// When it ends by itself.
        pub expires_at: Timestamp,
        /// Last use, to within a minute.
        pub last_used_at: Option<Timestamp>,
    }
}

dto! {
    /// A team or product line.
    pub struct Tenant {
        /// Never changes.
        pub id: Uuid,
        /// Stands in URLs and in the names of its namespaces.
        pub name: TenantName,
        /// What people call it.
        pub display_name: String,
        /// When it was made.
        pub created_at: Timestamp,
        /// Why nothing runs in it and nothing can be changed, where that is so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub halt: Option<Halt>,
        /// Counts changes, for `If-Match`.
        pub version: i64,
    }
}

dto! {
    /// A Kubernetes namespace that belongs to one tenant.
    pub struct Namespace {
        /// Never changes.
        pub id: Uuid,
        /// Its name within the tenant.
        pub name: NamespaceName,
        /// The tenant.
        pub tenant: TenantName,
        /// The cluster it is on.
        pub cluster: ClusterId,
        /// Its name in the cluster.
        pub kube_name: String,
        /// What its pods may reach outside of the tenant.
        pub egress: Egress,
        /// It is changed in Berth alone: `kubectl` only reads there.
        #[serde(default)]
        pub protected: bool,
        /// Why nothing runs in it and nothing can be changed, where that is so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub halt: Option<Halt>,
        /// When it was made.
        pub created_at: Timestamp,
        /// Counts changes, for `If-Match`.
        pub version: i64,
    }
}

dto! {
    /// A person's role in a tenant, or a robot's.
    pub struct Member {
        /// Who; a robot is `robot:TENANT/NAME`.
        pub user: UserName,
        /// What others see.
        pub display_name: String,
        /// The role.
        pub role: TenantRole,
        /// The identity provider by whose rule for a group they are a member; none: a person added them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub provider: Option<ProviderName>,
        /// Since when.
        pub created_at: Timestamp,
    }
}

dto! {
    /// A person's role in a namespace: what they have in the whole tenant, what they were given here, and which of them counts.
    pub struct NamespaceMember {
        /// Who.
        pub user: UserName,
        /// What others see.
        pub display_name: String,
        /// What counts here: the stronger of the two.
        pub role: TenantRole,
        /// Their role in the whole tenant; none: they see only what they were given a role in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub tenant_role: Option<TenantRole>,
        /// The role that they were given in this namespace alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub given: Option<TenantRole>,
        /// Since when they have what was given here, or else since when they belong to the tenant.
        pub created_at: Timestamp,
    }
}

dto! {
    /// Somebody who was given a role in a namespace, and has none in its tenant.
    pub struct Guest {
        /// Who; a robot is `robot:TENANT/NAME`.
        pub user: UserName,
        /// What others see.
        pub display_name: String,
        /// Where.
        pub namespace: NamespaceName,
        /// The role.
        pub role: TenantRole,
        /// Since when.
        pub created_at: Timestamp,
    }
}

dto! {
    /// A link that brings somebody in, once: into a tenant with a role, or onto the platform. Its secret was shown when it was made.
    pub struct Invitation {
        /// For revoking; not the secret.
        pub id: Uuid,
        /// Into this tenant; none: onto the platform alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub tenant: Option<TenantName>,
        /// With this role in the tenant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub role: Option<TenantRole>,
        /// Whom it is meant for, as who invites knows them; whoever has the link may use it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub email: Option<String>,
        /// Who invites. It counts only as long as they still may.
        pub invited_by: UserName,
        /// When it was made.
        pub created_at: Timestamp,
        /// When it ends by itself.
        pub expires_at: Timestamp,
    }
}

dto! {
    /// One entry of the audit log: a change, or a refused attempt.
    pub struct AuditEntry {
        /// Its number in the chain: 1, 2, 3, …, without gaps, in the order in which entries were written.
        pub id: i64,
        /// When.
        pub at: Timestamp,
        /// Who: a person's name, `robot:TENANT/NAME`, or `system:…`.
        pub actor: String,
        /// How they came in: `session`, `token:PREFIX`, `cli`; `view:NAME` where they look at the portal as NAME has it.
        pub via: String,
        /// What: `app.create`, `session.begin`, …
        pub action: String,
        /// To what: `tenant/namespace/app`.
        pub target: String,
        /// The tenant concerned, if any.
        pub tenant: Option<TenantName>,
        /// `done`, `denied`, `failed`, or `unknown`: it was begun, but the process ended before it could say how it went.
        pub outcome: String,
        /// Error code when it was not done.
        pub reason: Option<String>,
        /// What changed, as JSON; secrets are never part of it.
        #[cfg_attr(feature = "schema", schema(value_type = Option<Object>))]
        pub detail: Option<serde_json::Value>,
        /// Finds the request in the log.
        pub request_id: String,
        /// Network address.
        pub network: String,
        /// SHA-256 over the entry and the hash of the one before it, 64 hexadecimal digits; `docs/SECURITY.md` says of which bytes.
        pub hash: String,
    }
}
