//! Policy rules: what they allow and what they cover (`k8s.io/component-helpers/auth/rbac/validation`).

use serde_json::{Value, json};

use crate::{controllers::fields::Fields, hooks::Attributes};

/// `rbac.authorization.k8s.io/v1` PolicyRule.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// API groups.
    pub groups: Vec<String>,
    /// Plurals, `plural/subresource`, `*`, `*/subresource`.
    pub resources: Vec<String>,
    /// Paths that are no resources; a trailing `*` matches any rest.
    pub paths: Vec<String>,
    /// Names; empty means all.
    pub names: Vec<String>,
    /// Verbs.
    pub verbs: Vec<String>,
}

fn strings(value: &Value, pointer: &str) -> Vec<String> {
    value.items(pointer).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|entry| entry == "*" || entry == wanted)
}

impl Rule {
    /// Reads the JSON form.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        Self {
            groups: strings(value, "/apiGroups"),
            resources: strings(value, "/resources"),
            paths: strings(value, "/nonResourceURLs"),
            names: strings(value, "/resourceNames"),
            verbs: strings(value, "/verbs"),
        }
    }

    /// The rules of a role.
    #[must_use]
    pub fn all_of(role: &Value) -> Vec<Self> {
        role.items("/rules").iter().map(Self::of).collect()
    }

    /// Whether the rule allows a request.
    #[must_use]
    pub fn allows(&self, request: &Attributes) -> bool {
        if !has(&self.verbs, &request.verb) {
            return false;
        }
        if request.resource.is_empty() {
            return self.paths.iter().any(|path| path_matches(path, &request.path));
        }
        has(&self.groups, &request.group)
            && self.allows_resource(&request.resource, &request.subresource)
            && (self.names.is_empty() || self.names.contains(&request.name))
    }

    fn allows_resource(&self, resource: &str, subresource: &str) -> bool {
        let full = if subresource.is_empty() { resource.to_owned() } else { format!("{resource}/{subresource}") };
        self.resources.iter().any(|own| {
            own == "*" || *own == full || !subresource.is_empty() && own.strip_prefix("*/") == Some(subresource)
        })
    }

    /// The rule split so that each part has one verb, group, resource and name.
    fn parts(&self) -> Vec<Self> {
        let mut parts = Vec::new();
        for verb in &self.verbs {
            for path in &self.paths {
                parts.push(Self { paths: vec![path.clone()], verbs: vec![verb.clone()], ..Self::default() });
            }
            for group in &self.groups {
                for resource in &self.resources {
                    let names: Vec<Vec<String>> = if self.names.is_empty() {
                        vec![Vec::new()]
                    } else {
                        self.names.iter().map(|name| vec![name.clone()]).collect()
                    };
                    for names in names {
                        parts.push(Self {
                            groups: vec![group.clone()],
                            resources: vec![resource.clone()],
                            names,
                            verbs: vec![verb.clone()],
                            ..Self::default()
                        });
                    }
                }
            }
        }
        parts
    }

    /// Whether this rule alone grants a part.
    fn covers(&self, part: &Self) -> bool {
        let verbs = part.verbs.iter().all(|verb| has(&self.verbs, verb));
        let groups = part.groups.iter().all(|group| has(&self.groups, group));
        let resources = part.resources.iter().all(|resource| match resource.split_once('/') {
            Some((plural, sub)) => self.allows_resource(plural, sub),
            None => self.resources.iter().any(|own| own == "*" || own == resource),
        });
        let paths = part.paths.iter().all(|path| self.paths.iter().any(|own| path_matches(own, path)));
        let names = if self.names.is_empty() {
            true
        } else {
            !part.names.is_empty() && part.names.iter().all(|name| self.names.contains(name))
        };
        verbs && groups && resources && paths && names
    }
}

fn path_matches(pattern: &str, path: &str) -> bool {
    pattern == "*" || pattern == path || pattern.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
}

/// What of `wanted` the `owned` rules do not grant, put together again as compactly as the real message does.
#[must_use]
pub fn missing(owned: &[Rule], wanted: &[Rule]) -> Vec<Rule> {
    let lacking: Vec<Rule> =
        wanted.iter().flat_map(Rule::parts).filter(|part| !owned.iter().any(|own| own.covers(part))).collect();
    // Parts that differ in their verb alone become one rule, as `CompactRules` does.
    let mut compact: Vec<Rule> = Vec::new();
    for part in lacking {
        let same = compact.iter_mut().find(|rule| {
            rule.paths.is_empty()
                && rule.groups == part.groups
                && rule.resources == part.resources
                && rule.names == part.names
        });
        match same {
            Some(rule) => {
                for verb in part.verbs {
                    if !rule.verbs.contains(&verb) {
                        rule.verbs.push(verb);
                    }
                }
            }
            None => compact.push(part),
        }
    }
    compact
}

impl std::fmt::Display for Rule {
    /// `{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<String> = [
            ("APIGroups", &self.groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.paths),
            ("ResourceNames", &self.names),
            ("Verbs", &self.verbs),
        ]
        .into_iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(name, list)| format!("{name}:{}", quoted(list)))
        .collect();
        write!(f, "{{{}}}", parts.join(", "))
    }
}

/// A list as Go's `%q` prints it: `["a" "b"]`.
#[must_use]
pub fn quoted(list: &[String]) -> String {
    let words: Vec<String> = list.iter().map(|word| format!("{word:?}")).collect();
    format!("[{}]", words.join(" "))
}

impl Rule {
    /// The JSON of a SelfSubjectRulesReview entry.
    #[must_use]
    pub fn review(&self) -> Value {
        if !self.paths.is_empty() {
            return json!({"verbs": self.verbs, "nonResourceURLs": self.paths});
        }
        let mut out = json!({"verbs": self.verbs, "apiGroups": self.groups, "resources": self.resources});
        if !self.names.is_empty() {
            out["resourceNames"] = json!(self.names);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> Rule {
        let own = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        Rule { groups: own(groups), resources: own(resources), verbs: own(verbs), ..Rule::default() }
    }

    fn ask(verb: &str, group: &str, resource: &str, subresource: &str, name: &str) -> Attributes {
        Attributes {
            verb: verb.into(),
            group: group.into(),
            resource: resource.into(),
            subresource: subresource.into(),
            name: name.into(),
            ..Attributes::default()
        }
    }

    #[test]
    fn what_rules_allow() {
        let mut named = rule(&[""], &["configmaps"], &["get"]);
        named.names = vec!["one".into()];
        for (rule, request, expected) in [
            (rule(&[""], &["pods"], &["get"]), ask("get", "", "pods", "", "p"), true),
            (rule(&[""], &["pods"], &["get"]), ask("list", "", "pods", "", ""), false),
            (rule(&[""], &["pods"], &["get"]), ask("get", "", "pods", "log", "p"), false),
            (rule(&[""], &["pods/log"], &["get"]), ask("get", "", "pods", "log", "p"), true),
            (rule(&[""], &["*"], &["*"]), ask("get", "", "pods", "log", "p"), true),
            (rule(&["apps"], &["*/scale"], &["update"]), ask("update", "apps", "deployments", "scale", "d"), true),
            (rule(&["*"], &["deployments"], &["get"]), ask("get", "apps", "deployments", "", "d"), true),
            (rule(&[""], &["deployments"], &["get"]), ask("get", "apps", "deployments", "", "d"), false),
            (named.clone(), ask("get", "", "configmaps", "", "one"), true),
            (named.clone(), ask("get", "", "configmaps", "", "two"), false),
            (named, ask("get", "", "configmaps", "", ""), false),
        ] {
            assert_eq!(rule.allows(&request), expected, "{rule} {request:?}");
        }
        let paths =
            Rule { paths: vec!["/healthz".into(), "/apis/*".into()], verbs: vec!["get".into()], ..Rule::default() };
        let path = |path: &str| Attributes { verb: "get".into(), path: path.into(), ..Attributes::default() };
        assert!(
            paths.allows(&path("/apis/apps")) && paths.allows(&path("/healthz")) && !paths.allows(&path("/metrics"))
        );
    }

    #[test]
    fn what_is_missing_is_said_compactly() {
        let owned = [rule(&[""], &["pods"], &["get", "list"])];
        let wanted = [rule(&[""], &["pods", "secrets"], &["get", "delete"])];
        let said: Vec<String> = missing(&owned, &wanted).iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"delete\"]}",
                "{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\"]}"
            ]
        );
        assert!(missing(&[rule(&["*"], &["*"], &["*"])], &wanted).is_empty());
    }
}
