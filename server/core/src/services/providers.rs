//! Identity providers, what their groups mean, and whether passwords are taken: kept by platform admins.

use berth_types::{
    Action, FieldError, ProviderName, Resource, TenantName, TenantRole,
    provider::{GroupRule, IdentityProvider, SigningAlgorithm},
};
use jiff::Timestamp;
use serde_json::json;
use url::Url;
use uuid::Uuid;

use super::{
    Done, Services,
    identity::new_id,
    oauth::OAuthText,
    people::{label, name},
    roles::known_rights,
};
use crate::{
    ctx::{Actor, OpCtx},
    error::{Error, Result},
    ports::sign_in::{NewGroupRule, is_private},
};

/// What is to be true of a provider.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProviderText {
    /// What the button says; the name when empty.
    pub display_name: String,
    /// Who signs its tokens, or an address that stands for who speaks plain OAuth 2.0.
    pub issuer: String,
    /// What it calls Berth.
    pub client_id: String,
    /// Name of the file with the client secret; empty for a public client.
    pub secret: String,
    /// Besides `openid`.
    pub scopes: Vec<String>,
    /// As in a token's `alg`; [`SigningAlgorithm::DEFAULT`] when empty.
    pub algorithms: Vec<String>,
    /// `groups` when empty.
    pub group_claim: String,
    /// Empty: everybody.
    pub allowed_groups: Vec<String>,
    /// Whether people may sign in by it.
    pub enabled: bool,
    /// Whether signing out ends the session there, too.
    pub sign_out_there: bool,
    /// Where it speaks plain OAuth 2.0.
    pub oauth: Option<OAuthText>,
}

/// The issuer, if it is an address at which a provider may be: https, or http on this very machine.
pub(super) fn issuer_url(text: &str) -> Result<String, FieldError> {
    let wrong = || {
        let message = "an https:// address without query and fragment, to the letter as the provider writes it";
        FieldError::new("issuer", "issuer_url", message)
    };
    let text = text.trim();
    let url = Url::parse(text).map_err(|_| wrong())?;
    let schemed = is_private(url.scheme(), url.host_str().unwrap_or_default());
    let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if !schemed || !plain || url.password().is_some() || text.len() > 500 {
        return Err(wrong());
    }
    Ok(text.to_owned())
}

/// A file's name, in a folder that it cannot leave.
fn secret(text: &str) -> Result<Option<String>, FieldError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.len() > 60 || !text.chars().all(fits) || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        let message = "the name of a file: up to 60 of letters, digits, “.”, “_” and “-”; not the secret itself";
        return Err(FieldError::new("secret", "secret_name", message));
    }
    Ok(Some(text.to_owned()))
}

/// Words of a list, trimmed and each once; none of them may be longer than `max` characters, or not `fit`.
fn words(field: &str, texts: &[String], max: usize, fits: fn(char) -> bool) -> Result<Vec<String>, FieldError> {
    let mut words: Vec<String> = Vec::new();
    for word in texts.iter().map(|text| text.trim()).filter(|word| !word.is_empty()) {
        if word.chars().count() > max || !word.chars().all(fits) {
            let message = format!("“{word}” cannot be one of these");
            return Err(FieldError::new(field, "list_word", message).param("value", word));
        }
        if !words.iter().any(|known| known == word) {
            words.push(word.to_owned());
        }
    }
    if words.len() > 100 {
        return Err(FieldError::new(field, "list_long", "at most 100").param("max", 100));
    }
    Ok(words)
}

fn algorithms(texts: &[String]) -> Result<Vec<SigningAlgorithm>, FieldError> {
    let mut algorithms = Vec::new();
    for text in texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
        let Some(algorithm) = SigningAlgorithm::from_word(text) else {
            let known = SigningAlgorithm::ALL.iter().map(|known| known.as_str()).collect::<Vec<_>>().join(", ");
            let error = FieldError::new("algorithms", "word_unknown", format!("use some of {known}"));
            return Err(error.param("known", known));
        };
        if !algorithms.contains(&algorithm) {
            algorithms.push(algorithm);
        }
    }
    Ok(if algorithms.is_empty() { SigningAlgorithm::DEFAULT.to_vec() } else { algorithms })
}

/// A word without spaces, as OAuth wants scopes and client ids.
fn visible(c: char) -> bool {
    c.is_ascii_graphic() && c != '"' && c != '\\'
}

fn line(c: char) -> bool {
    !c.is_control()
}

/// A provider of which only the name is known yet.
fn blank(name: ProviderName, now: Timestamp) -> IdentityProvider {
    IdentityProvider {
        id: Uuid::nil(),
        name,
        display_name: String::new(),
        issuer: String::new(),
        client_id: String::new(),
        secret: None,
        scopes: Vec::new(),
        algorithms: Vec::new(),
        group_claim: String::new(),
        allowed_groups: Vec::new(),
        enabled: true,
        sign_out_there: true,
        created_at: now,
        version: 1,
        oauth: None,
    }
}

impl ProviderText {
    /// All that is wrong at once, or `before` (with its id, name and time) as the text wants it.
    fn read(&self, before: IdentityProvider) -> Result<IdentityProvider> {
        let mut errors = Vec::new();
        let shown = if self.display_name.trim().is_empty() { before.name.as_str() } else { &self.display_name };
        let display_name = label("displayName", shown).unwrap_or_else(|e| {
            errors.extend(e.fields().to_vec());
            String::new()
        });
        fn keep<T: Default>(errors: &mut Vec<FieldError>, read: Result<T, FieldError>) -> T {
            read.unwrap_or_else(|e| {
                errors.push(e);
                T::default()
            })
        }
        let issuer = keep(&mut errors, issuer_url(&self.issuer));
        let client_id = self.client_id.trim().to_owned();
        if client_id.is_empty() {
            errors.push(FieldError::new("clientId", "required", "what does the provider call Berth?"));
        } else if client_id.len() > 200 || !client_id.chars().all(|c| visible(c) || c == ' ') {
            errors.push(FieldError::new("clientId", "list_word", "not a client id").param("value", &client_id));
        }
        let secret = keep(&mut errors, secret(&self.secret));
        let mut scopes = keep(&mut errors, words("scopes", &self.scopes, 100, visible));
        // Of OpenID Connect it is always asked for; some that know both want it for plain OAuth 2.0, too.
        scopes.retain(|scope| self.oauth.is_some() || scope != "openid");
        let algorithms = keep(&mut errors, algorithms(&self.algorithms));
        let claim = keep(&mut errors, words("groupClaim", std::slice::from_ref(&self.group_claim), 100, visible));
        let group_claim = claim.into_iter().next().unwrap_or_else(|| "groups".to_owned());
        let allowed_groups = keep(&mut errors, words("allowedGroups", &self.allowed_groups, 300, line));
        let oauth = self.oauth.as_ref().map(|oauth| oauth.read(&mut errors));
        if !errors.is_empty() {
            return Err(Error::invalid(errors));
        }
        // OAuth 2.0 knows no way to end a session.
        let (enabled, sign_out_there) = (self.enabled, self.sign_out_there && oauth.is_none());
        Ok(IdentityProvider {
            display_name,
            issuer,
            client_id,
            secret,
            scopes,
            algorithms,
            group_claim,
            allowed_groups,
            enabled,
            sign_out_there,
            oauth,
            ..before
        })
    }
}

fn said(provider: &IdentityProvider) -> serde_json::Value {
    json!({
        "issuer": provider.issuer, "clientId": provider.client_id, "secret": provider.secret, "scopes": provider.scopes,
        "algorithms": provider.algorithms, "groupClaim": provider.group_claim,
        "allowedGroups": provider.allowed_groups, "enabled": provider.enabled,
        "signOutThere": provider.sign_out_there, "oauth": provider.oauth,
    })
}

/// Why the last open provider stays, where passwords are not taken.
fn last_provider(field: &str) -> Error {
    let message = "passwords are not taken, and nobody could sign in any more: allow local accounts first";
    Error::field(FieldError::new(field, "last_provider", message))
}

impl Services {
    /// All providers, by name.
    ///
    /// # Errors
    /// Unauthenticated; `NotFound` without a role on the platform.
    pub async fn list_providers(&self, ctx: &OpCtx) -> Result<Vec<IdentityProvider>> {
        self.authz.platform(ctx, Resource::SignIn, Action::Read)?;
        self.store.list_providers().await
    }

    /// One provider.
    ///
    /// # Errors
    /// Unauthenticated; `NotFound`.
    pub async fn get_provider(&self, ctx: &OpCtx, provider: &ProviderName) -> Result<IdentityProvider> {
        self.authz.platform(ctx, Resource::SignIn, Action::Read)?;
        self.known_provider(provider).await
    }

    async fn known_provider(&self, provider: &ProviderName) -> Result<IdentityProvider> {
        let all = self.store.list_providers().await?;
        all.into_iter().find(|known| known.name == *provider).ok_or_else(Error::not_found)
    }

    /// Adds a provider, if it answers as one.
    ///
    /// # Errors
    /// `Invalid` at each field; `AlreadyExists`.
    pub async fn create_provider(&self, ctx: &OpCtx, called: &str, text: &ProviderText) -> Result<IdentityProvider> {
        let work = async {
            let grant = self.authz.platform(ctx, Resource::SignIn, Action::Create)?;
            let parsed = name::<ProviderName>("name", called, ProviderName::MAX);
            let now = ctx.now();
            let mut provider = match parsed {
                Ok(name) => text.read(blank(name, now))?,
                Err(wrong) => {
                    // What is wrong with the rest is said at once, too; its name does not matter for that.
                    let rest = "x".parse().map(|name| text.read(blank(name, now))).map_err(Error::internal)?;
                    let all = [Some(wrong), rest.err()].into_iter().flatten();
                    return Err(Error::invalid(all.flat_map(|e| e.fields().to_vec()).collect()));
                }
            };
            provider.id = new_id(now, &*self.random)?;
            self.protocol().probe(&provider).await?;
            self.store.create_provider(&grant, &provider).await?;
            self.forget_ways_in();
            let detail = json!({ "after": said(&provider) });
            Ok(Done::with(provider, detail))
        };
        self.audited(ctx, "provider.create", called.chars().take(60).collect(), None, work).await
    }

    /// Changes a provider, if it still has `version` (any, when absent). One that is switched off need not answer.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`; `Invalid` at each field, at `enabled` for the last way in.
    pub async fn update_provider(
        &self,
        ctx: &OpCtx,
        provider: &ProviderName,
        text: &ProviderText,
        version: Option<i64>,
    ) -> Result<IdentityProvider> {
        let work = async {
            let grant = self.authz.platform(ctx, Resource::SignIn, Action::Update)?;
            let before = self.known_provider(provider).await?;
            let mut after = text.read(before.clone())?;
            if after.oauth.is_some() != before.oauth.is_some() {
                // What one calls a person may be what the other calls somebody else.
                let message =
                    "OpenID Connect stays OpenID Connect, and OAuth 2.0 stays OAuth 2.0: add another provider";
                return Err(Error::field(FieldError::new("oauth", "provider_kind", message)));
            }
            after.version = version.unwrap_or(before.version);
            if after.enabled {
                self.protocol().probe(&after).await?;
            } else if before.enabled {
                self.keep_a_way_in(&before, "enabled").await?;
            }
            after.version = self.store.update_provider(&grant, &after).await?;
            self.forget_ways_in();
            let detail = json!({ "before": said(&before), "after": said(&after) });
            Ok(Done::with(after, detail))
        };
        self.audited(ctx, "provider.update", provider.to_string(), None, work).await
    }

    /// Removes a provider, its rules, and the memberships that they made. Whom it knew stays known, should it come back.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` at `provider` for the last way in.
    pub async fn delete_provider(&self, ctx: &OpCtx, provider: &ProviderName) -> Result<()> {
        let work = async {
            let grant = self.authz.platform(ctx, Resource::SignIn, Action::Delete)?;
            let before = self.known_provider(provider).await?;
            self.keep_a_way_in(&before, "provider").await?;
            self.store.delete_provider(&grant, provider).await?;
            self.forget_ways_in();
            Ok(Done::with((), json!({ "before": said(&before) })))
        };
        self.audited(ctx, "provider.delete", provider.to_string(), None, work).await
    }

    /// Refused where nobody could sign in without `provider`.
    async fn keep_a_way_in(&self, provider: &IdentityProvider, field: &str) -> Result<()> {
        let others = self.store.list_providers().await?;
        let another = others.iter().any(|other| other.enabled && other.id != provider.id);
        if another || self.store.local_accounts().await? { Ok(()) } else { Err(last_provider(field)) }
    }

    /// What a provider's groups mean.
    ///
    /// # Errors
    /// Unauthenticated; `NotFound`.
    pub async fn list_group_rules(&self, ctx: &OpCtx, provider: &ProviderName) -> Result<Vec<GroupRule>> {
        let provider = self.get_provider(ctx, provider).await?;
        self.store.list_group_rules(provider.id).await
    }

    /// Says that who is in `group` has `role` in `tenant`, from their next sign-in on.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` at `group`, `tenant`, `role`; `AlreadyExists`.
    pub async fn create_group_rule(
        &self,
        ctx: &OpCtx,
        provider: &ProviderName,
        group: &str,
        tenant: &str,
        role: &str,
    ) -> Result<GroupRule> {
        let work = async {
            let grant = self.authz.platform(ctx, Resource::SignIn, Action::Create)?;
            let provider = self.known_provider(provider).await?;
            let mut errors = Vec::new();
            let group = words("group", &[group.to_owned()], 300, line).unwrap_or_else(|e| {
                errors.push(e);
                vec![String::new()]
            });
            let group = group.into_iter().next().unwrap_or_else(|| {
                errors.push(FieldError::new("group", "required", "which group?"));
                String::new()
            });
            let tenant = name::<TenantName>("tenant", tenant, TenantName::MAX);
            let role = TenantRole::from_word(role).filter(|role| *role != TenantRole::Owner).ok_or_else(|| {
                let known = "admin, developer, viewer";
                FieldError::new("role", "word_unknown", format!("use one of {known}")).param("known", known)
            });
            errors.extend(tenant.as_ref().err().into_iter().flat_map(|e| e.fields().to_vec()));
            errors.extend(role.as_ref().err().cloned());
            let (Ok(tenant), Ok(role), true) = (tenant, role, errors.is_empty()) else {
                return Err(Error::invalid(errors));
            };
            if role.is_custom() {
                let known = self.store.find_tenant_access(self.authz.person(ctx)?.id, &tenant).await?;
                let own = match known {
                    Some(known) => self.roles_of(known).await?,
                    // The store says that there is no such tenant.
                    None => Vec::new(),
                };
                known_rights(&own, role)?;
            }
            let now = ctx.now();
            let rule =
                NewGroupRule { id: new_id(now, &*self.random)?, group, tenant: tenant.clone(), role, created_at: now };
            self.store.create_group_rule(&grant, provider.id, &rule).await.map_err(|e| {
                if e.code() == berth_types::ErrorCode::NotFound {
                    let message = format!("there is no tenant “{tenant}”");
                    return Error::field(FieldError::new("tenant", "no_such_place", message).param("value", &tenant));
                }
                e
            })?;
            let NewGroupRule { id, group, tenant, role, created_at } = rule;
            let detail = json!({ "group": group, "tenant": tenant, "role": role });
            Ok(Done::with(GroupRule { id, group, tenant, role, created_at }, detail))
        };
        self.audited(ctx, "provider.rule.create", provider.to_string(), None, work).await
    }

    /// Removes a rule; what it made goes at the next sign-in of each.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn delete_group_rule(&self, ctx: &OpCtx, provider: &ProviderName, rule: Uuid) -> Result<()> {
        let work = async {
            let grant = self.authz.platform(ctx, Resource::SignIn, Action::Delete)?;
            let provider = self.known_provider(provider).await?;
            let rules = self.store.list_group_rules(provider.id).await?;
            let before = rules.into_iter().find(|known| known.id == rule).ok_or_else(Error::not_found)?;
            self.store.delete_group_rule(&grant, provider.id, rule).await?;
            Ok(Done::with((), json!({ "group": before.group, "tenant": before.tenant, "role": before.role })))
        };
        self.audited(ctx, "provider.rule.delete", provider.to_string(), None, work).await
    }

    /// Whether passwords of local accounts are taken.
    ///
    /// # Errors
    /// Unauthenticated; `NotFound` without a role on the platform.
    pub async fn local_accounts(&self, ctx: &OpCtx) -> Result<bool> {
        self.authz.platform(ctx, Resource::SignIn, Action::Read)?;
        self.store.local_accounts().await
    }

    /// Takes passwords of local accounts, or does not any more. API tokens and sessions stay as they are.
    ///
    /// # Errors
    /// `Invalid` at `localAccounts` for who could not come in afterwards: one who forbids passwords has signed in by an open
    /// provider, or connected it.
    pub async fn set_local_accounts(&self, ctx: &OpCtx, allowed: bool) -> Result<()> {
        let work = async {
            let grant = self.authz.platform(ctx, Resource::SignIn, Action::Update)?;
            let before = self.store.local_accounts().await?;
            if !allowed {
                let theirs = match &ctx.actor {
                    Actor::Person(person) => self.store.list_identities(person.id).await?,
                    _ => Vec::new(),
                };
                let open = self.store.list_providers().await?;
                let comes_in = |issuer: &str| open.iter().any(|known| known.enabled && known.issuer == issuer);
                if !theirs.iter().any(|identity| comes_in(&identity.issuer)) {
                    let message = "connect your own account with a provider first, so that you are not locked out";
                    return Err(Error::field(FieldError::new("localAccounts", "local_accounts_first", message)));
                }
            }
            self.store.set_local_accounts(&grant, allowed).await?;
            self.forget_ways_in();
            Ok(Done::with((), json!({ "before": before, "after": allowed })))
        };
        self.audited(ctx, "sign-in.local-accounts", allowed.to_string(), None, work).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers() {
        for (text, good) in [
            ("https://id.example.com", true),
            (" https://id.example.com/realms/a/ ", true),
            ("https://id.example.com:8443", true),
            ("http://127.0.0.1:9000", true),
            ("http://[::1]:9000", true),
            ("http://localhost:9000", true),
            ("http://id.example.com", false),
            ("http://localhost.example.com", false),
            ("http://127.0.0.1.example.com", false),
            ("https://id.example.com?x=1", false),
            ("https://id.example.com/#x", false),
            ("https://user:secret@id.example.com", false),
            ("https://user@id.example.com", false),
            ("ftp://id.example.com", false),
            ("id.example.com", false),
            ("", false),
        ] {
            assert_eq!(issuer_url(text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn secrets_are_names_of_files_that_stay_in_their_folder() {
        for (text, want) in [
            ("", Ok(None)),
            ("keycloak", Ok(Some("keycloak"))),
            ("a_b-c.d", Ok(Some("a_b-c.d"))),
            ("..", Err(())),
            ("../audit.key", Err(())),
            ("/etc/passwd", Err(())),
            (".hidden", Err(())),
            ("s3cr3t with spaces", Err(())),
        ] {
            let got = secret(text);
            assert_eq!(got.as_ref().map(Option::as_deref).map_err(|_| ()), want, "{text}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let before = blank("corp".parse().unwrap_or_else(|_| unreachable!()), Timestamp::UNIX_EPOCH);
        let bad = ProviderText {
            display_name: "a\nb".to_owned(),
            issuer: "http://id.example.com".to_owned(),
            secret: "../x".to_owned(),
            scopes: vec!["two words".to_owned()],
            algorithms: vec!["HS256".to_owned()],
            group_claim: "a b".to_owned(),
            allowed_groups: vec!["a\u{7}".to_owned()],
            ..ProviderText::default()
        };
        let error = bad.read(before.clone()).err();
        let fields: Vec<_> = error.iter().flat_map(|e| e.fields()).map(|e| e.field.as_str()).collect();
        let all =
            ["displayName", "issuer", "clientId", "secret", "scopes", "algorithms", "groupClaim", "allowedGroups"];
        assert_eq!(fields, all);

        let good = ProviderText {
            issuer: "https://id.example.com".to_owned(),
            client_id: "berth".to_owned(),
            scopes: ["openid", "profile", " profile ", ""].map(str::to_owned).to_vec(),
            enabled: true,
            ..ProviderText::default()
        };
        let read = good.read(before).ok();
        let read = read.as_ref();
        assert_eq!(read.map(|p| p.display_name.as_str()), Some("corp"));
        assert_eq!(read.map(|p| p.scopes.as_slice()), Some(["profile".to_owned()].as_slice()));
        assert_eq!(read.map(|p| p.algorithms.as_slice()), Some(SigningAlgorithm::DEFAULT.as_slice()));
        assert_eq!(read.map(|p| p.group_claim.as_str()), Some("groups"));
    }
}
