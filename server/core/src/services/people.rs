//! People on the platform, kept by platform admins; and the command line, which is one.

use std::time::Duration;

use berth_types::{
    Action, FieldError, ListQuery, Page, PlatformRole, Resource, UserName,
    people::{ApiToken, AuditEntry, TokenScope, User},
};
use secrecy::{ExposeSecret, SecretString};

use super::{
    Done, Services,
    identity::{check_password, new_id, new_secret, to_person},
};
use crate::{
    ctx::{OpCtx, Via},
    error::{Error, Result},
    ports::store::Account,
};

/// A person to be made.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// What they sign in as.
    pub name: String,
    /// What others see; the name when empty.
    pub display_name: String,
    /// Role on the platform.
    pub platform_role: Option<PlatformRole>,
    /// Their first password, to be changed at once; made up when absent.
    pub password: Option<SecretString>,
}

/// Trims a label that people choose.
///
/// # Errors
/// Invalid at `field`: 1 to 60 characters, none of them control characters.
pub fn label(field: &str, text: &str) -> Result<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 60 || text.chars().any(char::is_control) {
        return Err(Error::field(
            FieldError::new(field, "label", "1 to 60 characters, all on one line and none of them a control character")
                .param("max", 60),
        ));
    }
    Ok(text.to_owned())
}

/// Reads a name typed at `field`.
///
/// # Errors
/// Invalid at `field`, with the rule.
pub fn name<T: std::str::FromStr<Err = berth_types::NameError>>(field: &str, text: &str, max: usize) -> Result<T> {
    text.trim().parse().map_err(|e: berth_types::NameError| {
        Error::field(FieldError::new(field, e.code(), e.to_string()).param("max", max))
    })
}

impl Services {
    /// A part of all people.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound` without a platform role, `Invalid` columns.
    pub async fn list_users(&self, ctx: &OpCtx, query: &ListQuery) -> Result<Page<User>> {
        let grant = self.authz.platform(ctx, Resource::User, Action::Read)?;
        self.store.list_users(&grant, query).await
    }

    /// Makes a person; their one-time password comes back once.
    ///
    /// # Errors
    /// `Invalid` at `name`, `displayName`, `password`; `AlreadyExists`.
    pub async fn create_user(&self, ctx: &OpCtx, new: &NewUser) -> Result<(User, SecretString)> {
        let work = async {
            self.authz.platform(ctx, Resource::User, Action::Create)?;
            let name: UserName = name("name", &new.name, UserName::MAX)?;
            let display = if new.display_name.trim().is_empty() { name.as_str() } else { &new.display_name };
            let display_name = label("displayName", display)?;
            let password = match &new.password {
                Some(password) => {
                    check_password("password", password.expose_secret(), name.as_str())?;
                    password.clone()
                }
                None => one_time(&new_secret(&*self.random)?),
            };
            let now = ctx.now();
            let user = User {
                id: new_id(now, &*self.random)?,
                name,
                display_name,
                platform_role: new.platform_role,
                disabled: false,
                must_change_password: true,
                second_factor: false,
                created_at: now,
            };
            let hash = self.passwords.hash(&password, &*self.random).await?;
            self.store.create_user(&Account { user: user.clone(), password_hash: Some(hash) }).await?;
            let detail = serde_json::json!({ "platformRole": user.platform_role });
            Ok(Done::with((user, password), detail))
        };
        self.audited(ctx, "user.create", new.name.chars().take(60).collect(), None, work).await
    }

    /// Changes what others see, the platform role, and whether they may sign in.
    ///
    /// # Errors
    /// `NotFound`, `Invalid`; `Invalid` at `disabled` or `platformRole` for one's own account, so that nobody locks themselves out.
    pub async fn update_user(
        &self,
        ctx: &OpCtx,
        user: &UserName,
        display_name: &str,
        platform_role: Option<PlatformRole>,
        disabled: bool,
    ) -> Result<User> {
        let work = async {
            let grant = self.authz.platform(ctx, Resource::User, Action::Update)?;
            let before = self.store.find_account(user).await?.ok_or_else(Error::not_found)?.user;
            if ctx.person().is_some_and(|p| p.id == before.id) && (disabled || platform_role != before.platform_role) {
                let field = if disabled { "disabled" } else { "platformRole" };
                return Err(Error::field(FieldError::new(field, "own_account", "not for your own account")));
            }
            let after =
                User { display_name: label("displayName", display_name)?, platform_role, disabled, ..before.clone() };
            self.store.update_user(&grant, &after).await?;
            let detail = serde_json::json!({
                "before": { "platformRole": before.platform_role, "disabled": before.disabled },
                "after": { "platformRole": after.platform_role, "disabled": after.disabled },
            });
            Ok(Done::with(after, detail))
        };
        self.audited(ctx, "user.update", user.to_string(), None, work).await
    }

    /// Gives a person a new one-time password and ends their sessions.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn reset_password(&self, ctx: &OpCtx, user: &UserName) -> Result<SecretString> {
        let work = async {
            self.authz.platform(ctx, Resource::User, Action::Update)?;
            let account = self.store.find_account(user).await?.ok_or_else(Error::not_found)?;
            // A token that leaked must not become a password.
            if ctx.person().is_some_and(|person| person.id == account.user.id) {
                self.own_account(ctx)?;
            }
            let password = one_time(&new_secret(&*self.random)?);
            let hash = self.passwords.hash(&password, &*self.random).await?;
            self.store.set_password(account.user.id, &hash, true, ctx.now()).await?;
            Ok(Done::plain(password))
        };
        self.audited(ctx, "password.reset", user.to_string(), None, work).await
    }

    /// Makes a token for a person from the command line: only Berth itself may.
    ///
    /// # Errors
    /// `NotFound`, `Invalid`, `AlreadyExists`; forbidden for people.
    pub async fn create_token_for(
        &self,
        ctx: &OpCtx,
        user: &UserName,
        token_name: &str,
        scope: TokenScope,
        lives: Duration,
    ) -> Result<(ApiToken, SecretString)> {
        let work = async {
            if !matches!(ctx.actor, crate::Actor::System(_)) {
                return Err(Error::forbidden(Resource::User, Action::Update));
            }
            let account = self.store.find_account(user).await?.ok_or_else(Error::not_found)?;
            let person = to_person(&account, Via::Cli, TokenScope::default());
            Ok(Done::plain(self.make_token(ctx, &person, token_name, (scope, lives), None).await?))
        };
        self.audited(ctx, "token.create", user.to_string(), None, work).await
    }

    /// Makes the first platform admin, called `admin`, when nobody has an account yet; their one-time password.
    ///
    /// # Errors
    /// The store's. A race with another replica is no error: the loser gets `None`.
    pub async fn ensure_first_admin(&self, ctx: &OpCtx) -> Result<Option<(User, SecretString)>> {
        if self.store.any_user().await? {
            return Ok(None);
        }
        let new = NewUser {
            name: "admin".to_owned(),
            display_name: "Platform admin".to_owned(),
            platform_role: Some(PlatformRole::Admin),
            password: None,
        };
        match self.create_user(ctx, &new).await {
            Ok(made) => Ok(Some(made)),
            Err(e) if e.code() == berth_types::ErrorCode::AlreadyExists => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// A part of the audit log, newest first.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`, `Invalid` columns.
    pub async fn list_audit(&self, ctx: &OpCtx, query: &ListQuery) -> Result<Page<AuditEntry>> {
        let grant = self.authz.platform(ctx, Resource::Audit, Action::Read)?;
        self.store.list_audit(&grant, query).await
    }
}

/// A password that can be read out: four groups of five, 119 bits.
fn one_time(secret: &str) -> SecretString {
    let letters: Vec<char> = secret.chars().filter(char::is_ascii_alphanumeric).take(20).collect();
    letters.chunks(5).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-").into()
}
