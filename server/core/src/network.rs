//! What stands around tenants' pods in every cluster: who of the platform reaches them, and which addresses are the cluster's own.

use std::fmt;

use berth_types::network::{Cidr, METADATA};

/// Where ingress controllers and monitoring often are. `kube-system`: some distributions have theirs there.
pub const USUAL: &str = "ingress,ingress-nginx,traefik,monitoring,kube-system";

/// Longest name of a namespace (an RFC 1123 label).
const MAX_NAMESPACE: usize = 63;

/// What the platform's operator says of the network, for all clusters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Namespaces whose pods reach tenants' pods: ingress controllers, monitoring, operators, Berth.
    pub namespaces: Vec<String>,
    /// Addresses that reach tenants' pods, for what does not come from a pod.
    pub sources: Vec<Cidr>,
    /// The cluster's own addresses: pods, Services, nodes.
    pub cluster: Vec<Cidr>,
}

/// What of a setting is neither a namespace nor a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The word.
    pub word: String,
    /// What it should be.
    pub wanted: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "“{}” is not {}", self.word, self.wanted)
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ']).filter(|word| !word.is_empty())
}

fn is_namespace(word: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    word.len() <= MAX_NAMESPACE && word.bytes().all(inner) && !word.starts_with('-') && !word.ends_with('-')
}

impl Surroundings {
    /// From the settings: `reachers`, names of namespaces and address ranges, and `cluster`, ranges; with commas between them.
    /// `own` is the namespace in which Berth runs.
    ///
    /// # Errors
    /// The first word that is neither.
    pub fn read(reachers: &str, cluster: &str, own: Option<&str>) -> Result<Self, Unreadable> {
        let mut read = Self::default();
        for word in words(reachers) {
            if word.contains(['/', ':']) || word.parse::<std::net::IpAddr>().is_ok() {
                read.sources.push(range(word)?);
            } else if is_namespace(word) {
                read.namespaces.push(word.to_owned());
            } else {
                let wanted = "the name of a namespace or an address range such as 10.0.0.0/24".to_owned();
                return Err(Unreadable { word: word.to_owned(), wanted });
            }
        }
        read.namespaces.extend(own.map(str::to_owned));
        read.namespaces.sort();
        read.namespaces.dedup();
        read.cluster = ranges(cluster)?;
        Ok(read)
    }

    /// Addresses that no pod of a tenant reaches by an egress list.
    pub fn never(&self) -> impl Iterator<Item = Cidr> {
        METADATA.iter().filter_map(|text| text.parse().ok()).chain(self.cluster.iter().copied())
    }
}

/// Ranges with commas between them.
///
/// # Errors
/// The first word that is none.
pub fn ranges(text: &str) -> Result<Vec<Cidr>, Unreadable> {
    words(text).map(range).collect()
}

fn range(word: &str) -> Result<Cidr, Unreadable> {
    word.parse().map_err(|e| Unreadable { word: word.to_owned(), wanted: format!("an address range: {e}") })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn settings_are_read() {
        let read =
            Surroundings::read("ingress-nginx, monitoring,10.0.0.0/24", "10.42.0.0/16 fd00:42::/48", Some("berth"));
        let read = read.unwrap();
        assert_eq!(read.namespaces, ["berth", "ingress-nginx", "monitoring"]);
        assert_eq!(read.sources, ["10.0.0.0/24".parse().unwrap()]);
        let never: Vec<String> = read.never().map(|range| range.to_string()).collect();
        assert_eq!(never.len(), METADATA.len() + 2, "{never:?}");
        assert_eq!(Surroundings::read("", "", None).unwrap(), Surroundings::default());
        assert!(Surroundings::read(USUAL, "", Some("monitoring")).unwrap().namespaces.len() == 5);
    }

    #[test]
    fn slips_are_named() {
        for (reachers, cluster, word) in [
            ("Ingress", "", "Ingress"),
            ("-a", "", "-a"),
            ("10.0.0.1/24", "", "10.0.0.1/24"),
            ("10.0.0.1", "", "10.0.0.1"),
            ("", "pods", "pods"),
            ("", "10.0.0.0/33", "10.0.0.0/33"),
        ] {
            assert_eq!(Surroundings::read(reachers, cluster, None).unwrap_err().word, word);
        }
    }
}
