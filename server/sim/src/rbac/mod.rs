//! Role-based access control: the authoriser, the default roles, aggregation and the guard against
//! escalation (`plugin/pkg/auth/authorizer/rbac`, `pkg/registry/rbac`).

pub mod rule;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use self::rule::{Rule, missing, quoted};
use crate::{
    cluster::Cluster,
    controllers::{
        engine::{Context, Controller, Key, Outcome},
        fields::Fields,
        selector::matches,
    },
    hooks::{Admission, AdmissionRequest, Attributes, Authorizer, Decision, Operation, UserInfo},
    registry::builtin::gr,
    status::{Result, Status},
    store::{Event, GroupResource},
};

const GROUP: &str = "rbac.authorization.k8s.io";
/// Members may do everything.
const MASTERS: &str = "system:masters";

/// Default roles and bindings of Kubernetes 1.35.
const BOOTSTRAP: &str = include_str!("bootstrap.json");

/// Creates the default roles and bindings that are missing.
pub fn bootstrap(cluster: &Cluster) {
    let system = cluster.component("kube-apiserver");
    let objects: Vec<Value> = serde_json::from_str(BOOTSTRAP).unwrap_or_default();
    for object in objects {
        let resource = match object.text("/kind") {
            "ClusterRole" => gr::CLUSTER_ROLES,
            "ClusterRoleBinding" => gr::CLUSTER_ROLE_BINDINGS,
            "Role" => gr::ROLES,
            _ => gr::ROLE_BINDINGS,
        };
        let (namespace, name) = (object.namespace().to_owned(), object.name().to_owned());
        if system.find(&resource, &namespace, &name).is_some() {
            continue;
        }
        if let Err(status) = system.create(&resource, &namespace, object) {
            tracing::error!(%status, name, "default role not made");
        }
    }
}

/// Decides by the roles and bindings of the cluster.
pub struct Rbac {
    cluster: Cluster,
}

/// A binding that concerns a user.
struct Grant {
    rules: Vec<Rule>,
    reason: String,
}

impl Rbac {
    /// An authoriser over the cluster's roles.
    #[must_use]
    pub fn new(cluster: &Cluster) -> Self {
        Self { cluster: cluster.clone() }
    }

    /// Calls `visit` with each grant until it says stop.
    fn visit(&self, user: &UserInfo, namespace: &str, visit: &mut dyn FnMut(Grant) -> bool) {
        for binding in self.cluster.list(&gr::CLUSTER_ROLE_BINDINGS, None) {
            let Some(subject) = binding.items("/subjects").iter().find(|subject| applies(subject, user, "")) else {
                continue;
            };
            let grant = self.grant("ClusterRoleBinding", &binding, subject, "");
            if grant.is_some_and(&mut *visit) {
                return;
            }
        }
        if namespace.is_empty() {
            return;
        }
        for binding in self.cluster.list(&gr::ROLE_BINDINGS, Some(namespace)) {
            let Some(subject) = binding.items("/subjects").iter().find(|subject| applies(subject, user, namespace))
            else {
                continue;
            };
            let grant = self.grant("RoleBinding", &binding, subject, namespace);
            if grant.is_some_and(&mut *visit) {
                return;
            }
        }
    }

    fn grant(&self, kind: &str, binding: &Value, subject: &Value, namespace: &str) -> Option<Grant> {
        let role_kind = binding.text("/roleRef/kind");
        let name = binding.text("/roleRef/name");
        let role = self.role(role_kind, namespace, name)?;
        let who = match subject.text("/kind") {
            "ServiceAccount" => {
                format!("ServiceAccount \"{}/{}\"", subject.text("/name"), subject_namespace(subject, namespace))
            }
            kind => format!("{kind} \"{}\"", subject.text("/name")),
        };
        let bound =
            if namespace.is_empty() { binding.name().to_owned() } else { format!("{}/{namespace}", binding.name()) };
        Some(Grant {
            rules: Rule::all_of(&role),
            reason: format!("RBAC: allowed by {kind} \"{bound}\" of {role_kind} \"{name}\" to {who}"),
        })
    }

    fn role(&self, kind: &str, namespace: &str, name: &str) -> Option<crate::store::ObjectRef> {
        match kind {
            "ClusterRole" => self.cluster.find(&gr::CLUSTER_ROLES, "", name),
            "Role" => self.cluster.find(&gr::ROLES, namespace, name),
            _ => None,
        }
    }

    /// All rules that hold for a user in a namespace.
    #[must_use]
    pub fn rules_of(&self, user: &UserInfo, namespace: &str) -> Vec<Rule> {
        let mut rules = Vec::new();
        self.visit(user, namespace, &mut |grant| {
            rules.extend(grant.rules);
            false
        });
        rules
    }
}

fn subject_namespace<'a>(subject: &'a Value, namespace: &'a str) -> &'a str {
    match subject.text("/namespace") {
        "" => namespace,
        namespace => namespace,
    }
}

fn applies(subject: &Value, user: &UserInfo, namespace: &str) -> bool {
    let name = subject.text("/name");
    match subject.text("/kind") {
        "User" => user.name == name,
        "Group" => user.in_group(name),
        "ServiceAccount" => {
            let namespace = subject_namespace(subject, namespace);
            !namespace.is_empty() && user.name == format!("system:serviceaccount:{namespace}:{name}")
        }
        _ => false,
    }
}

impl Authorizer for Rbac {
    fn authorize(&self, attributes: &Attributes) -> Decision {
        if attributes.user.in_group(MASTERS) {
            return Decision { allowed: true, reason: String::new() };
        }
        let mut found = None;
        self.visit(&attributes.user, &attributes.namespace, &mut |grant| {
            let allows = grant.rules.iter().any(|rule| rule.allows(attributes));
            if allows {
                found = Some(grant.reason);
            }
            allows
        });
        match found {
            Some(reason) => Decision { allowed: true, reason },
            None => Decision { allowed: false, reason: String::new() },
        }
    }

    fn rules(&self, user: &UserInfo, namespace: &str) -> (Vec<Value>, Vec<Value>) {
        let mut rules = self.rules_of(user, namespace);
        if user.in_group(MASTERS) {
            let all = |list: &mut Vec<String>| list.push("*".to_owned());
            let (mut resources, mut paths) = (Rule::default(), Rule::default());
            all(&mut resources.groups);
            all(&mut resources.resources);
            all(&mut resources.verbs);
            all(&mut paths.paths);
            all(&mut paths.verbs);
            rules.splice(0..0, [resources, paths]);
        }
        let mut seen = BTreeSet::new();
        rules.retain(|rule| seen.insert(rule.clone()));
        let (paths, resources): (Vec<_>, Vec<_>) = rules.into_iter().partition(|rule| !rule.paths.is_empty());
        (resources.iter().map(Rule::review).collect(), paths.iter().map(Rule::review).collect())
    }
}

/// Keeps people from granting more than they have.
pub struct EscalationGuard {
    rbac: Rbac,
}

impl EscalationGuard {
    /// A guard over the cluster's roles.
    #[must_use]
    pub fn new(cluster: &Cluster) -> Self {
        Self { rbac: Rbac::new(cluster) }
    }

    fn may(
        &self,
        request: &AdmissionRequest<'_>,
        verb: &str,
        resource: &GroupResource,
        namespace: &str,
        name: &str,
    ) -> bool {
        self.rbac
            .authorize(&Attributes {
                user: request.user.clone(),
                verb: verb.into(),
                group: GROUP.into(),
                version: "*".into(),
                resource: resource.resource.to_string(),
                name: name.into(),
                namespace: namespace.into(),
                ..Attributes::default()
            })
            .allowed
    }

    fn confirm(&self, request: &AdmissionRequest<'_>, object: &Value, rules: &[Rule]) -> Result<()> {
        let owned = self.rbac.rules_of(request.user, request.namespace);
        let mut lacking: Vec<String> = missing(&owned, rules).iter().map(ToString::to_string).collect();
        if lacking.is_empty() {
            return Ok(());
        }
        lacking.sort();
        lacking.dedup();
        let why = format!(
            "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
            request.user.name,
            quoted(&request.user.groups),
            lacking.join("\n")
        );
        Err(Status::forbidden(GROUP, &request.resource.id.resource, object.name(), &why))
    }
}

impl Admission for EscalationGuard {
    fn validate(&self, request: &AdmissionRequest<'_>, object: &Value) -> Result<()> {
        if request.resource.id.group != GROUP
            || !matches!(request.operation, Operation::Create | Operation::Update)
            || request.user.in_group(MASTERS)
        {
            return Ok(());
        }
        let id = &request.resource.id;
        if *id == gr::ROLES || *id == gr::CLUSTER_ROLES {
            if request.old.is_some_and(|old| {
                old.at("/rules") == object.at("/rules") && old.at("/aggregationRule") == object.at("/aggregationRule")
            }) {
                return Ok(());
            }
            if self.may(request, "escalate", id, request.namespace, object.name()) {
                return Ok(());
            }
            if object.at("/aggregationRule").is_object() {
                let everything = [
                    json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}),
                    json!({"nonResourceURLs": ["*"], "verbs": ["*"]}),
                ];
                let owned = self.rbac.rules_of(request.user, "");
                if !missing(&owned, &everything.iter().map(Rule::of).collect::<Vec<_>>()).is_empty() {
                    return Err(Status::forbidden(
                        GROUP,
                        &id.resource,
                        object.name(),
                        "must have cluster-admin privileges to use the aggregationRule",
                    ));
                }
            }
            return self.confirm(request, object, &Rule::all_of(object));
        }
        if request.old.is_some_and(|old| {
            old.at("/roleRef") == object.at("/roleRef") && old.at("/subjects") == object.at("/subjects")
        }) {
            return Ok(());
        }
        let (kind, name) = (object.text("/roleRef/kind"), object.text("/roleRef/name"));
        let (resource, namespace) =
            if kind == "ClusterRole" { (gr::CLUSTER_ROLES, "") } else { (gr::ROLES, request.namespace) };
        if self.may(request, "bind", &resource, request.namespace, name) {
            return Ok(());
        }
        let Some(role) = self.rbac.role(kind, namespace, name) else {
            return Err(Status::not_found(GROUP, &resource.resource, name));
        };
        self.confirm(request, object, &Rule::all_of(&role))
    }
}

/// Fills the rules of aggregated ClusterRoles.
pub struct Aggregation;

impl Controller for Aggregation {
    fn name(&self) -> &'static str {
        "clusterrole-aggregation-controller"
    }

    fn observe(&mut self, event: &Event, cx: &Context<'_>, wake: &mut Vec<Key>) {
        if event.resource != gr::CLUSTER_ROLES {
            return;
        }
        for role in cx.cluster.list(&gr::CLUSTER_ROLES, None) {
            if role.at("/aggregationRule").is_object() {
                wake.push(Key::new("", role.name()));
            }
        }
    }

    fn reconcile(&mut self, key: &Key, cx: &Context<'_>) -> Outcome {
        let Some(role) = cx.cluster.find(&gr::CLUSTER_ROLES, "", &key.name) else { return Ok(None) };
        let selectors = role.items("/aggregationRule/clusterRoleSelectors");
        if selectors.is_empty() {
            return Ok(None);
        }
        let mut rules: Vec<Value> = Vec::new();
        for other in cx.cluster.list(&gr::CLUSTER_ROLES, None) {
            if other.name() == role.name()
                || !selectors.iter().any(|selector| matches(selector, other.at("/metadata/labels")))
            {
                continue;
            }
            for rule in other.items("/rules") {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
        if role.items("/rules") != rules.as_slice() {
            cx.cluster.modify(&gr::CLUSTER_ROLES, "", &key.name, |role| role["rules"] = json!(rules))?;
        }
        Ok(None)
    }
}
