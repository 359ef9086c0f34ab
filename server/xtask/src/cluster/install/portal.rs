//! The installed portal as people and programs use it: pages, and the REST API.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::PATIENCE;
use crate::{
    bench::http::{Answer, Connection, Request},
    cluster::process,
};

/// A way to it.
#[derive(Clone)]
pub struct Portal {
    /// The ingress, or one replica.
    pub address: SocketAddr,
    /// The name by which people open it.
    pub host: String,
    /// Of an API token.
    pub token: String,
}

impl Portal {
    /// The same by another way.
    pub fn at(&self, address: SocketAddr) -> Self {
        Self { address, ..self.clone() }
    }

    /// Connecting is tried for a while: a busy machine's ingress controller may not be ready for a moment. Nothing is sent twice.
    fn send(&self, request: Request) -> Result<Answer> {
        let mut open = None;
        process::wait("somebody listens", PATIENCE, || {
            open = Connection::to(self.address).ok();
            Ok(open.is_some())
        })?;
        open.context("nobody listens")?.send(&request.with_host(&self.host))
    }

    /// Signs in with a one-time password and chooses another: what is asked of everybody at first.
    ///
    /// # Errors
    /// It is refused, or the session's cookie is not for TLS only.
    pub fn sign_in(&self, name: &str, one_time: &str, new: &str) -> Result<()> {
        let origin = format!("https://{}", self.host);
        let first = self.send(Request::form("/sign-in", "", &origin, &[("name", name), ("password", one_time)]))?;
        let cookie = session(&first)?;
        let fields = [("current", one_time), ("new", new), ("again", new)];
        let changed = self.send(Request::form("/password", &cookie, &origin, &fields))?;
        let cookie = session(&changed)?;
        let home = self.send(Request::get("/", &cookie))?;
        if home.status != 200 {
            bail!("the first page is answered with {}", home.status);
        }
        Ok(())
    }

    /// A call of the API: status and answer.
    ///
    /// # Errors
    /// There is none.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let request = match body {
            Some(body) => Request::json(method, path, &self.token, body),
            None => Request::get_json(path, &self.token),
        };
        let answer = self.send(request)?;
        let text = answer.text()?;
        Ok((answer.status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// What is at a path.
    ///
    /// # Errors
    /// It is not answered with 200.
    pub fn get(&self, path: &str) -> Result<Value> {
        match self.ask("GET", path, None)? {
            (200, answer) => Ok(answer),
            (status, answer) => bail!("GET {path}: {status} {answer}"),
        }
    }

    /// Makes something.
    ///
    /// # Errors
    /// It is not answered with 201.
    pub fn create(&self, path: &str, body: &Value) -> Result<Value> {
        match self.ask("POST", path, Some(body))? {
            (201, answer) => Ok(answer),
            (status, answer) => bail!("POST {path}: {status} {answer}"),
        }
    }

    /// The names of the tenants.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn tenants(&self) -> Result<Vec<String>> {
        let list = self.get("/api/v1/tenants")?;
        let names = list["items"].as_array().context("no list of tenants")?.iter();
        Ok(names.filter_map(|tenant| tenant["name"].as_str().map(str::to_owned)).collect())
    }

    /// A tenant with a namespace `dev`, which the cluster calls `{tenant}-dev`.
    ///
    /// # Errors
    /// It is refused, or the cluster calls the namespace otherwise.
    pub fn create_tenant(&self, tenant: &str) -> Result<()> {
        self.create_tenant_on(tenant, None)
    }

    /// The same on a cluster of that name, where there is more than one.
    ///
    /// # Errors
    /// As above.
    pub fn create_tenant_on(&self, tenant: &str, cluster: Option<&str>) -> Result<()> {
        self.create("/api/v1/tenants", &json!({"name": tenant}))?;
        let wanted = json!({"name": "dev", "cluster": cluster});
        let made = self.create(&format!("/api/v1/tenants/{tenant}/namespaces"), &wanted)?;
        if made["kubeName"] != format!("{tenant}-dev") {
            bail!("the namespace is called otherwise: {made}");
        }
        Ok(())
    }

    /// Deploys an app of two pods.
    ///
    /// # Errors
    /// It is refused.
    pub fn deploy(&self, tenant: &str, app: &str) -> Result<()> {
        let component = json!({"name": "main", "image": "nginx:1.27", "replicas": 2, "ports": [{"port": 8080}]});
        let body = json!({"name": app, "spec": {"components": [component]}});
        self.create(&format!("/api/v1/tenants/{tenant}/namespaces/dev/apps"), &body).map(drop)
    }

    /// Waits until it has all its pods.
    ///
    /// # Errors
    /// It does not get them.
    pub fn until_ready(&self, tenant: &str, app: &str) -> Result<()> {
        let path = format!("/api/v1/tenants/{tenant}/namespaces/dev/apps/{app}");
        process::wait(&format!("the app {app} ready"), PATIENCE, || {
            let (status, now) = self.ask("GET", &path, None)?;
            Ok(status == 200 && now["status"]["phase"] == "Ready" && now["status"]["ready"] == "2/2")
        })
    }
}

/// The cookie of a session that was begun.
fn session(answer: &Answer) -> Result<String> {
    let cookie = answer.cookies().find(|pair| pair.starts_with("__Host-")).map(str::to_owned);
    match cookie {
        Some(cookie) if answer.status == 303 => Ok(cookie),
        _ => bail!("no session began ({}): {}", answer.status, answer.text()?),
    }
}
