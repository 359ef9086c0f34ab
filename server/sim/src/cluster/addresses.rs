//! Which service has which address and node port, kept up to date from the store's history.

use std::collections::HashMap;

use futures::FutureExt;
use serde_json::Value;

use super::text;
use crate::{
    registry::builtin::gr,
    store::{EventKind, Store, Watch},
};

/// What one service holds: its address, and its node ports with their protocols.
type Held = (String, Vec<(i64, String)>);

/// The addresses and node ports in use. Services are named `namespace/name`.
#[derive(Default)]
pub(crate) struct Addresses {
    watch: Option<Watch>,
    held: HashMap<String, Held>,
    ips: HashMap<String, String>,
    /// Protocol and service by node port.
    ports: HashMap<i64, Vec<(String, String)>>,
}

impl Addresses {
    /// Takes note of what was written since the last time.
    pub fn refresh(&mut self, store: &Store) {
        loop {
            let Some(watch) = self.watch.as_mut() else {
                let (page, watch) = store.list_and_watch(&gr::SERVICES);
                *self = Self { watch: Some(watch), ..Self::default() };
                for service in &page.items {
                    self.set(&name_of(service), Some(service));
                }
                continue;
            };
            match watch.next_batch().now_or_never() {
                None => return,
                Some(Ok(events)) => {
                    for event in events {
                        let service = (event.kind != EventKind::Deleted).then(|| event.object.value());
                        self.set(&format!("{}/{}", event.namespace, event.name), service);
                    }
                }
                Some(Err(_)) => self.watch = None,
            }
        }
    }

    fn set(&mut self, name: &str, service: Option<&Value>) {
        if let Some((ip, ports)) = self.held.remove(name) {
            if self.ips.get(&ip).is_some_and(|own| own == name) {
                self.ips.remove(&ip);
            }
            for (port, _) in ports {
                if let Some(users) = self.ports.get_mut(&port) {
                    users.retain(|(_, own)| own != name);
                    if users.is_empty() {
                        self.ports.remove(&port);
                    }
                }
            }
        }
        let Some(service) = service else { return };
        let ip = text(service, &["spec", "clusterIP"]).to_owned();
        if !ip.is_empty() && ip != "None" {
            self.ips.insert(ip.clone(), name.to_owned());
        }
        let ports: Vec<(i64, String)> = service["spec"]["ports"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|port| Some((port["nodePort"].as_i64()?, text(port, &["protocol"]).to_owned())))
            .collect();
        for (port, protocol) in &ports {
            self.ports.entry(*port).or_default().push((protocol.clone(), name.to_owned()));
        }
        self.held.insert(name.to_owned(), (ip, ports));
    }

    /// Whether a service other than `own` has an address.
    pub fn has_ip(&self, ip: &str, own: &str) -> bool {
        self.ips.get(ip).is_some_and(|name| name != own)
    }

    /// Whether a service other than `own` has a node port, for `protocol` or, if `None`, for any.
    pub fn has_port(&self, port: i64, protocol: Option<&str>, own: &str) -> bool {
        self.ports
            .get(&port)
            .into_iter()
            .flatten()
            .any(|(with, name)| name != own && protocol.is_none_or(|protocol| protocol == with))
    }
}

fn name_of(service: &Value) -> String {
    format!("{}/{}", text(service, &["metadata", "namespace"]), text(service, &["metadata", "name"]))
}
