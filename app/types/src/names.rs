//! Names that people type, each with its own rule and an error that says the rule.
//!
//! Rules follow RFC 1123 labels, which Kubernetes demands of namespaces and of most objects.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

/// Why a name was refused. `Display` says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("a name is needed")]
    Empty,
    /// Longer than `max` characters.
    #[error("at most {max} characters are allowed, this has {len}")]
    TooLong {
        /// What is allowed.
        max: usize,
        /// What was given.
        len: usize,
    },
    /// A character that is not allowed, with its position (0-based, in characters).
    #[error("“{found}” is not allowed: use a–z, 0–9 and -")]
    Character {
        /// The first character that is not allowed.
        found: char,
        /// Its place.
        at: usize,
    },
    /// Begins or ends with something else than a letter or digit.
    #[error("must begin with a letter and end with a letter or digit")]
    Edge,
    /// Kept for Berth or Kubernetes.
    #[error("“{0}” is reserved")]
    Reserved(String),
}

impl NameError {
    /// The translation key.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "name_empty",
            Self::TooLong { .. } => "name_too_long",
            Self::Character { .. } => "name_character",
            Self::Edge => "name_edge",
            Self::Reserved(_) => "name_reserved",
        }
    }
}

/// The letters a–z and digits of `chars`, with one hyphen for all else between them; one may be left at the end.
pub fn hyphenated(chars: impl Iterator<Item = char>) -> String {
    chars.fold(String::new(), |mut out, c| {
        match c {
            'a'..='z' | '0'..='9' => out.push(c),
            _ if out.is_empty() || out.ends_with('-') => {}
            _ => out.push('-'),
        }
        out
    })
}

/// Checks an RFC 1123 label that begins with a letter (Services demand that, RFC 1035) and has at most `max` characters.
///
/// # Errors
/// The first rule that is broken.
pub fn check_label(name: &str, max: usize) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if let Some((at, found)) = name.chars().enumerate().find(|(_, c)| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
        return Err(NameError::Character { found, at });
    }
    let len = name.chars().count();
    if len > max {
        return Err(NameError::TooLong { max, len });
    }
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || name.ends_with('-') {
        return Err(NameError::Edge);
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, max $max:literal, reserved [$($reserved:literal),*]) => {
        name!($(#[$doc])* $type, max $max, reserved [$($reserved),*], pattern "^[a-z]([-a-z0-9]*[a-z0-9])?$", longest $max);
    };
    ($(#[$doc:meta])* $type:ident, max $max:literal, reserved [$($reserved:literal),*], pattern $pattern:literal, longest $longest:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Most characters that are allowed.
            pub const MAX: usize = $max;

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;
            fn from_str(s: &str) -> Result<Self, NameError> {
                check_label(s, $max)?;
                let reserved: &[&str] = &[$($reserved),*];
                if reserved.contains(&s) {
                    return Err(NameError::Reserved(s.to_owned()));
                }
                Ok(Self(s.into()))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        #[cfg(feature = "schema")]
        impl utoipa::PartialSchema for $type {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .pattern(Some($pattern))
                    .max_length(Some($longest))
                    .into()
            }
        }

        #[cfg(feature = "schema")]
        impl utoipa::ToSchema for $type {}
    };
}

name!(
    /// A tenant's name, unique on the platform. Short, since namespaces in the cluster are called `{tenant}-{namespace}`.
    TenantName, max 30, reserved ["new", "kube", "default", "berth", "admin", "openshift"]
);
name!(
    /// A namespace's name within its tenant, such as `staging`; in the cluster it is `{tenant}-{namespace}` (at most 61 of the 63
    /// characters allowed), or, where that is somebody else's, the same with a suffix.
    NamespaceName, max 30, reserved ["new"]
);
name!(
    /// An app's name within its namespace. At most 40 characters, so that `{app}-{component}` and a pod's suffixes fit.
    AppName, max 40, reserved ["new", "preflight"]
);
name!(
    /// A component's name within its app. The component called `main` takes the app's own name in the cluster.
    ComponentName, max 20, reserved []
);
name!(
    /// The handle of a cluster that Berth knows.
    ClusterId, max 30, reserved ["new"]
);
name!(
    /// The handle of a plan.
    PlanName, max 30, reserved ["new"]
);
name!(
    /// The handle of an identity provider.
    ProviderName, max 30, reserved ["new"]
);
name!(
    /// What a person signs in as. Of a robot, `robot:TENANT/NAME`, which nobody can type: only [`UserName::robot`] makes one.
    UserName, max 40, reserved ["new", "anonymous", "system"], pattern r"^([a-z]([-a-z0-9]*[a-z0-9])?|robot:[-a-z0-9]+/[-a-z0-9]+)$", longest 67
);
name!(
    /// A robot's name within its tenant.
    RobotName, max 30, reserved ["new"]
);

/// What the names of robots begin with, wherever people's names stand, too.
const ROBOT: &str = "robot:";

impl UserName {
    /// The name by which a robot is known outside of its tenant: in the audit log, in lists of members, in the cluster.
    #[must_use]
    pub fn robot(tenant: &TenantName, robot: &RobotName) -> Self {
        Self(format!("{ROBOT}{tenant}/{robot}").into())
    }

    /// A name that Berth wrote down itself: a person's or a robot's. What people type is parsed, and is never a robot's.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn stored(text: &str) -> Result<Self, NameError> {
        match text.strip_prefix(ROBOT).and_then(|rest| rest.split_once('/')) {
            Some((tenant, robot)) => Ok(Self::robot(&tenant.parse()?, &robot.parse()?)),
            None => text.parse(),
        }
    }

    /// The robot's tenant, if it is one's.
    #[must_use]
    pub fn robot_tenant(&self) -> Option<TenantName> {
        self.0.strip_prefix(ROBOT)?.split_once('/')?.0.parse().ok()
    }

    /// The robot's own name, if it is one's.
    #[must_use]
    pub fn as_robot(&self) -> Option<RobotName> {
        self.0.strip_prefix(ROBOT)?.split_once('/')?.1.parse().ok()
    }
}

/// Reads a name that Berth wrote down itself.
///
/// # Errors
/// As [`UserName::stored`].
pub fn stored_user<'de, D: Deserializer<'de>>(d: D) -> Result<UserName, D::Error> {
    UserName::stored(&String::deserialize(d)?).map_err(serde::de::Error::custom)
}

impl ClusterId {
    /// The cluster a new installation begins with.
    #[must_use]
    pub fn local() -> Self {
        Self("local".into())
    }
}

/// The name of a tenant's namespace in the cluster, unless it is somebody else's there.
#[must_use]
pub fn kube_namespace(tenant: &TenantName, namespace: &NamespaceName) -> String {
    format!("{tenant}-{namespace}")
}

/// The name in its place where `name` (at most 61 characters) is somebody else's: `a-b` of `c` and `b` of `c-a` want the same.
/// With the last 24 bits of the namespace's own id, which are chance.
#[must_use]
pub fn kube_namespace_apart(name: &str, id: Uuid) -> String {
    let [.., a, b, c] = *id.as_bytes();
    let head = name.get(..56).unwrap_or(name).trim_end_matches('-');
    format!("{head}-{a:02x}{b:02x}{c:02x}")
}

/// The name that a component's Deployment, Service and so on have in the cluster.
#[must_use]
pub fn component_object(app: &str, component: &str) -> String {
    if component == "main" { app.to_owned() } else { format!("{app}-{component}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        for (text, want) in [
            ("a", Ok(())),
            ("checkout-api2", Ok(())),
            ("", Err(NameError::Empty)),
            ("Api", Err(NameError::Character { found: 'A', at: 0 })),
            ("a_b", Err(NameError::Character { found: '_', at: 1 })),
            ("2a", Err(NameError::Edge)),
            ("a-", Err(NameError::Edge)),
            ("abcdef", Err(NameError::TooLong { max: 5, len: 6 })),
        ] {
            assert_eq!(check_label(text, 5.max(if want.is_ok() { 20 } else { 5 })), want, "{text}");
        }
    }

    #[test]
    fn nobody_types_a_robot() {
        let robot = UserName::robot(&"shop".parse().unwrap(), &"deploy".parse().unwrap());
        assert_eq!(robot.as_str(), "robot:shop/deploy");
        assert_eq!(robot.as_robot(), "deploy".parse().ok());
        assert_eq!(UserName::stored(robot.as_str()), Ok(robot.clone()));
        assert_eq!(UserName::stored("ann").unwrap().as_robot(), None);
        assert!(robot.as_str().parse::<UserName>().is_err());
        assert!(serde_json::from_value::<UserName>(robot.as_str().into()).is_err());
        for wrong in ["robot:shop", "robot:/x", "robot:shop/", "robot:shop/a/b", "robot:Shop/x", "robot"] {
            assert_eq!(UserName::stored(wrong).is_ok(), wrong == "robot", "{wrong}");
        }
    }

    #[test]
    fn reserved_and_composed() {
        assert_eq!("new".parse::<AppName>(), Err(NameError::Reserved("new".into())));
        assert_eq!(component_object("shop", "main"), "shop");
        assert_eq!(component_object("shop", "worker"), "shop-worker");
        let id = Uuid::from_u128(0xabc);
        assert_eq!(kube_namespace_apart("shop-prod", id), "shop-prod-000abc");
        let longest = kube_namespace_apart(&format!("{}-{}", "a".repeat(30), "b".repeat(30)), id);
        assert!(check_label(&longest, 63).is_ok(), "{longest}");
        assert!(serde_json::from_str::<TenantName>("\"Bad Name\"").is_err());
    }
}
