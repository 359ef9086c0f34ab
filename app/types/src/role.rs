//! Who may do what: the words of the role matrix. The matrix itself stands in `berth-core::authz::matrix`.

use serde::{Deserialize, Serialize};

use crate::custom_role::RoleName;

macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
        #[serde(rename_all = "kebab-case")]
        pub enum $type { $($(#[$vdoc])* $variant),+ }

        impl $type {
            /// All of them, in the order of the matrix.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word used in the API, the database and the translations.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The one called `text`, if any.
            #[must_use]
            pub fn from_word(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use words;

words!(
    /// A role on the whole platform.
    PlatformRole {
        /// Keeps tenants, quotas, catalogue and people.
        Admin = "admin",
        /// Sees everything, changes nothing.
        Auditor = "auditor",
    }
);

/// A role in one tenant or namespace. Stronger ones come first; what one of a tenant's own gives, the tenant says, and it stands
/// where lists show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TenantRole {
    /// Everything, including giving the tenant away or up.
    Owner,
    /// Members, namespaces and quota split.
    Admin,
    /// Apps: deploy, change, terminal.
    Developer,
    /// One that the tenant made of the matrix's actions.
    Custom(RoleName),
    /// Looks, reads logs.
    Viewer,
}

impl TenantRole {
    /// Those that every tenant has.
    pub const ALL: &'static [Self] = &[Self::Owner, Self::Admin, Self::Developer, Self::Viewer];

    /// The word used in the API, the database and the translations.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Developer => "developer",
            Self::Viewer => "viewer",
            Self::Custom(name) => name.as_str(),
        }
    }

    /// The one called `text`: one that every tenant has, or one that a tenant may have, if such a name can be.
    #[must_use]
    pub fn from_word(text: &str) -> Option<Self> {
        let built_in = Self::ALL.iter().copied().find(|role| role.as_str() == text);
        built_in.or_else(|| text.parse().ok().map(Self::Custom))
    }

    /// Where it stands among roles, the strongest first.
    #[must_use]
    pub fn place(self) -> i64 {
        match self {
            Self::Owner => 0,
            Self::Admin => 1,
            Self::Developer => 2,
            Self::Custom(_) => 3,
            Self::Viewer => 4,
        }
    }

    /// Whether it is one of a tenant's own.
    #[must_use]
    pub fn is_custom(self) -> bool {
        matches!(self, Self::Custom(_))
    }
}

impl std::fmt::Display for TenantRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for TenantRole {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for TenantRole {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let no_role =
            || serde::de::Error::custom("owner, admin, developer, viewer, or the name of a role of the tenant's own");
        Self::from_word(&text).ok_or_else(no_role)
    }
}

#[cfg(feature = "schema")]
impl utoipa::PartialSchema for TenantRole {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("`owner`, `admin`, `developer`, `viewer`, or one of the tenant's own roles by its name."))
            .pattern(Some("^[a-z]([-a-z0-9]*[a-z0-9])?$"))
            .max_length(Some(RoleName::MAX))
            .into()
    }
}

#[cfg(feature = "schema")]
impl utoipa::ToSchema for TenantRole {}

words!(
    /// What an action is done to. A new one without a row in the matrix fails the build.
    Resource {
        /// The platform itself: settings, its room.
        Platform = "platform",
        /// A cluster: that it is registered, what it takes.
        Cluster = "cluster",
        /// A machine of a cluster, and what runs on it.
        Node = "node",
        /// People and their platform roles.
        User = "user",
        /// A platform admin's look at the portal as a person has it. Looked at is the list of these.
        View = "view",
        /// A banner on everybody's pages.
        Banner = "banner",
        /// A provider by which people sign in, what its groups mean, and whether passwords are taken.
        SignIn = "sign-in",
        /// The platform's audit log.
        Audit = "audit",
        /// A tenant.
        Tenant = "tenant",
        /// That a tenant is put to rest by the platform.
        Suspension = "suspension",
        /// A person's role in a tenant.
        Membership = "membership",
        /// A role that a tenant makes for itself.
        Role = "role",
        /// A link that brings somebody into a tenant.
        Invitation = "invitation",
        /// A tenant's account for machines, with its tokens.
        Robot = "robot",
        /// A person's request for a role.
        Access = "access",
        /// An address that is told what happens: a tenant's, or the platform's.
        Webhook = "webhook",
        /// A namespace of a tenant.
        Namespace = "namespace",
        /// That a namespace which a cluster has already becomes a tenant's.
        Adoption = "adoption",
        /// A named quota that tenants may be given.
        Plan = "plan",
        /// What a tenant may have on a cluster.
        Quota = "quota",
        /// What a namespace has of its tenant's quota.
        Share = "share",
        /// What a namespace's pods may reach, and who reaches them.
        Network = "network",
        /// A tenant's request for another quota.
        Request = "request",
        /// An app and its revisions.
        App = "app",
        /// Pods, events and what else the cluster makes of an app.
        Workload = "workload",
        /// What containers print.
        Log = "log",
        /// A shell in a container.
        Exec = "exec",
    }
);

words!(
    /// What is done. Listing is reading; an action that is no plain create, read, update or delete counts as update.
    Action {
        /// See it and list it.
        Read = "read",
        /// Make a new one.
        Create = "create",
        /// Change it.
        Update = "update",
        /// Remove it.
        Delete = "delete",
    }
);

/// One action on one resource: a row of the matrix, written `app.update`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Right {
    /// What it is done to.
    pub resource: Resource,
    /// What is done.
    pub action: Action,
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.resource, self.action)
    }
}

/// A text that is no [`Right`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is no action; one is called like app.update, and GET /api/v1/actions lists them")]
pub struct NoRight(pub String);

impl std::str::FromStr for Right {
    type Err = NoRight;

    fn from_str(text: &str) -> Result<Self, NoRight> {
        text.split_once('.')
            .and_then(|(resource, action)| {
                Some(Self { resource: Resource::from_word(resource)?, action: Action::from_word(action)? })
            })
            .ok_or_else(|| NoRight(text.chars().take(60).collect()))
    }
}

impl Serialize for Right {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Right {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl utoipa::PartialSchema for Right {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .pattern(Some("^[a-z-]+\\.(read|create|update|delete)$"))
            .into()
    }
}

#[cfg(feature = "schema")]
impl utoipa::ToSchema for Right {}

impl TenantRole {
    /// The roles that may be given in one namespace. It has no owner: it is its tenant's.
    pub const IN_NAMESPACE: &'static [Self] = &[Self::Admin, Self::Developer, Self::Viewer];

    /// The one of two roles that counts: what somebody may in a namespace is what the stronger of the tenant's role and the
    /// namespace's own gives.
    #[must_use]
    pub fn strongest(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        // Stronger roles come first.
        one.into_iter().chain(other).min()
    }
}

#[cfg(test)]
mod tests {
    use super::TenantRole::{self, Admin, Developer, Owner, Viewer};

    #[test]
    fn the_strongest_counts() {
        for (tenant, here, want) in [
            (None, None, None),
            (Some(Viewer), None, Some(Viewer)),
            (None, Some(Developer), Some(Developer)),
            (Some(Viewer), Some(Developer), Some(Developer)),
            (Some(Viewer), Some(Admin), Some(Admin)),
            (Some(Developer), Some(Viewer), Some(Developer)),
            (Some(Admin), Some(Admin), Some(Admin)),
            (Some(Owner), Some(Admin), Some(Owner)),
        ] {
            assert_eq!(TenantRole::strongest(tenant, here), want, "{tenant:?} {here:?}");
            assert_eq!(TenantRole::strongest(here, tenant), want, "{here:?} {tenant:?}");
        }
    }

    #[test]
    fn a_role_of_the_tenant_s_own_is_a_word_as_the_others() {
        for role in TenantRole::ALL {
            assert_eq!(TenantRole::from_word(role.as_str()), Some(*role));
            assert!(!role.is_custom());
        }
        let own = TenantRole::from_word("releaser").unwrap_or(Viewer);
        assert!(own.is_custom() && own.as_str() == "releaser");
        assert_eq!(serde_json::to_value(own).ok(), Some("releaser".into()));
        assert_eq!(serde_json::from_value::<TenantRole>("releaser".into()).ok(), Some(own));
        for wrong in ["", "Owner", "a b", "member", "new", "-x", &"x".repeat(31)] {
            assert_eq!(TenantRole::from_word(wrong), None, "{wrong}");
        }
        let mut sorted = [Viewer, own, Owner, Developer];
        sorted.sort();
        assert_eq!(sorted, [Owner, Developer, own, Viewer]);
    }

    #[test]
    fn rights_are_written_with_a_dot() {
        for resource in super::Resource::ALL {
            for action in super::Action::ALL {
                let right = super::Right { resource: *resource, action: *action };
                assert_eq!(right.to_string().parse(), Ok(right));
            }
        }
        for wrong in ["", "app", "app.", "apps.update", "app.deploy", "app.update.read", "APP.update"] {
            assert!(wrong.parse::<super::Right>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_namespace_has_no_owner() {
        let all: Vec<TenantRole> = TenantRole::ALL.iter().copied().filter(|role| *role != Owner).collect();
        assert_eq!(TenantRole::IN_NAMESPACE, all);
    }
}
