//! What a request to a cluster's own API asks for: method, path and query as `RequestInfoFactory` of `k8s.io/apiserver` reads them.
//!
//! Berth decides by what it reads here, and the cluster by what it reads itself, so the two must not differ: only paths that
//! can be read in one way are taken ([`read`]).

use berth_types::{Action, ErrorCode, Resource};
use url::form_urlencoded;

use crate::error::{Error, Result};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KubeAsk {
    /// Which kinds of objects there are, and how they look: nothing of anybody's.
    Discovery,
    /// What the one who asks may do: their own answer, which nothing is written for.
    SelfReview,
    /// Something in a namespace.
    Within(RequestInfo),
    /// Something of the whole cluster.
    ClusterWide(RequestInfo),
    /// A path that is no object's: its method, in Kubernetes' words, and itself.
    Other(&'static str, String),
}

/// A request for an object or a collection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, `proxy`.
    pub verb: &'static str,
    /// Empty for the core group.
    pub group: String,
    /// `v1`.
    pub version: String,
    /// The plural.
    pub resource: String,
    /// `status`, `log`, `exec` …; empty for the object itself.
    pub subresource: String,
    /// Empty for what belongs to the whole cluster.
    pub namespace: String,
    /// Empty for collections.
    pub name: String,
}

/// Subresources of a namespace itself: all else after its name is a resource in it.
const OF_NAMESPACES: [&str; 2] = ["status", "finalize"];
/// Verbs that stood before the path once; `watch` still does.
const SPECIAL: [&str; 2] = ["proxy", "watch"];
/// Ways into a running container.
const WAYS_IN: [&str; 3] = ["exec", "attach", "portforward"];

impl RequestInfo {
    /// The right of the role matrix that this takes. The cluster's own RBAC is asked as well, and knows more kinds than these.
    #[must_use]
    pub fn right(&self) -> (Resource, Action) {
        let action = match self.verb {
            "get" | "list" | "watch" => Action::Read,
            "create" => Action::Create,
            "delete" | "deletecollection" => Action::Delete,
            _ => Action::Update,
        };
        match (self.group.as_str(), self.resource.as_str(), self.subresource.as_str()) {
            _ if self.verb == "proxy" || self.subresource == "proxy" => (Resource::Exec, Action::Create),
            // However it begins: over a WebSocket it is a GET.
            ("", "pods", way) if WAYS_IN.contains(&way) => (Resource::Exec, Action::Create),
            ("", "pods", "log") => (Resource::Log, action),
            ("", "pods", "eviction") => (Resource::Workload, Action::Delete),
            ("berth.dev", "apps", _) => (Resource::App, action),
            ("", "namespaces", _) => (Resource::Namespace, action),
            _ => (Resource::Workload, action),
        }
    }

    /// Whether it changes something, or lets somebody in who can: it is in the audit log, and refused while the tenant rests.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.right().1 != Action::Read
    }

    /// Whether it may become a stream both ways.
    #[must_use]
    pub fn upgrades(&self) -> bool {
        self.group.is_empty() && self.resource == "pods" && WAYS_IN.contains(&self.subresource.as_str())
    }

    /// Whether its answer goes on until somebody ends it, and may be silent from the beginning.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.verb == "watch" || (self.group.is_empty() && self.resource == "pods" && self.subresource == "log")
    }

    /// Whether it writes an app.
    #[must_use]
    pub fn writes_app(&self) -> bool {
        (self.group.as_str(), self.resource.as_str(), self.subresource.as_str()) == ("berth.dev", "apps", "")
            && matches!(self.verb, "create" | "update" | "patch")
    }

    /// `kubectl.create`, `kubectl.exec`: what the audit log calls it.
    #[must_use]
    pub fn audited_as(&self) -> String {
        if self.upgrades() { format!("kubectl.{}", self.subresource) } else { format!("kubectl.{}", self.verb) }
    }

    /// `deployments.apps`.
    #[must_use]
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.resource.clone() } else { format!("{}.{}", self.resource, self.group) }
    }

    /// What an API server says to `user`, who may not: so reads the answer of namespaces that are not there, too.
    #[must_use]
    pub fn refusal(&self, user: &str) -> String {
        let Self { verb, group, resource, subresource, namespace, name, .. } = self;
        let what = if name.is_empty() { self.qualified() } else { format!("{} \"{name}\"", self.qualified()) };
        let within = if subresource.is_empty() { resource.clone() } else { format!("{resource}/{subresource}") };
        let place = if namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace \"{namespace}\"")
        };
        format!(
            "{what} is forbidden: User \"{user}\" cannot {verb} resource \"{within}\" in API group \"{group}\" {place}"
        )
    }
}

fn malformed(message: &'static str) -> Error {
    Error::new(ErrorCode::Malformed, message)
}

/// Reads method, path (as it was sent: not decoded) and query.
///
/// # Errors
/// Malformed for paths that could be read in more than one way; a method that the API does not have.
pub fn read(method: &str, path: &str, query: &str) -> Result<KubeAsk> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~' | ':' | '@');
    let path = path.strip_prefix('/').ok_or_else(|| malformed("the path does not begin with /"))?;
    let parts: Vec<&str> = if path.is_empty() { Vec::new() } else { path.split('/').collect() };
    if parts.iter().any(|part| part.is_empty() || *part == "." || *part == ".." || !part.chars().all(plain)) {
        return Err(malformed("the path has empty, relative or escaped segments; names of objects never need them"));
    }
    let verb = match method {
        "GET" | "HEAD" => "get",
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => return Err(Error::new(ErrorCode::MethodNotAllowed, "a cluster's API has no such method")),
    };
    if let Some(info) = of_resource(verb, &parts, query) {
        let reviews = matches!(
            (info.group.as_str(), info.resource.as_str()),
            ("authorization.k8s.io", "selfsubjectaccessreviews" | "selfsubjectrulesreviews")
                | ("authentication.k8s.io", "selfsubjectreviews")
        );
        return Ok(match info {
            info if !info.namespace.is_empty() => KubeAsk::Within(info),
            info if reviews && info.verb == "create" && info.name.is_empty() => KubeAsk::SelfReview,
            info => KubeAsk::ClusterWide(info),
        });
    }
    let discovery = matches!(
        parts.as_slice(),
        ["version"]
            | ["api"]
            | ["api", _]
            | ["apis"]
            | ["apis", _]
            | ["apis", _, _]
            | ["openapi", "v2" | "v3"]
            | ["openapi", "v3", "api", _]
            | ["openapi", "v3", "apis", _]
            | ["openapi", "v3", "apis", _, _]
    );
    if discovery && verb == "get" { Ok(KubeAsk::Discovery) } else { Ok(KubeAsk::Other(verb, format!("/{path}"))) }
}

/// The object or collection that a path names.
fn of_resource(verb: &'static str, parts: &[&str], query: &str) -> Option<RequestInfo> {
    let (group, version, mut rest) = match parts {
        ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
        _ => return None,
    };
    let mut info = RequestInfo { verb, group: group.to_owned(), version: version.to_owned(), ..RequestInfo::default() };
    if let Some(special) = SPECIAL.into_iter().find(|word| *word == rest[0]) {
        // Without anything behind it, it is a path of its own to the API server.
        if rest.len() < 2 {
            return None;
        }
        info.verb = special;
        rest = &rest[1..];
    }
    if let ["namespaces", namespace, within @ ..] = rest {
        info.namespace = (*namespace).to_owned();
        if within.first().is_some_and(|next| !OF_NAMESPACES.contains(next)) {
            rest = within;
        }
    }
    let part = |at: usize| rest.get(at).map(|part| (*part).to_owned()).unwrap_or_default();
    info.resource = part(0);
    info.name = part(1);
    // What follows is the proxied server's own path.
    info.subresource = if info.verb == "proxy" { String::new() } else { part(2) };
    if info.name.is_empty() {
        match info.verb {
            "get" => info.verb = if watches(query) { "watch" } else { "list" },
            "delete" => info.verb = "deletecollection",
            _ => {}
        }
    }
    Some(info)
}

/// Whether a collection is watched: there, and neither `false` nor `0`.
fn watches(query: &str) -> bool {
    let first = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "watch");
    first.is_some_and(|(_, value)| !matches!(value.to_ascii_lowercase().as_str(), "false" | "0"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ask(request: &str) -> Result<KubeAsk> {
        let (method, uri) = request.split_once(' ').unwrap();
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        read(method, path, query)
    }

    /// verb, group, resource/subresource, namespace, name; where it is one of an object.
    fn told(request: &str) -> String {
        match ask(request).unwrap() {
            KubeAsk::Discovery => "discovery".to_owned(),
            KubeAsk::SelfReview => "self-review".to_owned(),
            KubeAsk::Other(verb, path) => format!("other {verb} {path}"),
            KubeAsk::Within(i) | KubeAsk::ClusterWide(i) => {
                let sub = if i.subresource.is_empty() { String::new() } else { format!("/{}", i.subresource) };
                format!("{} {}{sub} ns={} name={}", i.verb, i.qualified(), i.namespace, i.name)
            }
        }
    }

    #[test]
    fn requests_are_read_as_an_api_server_reads_them() {
        for (request, want) in [
            // The cases of RequestInfoFactory's own test.
            ("GET /api/v1/namespaces", "list namespaces ns= name="),
            ("GET /api/v1/namespaces/other", "get namespaces ns=other name=other"),
            ("GET /api/v1/namespaces/other/pods", "list pods ns=other name="),
            ("GET /api/v1/namespaces/other/pods/foo", "get pods ns=other name=foo"),
            ("HEAD /api/v1/namespaces/other/pods/foo", "get pods ns=other name=foo"),
            ("GET /api/v1/pods", "list pods ns= name="),
            ("HEAD /api/v1/pods", "list pods ns= name="),
            ("GET /api/v1/proxy/namespaces/other/pods/foo", "proxy pods ns=other name=foo"),
            ("GET /api/v1/proxy/namespaces/other/pods/foo/subpath/not/a/subresource", "proxy pods ns=other name=foo"),
            ("GET /api/v1/watch/pods", "watch pods ns= name="),
            ("GET /api/v1/pods?watch=true", "watch pods ns= name="),
            ("GET /api/v1/pods?watch=false", "list pods ns= name="),
            ("GET /api/v1/watch/namespaces/other/pods", "watch pods ns=other name="),
            ("GET /api/v1/namespaces/other/pods?watch=1", "watch pods ns=other name="),
            ("GET /api/v1/namespaces/other/pods?watch=0", "list pods ns=other name="),
            ("GET /api/v1/namespaces/other/pods?watch", "watch pods ns=other name="),
            ("GET /api/v1/namespaces/other/pods?watch=FALSE", "list pods ns=other name="),
            ("GET /api/v1/namespaces/other/pods/foo/status", "get pods/status ns=other name=foo"),
            ("PUT /api/v1/namespaces/other/finalize", "update namespaces/finalize ns=other name=other"),
            ("PUT /api/v1/namespaces/other/status", "update namespaces/status ns=other name=other"),
            ("PATCH /api/v1/namespaces/other/pods/foo", "patch pods ns=other name=foo"),
            ("DELETE /api/v1/namespaces/other/pods/foo", "delete pods ns=other name=foo"),
            ("POST /api/v1/namespaces/other/pods", "create pods ns=other name="),
            ("DELETE /api/v1/nodes", "deletecollection nodes ns= name="),
            ("DELETE /api/v1/namespaces", "deletecollection namespaces ns= name="),
            ("DELETE /api/v1/namespaces/other/pods", "deletecollection pods ns=other name="),
            ("POST /apis/extensions/v1beta3/namespaces/other/pods", "create pods.extensions ns=other name="),
            // What kubectl sends.
            ("GET /apis/apps/v1/namespaces/d/deployments/web/scale", "get deployments.apps/scale ns=d name=web"),
            ("POST /api/v1/namespaces/d/pods/p/exec?command=sh", "create pods/exec ns=d name=p"),
            ("GET /api/v1/namespaces/d/pods/p/exec?command=sh", "get pods/exec ns=d name=p"),
            (
                "POST /api/v1/namespaces/d/serviceaccounts/default/token",
                "create serviceaccounts/token ns=d name=default",
            ),
            ("GET /api/v1/nodes/n1/proxy/pods", "get nodes/proxy ns= name=n1"),
            ("POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "self-review"),
            ("POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews?timeout=1s", "self-review"),
            ("POST /apis/authentication.k8s.io/v1/selfsubjectreviews", "self-review"),
            ("GET /api?timeout=32s", "discovery"),
            ("GET /apis", "discovery"),
            ("GET /apis/apps", "discovery"),
            ("GET /apis/apps/v1", "discovery"),
            ("GET /api/v1", "discovery"),
            ("GET /openapi/v2", "discovery"),
            ("GET /openapi/v3/apis/apps/v1?hash=AB", "discovery"),
            ("GET /version", "discovery"),
            // What is not theirs.
            (
                "POST /apis/authorization.k8s.io/v1/subjectaccessreviews",
                "create subjectaccessreviews.authorization.k8s.io ns= name=",
            ),
            (
                "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews/x",
                "create selfsubjectaccessreviews.authorization.k8s.io ns= name=x",
            ),
            ("POST /apis/apps/v1", "other create /apis/apps/v1"),
            ("GET /metrics", "other get /metrics"),
            ("GET /logs/kubelet.log", "other get /logs/kubelet.log"),
            ("GET /", "other get /"),
            ("GET /API/v1/namespaces/d/pods", "other get /API/v1/namespaces/d/pods"),
            ("GET /api/v1/watch", "other get /api/v1/watch"),
            // A name that looks like a word of the path.
            ("GET /api/v1/namespaces/d/namespaces/x", "get namespaces ns=d name=x"),
            ("GET /api/v1/Namespaces/d/pods", "get Namespaces/pods ns= name=d"),
            ("GET /api/v1/namespaces/d/pods/watch?watch=true", "get pods ns=d name=watch"),
        ] {
            assert_eq!(told(request), want, "{request}");
        }
    }

    #[test]
    fn paths_that_can_be_read_in_two_ways_are_none() {
        for path in [
            "/api/v1//namespaces/d/pods",
            "//api/v1/namespaces/d/pods",
            "/api/v1/namespaces/d/pods/",
            "/api/v1/namespaces/d/../e/pods",
            "/api/v1/namespaces/d/./pods",
            "/api/v1/namespaces/d%2fpods",
            "/api/v1/namespaces/%64/pods",
            "/api/v1/namespaces/d/pods/..%2f..%2fe",
            "/api/v1/namespaces/d/pods;x=1",
            "/api/v1/namespaces/d\\pods",
            "/api/v1/namespaces/d/pods/ä",
            "/api/v1/namespaces/d/pods/%00",
            "api/v1/pods",
            "",
        ] {
            assert_eq!(read("GET", path, "").unwrap_err().code(), ErrorCode::Malformed, "{path}");
        }
        assert_eq!(read("TRACE", "/api/v1/pods", "").unwrap_err().code(), ErrorCode::MethodNotAllowed);
    }

    #[test]
    fn rights() {
        use berth_types::{
            Action::{Create, Delete, Read, Update},
            Resource::{App, Exec, Log, Namespace, Workload},
        };
        for (request, right) in [
            ("GET /api/v1/namespaces/d/pods", (Workload, Read)),
            ("GET /api/v1/namespaces/d/secrets/x", (Workload, Read)),
            ("DELETE /api/v1/namespaces/d/pods/p", (Workload, Delete)),
            ("POST /api/v1/namespaces/d/pods/p/eviction", (Workload, Delete)),
            ("PUT /api/v1/namespaces/d/pods/p/ephemeralcontainers", (Workload, Update)),
            ("GET /api/v1/namespaces/d/pods/p/log?follow=true", (Log, Read)),
            ("GET /api/v1/namespaces/d/pods/p/exec", (Exec, Create)),
            ("POST /api/v1/namespaces/d/pods/p/attach", (Exec, Create)),
            ("GET /api/v1/namespaces/d/pods/p/portforward", (Exec, Create)),
            ("GET /api/v1/namespaces/d/pods/p/proxy/x", (Exec, Create)),
            ("GET /api/v1/namespaces/d/services/s/proxy", (Exec, Create)),
            ("GET /api/v1/proxy/namespaces/d/services/s", (Exec, Create)),
            ("POST /api/v1/namespaces/d/serviceaccounts/default/token", (Workload, Create)),
            ("POST /apis/rbac.authorization.k8s.io/v1/namespaces/d/rolebindings", (Workload, Create)),
            ("PUT /api/v1/namespaces/d/finalize", (Namespace, Update)),
            ("GET /api/v1/namespaces/d", (Namespace, Read)),
            ("GET /apis/berth.dev/v1alpha1/namespaces/d/apps", (App, Read)),
            ("PATCH /apis/berth.dev/v1alpha1/namespaces/d/apps/web", (App, Update)),
            ("PATCH /apis/berth.dev/v1alpha1/namespaces/d/apps/web/status", (App, Update)),
            ("DELETE /apis/berth.dev/v1alpha1/namespaces/d/apps", (App, Delete)),
        ] {
            let KubeAsk::Within(info) = ask(request).unwrap() else { panic!("{request}") };
            assert_eq!(info.right(), right, "{request}");
        }
    }

    #[test]
    fn a_refusal_reads_as_the_cluster_s_own() {
        for (request, want) in [
            (
                "GET /api/v1/namespaces/d/pods",
                "pods is forbidden: User \"berth:ada\" cannot list resource \"pods\" in API group \"\" in the namespace \"d\"",
            ),
            (
                "GET /apis/apps/v1/namespaces/d/deployments/web/scale",
                "deployments.apps \"web\" is forbidden: User \"berth:ada\" cannot get resource \"deployments/scale\" in API group \
                 \"apps\" in the namespace \"d\"",
            ),
            (
                "GET /api/v1/nodes",
                "nodes is forbidden: User \"berth:ada\" cannot list resource \"nodes\" in API group \"\" at the cluster scope",
            ),
        ] {
            let (KubeAsk::Within(info) | KubeAsk::ClusterWide(info)) = ask(request).unwrap() else {
                panic!("{request}")
            };
            assert_eq!(info.refusal("berth:ada"), want);
        }
    }
}
