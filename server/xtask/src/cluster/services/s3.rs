//! Object storage as S3 has it, over a folder: versitygw.

use std::{fs, path::PathBuf};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::{
    Kind,
    site::{Site, attempt, ca, go_program},
};
use crate::{cluster::layout::Cluster, workspace::Workspace};

const PORT: u16 = 7070;
const USER: &str = "berth";
const PASSWORD: &str = "s3-for-tests";
const REGION: &str = "us-east-1";

/// It.
pub struct S3;

impl Kind for S3 {
    fn build(&self, workspace: &Workspace) -> Result<PathBuf> {
        go_program(workspace, "s3", "github.com/versity/versitygw/cmd/versitygw")
    }

    fn start(&self, site: &Site<'_>) -> Result<()> {
        fs::create_dir_all(site.folder.join("data"))?;
        let (at, certificate, key, data) =
            (format!("{}:{PORT}", site.address()), site.file("tls.crt"), site.file("tls.key"), site.file("data"));
        let mut arguments = vec!["--access", USER, "--secret", PASSWORD, "--region", REGION, "--port", &at];
        arguments.extend(["--cert", &certificate, "--key", &key, "posix", &data]);
        site.serve(&[], &site.program("s3"), &arguments, PORT)
    }

    fn access(&self, cluster: &Cluster) -> Value {
        json!({
            "url": format!("https://{}:{PORT}", cluster.around()),
            "ca": ca(cluster),
            "user": USER,
            "password": PASSWORD,
            "region": REGION,
        })
    }

    fn works(&self, site: &Site<'_>) -> Result<()> {
        let signed = |password: &str, path: &str, more: &[&str]| {
            let (user, how) = (format!("{USER}:{password}"), format!("aws:amz:{REGION}:s3"));
            let url = format!("{}{path}", site.access("url"));
            // Debian's curl signs it, but does not add it.
            let body = "x-amz-content-sha256: UNSIGNED-PAYLOAD";
            let mut curl =
                site.curl(&["--header", body, "--fail-with-body", "--user", &user, "--aws-sigv4", &how, &url]);
            attempt(curl.args(more))
        };
        let expect = |path: &str, more: &[&str], has: &str| {
            let (done, said) = signed(PASSWORD, path, more)?;
            if !done || !said.contains(has) {
                bail!("{path} {more:?} answers {said:?}");
            }
            Ok(())
        };
        expect("/trial", &["--request", "PUT"], "")?;
        expect("/trial/notes/first", &["--request", "PUT", "--data-binary", "kept"], "")?;
        expect("/trial/notes/first", &[], "kept")?;
        expect("/trial?list-type=2", &[], "<Key>notes/first</Key>")?;
        let (done, said) = signed("wrong", "/trial/notes/first", &[])?;
        if done || !said.contains("SignatureDoesNotMatch") {
            bail!("a wrong key gets {said:?}");
        }
        Ok(())
    }
}
