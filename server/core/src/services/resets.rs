//! A forgotten password: who forgot it says so, a platform admin makes sure who it is and makes a link, the link sets a new one, once.

use std::time::Duration;

use berth_types::{Action, Resource, UserName};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::{
    Done, Services,
    identity::{after, check_password, digest, new_secret},
    tries::{FREE_NETWORK_FAILURES, network as shared, of_account},
};
use crate::{
    ctx::OpCtx,
    error::{Error, Result},
    links::{Fate, Void},
    notices::Notice,
    ports::{
        links::NewReset,
        sign_in::{Refused, refusal},
        store::Account,
    },
};

/// How long a link to a new password lives.
pub const RESET: Duration = Duration::from_hours(1);

/// The account of a reset that counts at `now`.
fn open(found: Option<(Fate, Account)>, now: Timestamp) -> Result<Account> {
    let (fate, account) = found.ok_or_else(|| Void::Unknown.error())?;
    match fate.void(now) {
        Some(void) => Err(void.error()),
        None if account.user.disabled => Err(Void::Suspended.error()),
        None => Ok(account),
    }
}

impl Services {
    /// Makes a link by which a person chooses a new password: its secret, which comes back once, and when it ends. Until it is used
    /// the old password stays good, as do the person's sessions.
    ///
    /// # Errors
    /// `NotFound`; a refusal where passwords are not taken; a [`Void`] for who is suspended.
    pub async fn reset_link(&self, ctx: &OpCtx, user: &UserName) -> Result<(SecretString, Timestamp)> {
        let work = async {
            let grant = self.authz.platform(ctx, Resource::User, Action::Update)?;
            let account = self.store.find_account(user).await?.ok_or_else(Error::not_found)?;
            // A token that leaked must not become a password.
            if ctx.person().is_some_and(|person| person.id == account.user.id) {
                self.own_account(ctx)?;
            }
            if account.user.disabled {
                return Err(Void::Suspended.error());
            }
            let now = ctx.now();
            let secret = new_secret(&*self.random)?;
            let expires_at = after(now, RESET);
            let reset = NewReset { digest: digest(&secret), user: account.user.id, created_at: now, expires_at };
            self.store.create_reset(&grant, &reset).await?;
            Ok(Done::with((secret.into(), expires_at), json!({ "expiresAt": expires_at })))
        };
        self.audited(ctx, "password.reset-link", user.to_string(), None, work).await
    }

    /// Whose password a link sets. Uses nothing up.
    ///
    /// # Errors
    /// A [`Void`].
    pub async fn look_at_reset(&self, ctx: &OpCtx, secret: &SecretString) -> Result<UserName> {
        let found = self.store.find_reset(&digest(secret.expose_secret())).await?;
        Ok(open(found, ctx.now())?.user.name)
    }

    /// Sets a new password by a link and ends all of the person's sessions. Nobody is signed in by it: whoever has the link alone has
    /// not passed the second factor.
    ///
    /// # Errors
    /// A [`Void`], which is in the audit log; `Invalid` at `new`; a refusal where passwords are not taken.
    pub async fn finish_reset(&self, ctx: &OpCtx, secret: &SecretString, new: &SecretString) -> Result<UserName> {
        let digest = digest(secret.expose_secret());
        let found = self.store.find_reset(&digest).await?;
        let whose = found.as_ref().map(|(_, account)| account.user.name.to_string()).unwrap_or_default();
        let work = async {
            let account = open(found, ctx.now())?;
            if !self.store.local_accounts().await? {
                return Err(refusal(Refused::Local));
            }
            let name = account.user.name;
            check_password("new", new.expose_secret(), name.as_str())?;
            let hash = self.passwords.hash(new, &*self.random).await?;
            self.store.use_reset(&digest, &hash, ctx.now()).await?;
            // Who was kept out by somebody who guessed may come in now.
            self.store.clear_failures(&of_account(name.as_str())).await?;
            Ok(Done::plain(name.clone()).by(name))
        };
        self.audited(ctx, "password.reset", whose, None, work).await
    }

    /// Somebody says that the password of the account called `name` is forgotten. Whether there is such an account is looked up after
    /// the answer, so that neither its words nor its time tell.
    ///
    /// # Errors
    /// `RateLimited`; the audit log's.
    pub async fn forgot_password(&self, ctx: &OpCtx, name: &str) -> Result<()> {
        let work = async {
            let now = ctx.now();
            let key = format!("forgot-network:{}", shared(&ctx.network));
            self.take_try(now, &key, FREE_NETWORK_FAILURES).await?;
            Ok(Done::plain(()))
        };
        let target = name.chars().take(60).collect();
        self.audited(ctx, "password.forgotten", target, None, work).await?;
        if let (Ok(runtime), Ok(name)) = (tokio::runtime::Handle::try_current(), name.trim().parse::<UserName>()) {
            let (services, ctx) = (self.clone(), ctx.clone());
            runtime.spawn(async move {
                if let Err(e) = services.tell_forgotten(&ctx, name).await {
                    tracing::error!(error = %e, "nobody was told of a forgotten password");
                }
            });
        }
        Ok(())
    }

    /// Tells the platform's admins, if there is such an account: once an hour, however often it is asked, and by whomever.
    pub(super) async fn tell_forgotten(&self, ctx: &OpCtx, name: UserName) -> Result<()> {
        let account = self.store.find_account(&name).await?;
        let first = self.first_within_the_hour(ctx.now(), &format!("forgot:{name}")).await?;
        if first && account.is_some_and(|account| !account.user.disabled) {
            let notice = Notice::of_forgotten(&name, ctx.network.to_string(), ctx.now());
            self.store.put_notice(None, &notice).await?;
        }
        Ok(())
    }
}
