//! Configuration: a file, `BERTH_*` variables, flags; each wins over the one before. One table describes every setting,
//! for `--help`, for the reference page and for the error that names what is not known.

use std::{fmt::Write as _, net::SocketAddr, path::PathBuf};

use anyhow::{Context, bail};
use berth_core::{
    network::{self, Surroundings},
    quota::rules::Rules,
    services::second_factors::Required,
    webauthn,
    webhooks::guard::Guard,
};
use clap::Args;
use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
};
use serde::{Deserialize, Serialize};

use crate::{mail, seal_key};

/// How logs look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Of whom a second factor is required.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum RequireSecondFactor {
    /// Of nobody.
    #[default]
    None,
    /// Of platform admins with a password.
    Admins,
    /// Of everybody with a password.
    All,
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:ident : $type:ty = $default:expr, $shown:literal;)+) => {
        /// Flags of `berth serve` and `berth doctor`; each also a variable `BERTH_NAME` and a key of the file.
        #[derive(Debug, Clone, Default, Args, Serialize)]
        pub struct Flags {
            /// A TOML file with settings.
            #[arg(long, env = "BERTH_CONFIG")]
            #[serde(skip)]
            pub config: Option<PathBuf>,
            $(
                $(#[doc = $doc])+
                #[arg(long, num_args = 0..=1, default_missing_value = "true")]
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $name: Option<$type>,
            )+
        }

        /// The settings as they hold.
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Settings {
            $(
                $(#[doc = $doc])+
                pub $name: Setting<$type>,
            )+
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        /// Name, default as shown, description.
        const REFERENCE: &[(&str, &str, &str)] = &[$((stringify!($name), $shown, concat!($($doc),+))),+];
        const KEYS: &[&str] = &[$(stringify!($name)),+];
    };
}

/// Absent values stay absent in every layer.
type Setting<T> = Option<T>;

settings! {
    /// Address and port to listen on.
    listen: SocketAddr = Some(SocketAddr::from(([127, 0, 0, 1], 8080))), "127.0.0.1:8080";
    /// Directory for the embedded database and the embedded cluster.
    data: PathBuf = Some(PathBuf::from("data")), "data";
    /// Database: sqlite://PATH or postgres://USER:PASSWORD@HOST:PORT/NAME.
    database: String = None, "sqlite://{data}/berth.db";
    /// Use the cluster of this kubeconfig. In a pod, without this and without sim, the pod's own cluster.
    kubeconfig: PathBuf = None, "";
    /// In a pod: act as the service accounts {this}-reader, -releases, -controller and -writer of its namespace, instead of the pod's own.
    identities: String = None, "";
    /// Use the embedded cluster.
    sim: bool = None, "false";
    /// Nodes of the embedded cluster.
    nodes: usize = Some(3), "3";
    /// Directory with the style sheet and the browser part, as `cargo xtask up` builds it.
    site: PathBuf = None, "{beside the binary}/site";
    /// Served over TLS by a proxy in front: Secure cookies and HSTS. May be off only on loopback.
    secure: bool = None, "true unless listening on loopback";
    /// The address that browsers use, such as https://berth.example.com: identity providers send people back there.
    public_url: String = None, "what the browser sends as Host";
    /// Directory with the client secrets of identity providers, a file each; the admin console names the file.
    provider_secrets: PathBuf = None, "";
    /// Number of proxies in front whose X-Forwarded-For entries are believed.
    trusted_proxies: usize = Some(0), "0";
    /// The Ed25519 key (PKCS#8, PEM) that signs checkpoints of the audit log. With SQLite it is made at the first start; replicas on Postgres must share it, and make no checkpoints without it.
    audit_key_file: PathBuf = None, "{data}/audit.key with SQLite";
    /// Who with a password must have a second factor before anything else opens: none, admins (of the platform) or all.
    require_second_factor: RequireSecondFactor = Some(RequireSecondFactor::None), "none";
    /// The key (32 bytes in base64) that seals secrets in the database: those of authenticator apps and webhooks, the kubeconfigs of clusters. With SQLite it is made at the first start; replicas on Postgres must share it, and nobody can add an authenticator app, a webhook or a cluster without it.
    second_factor_key_file: PathBuf = None, "{data}/second-factor.key with SQLite";
    /// Most connections to the database.
    database_connections: u32 = Some(8), "8";
    /// Hours after which an unused session ends.
    session_idle_hours: u64 = Some(12), "12";
    /// Hours after which a session ends in any case.
    session_max_hours: u64 = Some(168), "168";
    /// Longest life of an API token, in days.
    token_max_days: u64 = Some(366), "366";
    /// Requests for more quota: per cent of a limit that must be in use for a rule to approve a step up.
    quota_step_use: u16 = Some(85), "85";
    /// The same for storage.
    quota_step_storage_use: u16 = Some(80), "80";
    /// How many per cent more than the limit a step is; 0: admins decide about every increase.
    quota_step_size: u16 = Some(100), "100";
    /// Days between two steps of the same limit.
    quota_step_days: u16 = Some(30), "30";
    /// How many per cent of the CPU and memory that is asked for must really be in use, in the mean of two weeks, for a rule to approve a step up, where metrics say so; 0: nobody looks.
    quota_step_busy: u16 = Some(35), "35";
    /// Namespaces, and address ranges of what is no pod, that reach all tenants' pods: ingress controllers, monitoring, operators. Berth's own namespace always does.
    tenants_reached_from: String = Some(berth_core::network::USUAL.to_owned()), "ingress,ingress-nginx,traefik,monitoring,kube-system";
    /// The cluster's own address ranges (pods, Services, nodes): tenants reach them by no egress list.
    cluster_ranges: String = None, "";
    /// Address ranges beside the internet's to which webhooks may be sent, by plain http, too: 10.1.2.0/24, say.
    webhook_ranges: String = None, "";
    /// The server by which mail leaves: smtp://USER@HOST:587 (STARTTLS, or nothing is sent) or smtps://USER@HOST:465. Without it no mail is sent.
    smtp_url: String = None, "";
    /// From whom mail comes: Berth <berth@example.com>.
    smtp_from: String = None, "";
    /// A file with the password of the user in smtp_url.
    smtp_password_file: PathBuf = None, "";
    /// A file with certificates in PEM that are trusted for the mail server, besides the system's.
    smtp_ca_file: PathBuf = None, "";
    /// The host of smtp_url again, where mail shall go to it without TLS: a relay on the same machine, say. With a password on loopback alone.
    smtp_without_tls: String = None, "";
    /// Notices that a person gets by mail within an hour; the next one says how many were left out.
    mail_per_hour: u16 = Some(20), "20";
    /// The image that agents of clusters run: that of the portal.
    agent_image: String = Some(concat!("berth:", env!("CARGO_PKG_VERSION")).to_owned()), "berth:{version}";
    /// Days for which a tenant or a namespace that was removed can be taken back; meanwhile it is suspended.
    deletion_grace_days: u16 = Some(7), "7";
    /// Logs as text or json.
    log_format: LogFormat = Some(LogFormat::Text), "text";
    /// Which log entries: error, warn, info, debug, or a filter such as info,berth_cluster=debug.
    log: String = Some("info,hyper=warn,kube=warn,kube_client=off".to_owned()), "info,hyper=warn,kube=warn,kube_client=off";
}

/// The settings of file, variables and flags, checked against each other.
///
/// # Errors
/// What is wrong, with its source.
pub fn load(flags: &Flags) -> anyhow::Result<Settings> {
    read(flags).map_err(|e| Usage(format!("{e:#}")).into())
}

/// Wrong settings: the process ends with 2, as for wrong flags.
#[derive(Debug)]
pub struct Usage(String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

fn read(flags: &Flags) -> anyhow::Result<Settings> {
    let mut figment = Figment::from(Serialized::defaults(Settings::default()));
    if let Some(path) = &flags.config {
        if !path.exists() {
            bail!("the configuration file {} does not exist", path.display());
        }
        figment = figment.merge(Toml::file_exact(path));
    }
    let settings: Settings = figment
        .merge(Env::prefixed("BERTH_").only(KEYS))
        .merge(Serialized::globals(flags))
        .extract()
        .map_err(|e| anyhow::anyhow!("configuration: {e}; known settings: {}", KEYS.join(", ")))?;
    settings.check()?;
    let unknown = unknown_variables(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()));
    if !unknown.is_empty() {
        eprintln!("berth: not a setting, so ignored: {}", unknown.join(", "));
    }
    Ok(settings)
}

/// Nodes that the embedded cluster may have: a /24 of pod addresses each, out of 10.0.0.0/8.
pub const NODES: std::ops::RangeInclusive<usize> = 1..=5_000;

/// What is said of another number of nodes.
pub fn nodes_rule() -> String {
    format!("nodes is not between {} and {}", NODES.start(), NODES.end())
}

/// Variables that begin like ours and are none of our settings: a slip of the pen, most likely.
///
/// Kubernetes gives every pod `BERTH_SERVICE_HOST`, `BERTH_PORT_80_TCP` and so on when a Service is called `berth`.
fn unknown_variables(names: impl Iterator<Item = String>) -> Vec<String> {
    let of_a_service =
        |rest: &str| rest.contains("SERVICE_") || rest == "PORT" || rest.starts_with("PORT_") || rest.contains("_PORT");
    let known = |rest: &str| rest == "CONFIG" || KEYS.iter().any(|key| rest.eq_ignore_ascii_case(key));
    let ours = names.filter(|name| name.strip_prefix("BERTH_").is_some_and(|rest| !known(rest) && !of_a_service(rest)));
    ours.collect()
}

impl Settings {
    fn check(&self) -> anyhow::Result<()> {
        if self.sim == Some(true) && self.kubeconfig.is_some() {
            bail!("choose one of --sim and --kubeconfig: both name the cluster");
        }
        if self.secure == Some(false) && !self.listen().ip().is_loopback() {
            bail!(
                "--secure false is for loopback only: without Secure cookies, sessions could be read on the network; \
                 put a TLS proxy in front, or listen on 127.0.0.1"
            );
        }
        if let Some(url) = &self.public_url {
            let secure = if self.secure() { "https" } else { "http or https" };
            let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://").filter(|_| !self.secure()));
            let rest = rest.map(|rest| rest.trim_end_matches('/'));
            if !rest.is_some_and(|rest| !rest.is_empty() && rest.parse::<http::uri::Authority>().is_ok()) {
                bail!("public_url is not the address of a site, {secure}, without a path: {url}");
            }
        }
        if !self.nodes.is_some_and(|nodes| NODES.contains(&nodes)) {
            bail!(nodes_rule());
        }
        if !self.database_connections.is_some_and(|n| (1..=1_000).contains(&n)) {
            bail!("database_connections is not between 1 and 1000");
        }
        for (name, value) in [
            ("session_idle_hours", self.session_idle_hours),
            ("session_max_hours", self.session_max_hours),
            ("token_max_days", self.token_max_days),
        ] {
            if !value.is_some_and(|v| (1..=87_600).contains(&v)) {
                bail!("{name} is not between 1 and 87600");
            }
        }
        for (name, value, most) in [
            ("quota_step_use", self.quota_step_use, 100),
            ("quota_step_storage_use", self.quota_step_storage_use, 100),
            ("quota_step_size", self.quota_step_size, 1_000),
            ("quota_step_days", self.quota_step_days, 3_650),
            ("quota_step_busy", self.quota_step_busy, 100),
            ("deletion_grace_days", self.deletion_grace_days, 365),
        ] {
            if !value.is_some_and(|v| v <= most) {
                bail!("{name} is not between 0 and {most}");
            }
        }
        let passkeys = || webauthn::Site::of(self.public_url.as_deref()).is_ok();
        if self.required_second_factor() != Required::None && seal_key::place(self).is_none() && !passkeys() {
            bail!(
                "require_second_factor needs second_factor_key_file for authenticator apps, or public_url with https for \
                 passkeys: without either nobody could add one"
            );
        }
        self.surroundings(None)?;
        mail::check(self)?;
        self.webhook_guard().map(drop)
    }

    /// Of whom a second factor is required.
    pub fn required_second_factor(&self) -> Required {
        match self.require_second_factor.unwrap_or_default() {
            RequireSecondFactor::None => Required::None,
            RequireSecondFactor::Admins => Required::Admins,
            RequireSecondFactor::All => Required::All,
        }
    }

    /// Which requests for more quota are approved by themselves.
    pub fn rules(&self) -> Rules {
        let defaults = Rules::default();
        Rules {
            use_percent: self.quota_step_use.unwrap_or(defaults.use_percent),
            storage_percent: self.quota_step_storage_use.unwrap_or(defaults.storage_percent),
            step_percent: self.quota_step_size.unwrap_or(defaults.step_percent),
            rest_days: self.quota_step_days.unwrap_or(defaults.rest_days),
            busy_percent: self.quota_step_busy.unwrap_or(defaults.busy_percent),
        }
    }

    /// Who of the platform reaches tenants' pods, and which addresses are the cluster's; `own` is the namespace Berth runs in.
    ///
    /// # Errors
    /// The word that is neither a namespace nor a range.
    pub fn surroundings(&self, own: Option<&str>) -> anyhow::Result<Surroundings> {
        let reachers = self.tenants_reached_from.as_deref().unwrap_or_default();
        let cluster = self.cluster_ranges.as_deref().unwrap_or_default();
        Surroundings::read(reachers, cluster, own)
            .map_err(|e| anyhow::anyhow!("tenants_reached_from, cluster_ranges: {e}"))
    }

    /// Where webhooks may be.
    ///
    /// # Errors
    /// The word that is no range.
    pub fn webhook_guard(&self) -> anyhow::Result<Guard> {
        let allowed = network::ranges(self.webhook_ranges.as_deref().unwrap_or_default());
        let allowed = allowed.map_err(|e| anyhow::anyhow!("webhook_ranges: {e}"))?;
        Ok(Guard::new(allowed, self.surroundings(None)?.cluster))
    }

    /// How long what is removed can be taken back.
    pub fn grace(&self) -> jiff::SignedDuration {
        jiff::SignedDuration::from_hours(24 * i64::from(self.deletion_grace_days.unwrap_or(7)))
    }

    /// Where to listen.
    pub fn listen(&self) -> SocketAddr {
        self.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080)))
    }

    /// Where data is kept.
    pub fn data(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| PathBuf::from("data"))
    }

    /// The database's file, where no URL is set.
    pub fn database_file(&self) -> PathBuf {
        self.data().join("berth.db")
    }

    /// The database's file where no URL is set and it is not there yet: before the first start, or `data` is mistyped.
    pub fn missing_database(&self) -> Option<PathBuf> {
        Some(self.database_file()).filter(|file| self.database.is_none() && !file.exists())
    }

    /// The database's URL. Makes the data directory when it is needed.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn database(&self) -> anyhow::Result<String> {
        if let Some(url) = &self.database {
            return Ok(url.clone());
        }
        let dir = self.data();
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make the data directory {}", dir.display()))?;
        Ok(format!("sqlite://{}", self.database_file().display()))
    }

    /// How the store is opened.
    pub fn store_options(&self) -> berth_store::Options {
        berth_store::Options {
            max_connections: self.database_connections.unwrap_or(8),
            ..berth_store::Options::default()
        }
    }

    /// Whether cookies are `Secure`.
    pub fn secure(&self) -> bool {
        self.secure.unwrap_or_else(|| !self.listen().ip().is_loopback())
    }

    /// Bounds of sessions and tokens.
    pub fn limits(&self) -> berth_core::services::identity::Limits {
        use std::time::Duration;
        let defaults = berth_core::services::identity::Limits::default();
        let hours = |value: Option<u64>, default| value.map_or(default, Duration::from_hours);
        berth_core::services::identity::Limits {
            session_idle: hours(self.session_idle_hours, defaults.session_idle),
            session_absolute: hours(self.session_max_hours, defaults.session_absolute),
            token_max: hours(self.token_max_days.map(|d| d * 24), defaults.token_max),
            ..defaults
        }
    }
}

/// The reference page, as Markdown.
pub fn reference() -> String {
    let mut out = String::from(
        "# Configuration\n\nMade by `berth config-reference`; do not edit. Each setting is a flag of `berth serve`, a variable and a \
         key of the TOML file named by `--config`; flags win over variables, variables over the file.\n\n\
         | flag | variable | key | default | what it is |\n| --- | --- | --- | --- | --- |\n",
    );
    for (name, default, doc) in REFERENCE {
        let (flag, variable) = (name.replace('_', "-"), name.to_uppercase());
        let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
        let _ = writeln!(out, "| `--{flag}` | `BERTH_{variable}` | `{name}` | {default} | {} |", doc.trim());
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn contradictions_are_named() {
        let both = Flags { sim: Some(true), kubeconfig: Some("x".into()), ..Flags::default() };
        assert!(load(&both).unwrap_err().to_string().contains("--kubeconfig"));
        let open = Flags { listen: Some(([0, 0, 0, 0], 80).into()), secure: Some(false), ..Flags::default() };
        assert!(load(&open).unwrap_err().to_string().contains("loopback"));
    }

    #[test]
    fn numbers_have_bounds() {
        for flags in [
            Flags { nodes: Some(0), ..Flags::default() },
            Flags { database_connections: Some(0), ..Flags::default() },
            Flags { session_idle_hours: Some(0), ..Flags::default() },
        ] {
            assert!(load(&flags).unwrap_err().to_string().contains("is not between 1 and"), "{flags:?}");
        }
    }

    #[test]
    fn rules_are_settings() {
        let flags = Flags { quota_step_use: Some(50), quota_step_size: Some(0), ..Flags::default() };
        let rules = load(&flags).unwrap().rules();
        assert_eq!(rules, Rules { use_percent: 50, step_percent: 0, ..Rules::default() });
        let beyond = Flags { quota_step_storage_use: Some(101), ..Flags::default() };
        assert!(load(&beyond).unwrap_err().to_string().contains("quota_step_storage_use is not between 0 and 100"));
    }

    #[test]
    fn the_network_is_a_setting() {
        let flags = Flags { cluster_ranges: Some("10.42.0.0/16,10.43.0.0/16".to_owned()), ..Flags::default() };
        let around = load(&flags).unwrap().surroundings(Some("berth")).unwrap();
        assert!(
            around.namespaces.contains(&"berth".to_owned()) && around.namespaces.contains(&"ingress-nginx".to_owned())
        );
        assert_eq!(around.cluster.len(), 2);
        let slip = Flags { tenants_reached_from: Some("Ingress".to_owned()), ..Flags::default() };
        assert!(load(&slip).unwrap_err().to_string().contains("“Ingress” is not the name of a namespace"));
    }

    #[test]
    fn where_webhooks_may_be_is_a_setting() {
        let flags = |ranges: &str| Flags { webhook_ranges: Some(ranges.to_owned()), ..Flags::default() };
        let guard = load(&flags("10.1.2.0/24, fd00:1::/64")).unwrap().webhook_guard().unwrap();
        assert!(guard.lets(false, "10.1.2.3".parse().unwrap()) && !guard.lets(true, "10.1.3.3".parse().unwrap()));
        let slip = load(&flags("10.1.2.3/24")).unwrap_err().to_string();
        assert!(slip.contains("webhook_ranges") && slip.contains("10.1.2.0/24"), "{slip}");
    }

    #[test]
    fn who_requires_a_second_factor_has_a_way_to_add_one() {
        let flags = |database: Option<&str>, key: Option<&str>, url: Option<&str>| Flags {
            public_url: url.map(str::to_owned),
            require_second_factor: Some(RequireSecondFactor::Admins),
            database: database.map(str::to_owned),
            second_factor_key_file: key.map(Into::into),
            ..Flags::default()
        };
        assert_eq!(load(&flags(None, None, None)).unwrap().required_second_factor(), Required::Admins);
        let replicas = Some("postgres://db/berth");
        assert!(load(&flags(replicas, Some("/etc/k"), None)).is_ok());
        assert!(load(&flags(replicas, None, Some("https://berth.example"))).is_ok(), "passkeys need no key");
        for url in [None, Some("http://berth.example")] {
            let refused = load(&flags(replicas, None, url)).unwrap_err().to_string();
            assert!(refused.contains("require_second_factor needs second_factor_key_file"), "{refused}");
        }
    }

    #[test]
    fn variables_that_are_no_settings_are_named() {
        let names = ["BERTH_LISTN", "BERTH_LISTEN", "BERTH_CONFIG", "BERTH_SERVICE_HOST", "BERTH_PORT_80_TCP", "PATH"];
        assert_eq!(unknown_variables(names.into_iter().map(str::to_owned)), ["BERTH_LISTN"]);
    }

    #[test]
    fn defaults_hold() {
        let settings = load(&Flags::default()).unwrap();
        assert!(!settings.secure());
        assert_eq!(settings.listen().port(), 8080);
    }

    #[test]
    fn every_setting_stands_in_the_reference() {
        let page = reference();
        assert!(KEYS.iter().all(|key| page.contains(&format!("`{key}`"))));
    }
}
