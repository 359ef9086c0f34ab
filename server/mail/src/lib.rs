//! Mail by SMTP: [`Smtp`], behind core's port [`Mailer`]. A connection a mail, TLS demanded unless the settings name the one host that
//! is spoken to without.
//!
//! What goes wrong before a mail is handed over (nobody answers, no TLS, the password is wrong) says nothing about the mail, which is
//! tried again, whatever the server's code. Of the mail itself a 5xx is final, and all else is not.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use berth_core::ports::mail::{Letter, Mailer, Unsent};
use lettre::{
    Message,
    message::{
        Mailbox, MessageBuilder,
        header::{ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters},
        extension::ClientId,
    },
};
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

/// How long a connection may take, and then all of a mail.
const TIME: Duration = Duration::from_secs(30);
/// How a certificate begins.
const BEGINS: &[u8] = b"-----BEGIN CERTIFICATE-----";
/// Characters of a server's answer that are kept.
const MAX_REASON: usize = 200;

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protection {
    /// TLS from its first byte.
    Tls,
    /// STARTTLS, or nothing is sent.
    StartTls,
    /// None.
    None,
}

/// What the settings say.
#[derive(Default)]
pub struct Options {
    /// `smtp://USER@HOST:587`, `smtps://USER@HOST`.
    pub url: String,
    /// `Berth <berth@example.com>`.
    pub from: String,
    /// The password, where the URL holds none.
    pub password: Option<SecretString>,
    /// The one host to which mail goes without TLS.
    pub without_tls: Option<String>,
    /// Certificates that are trusted besides the system's, as PEM.
    pub trusted: Option<Vec<u8>>,
    /// What Berth calls itself: the host of its address.
    pub called: String,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a password.
        f.debug_struct("Options").field("from", &self.from).finish_non_exhaustive()
    }
}

/// What is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// The server.
    #[error(
        "smtp_url is no address of a mail server, such as smtp://USER@mail.example.com:587 or smtps://USER@mail.example.com"
    )]
    Url,
    /// The sender.
    #[error("smtp_from is no address, such as Berth <berth@example.com>")]
    From,
    /// Two passwords.
    #[error("choose one of a password in smtp_url and smtp_password_file")]
    TwoPasswords,
    /// A password, but nobody whose it is.
    #[error("smtp_password_file needs somebody whose password it is: smtp://USER@HOST")]
    NoUser,
    /// Somebody, but no password.
    #[error("smtp_url names a user: give their password with smtp_password_file")]
    NoPassword,
    /// Another host than the server's.
    #[error(
        "smtp_without_tls is not the host of smtp_url, or that is smtps://: without TLS mail goes to the host alone that both name"
    )]
    OtherHost,
    /// A password in the clear.
    #[error("a password is not sent without TLS, but on loopback")]
    ClearPassword,
    /// The certificates.
    #[error("smtp_ca_file holds no certificates in PEM")]
    Trusted,
    /// TLS cannot be set up.
    #[error("TLS towards the mail server: {0}")]
    Tls(String),
}

/// Sends mail to one server.
pub struct Smtp {
    host: String,
    port: u16,
    protection: Protection,
    tls: TlsParameters,
    credentials: Option<Credentials>,
    from: Mailbox,
    hello: ClientId,
    called: String,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

/// A part of the URL as it was meant.
fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
        Host::Domain(name) => *name == "localhost",
    }
}

/// Whom it is spoken to as, and with what.
fn credentials(url: &Url, password: Option<SecretString>) -> Result<Option<Credentials>, Wrong> {
    let user = decoded(url.username());
    match (user.is_empty(), url.password(), password) {
        (_, Some(_), Some(_)) => Err(Wrong::TwoPasswords),
        (true, None, None) => Ok(None),
        (true, ..) => Err(Wrong::NoUser),
        (false, None, None) => Err(Wrong::NoPassword),
        (false, Some(password), None) => Ok(Some(Credentials::new(user, decoded(password)))),
        (false, None, Some(password)) => Ok(Some(Credentials::new(user, password.expose_secret().to_owned()))),
    }
}

/// What a client says that it is called.
fn hello(called: &str) -> ClientId {
    match called.parse() {
        Ok(std::net::IpAddr::V4(address)) => ClientId::Ipv4(address),
        Ok(std::net::IpAddr::V6(address)) => ClientId::Ipv6(address),
        Err(_) => ClientId::Domain(called.to_owned()),
    }
}

impl Smtp {
    /// To the server of `options`; nothing is connected yet.
    ///
    /// # Errors
    /// What is [`Wrong`] with them.
    pub fn new(options: Options) -> Result<Self, Wrong> {
        // `smtp` is no scheme whose hosts the library reads as such.
        let (scheme, rest) = options.url.split_once("://").ok_or(Wrong::Url)?;
        let url = Url::parse(&format!("https://{rest}")).map_err(|_| Wrong::Url)?;
        let host = url.host().ok_or(Wrong::Url)?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(Wrong::Url);
        }
        let secure = match scheme {
            "smtps" => true,
            "smtp" => false,
            _ => return Err(Wrong::Url),
        };
        let name = match &host {
            Host::Domain(name) => (*name).to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        // The port of the scheme that was put there is not told from none: who means 443 cannot be helped.
        let port = url.port().unwrap_or(if secure { 465 } else { 587 });
        let without = options.without_tls.as_deref().map(|host| host.trim_matches(['[', ']']));
        let protection = match (secure, without) {
            (true, None) => Protection::Tls,
            (false, None) => Protection::StartTls,
            (false, Some(clear)) if clear.eq_ignore_ascii_case(&name) => Protection::None,
            (_, Some(_)) => return Err(Wrong::OtherHost),
        };
        let credentials = credentials(&url, options.password)?;
        if protection == Protection::None && credentials.is_some() && !is_loopback(&host) {
            return Err(Wrong::ClearPassword);
        }
        let from = options.from.parse().map_err(|_| Wrong::From)?;
        let tls = tls(&name, options.trusted.as_deref())?;
        let hello = hello(&options.called);
        Ok(Self { host: name, port, protection, tls, credentials, from, hello, called: options.called })
    }

    /// Connects, with TLS and password as the settings say, and sends nothing: for `berth doctor`. How it was greeted.
    ///
    /// # Errors
    /// Why it does not work.
    pub async fn look(&self) -> Result<String, String> {
        let mut connection = self.timed(self.connect()).await?;
        // What it answers to a good-bye says nothing of what it does with mail.
        let _ = tokio::time::timeout(TIME, connection.quit()).await;
        let protection = match self.protection {
            Protection::Tls => "TLS",
            Protection::StartTls => "STARTTLS",
            Protection::None => "no TLS",
        };
        let who = if self.credentials.is_some() { "signed in" } else { "without a password" };
        Ok(format!("{} answers, {protection}, {who}; from {}", self.server(), self.from))
    }

    async fn timed<T>(&self, work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
        let late = |_| format!("{} did not answer within {} s", self.server(), TIME.as_secs());
        tokio::time::timeout(TIME, work).await.map_err(late)?
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, String> {
        let tls = (self.protection == Protection::Tls).then(|| self.tls.clone());
        let server = (self.host.as_str(), self.port);
        let connected = AsyncSmtpConnection::connect_tokio1(server, Some(TIME), &self.hello, tls, None).await;
        let mut connection = connected.map_err(|e| said("connecting", &e, ""))?;
        if self.protection == Protection::StartTls {
            if !connection.can_starttls() {
                return Err("it offers no STARTTLS, and nothing is sent without TLS".to_owned());
            }
            connection.starttls(self.tls.clone(), &self.hello).await.map_err(|e| said("STARTTLS", &e, ""))?;
        }
        if let Some(credentials) = &self.credentials {
            let ways = [Mechanism::Plain, Mechanism::Login];
            connection.auth(&ways, credentials).await.map_err(|e| said("signing in", &e, ""))?;
        }
        Ok(connection)
    }

    fn message(&self, letter: &Letter) -> Result<Message, String> {
        let to = letter.to.parse().map_err(|e| format!("the address cannot be written to: {e}"))?;
        let since = u64::try_from(letter.at.as_second()).unwrap_or_default();
        let builder = MessageBuilder::new()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(letter.subject.as_str())
            .date(SystemTime::UNIX_EPOCH + Duration::from_secs(since))
            .message_id(Some(format!("<{}@{}>", letter.id, self.called)))
            .header(AutoSubmitted)
            .header(ContentType::TEXT_PLAIN)
            // Whatever the server says that it takes, and however long a line is.
            .header(ContentTransferEncoding::Base64);
        let builder = match &letter.settings {
            Some(settings) => builder.header(ListUnsubscribe(format!("<{settings}>"))),
            None => builder,
        };
        builder.body(letter.text.clone()).map_err(|e| format!("the mail cannot be written: {e}"))
    }
}

/// A server's words without the address that a mail is for, which servers like to repeat.
fn without(text: &str, address: &str) -> String {
    if address.is_empty() {
        return text.to_owned();
    }
    // As long as the text itself, byte for byte.
    let (low, address) = (text.to_ascii_lowercase(), address.to_ascii_lowercase());
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    for (found, _) in low.match_indices(&address) {
        out.push_str(&text[at..found]);
        out.push('…');
        at = found + address.len();
    }
    out.push_str(&text[at..]);
    out
}

/// A failure in words: what the server said, or what is in its way. `to`: whom the mail is for, which is not said.
fn said(doing: &str, error: &lettre::transport::smtp::Error, to: &str) -> String {
    let mut text = format!("{doing}: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    without(&text, to).chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_REASON).collect()
}

fn tls(host: &str, trusted: Option<&[u8]>) -> Result<TlsParameters, Wrong> {
    let build = |store| {
        let mut builder = TlsParameters::builder(host.to_owned()).certificate_store(store);
        if let Some(pem) = trusted {
            // The library takes a file without any for one.
            if !pem.windows(BEGINS.len()).any(|part| part == BEGINS) {
                return Err(Wrong::Trusted);
            }
            builder = builder.add_root_certificate(Certificate::from_pem(pem).map_err(|_| Wrong::Trusted)?);
        }
        builder.build_rustls().map_err(|e| Wrong::Tls(e.to_string()))
    };
    // Berth's own image has no certificates of a system: whom Mozilla trusts, then.
    let system = !rustls_native_certs::load_native_certs().certs.is_empty();
    build(if system { CertificateStore::Default } else { CertificateStore::WebpkiRoots })
}

/// Out-of-office replies stay away (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// Where one chooses what one gets (RFC 2369).
#[derive(Clone)]
struct ListUnsubscribe(String);

impl Header for ListUnsubscribe {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("List-Unsubscribe")
    }

    fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self(text.to_owned()))
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), self.0.clone())
    }
}

#[async_trait]
impl Mailer for Smtp {
    fn from(&self) -> String {
        self.from.to_string()
    }

    fn server(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    async fn send(&self, letter: &Letter) -> Result<(), Unsent> {
        let never = |reason| Unsent { reason, for_good: true };
        let later = |reason| Unsent { reason, for_good: false };
        let message = self.message(letter).map_err(never)?;
        let mut connection = self.timed(self.connect()).await.map_err(later)?;
        let bytes = message.formatted();
        let sent = tokio::time::timeout(TIME, connection.send(message.envelope(), &bytes)).await;
        let sent = sent.map_err(|_| later(format!("{} did not take it within {} s", self.server(), TIME.as_secs())))?;
        sent.map_err(|e| Unsent { for_good: e.is_permanent(), reason: said("sending", &e, &letter.to) })?;
        let _ = tokio::time::timeout(TIME, connection.quit()).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
