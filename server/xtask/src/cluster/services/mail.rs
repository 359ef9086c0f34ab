//! A mail server that keeps what it is sent (`end2end/cluster/services/mail`).

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::{
    Kind,
    site::{Site, attempt, ca, go_program},
};
use crate::{cluster::layout::Cluster, shell::output, workspace::Workspace};

/// Where it is read.
const PORT: u16 = 8025;
const USER: &str = "berth";
const PASSWORD: &str = "mail-for-tests";

/// It.
pub struct Mail;

impl Kind for Mail {
    fn build(&self, workspace: &Workspace) -> Result<PathBuf> {
        go_program(workspace, "mail", ".")
    }

    fn start(&self, site: &Site<'_>) -> Result<()> {
        let (address, certificate, key) = (site.address(), site.file("tls.crt"), site.file("tls.key"));
        let mut arguments = vec!["-address", &address, "-certificate", &certificate, "-key", &key];
        arguments.extend(["-user", USER, "-password", PASSWORD]);
        site.serve(&[], &site.program("mail"), &arguments, PORT)
    }

    fn access(&self, cluster: &Cluster) -> Value {
        let at = cluster.around();
        json!({
            "url": format!("http://{at}:{PORT}"),
            "smtp": format!("smtp://{at}:587"),
            "smtps": format!("smtps://{at}:465"),
            "ca": ca(cluster),
            "user": USER,
            "password": PASSWORD,
        })
    }

    fn works(&self, site: &Site<'_>) -> Result<()> {
        let message = site.folder.join("trial.eml");
        fs::write(&message, "From: portal@berth.test\r\nTo: ada@berth.test\r\nSubject: A trial\r\n\r\nIt came.\r\n")?;
        let message = message.display().to_string();
        let send = |url: &str, more: &[&str]| {
            let mut curl = site.curl(&[url, "--mail-from", "portal@berth.test", "--mail-rcpt", "ada@berth.test"]);
            attempt(curl.args(["--upload-file", &message]).args(more))
        };
        let (smtp, smtps, user) = (site.access("smtp"), site.access("smtps"), format!("{USER}:{PASSWORD}"));
        for (url, more) in [(&smtp, vec!["--ssl-reqd", "--user", &user]), (&smtps, vec!["--user", &user])] {
            let (done, said) = send(url, &more)?;
            if !done {
                bail!("{url} does not take a message: {said}");
            }
        }
        for more in [vec!["--ssl-reqd"], vec!["--ssl-reqd", "--user", "berth:wrong"]] {
            if send(&smtp, &more)?.0 {
                bail!("{smtp} takes a message with {more:?}");
            }
        }
        let came = output(&mut site.curl(&["--fail", &format!("{}/messages?to=ada@berth.test", site.access("url"))]))?;
        let came: Value = serde_json::from_slice(&came).context("what it shows is no JSON")?;
        let right = |it: &Value| it["subject"] == "A trial" && it["text"] == "It came.\r\n" && it["tls"] == true;
        let all = came.as_array().context("what it shows is no list")?;
        if all.len() != 2 || !all.iter().all(right) {
            bail!("of two messages came {came:#}");
        }
        Ok(())
    }
}
