//! Roles that a tenant makes for itself, of the role matrix's actions.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    names::{NameError, NamespaceName, check_label},
    role::{Right, TenantRole, words},
};

/// Names that would be taken for something else.
const RESERVED: [&str; 11] =
    ["new", "owner", "admin", "developer", "viewer", "auditor", "member", "guest", "none", "platform", "system"];

/// The name of a role within its tenant. Small, so that roles are copied as words are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleName([u8; Self::MAX]);

impl RoleName {
    /// Most characters that are allowed.
    pub const MAX: usize = 30;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(Self::MAX);
        // Only letters, digits and hyphens ever get in.
        self.0.get(..end).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

impl FromStr for RoleName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check_label(text, Self::MAX)?;
        if RESERVED.contains(&text) {
            return Err(NameError::Reserved(text.to_owned()));
        }
        let mut bytes = [0; Self::MAX];
        for (place, byte) in bytes.iter_mut().zip(text.bytes()) {
            *place = byte;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl Serialize for RoleName {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for RoleName {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl utoipa::PartialSchema for RoleName {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .pattern(Some("^[a-z]([-a-z0-9]*[a-z0-9])?$"))
            .max_length(Some(Self::MAX))
            .into()
    }
}

#[cfg(feature = "schema")]
impl utoipa::ToSchema for RoleName {}

/// A role that a tenant made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CustomRole {
    /// Its name, by which it is given. It never changes.
    pub name: RoleName,
    /// What people call it.
    pub display_name: String,
    /// What it is for.
    pub description: String,
    /// The actions that were chosen.
    pub actions: Vec<Right>,
    /// Roles all of whose actions it has, too: `viewer`, `developer`, or others of the tenant's own.
    pub includes: Vec<TenantRole>,
    /// All that it gives: what was chosen, what the roles give that it includes, and what each of these makes no sense without.
    pub rights: Vec<Right>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Counts changes, for `If-Match`.
    pub version: i64,
}

words!(
    /// In which way somebody has a role, or may come to have it.
    Holding {
        /// In the whole tenant.
        Member = "member",
        /// In one namespace.
        NamespaceMember = "namespace-member",
        /// An open invitation gives it.
        Invitation = "invitation",
        /// A rule for a group of an identity provider gives it.
        GroupRule = "group-rule",
        /// Somebody asks for it.
        AccessRequest = "access-request",
        /// Another role of the tenant's includes it.
        Role = "role",
    }
);

/// Who has a role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RoleHolder {
    /// In which way.
    pub holding: Holding,
    /// A person's or robot's name, a group, the role that includes it, or for whom an invitation is.
    pub who: String,
    /// In this namespace alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<NamespaceName>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["releaser", "on-call", "a", &"x".repeat(30)] {
            assert_eq!(good.parse::<RoleName>().map(|name| name.to_string()).as_deref(), Ok(good));
        }
        for (wrong, code) in [
            ("", "name_empty"),
            ("admin", "name_reserved"),
            ("A", "name_character"),
            (&"x".repeat(31), "name_too_long"),
        ] {
            assert_eq!(wrong.parse::<RoleName>().map_err(|e| e.code()), Err(code), "{wrong}");
        }
    }
}
