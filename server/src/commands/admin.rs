//! `berth admin`: people and tokens, on the machine itself. Works on the database alone; no cluster is asked.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail};
use berth_core::{
    OpCtx, Result, Services,
    env::{SystemClock, SystemRandom},
    ports::{
        cluster::{Cluster, Clusters},
        store::Store,
    },
    services::people::NewUser,
};
use berth_types::{ClusterId, ErrorCode, NamespaceName, PlatformRole, Right, TenantName, UserName, people::TokenScope};
use clap::{Args, Subcommand};
use secrecy::ExposeSecret;

use crate::config;

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a person; prints their one-time password.
    CreateUser {
        /// What they sign in as.
        name: String,
        /// With the role of a platform admin.
        #[arg(long)]
        platform_admin: bool,
        /// What others see.
        #[arg(long, default_value = "")]
        display_name: String,
        #[command(flatten)]
        at: Place,
    },
    /// Give a person a new one-time password and end their sessions.
    ResetPassword {
        /// What they sign in as.
        name: String,
        #[command(flatten)]
        at: Place,
    },
    /// Remove a person's second factors and end their sessions, when phone and recovery codes are lost.
    RemoveSecondFactors {
        /// What they sign in as.
        name: String,
        #[command(flatten)]
        at: Place,
    },
    /// Take passwords again, when nobody can sign in by an identity provider any more.
    AllowLocalAccounts {
        #[command(flatten)]
        at: Place,
    },
    /// Make an API token for a person; prints it once.
    CreateToken {
        /// Whose.
        name: String,
        /// What it is for.
        #[arg(long, default_value = "cli")]
        label: String,
        /// Days until it ends.
        #[arg(long, default_value_t = 30)]
        days: u64,
        /// Only reading.
        #[arg(long)]
        read_only: bool,
        /// Only this tenant.
        #[arg(long)]
        tenant: Option<String>,
        /// Only this namespace of the tenant.
        #[arg(long, requires = "tenant")]
        namespace: Option<String>,
        /// Only this action of `berth role-matrix`, such as app.update, and what it needs; may be given many times.
        #[arg(long = "action")]
        actions: Vec<String>,
        #[command(flatten)]
        at: Place,
    },
}

/// Which database.
#[derive(Debug, Args)]
pub struct Place {
    #[command(flatten)]
    flags: config::Flags,
}

/// No clusters: what is done here needs none.
struct NoClusters;

impl Clusters for NoClusters {
    fn get(&self, _: &ClusterId) -> Result<Arc<dyn Cluster>> {
        Err(berth_core::Error::new(ErrorCode::ClusterUnavailable, "the command line does not talk to clusters"))
    }
    fn all(&self) -> Vec<Arc<dyn Cluster>> {
        Vec::new()
    }
}

async fn open(at: &Place) -> anyhow::Result<(Services, OpCtx)> {
    let settings = config::load(&at.flags)?;
    if let Some(file) = settings.missing_database() {
        eprintln!("note: a new database, {}", file.display());
    }
    let store = berth_store::connect(&settings.database()?, &settings.store_options()).await?;
    let services = services(store, &settings);
    let ctx = OpCtx::system(services.clock().clone(), "cli");
    Ok((services, ctx))
}

/// Services over a database, without clusters.
pub fn services(store: Arc<dyn Store>, settings: &config::Settings) -> Services {
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    Services::new(store, Arc::new(NoClusters), clock, random, settings.limits())
}

/// Says every wrong field, by the flag that it came from; `label` is where a name came from.
fn explain(e: &berth_core::Error, person: &str, label: &str) -> anyhow::Error {
    if e.code() == ErrorCode::NotFound {
        return anyhow::anyhow!("there is no person called “{person}”");
    }
    let flag = |field: &str| match field {
        "expiresInDays" => "--days".to_owned(),
        "scope.tenant" => "--tenant".to_owned(),
        "scope.namespace" => "--namespace".to_owned(),
        "displayName" => "--display-name".to_owned(),
        "name" => label.to_owned(),
        other => other.to_owned(),
    };
    let fields: Vec<String> = e.fields().iter().map(|f| format!("{}: {}", flag(&f.field), f.message)).collect();
    if fields.is_empty() { anyhow::anyhow!("{e}") } else { anyhow::anyhow!(fields.join("\n")) }
}

fn user(name: &str) -> anyhow::Result<UserName> {
    name.parse().with_context(|| format!("“{name}” is no name of a person"))
}

/// Does it.
pub async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::CreateUser { name, platform_admin, display_name, at } => {
            let (services, ctx) = open(&at).await?;
            let new = NewUser {
                name,
                display_name,
                platform_role: platform_admin.then_some(PlatformRole::Admin),
                password: None,
            };
            let (user, password) =
                services.create_user(&ctx, &new).await.map_err(|e| explain(&e, &new.name, "name"))?;
            println!("{}\none-time password: {}", user.name, password.expose_secret());
        }
        Command::ResetPassword { name, at } => {
            let (services, ctx) = open(&at).await?;
            let password =
                services.reset_password(&ctx, &user(&name)?).await.map_err(|e| explain(&e, &name, "name"))?;
            println!("{name}\none-time password: {}", password.expose_secret());
        }
        Command::RemoveSecondFactors { name, at } => {
            let (services, ctx) = open(&at).await?;
            let person = user(&name)?;
            let known = services.store().find_account(&person).await?;
            if known.is_some_and(|account| !account.user.second_factor) {
                bail!("{name} has no second factor");
            }
            services.remove_second_factors(&ctx, &person).await.map_err(|e| explain(&e, &name, "name"))?;
            println!("{name} has no second factor any more");
        }
        Command::AllowLocalAccounts { at } => {
            let (services, ctx) = open(&at).await?;
            services.set_local_accounts(&ctx, true).await?;
            println!("passwords of local accounts are taken");
        }
        Command::CreateToken { name, label, days, read_only, tenant, namespace, actions, at } => {
            let (services, ctx) = open(&at).await?;
            let scope = TokenScope {
                read_only,
                tenant: tenant.map(|t| t.parse::<TenantName>()).transpose().context("--tenant")?,
                namespace: namespace.map(|n| n.parse::<NamespaceName>()).transpose().context("--namespace")?,
                actions: actions.iter().map(|a| a.parse::<Right>()).collect::<Result<_, _>>().context("--action")?,
            };
            let name = user(&name)?;
            let Some(hours) = days.checked_mul(24) else { bail!("--days is too large") };
            let (_, secret) = services
                .create_token_for(&ctx, &name, &label, scope, Duration::from_hours(hours))
                .await
                .map_err(|e| explain(&e, name.as_str(), "--label"))?;
            println!("{}", secret.expose_secret());
            if services.store().find_account(&name).await?.is_some_and(|account| account.user.must_change_password) {
                eprintln!("note: it works once {name} has signed in and chosen a password of their own");
            }
        }
    }
    Ok(())
}
