//! Who reaches a tenant's pods, and what they reach: NetworkPolicies in each of its namespaces.
//!
//! Policies add up: `berth-deny` closes everything, each of the others opens one way. The lists are made by a pure function, and
//! what somebody changed by hand is made as it was.

use berth_core::{
    Result,
    ports::cluster::{DesiredNamespace, DesiredNetwork},
};
use berth_types::network::{Cidr, EgressMode, EgressRange, Ports, Protocol};
use serde_json::{Map, Value, json};

use crate::{
    drift::Notes,
    error::Target,
    json::listed,
    meta,
    namespaces::applied,
    quotas::gone,
    rest::{Kind, Rest},
};

/// Where NodeLocal DNSCache answers, on every node that has one.
const NODE_LOCAL_DNS: &str = "169.254.20.10/32";

fn policy(namespace: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": Kind::NETWORK_POLICY.api_version,
        "kind": Kind::NETWORK_POLICY.kind,
        "metadata": { "name": name, "namespace": namespace, "labels": { meta::MANAGED_BY: meta::BERTH } },
        "spec": spec,
    })
}

fn block(cidr: impl ToString, except: &[Cidr]) -> Value {
    let mut block = json!({ "cidr": cidr.to_string() });
    if !except.is_empty() {
        block["except"] = except.iter().map(|range| json!(range.to_string())).collect();
    }
    json!({ "ipBlock": block })
}

fn port(ports: &Ports) -> Value {
    let protocol = match ports.protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
    };
    let mut port = json!({ "port": ports.first, "protocol": protocol });
    if ports.last > ports.first {
        port["endPort"] = json!(ports.last);
    }
    port
}

/// One rule for each list of ports: ranges with the same ports stand together.
fn rules(ranges: &[EgressRange]) -> Vec<Value> {
    let mut by_ports: Vec<(&[Ports], Vec<Value>)> = Vec::new();
    for range in ranges {
        let to = block(range.cidr, &[]);
        match by_ports.iter_mut().find(|(ports, _)| *ports == range.ports.as_slice()) {
            Some((_, all)) => all.push(to),
            None => by_ports.push((&range.ports, vec![to])),
        }
    }
    let rule = |(ports, to): (&[Ports], Vec<Value>)| match ports {
        [] => json!({ "to": to }),
        ports => json!({ "ports": ports.iter().map(port).collect::<Vec<_>>(), "to": to }),
    };
    by_ports.into_iter().map(rule).collect()
}

/// What `all` is: every address of both kinds but those that nobody reaches.
fn everything(network: &DesiredNetwork) -> Vec<Value> {
    let never = |ipv4: bool| network.surroundings.never().filter(|range| range.is_ipv4() == ipv4).collect::<Vec<_>>();
    vec![json!({ "to": [block("0.0.0.0/0", &never(true)), block("::/0", &never(false))] })]
}

/// The policies of a tenant's namespace.
pub(crate) fn policies(desired: &DesiredNamespace) -> Vec<Value> {
    let DesiredNamespace { kube_name: namespace, tenant, network, .. } = desired;
    let same_tenant = json!({ "namespaceSelector": { "matchLabels": { meta::TENANT: tenant } } });
    let dns = json!({
        "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "kube-system" } },
        "podSelector": { "matchLabels": { "k8s-app": "kube-dns" } },
    });
    let dns_ports = json!([{ "port": 53, "protocol": "UDP" }, { "port": 53, "protocol": "TCP" }]);
    let mut all = vec![
        policy(
            namespace,
            "berth-dns",
            json!({
                "podSelector": {},
                "policyTypes": ["Egress"],
                "egress": [{ "ports": dns_ports, "to": [dns, block(NODE_LOCAL_DNS, &[])] }],
            }),
        ),
        policy(
            namespace,
            "berth-tenant",
            json!({
                "podSelector": {},
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [{ "from": [same_tenant] }],
                "egress": [{ "to": [same_tenant] }],
            }),
        ),
        // What an app shows to the outside by an address of its own is open to everybody.
        policy(
            namespace,
            "berth-outside",
            json!({
                "podSelector": { "matchLabels": { meta::OUTSIDE: "true" } },
                "policyTypes": ["Ingress"],
                "ingress": [{}],
            }),
        ),
    ];
    let mut from: Vec<Value> = network.surroundings.sources.iter().map(|range| block(range, &[])).collect();
    if !network.surroundings.namespaces.is_empty() {
        from.push(json!({ "namespaceSelector": { "matchExpressions": [{
            "key": "kubernetes.io/metadata.name", "operator": "In", "values": network.surroundings.namespaces,
        }] } }));
    }
    // Without `from` a rule would let everybody through.
    if !from.is_empty() {
        let spec = json!({ "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{ "from": from }] });
        all.push(policy(namespace, "berth-platform", spec));
    }
    let egress = match network.egress.mode {
        EgressMode::All => everything(network),
        EgressMode::Named => rules(&network.egress.ranges),
        EgressMode::None => Vec::new(),
    };
    if !egress.is_empty() {
        let spec = json!({ "podSelector": {}, "policyTypes": ["Egress"], "egress": egress });
        all.push(policy(namespace, "berth-egress", spec));
    }
    // What closes comes last, so that what was open before never is closed in between.
    all.push(policy(namespace, "berth-deny", json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] })));
    all
}

/// Makes the policies of a namespace what is wanted, and removes those of Berth's that are not any more. Policies of others stay: they can only open more, which who may write them there wants.
pub(crate) async fn keep_policies(rest: &Rest, notes: &mut Notes, desired: &DesiredNamespace) -> Result<()> {
    let kind = Kind::NETWORK_POLICY;
    let namespace = desired.kube_name.as_str();
    let target = Target::new("the network policies of", namespace);
    let list: Value = rest.get(&target, &kind.within(namespace)).await?;
    let have = listed(&list);
    let wanted = policies(desired);
    for policy in &wanted {
        notes.wants(policy);
        let name = policy["metadata"]["name"].as_str().unwrap_or_default();
        let path = kind.at(namespace, name);
        let found = have.iter().find(|one| one["metadata"]["name"] == name);
        if found.is_some_and(|have| is_ours(have) && have["spec"] == policy["spec"]) {
            continue;
        }
        // Server-side apply removes only fields of its own.
        if let Some(surplus) = found.and_then(|have| surplus(&policy["spec"], &have["spec"])) {
            rest.merge(&Target::new(kind.kind, name), &path, &json!({ "spec": surplus })).await?;
        }
        rest.apply(&Target::new(kind.kind, name), &applied(kind, namespace, name), policy).await?;
        notes.wrote(kind, name, found);
    }
    for stale in have.iter().filter(|have| is_ours(have)) {
        let name = stale["metadata"]["name"].as_str().unwrap_or_default();
        if !wanted.iter().any(|policy| policy["metadata"]["name"] == name)
            && gone(rest.delete(&target, &kind.at(namespace, name), &json!({})).await)?
        {
            notes.removed(kind, name, stale);
        }
    }
    Ok(())
}

pub(crate) fn is_ours(have: &Value) -> bool {
    have["metadata"]["labels"][meta::MANAGED_BY] == meta::BERTH
}

/// The merge patch that takes away what stands in `have` and is not `wanted`. Lists are replaced whole by an apply.
fn surplus(wanted: &Value, have: &Value) -> Option<Value> {
    let (wanted, have) = (wanted.as_object()?, have.as_object()?);
    let patch: Map<String, Value> = have
        .iter()
        .filter_map(|(key, have)| match wanted.get(key) {
            None => Some((key.clone(), Value::Null)),
            Some(wanted) => Some((key.clone(), surplus(wanted, have)?)),
        })
        .collect();
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// Switches the token off that pods get which name no service account. The cluster makes that account a moment after the
/// namespace; until then there is nothing to switch off.
pub(crate) async fn keep_account(rest: &Rest, notes: &mut Notes, namespace: &str) -> Result<()> {
    let kind = Kind::SERVICE_ACCOUNT;
    let found = crate::namespaces::find(rest, kind, namespace, "default").await?;
    let Some(account) = found.filter(|account| account["automountServiceAccountToken"] != false) else { return Ok(()) };
    let wanted = json!({
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": { "name": "default", "namespace": namespace },
        "automountServiceAccountToken": false,
    });
    rest.apply(&Target::new(kind.kind, "default"), &applied(kind, namespace, "default"), &wanted).await?;
    // An account that the cluster has just made says nothing of it.
    match &account["automountServiceAccountToken"] {
        Value::Null => notes.changed(),
        _ => notes.wrote(kind, "default", Some(&account)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use berth_core::network::Surroundings;
    use berth_types::network::{Egress, EgressText, RangeText};

    use super::*;

    fn desired(mode: &str, ranges: &[(&str, &[&str])], surroundings: Surroundings) -> DesiredNamespace {
        let text = |(cidr, ports): &(&str, &[&str])| RangeText {
            cidr: (*cidr).into(),
            ports: ports.iter().map(|port| (*port).to_owned()).collect(),
            name: String::new(),
        };
        let written = EgressText { mode: mode.into(), ranges: ranges.iter().map(text).collect() };
        let egress = Egress::read("egress", &written, &surroundings.cluster).unwrap();
        DesiredNamespace {
            kube_name: "shop-dev".into(),
            tenant: "shop".into(),
            name: "dev".into(),
            labels: Vec::new(),
            bindings: Vec::new(),
            quota: None,
            network: DesiredNetwork { egress, surroundings: Arc::new(surroundings) },
            suspended: false,
        }
    }

    fn spec(desired: &DesiredNamespace, name: &str) -> Option<Value> {
        policies(desired).into_iter().find(|p| p["metadata"]["name"] == name).map(|p| p["spec"].clone())
    }

    #[test]
    fn everything_is_closed_but_what_is_opened() {
        let all = policies(&desired("none", &[], Surroundings::default()));
        let names: Vec<&str> = all.iter().map(|p| p["metadata"]["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["berth-dns", "berth-tenant", "berth-outside", "berth-deny"]);
        assert!(all.iter().all(|p| p["metadata"]["namespace"] == "shop-dev" && is_ours(p)));
        assert_eq!(all[3]["spec"], json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}));
        assert_eq!(all[0]["spec"]["egress"][0]["ports"].as_array().unwrap().len(), 2);
        let tenant = json!([{"namespaceSelector": {"matchLabels": {"berth.dev/tenant": "shop"}}}]);
        assert_eq!((&all[1]["spec"]["ingress"][0]["from"], &all[1]["spec"]["egress"][0]["to"]), (&tenant, &tenant));
        assert_eq!(all[2]["spec"]["podSelector"], json!({"matchLabels": {"berth.dev/outside": "true"}}));
        // Whoever is let in is named: an empty list would be everybody.
        let open = |rule: &Value| rule.as_object().is_some_and(serde_json::Map::is_empty);
        let open: Vec<&Value> = all
            .iter()
            .filter(|p| {
                ["ingress", "egress"].iter().any(|k| p["spec"][k].as_array().is_some_and(|r| r.iter().any(open)))
            })
            .collect();
        assert_eq!(open, [&all[2]]);
    }

    #[test]
    fn what_the_platform_needs_is_let_in() {
        let around = Surroundings::read("ingress-nginx,10.9.0.0/24", "", Some("berth")).unwrap();
        let spec = spec(&desired("none", &[], around), "berth-platform").unwrap();
        let want = json!([
            {"ipBlock": {"cidr": "10.9.0.0/24"}},
            {"namespaceSelector": {"matchExpressions": [
                {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["berth", "ingress-nginx"]},
            ]}},
        ]);
        assert_eq!(spec["ingress"], json!([{ "from": want }]));
        assert_eq!(spec["policyTypes"], json!(["Ingress"]));
    }

    #[test]
    fn the_way_out() {
        let around = || Surroundings::read("", "10.42.0.0/16,fd00:42::/48", None).unwrap();
        let egress = |mode: &str, ranges: &[(&str, &[&str])]| {
            spec(&desired(mode, ranges, around()), "berth-egress").map(|spec| spec["egress"].clone())
        };
        assert_eq!(egress("none", &[("8.8.8.8/32", &[])]), None, "what is kept has no effect");
        let all = egress("all", &[]).unwrap();
        assert_eq!(
            all,
            json!([{"to": [
                {"ipBlock": {"cidr": "0.0.0.0/0",
                    "except": ["169.254.0.0/16", "100.100.100.200/32", "168.63.129.16/32", "10.42.0.0/16"]}},
                {"ipBlock": {"cidr": "::/0", "except": ["fe80::/10", "fd00:ec2::254/128", "fd00:42::/48"]}},
            ]}])
        );
        let named = egress(
            "named",
            &[
                ("203.0.113.0/24", &["443", "8000-8100/udp"]),
                ("8.8.8.8/32", &[]),
                ("198.51.100.7/32", &["443", "8000-8100/udp"]),
            ],
        );
        assert_eq!(
            named.unwrap(),
            json!([
                {"ports": [{"port": 443, "protocol": "TCP"}, {"port": 8000, "endPort": 8100, "protocol": "UDP"}],
                 "to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}, {"ipBlock": {"cidr": "198.51.100.7/32"}}]},
                {"to": [{"ipBlock": {"cidr": "8.8.8.8/32"}}]},
            ])
        );
    }

    #[test]
    fn what_stands_there_besides() {
        let wanted = json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": []}]});
        for (have, want) in [
            (wanted.clone(), None),
            (
                json!({"podSelector": {"matchLabels": {"a": "b"}}, "policyTypes": ["Egress"], "egress": [{}]}),
                Some(json!({"podSelector": {"matchLabels": null}, "egress": null})),
            ),
        ] {
            assert_eq!(surplus(&wanted, &have), want, "{have}");
        }
    }
}
