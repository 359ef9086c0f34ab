//! Identity providers, whom they know, and what their groups mean here.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    names::{ProviderName, TenantName},
    role::TenantRole,
};

macro_rules! algorithms {
    ($($(#[$doc:meta])* $variant:ident = $text:literal),+ $(,)?) => {
        /// How an ID token may be signed (RFC 7518, RFC 8037). There is none for `none` and none with a shared secret: those are never accepted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
        pub enum SigningAlgorithm { $($(#[$doc])* #[serde(rename = $text)] $variant),+ }

        impl SigningAlgorithm {
            /// All that Berth can check.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// As in a token's `alg`.
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
    };
}

algorithms! {
    /// RSA (PKCS #1 v1.5) with SHA-256: what most providers use.
    Rs256 = "RS256",
    /// ECDSA on P-256 with SHA-256.
    Es256 = "ES256",
    /// Ed25519.
    EdDsa = "EdDSA",
    /// RSA (PKCS #1 v1.5) with SHA-384.
    Rs384 = "RS384",
    /// RSA (PKCS #1 v1.5) with SHA-512.
    Rs512 = "RS512",
    /// RSA-PSS with SHA-256.
    Ps256 = "PS256",
    /// RSA-PSS with SHA-384.
    Ps384 = "PS384",
    /// RSA-PSS with SHA-512.
    Ps512 = "PS512",
    /// ECDSA on P-384 with SHA-384.
    Es384 = "ES384",
}

impl SigningAlgorithm {
    /// Those that a provider may use unless its settings say otherwise.
    pub const DEFAULT: [Self; 3] = [Self::Rs256, Self::Es256, Self::EdDsa];
}

/// A provider by which people sign in: by OpenID Connect, or by plain OAuth 2.0 where it knows no more than that. Its client secret stands in a file of the portal's machine; only the
/// file's name is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct IdentityProvider {
    /// Never changes.
    pub id: Uuid,
    /// Stands in the address that people come back to: `/auth/{name}/callback`.
    pub name: ProviderName,
    /// What the button says: “Sign in with …”.
    pub display_name: String,
    /// Who signs its tokens, to the letter as the provider writes it; of plain OAuth 2.0, an address that stands for it. With the subject
    /// it is a person's identity.
    pub issuer: String,
    /// What the provider calls Berth.
    pub client_id: String,
    /// Name of the file with the client secret, in the directory of the setting `provider_secrets`; none for a public client.
    pub secret: Option<String>,
    /// What is asked for; of OpenID Connect, besides `openid`.
    pub scopes: Vec<String>,
    /// How its ID tokens may be signed.
    pub algorithms: Vec<SigningAlgorithm>,
    /// The claim that lists a person's groups; of plain OAuth 2.0, the field of the person that does, or, where groups have an address of
    /// their own, the field of each that names it.
    pub group_claim: String,
    /// Only who is in one of these groups comes in; empty: everybody whom the provider knows.
    pub allowed_groups: Vec<String>,
    /// Whether people may sign in by it.
    pub enabled: bool,
    /// Whether signing out of Berth ends the session there, too, where the provider offers it (`end_session_endpoint`).
    pub sign_out_there: bool,
    /// When it was added.
    pub created_at: Timestamp,
    /// Counts changes, for `If-Match`.
    pub version: i64,
    /// How it speaks plain OAuth 2.0; absent for OpenID Connect. Which of the two it is never changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth: Option<OAuth>,
}

/// Where what is at a provider that speaks plain OAuth 2.0, and what its answers call it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct OAuth {
    /// Where people say yes.
    pub authorization_url: String,
    /// Where codes become tokens.
    pub token_url: String,
    /// What says who somebody is, as a JSON object.
    pub user_url: String,
    /// What lists their groups, as a JSON list; absent where the person's own object does.
    pub groups_url: Option<String>,
    /// The field of what never changes and is nobody else's ever: with the issuer it is a person's identity. A path has dots.
    pub id_field: String,
    /// The field of what they sign in as there: what their account here is called first.
    pub login_field: String,
    /// The field of their name.
    pub name_field: String,
    /// Whether the client's secret goes into a header (HTTP Basic) instead of the form.
    pub basic_auth: bool,
}

/// What a group of a provider means in a tenant, applied whenever one of its people signs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct GroupRule {
    /// For removing it.
    pub id: Uuid,
    /// The group, as the provider calls it.
    pub group: String,
    /// The tenant whose member one becomes.
    pub tenant: TenantName,
    /// With this role; never owner, since a tenant must not lose its last one to a change elsewhere.
    pub role: TenantRole,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Who a person is for a provider: issuer and subject, never the e-mail address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// For disconnecting it.
    pub id: Uuid,
    /// Who says so.
    pub issuer: String,
    /// What it calls the person.
    pub subject: String,
    /// What the provider said at the last sign-in; proves nothing.
    pub email: Option<String>,
    /// Since when.
    pub created_at: Timestamp,
    /// The last sign-in by it.
    pub last_used_at: Timestamp,
}

/// How people may sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SignInSettings {
    /// Whether passwords of local accounts are taken.
    pub local_accounts: bool,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn algorithms_are_words_and_none_is_weak() {
        for algorithm in SigningAlgorithm::ALL {
            assert_eq!(SigningAlgorithm::from_word(algorithm.as_str()), Some(*algorithm));
            assert_eq!(serde_json::to_value(algorithm).unwrap(), algorithm.as_str());
        }
        for refused in ["none", "HS256", "HS384", "HS512", "rs256", ""] {
            assert_eq!(SigningAlgorithm::from_word(refused), None, "{refused}");
        }
    }
}
