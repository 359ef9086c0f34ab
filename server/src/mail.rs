//! The way to the mail server that the settings name.

use std::path::Path;

use anyhow::{Context, bail};
use berth_core::ports::cluster::{Finding, Verdict};
use berth_mail::{Options, Smtp};
use secrecy::SecretString;

use crate::{config::Settings, seal_key};

fn read(path: Option<&Path>, what: &str) -> anyhow::Result<Option<String>> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).with_context(|| format!("cannot read the {what} {}", path.display()))
    };
    path.map(read).transpose()
}

/// Checks the settings by themselves. Their files are for who sends: what is run beside it need not be able to read them, and `doctor` says
/// what is wrong with one.
///
/// # Errors
/// What is wrong with them.
pub fn check(settings: &Settings) -> anyhow::Result<()> {
    let password = settings.smtp_password_file.as_ref().map(|_| SecretString::from("unread"));
    with(settings, password, None).map(drop)
}

/// The mail server of the settings; none where they name none. Nothing is connected yet.
///
/// # Errors
/// What is wrong with them.
pub fn open(settings: &Settings) -> anyhow::Result<Option<Smtp>> {
    // What is wrong with the settings themselves comes first.
    check(settings)?;
    let password = read(settings.smtp_password_file.as_deref(), "password of the mail server")?;
    // The file's last line break is no part of it.
    let password = password.map(|text| SecretString::from(text.trim_end_matches(['\r', '\n'])));
    let trusted = read(settings.smtp_ca_file.as_deref(), "certificates of the mail server")?.map(String::into_bytes);
    with(settings, password, trusted)
}

fn with(settings: &Settings, password: Option<SecretString>, trusted: Option<Vec<u8>>) -> anyhow::Result<Option<Smtp>> {
    let Some(url) = &settings.smtp_url else {
        let others = [
            settings.smtp_from.is_some(),
            settings.smtp_password_file.is_some(),
            settings.smtp_ca_file.is_some(),
            settings.smtp_without_tls.is_some(),
        ];
        if others.contains(&true) {
            bail!("smtp_from, smtp_password_file, … are for a mail server: name it with smtp_url");
        }
        return Ok(None);
    };
    let Some(site) = &settings.public_url else { bail!("smtp_url needs public_url: mail leads to the portal") };
    if seal_key::place(settings).is_none() {
        bail!("smtp_url needs second_factor_key_file: mail that waits stands sealed in the database");
    }
    let site: http::Uri = site.parse().context("public_url")?;
    let smtp = Smtp::new(Options {
        url: url.clone(),
        from: settings.smtp_from.clone().unwrap_or_default(),
        password,
        without_tls: settings.smtp_without_tls.clone(),
        trusted,
        called: site.host().unwrap_or("localhost").to_owned(),
    })?;
    Ok(Some(smtp))
}

/// Whether mail would leave; nothing is sent.
pub async fn found(settings: &Settings) -> Finding {
    let what = "mail".to_owned();
    let fix = |text: &str| Some(text.to_owned());
    match open(settings) {
        Ok(None) => {
            let found =
                "off: smtp_url is not set, so nobody gets notices or a link to a new password by mail".to_owned();
            Finding { what, verdict: Verdict::Good, found, fix: None }
        }
        Ok(Some(smtp)) => match smtp.look().await {
            Ok(greeted) => Finding { what, verdict: Verdict::Good, found: greeted, fix: None },
            Err(found) => {
                let fix = fix(
                    "check smtp_url, smtp_password_file and smtp_ca_file, and that the server lets this machine connect",
                );
                Finding { what, verdict: Verdict::Bad, found, fix }
            }
        },
        Err(e) => {
            Finding { what, verdict: Verdict::Bad, found: format!("{e:#}"), fix: fix("mend the settings smtp_…") }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_mail_needs() {
        let whole = || Settings {
            smtp_url: Some("smtp://mail.example.com".to_owned()),
            smtp_from: Some("Berth <berth@example.com>".to_owned()),
            public_url: Some("https://berth.example.com".to_owned()),
            ..Settings::default()
        };
        assert!(open(&Settings::default()).unwrap().is_none());
        assert!(open(&whole()).unwrap().is_some());
        for (settings, said) in [
            (Settings { public_url: None, ..whole() }, "needs public_url"),
            (Settings { smtp_from: None, ..whole() }, "smtp_from is no address"),
            (Settings { smtp_url: None, ..whole() }, "name it with smtp_url"),
            (Settings { database: Some("postgres://db/berth".to_owned()), ..whole() }, "needs second_factor_key_file"),
            (
                Settings { smtp_url: None, smtp_from: None, smtp_ca_file: Some("/ca".into()), ..whole() },
                "name it with smtp_url",
            ),
            (Settings { smtp_without_tls: Some("other.example.com".to_owned()), ..whole() }, "smtp_without_tls"),
        ] {
            let error = format!("{:#}", open(&settings).unwrap_err());
            assert!(error.contains(said), "{said}: {error}");
            assert!(check(&settings).is_err(), "{said}: before anything starts");
        }
        // A file is looked at by who sends alone.
        let unreadable = Settings {
            smtp_url: Some("smtp://berth@mail.example.com".to_owned()),
            smtp_password_file: Some("/nowhere".into()),
            ..whole()
        };
        assert!(check(&unreadable).is_ok() && check(&whole()).is_ok());
        assert!(format!("{:#}", open(&unreadable).unwrap_err()).contains("cannot read the password"));
    }
}
