//! NetworkPolicies on a real network: pods on the same node and on others, and who of them reaches whom.

use std::{collections::BTreeSet, thread};

use anyhow::{Context as _, Result, anyhow};

use super::wait;
use crate::{
    cluster::{kubectl, layout::Cluster},
    shell::output,
};

/// Where the policies are, and a neighbour.
const SPACES: [&str; 2] = ["policy-shop", "policy-guest"];
/// Name, namespace and node of the pods, and what their label `role` says. All of them serve all ports.
const PODS: [(&str, &str, &str, &str); 6] = [
    ("web", SPACES[0], "node1", "server"),
    ("near", SPACES[0], "node1", "friend"),
    ("far", SPACES[0], "node2", "friend"),
    ("stranger", SPACES[0], "node3", "stranger"),
    ("guest", SPACES[1], "node2", "friend"),
    ("visitor", SPACES[1], "node3", "stranger"),
];
/// Their ports' names; `service` is the Service before `web`'s `http`.
const PORTS: [(&str, &str); 3] = [("http", "tcp"), ("admin", "tcp"), ("names", "udp")];

/// Who is let through.
type Reached = BTreeSet<String>;

/// Policies, and what they let through. A line is `from > to:port`, each a list or `*`.
struct Case {
    name: &'static str,
    policies: &'static [&'static str],
    /// Everything else is denied, but that `web` reaches itself through its Service: no policy stops a pod from that.
    allowed: &'static [&'static str],
}

/// Each in turn takes the place of the one before, whose answers are others: so none passes by being too early.
const CASES: &[Case] = &[
    Case { name: "no policy", policies: &[], allowed: &["* > *:*"] },
    Case {
        name: "all pods of a namespace receive nothing",
        policies: &["{podSelector: {}, policyTypes: [Ingress]}"],
        allowed: &["* > guest,visitor:*"],
    },
    Case {
        name: "all pods of a namespace send nothing",
        policies: &["{podSelector: {}, policyTypes: [Egress]}"],
        allowed: &["guest,visitor > *:*"],
    },
    Case {
        name: "from pods by label, in the policy's own namespace",
        policies: &[
            "{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {role: friend}}}]}]}",
        ],
        allowed: &["* > near,far,stranger,guest,visitor:*", "near,far > web,service:*"],
    },
    Case {
        name: "from namespaces by label",
        policies: &[
            "{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: guest}}}]}]}",
        ],
        allowed: &["* > near,far,stranger,guest,visitor:*", "guest,visitor > web,service:*"],
    },
    Case {
        name: "from pods and namespaces by label, both at once",
        policies: &[
            "{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: guest}}, podSelector: {matchLabels: {role: friend}}}]}]}",
        ],
        allowed: &["* > near,far,stranger,guest,visitor:*", "guest > web,service:*"],
    },
    Case {
        name: "from pods or namespaces by label, either",
        policies: &[
            "{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: guest}}}, {podSelector: {matchLabels: {role: stranger}}}]}]}",
        ],
        allowed: &["* > near,far,stranger,guest,visitor:*", "guest,visitor,stranger > web,service:*"],
    },
    Case {
        name: "from a block of addresses but for some",
        policies: &[
            "{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{ipBlock: {cidr: ${PODS}, except: [\"${NODE2}\"]}}]}]}",
        ],
        allowed: &["* > near,far,stranger,guest,visitor:*", "near,stranger,visitor > web,service:*"],
    },
    Case {
        name: "to a port by number",
        policies: &["{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 8080}]}]}"],
        allowed: &["* > near,far,stranger,guest,visitor:*", "* > web,service:http"],
    },
    Case {
        name: "to a port by name",
        policies: &["{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: admin}]}]}"],
        allowed: &["* > near,far,stranger,guest,visitor:*", "* > web:admin"],
    },
    Case {
        name: "to a range of ports",
        policies: &["{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 8000, endPort: 8081}]}]}"],
        allowed: &["* > near,far,stranger,guest,visitor:*", "* > web,service:http,admin"],
    },
    Case {
        name: "to a port of UDP",
        policies: &["{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: names, protocol: UDP}]}]}"],
        allowed: &["* > near,far,stranger,guest,visitor:*", "* > web:names"],
    },
    Case {
        name: "policies add to each other",
        policies: &[
            "{podSelector: {}, policyTypes: [Ingress]}",
            "{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: http}]}]}",
            "{podSelector: {matchLabels: {role: server}}, ingress: [{from: [{podSelector: {matchLabels: {app: near}}}]}]}",
        ],
        allowed: &["* > guest,visitor:*", "* > web,service:http", "near > web:*"],
    },
    Case {
        name: "both sides have to allow",
        policies: &[
            "{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {role: friend}}}]}]}",
            "{podSelector: {matchLabels: {app: near}}, policyTypes: [Egress]}",
        ],
        allowed: &["far,stranger,guest,visitor,web > near,far,stranger,guest,visitor:*", "far > web,service:*"],
    },
    Case {
        name: "sending to some pods, and asking for names",
        policies: &[
            "{podSelector: {matchLabels: {role: friend}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: http}]}, {to: [{namespaceSelector: {}}], ports: [{port: 5353, protocol: UDP}]}]}",
        ],
        allowed: &[
            "web,stranger,guest,visitor > *:*",
            "near,far > web,service:http",
            "near,far > web,near,far,stranger,guest,visitor:names",
        ],
    },
    Case {
        name: "sending to a block of addresses but for some, and by a port's name",
        policies: &[
            "{podSelector: {matchLabels: {app: near}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: ${PODS}, except: [\"${NODE2}\"]}}]}, {to: [{podSelector: {matchLabels: {app: far}}}], ports: [{port: admin}]}]}",
        ],
        allowed: &["web,far,stranger,guest,visitor > *:*", "near > web,stranger,visitor,service:*", "near > far:admin"],
    },
    Case { name: "policies are gone: open again", policies: &[], allowed: &["* > *:*"] },
];

/// What holds while pods come and change: only friends reach `web`, and nobody else is reached but in the other namespace.
const FRIENDS: Case = Case {
    name: "pods that change",
    policies: &[
        "{podSelector: {}, policyTypes: [Ingress]}",
        "{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {role: friend}}}]}]}",
    ],
    allowed: &["* > guest,visitor:*", "near,far > web,service:*"],
};

/// All cases, and pods whose labels change or that are new.
///
/// # Errors
/// Something passes that should not, or does not that should.
pub fn run(cluster: &Cluster) -> Result<()> {
    kubectl::apply(cluster, &objects())?;
    let stage = Stage::find(cluster)?;
    for case in CASES.iter().chain([&FRIENDS]) {
        stage.play(case)?;
    }

    let mut allowed: Vec<_> = FRIENDS.allowed.to_vec();
    label(cluster, "stranger", "friend")?;
    allowed.push("stranger > web,service:*");
    stage.expect("a label makes a pod a friend", &allowed)?;
    label(cluster, "stranger", "stranger")?;
    allowed.pop();
    stage.expect("without it, it is none", &allowed)?;
    // It is ready only if its kubelet gets through to it, which no policy stops.
    delete(cluster, &["pod", "near", "--namespace", SPACES[0], "--now", "--wait"])?;
    kubectl::apply(cluster, &objects())?;
    Stage::find(cluster)?.expect("a new pod is a friend at once", &allowed)?;
    delete(cluster, &["namespace", SPACES[0], SPACES[1]])
}

fn label(cluster: &Cluster, pod: &str, role: &str) -> Result<()> {
    let mut label = kubectl::kubectl(cluster);
    label.args(["label", "pod", pod, "--namespace", SPACES[0], "--overwrite", &format!("role={role}")]);
    output(&mut label).map(drop)
}

fn delete(cluster: &Cluster, what: &[&str]) -> Result<()> {
    output(kubectl::kubectl(cluster).arg("delete").args(what)).map(drop)
}

/// The pods with their addresses.
struct Stage<'a> {
    cluster: &'a Cluster,
    /// What can be reached (`web:http`), and by which address (`tcp/10.244.1.5:8080`).
    targets: Vec<(String, String)>,
}

impl<'a> Stage<'a> {
    /// Waits until the pods are ready.
    fn find(cluster: &'a Cluster) -> Result<Self> {
        let mut targets = Vec::new();
        for space in SPACES {
            let mut ready = kubectl::kubectl(cluster);
            ready.args(["wait", "pod", "--all", "--for=condition=Ready", "--timeout=120s", "--namespace", space]);
            output(&mut ready)?;
        }
        for (name, space, ..) in PODS {
            let pod = kubectl::get(cluster, &["pod", name, "--namespace", space])?;
            let address = pod["status"]["podIP"].as_str().context("a ready pod has no address")?;
            let ports = PORTS.iter().map(|(port, protocol)| (port, protocol, number(port)));
            targets.extend(
                ports.map(|(port, protocol, number)| {
                    (format!("{name}:{port}"), format!("{protocol}/{address}:{number}"))
                }),
            );
        }
        let service = kubectl::get(cluster, &["service", "web", "--namespace", SPACES[0]])?;
        let address = service["spec"]["clusterIP"].as_str().context("the Service has no address")?;
        targets.push(("service:http".to_owned(), format!("tcp/{address}:80")));
        Ok(Self { cluster, targets })
    }

    fn play(&self, case: &Case) -> Result<()> {
        delete(self.cluster, &["networkpolicy", "--all", "--namespace", SPACES[0]])?;
        let nodes: Vec<_> = self.cluster.nodes().collect();
        let policies = case.policies.iter().enumerate().map(|(index, spec)| {
            let spec = spec.replace("${PODS}", &self.cluster.pods()).replace("${NODE2}", &nodes[1].pods());
            format!(
                "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p{index}, namespace: {}}}\nspec: {spec}\n---\n",
                SPACES[0]
            )
        });
        let policies: String = policies.collect();
        if !policies.is_empty() {
            kubectl::apply(self.cluster, &policies)?;
        }
        self.expect(case.name, case.allowed)
    }

    /// Waits until everything that is allowed is reached and nothing else.
    fn expect(&self, name: &str, allowed: &[&str]) -> Result<()> {
        let expected = expected(allowed);
        let mut differences = Vec::new();
        let so = wait(name, || {
            let reached = self.reached()?;
            let line = |sign: &str, it: &String| format!("{sign} {it}");
            let missing = expected.difference(&reached).map(|it| line("denied but allowed:", it));
            differences =
                missing.chain(reached.difference(&expected).map(|it| line("reached but denied:", it))).collect();
            Ok(differences.is_empty())
        });
        so.with_context(|| differences.join("\n"))
    }

    /// Every pod tries to reach everything.
    fn reached(&self) -> Result<Reached> {
        let found = thread::scope(|scope| {
            let all: Vec<_> =
                PODS.iter().map(|(from, space, ..)| scope.spawn(|| self.reached_by(from, space))).collect();
            let all = all.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("a thread failed"))?);
            all.collect::<Result<Vec<_>>>()
        });
        Ok(found?.into_iter().flatten().collect())
    }

    fn reached_by(&self, from: &str, space: &str) -> Result<Vec<String>> {
        let tries = self.targets.iter().filter(|(to, _)| asks(from, to));
        let mut exec = kubectl::kubectl(self.cluster);
        exec.args(["exec", from, "--namespace", space, "--", "/fixture", "reach"]);
        let said = output(exec.args(tries.clone().map(|(_, address)| address)))?;
        let said = String::from_utf8(said)?;
        let named = |line: &str| {
            let found = self.targets.iter().find(|(_, address)| address == line);
            found.map(|(to, _)| format!("{from} > {to}")).with_context(|| format!("nobody asked for {line}"))
        };
        said.lines().map(named).collect()
    }
}

/// A pod does not ask itself but through the Service.
fn asks(from: &str, to: &str) -> bool {
    to.split(':').next() != Some(from)
}

/// All pairs of the lines, and what no policy forbids.
fn expected(lines: &[&str]) -> Reached {
    let has = |list: &str, one: &str| list == "*" || list.split(',').any(|it| it == one);
    let matches = |line: &str, from: &str, to: &str, port: &str| {
        let parts = line.split_once(" > ").and_then(|(froms, rest)| Some((froms, rest.split_once(':')?)));
        parts.is_some_and(|(froms, (tos, ports))| has(froms, from) && has(tos, to) && has(ports, port))
    };
    let mut targets: Vec<_> = PODS.iter().flat_map(|pod| PORTS.iter().map(move |(port, _)| (pod.0, *port))).collect();
    targets.push(("service", "http"));
    let pairs = PODS.iter().flat_map(|pod| targets.iter().map(move |(to, port)| (pod.0, *to, *port)));
    let let_through = pairs.filter(|(from, to, port)| {
        asks(from, to) && (lines.iter().any(|line| matches(line, from, to, port)) || (*from, *to) == ("web", "service"))
    });
    let_through.map(|(from, to, port)| format!("{from} > {to}:{port}")).collect()
}

fn number(port: &str) -> u16 {
    match port {
        "http" => 8080,
        "admin" => 8081,
        _ => 5353,
    }
}

fn objects() -> String {
    let spaces = SPACES.iter().map(|name| {
        let team = name.trim_start_matches("policy-");
        format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{team: {team}}}}}\n---\n")
    });
    let pods = PODS.iter().map(|(name, space, node, role)| {
        let ports = PORTS.map(|(port, protocol)| {
            format!("{{name: {port}, containerPort: {}, protocol: {}}}", number(port), protocol.to_uppercase())
        });
        format!(
            "apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {space}, labels: {{app: {name}, role: {role}}}}}
spec:
  nodeSelector: {{kubernetes.io/hostname: {node}}}
  terminationGracePeriodSeconds: 1
  containers:
  - name: web
    image: berth.test/fixture:1
    env: [{{name: PORTS, value: \"8080,8081\"}}, {{name: UDP_PORTS, value: \"5353\"}}]
    ports: [{}]
    readinessProbe: {{httpGet: {{path: /readyz, port: http}}, periodSeconds: 1}}
---
",
            ports.join(", ")
        )
    });
    let service = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: web, namespace: {}}}\nspec: {{selector: {{app: web}}, ports: [{{port: 80, targetPort: http}}]}}\n",
        SPACES[0]
    );
    spaces.chain(pods).chain([service]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_for_pairs() {
        let pairs = expected(&["near,far > web:admin"]);
        let all: Vec<_> = pairs.iter().map(String::as_str).collect();
        assert_eq!(all, ["far > web:admin", "near > web:admin", "web > service:http"]);
        // 6 pods ask 5 others at 3 ports, and the Service.
        assert_eq!(expected(&["* > *:*"]).len(), 6 * 5 * 3 + 6);
    }

    #[test]
    fn no_case_is_passed_by_the_answers_of_the_one_before() {
        let all: Vec<_> = CASES.iter().chain([&FRIENDS]).collect();
        for two in all.windows(2) {
            assert_ne!(expected(two[0].allowed), expected(two[1].allowed), "{} and {}", two[0].name, two[1].name);
        }
    }
}
