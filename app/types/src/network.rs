//! What a namespace's pods may reach outside of their tenant: address ranges with ports, or everything, or nothing.

use std::{collections::BTreeMap, fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{error::FieldError, role::words};

/// Most ranges of a namespace.
pub const MAX_RANGES: usize = 100;
/// Most ports of a range.
pub const MAX_PORTS: usize = 20;
/// Longest name of a range, in characters.
pub const MAX_NAME: usize = 60;

/// Where machines learn who they are and, in many clouds, get credentials: link-local addresses, and those of Alibaba Cloud,
/// Azure and, over IPv6, AWS. No pod of a tenant reaches them.
pub const METADATA: &[&str] =
    &["169.254.0.0/16", "100.100.100.200/32", "168.63.129.16/32", "fe80::/10", "fd00:ec2::254/128"];

words!(
    /// Which addresses outside of its tenant a namespace's pods may reach.
    #[derive(Default)]
    EgressMode {
        /// All, but the cluster's own and those that give machines their credentials.
        #[default]
        All = "all",
        /// The ranges that are named.
        Named = "named",
        /// None.
        None = "none",
    }
);

words!(
    /// What is spoken on a port.
    Protocol {
        /// TCP.
        Tcp = "tcp",
        /// UDP.
        Udp = "udp",
        /// SCTP.
        Sctp = "sctp",
    }
);

/// A range of addresses, `203.0.113.0/24`; the bits behind the prefix are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is no range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CidrError {
    /// It is none.
    Invalid,
    /// It looks like the name of a host.
    Host,
    /// An address without a prefix; with the prefix of one address it is this.
    Bare(Cidr),
    /// Bits behind the prefix are set; without them it is this.
    HostBits(Cidr),
}

impl fmt::Display for CidrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid => f.write_str("write an address range such as 203.0.113.0/24 or 2001:db8::/32"),
            Self::Host => f.write_str("policies know addresses, not names: write the addresses that the name leads to"),
            Self::Bare(meant) => write!(f, "one address is a range with the longest prefix: {meant}"),
            Self::HostBits(meant) => write!(f, "bits behind the prefix are set: the range is {meant}"),
        }
    }
}

impl Cidr {
    fn width(address: IpAddr) -> u8 {
        if address.is_ipv4() { 32 } else { 128 }
    }

    /// The address as a number, the first bit the highest of 128.
    fn bits(address: IpAddr) -> u128 {
        match address {
            IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
            IpAddr::V6(v6) => v6.to_bits(),
        }
    }

    fn mask(prefix: u8) -> u128 {
        u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
    }

    fn network(address: IpAddr, prefix: u8) -> IpAddr {
        match address {
            IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & (Self::mask(prefix) >> 96) as u32).into()),
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & Self::mask(prefix)).into()),
        }
    }

    /// Whether it is of IPv4.
    #[must_use]
    pub fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// Whether it is every address there is.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.prefix == 0
    }

    /// Whether an address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let mask = Self::mask(self.prefix);
        self.is_ipv4() == address.is_ipv4() && Self::bits(self.address) & mask == Self::bits(address) & mask
    }

    /// Whether any address is in both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let mask = Self::mask(self.prefix.min(other.prefix));
        self.is_ipv4() == other.is_ipv4() && Self::bits(self.address) & mask == Self::bits(other.address) & mask
    }
}

impl FromStr for Cidr {
    type Err = CidrError;
    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (host, prefix) = text.split_once('/').map_or((text, None), |(host, prefix)| (host, Some(prefix)));
        let Ok(address) = host.parse::<IpAddr>() else {
            let named = host.contains('.') && host.chars().any(|c| c.is_ascii_alphabetic());
            let name = named && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '*'));
            return Err(if name { CidrError::Host } else { CidrError::Invalid });
        };
        // The same address has one way of writing: what is IPv4 is not hidden in IPv6.
        if matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()) {
            return Err(CidrError::Invalid);
        }
        let width = Self::width(address);
        let Some(prefix) = prefix else {
            return Err(CidrError::Bare(Self { address, prefix: width }));
        };
        let digits = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
        let clean = digits && (prefix == "0" || !prefix.starts_with('0'));
        let prefix = prefix.parse::<u8>().ok().filter(|bits| clean && *bits <= width).ok_or(CidrError::Invalid)?;
        let range = Self { address: Self::network(address, prefix), prefix };
        if range.address == address { Ok(range) } else { Err(CidrError::HostBits(range)) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// One port or several in a row, with what is spoken there: `443/TCP`, `8000-8100/UDP`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ports {
    /// The first.
    pub first: u16,
    /// The last, which may be the first.
    pub last: u16,
    /// What is spoken.
    pub protocol: Protocol,
}

impl FromStr for Ports {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let protocol = Protocol::from_word(&protocol.to_ascii_lowercase()).ok_or(())?;
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let port = |text: &str| {
            let digits = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
            text.parse::<u16>().ok().filter(|_| digits).ok_or(())
        };
        let (first, last) = (port(first)?, port(last)?);
        if first <= last { Ok(Self { first, last, protocol }) } else { Err(()) }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = self.protocol.as_str().to_ascii_uppercase();
        if self.first == self.last {
            write!(f, "{}/{protocol}", self.first)
        } else {
            write!(f, "{}-{}/{protocol}", self.first, self.last)
        }
    }
}

macro_rules! as_text {
    ($type:ident) => {
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                text.parse().map_err(|_| serde::de::Error::custom(format!("no {}: {text}", stringify!($type))))
            }
        }
    };
}
as_text!(Cidr);
as_text!(Ports);

/// Addresses that may be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct EgressRange {
    /// Which, as `203.0.113.0/24`.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub cidr: Cidr,
    /// At which ports, as `443/TCP` or `8000-8100/UDP`; at all, when there are none.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(value_type = Vec<String>))]
    pub ports: Vec<Ports>,
    /// What is there, for people.
    #[serde(default)]
    pub name: String,
}

/// What a namespace's pods may reach outside of their tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Egress {
    /// Everything, what is named, nothing.
    pub mode: EgressMode,
    /// What `named` means; kept, but without effect, while something else is chosen.
    #[serde(default)]
    pub ranges: Vec<EgressRange>,
}

/// A range as somebody wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RangeText {
    /// Which addresses, as `203.0.113.0/24`.
    pub cidr: String,
    /// At which ports, as `443`, `443/TCP` or `8000-8100/UDP`; at all, when there are none.
    #[serde(default)]
    pub ports: Vec<String>,
    /// What is there, for people.
    #[serde(default)]
    pub name: String,
}

/// An [`Egress`] as somebody wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EgressText {
    /// `all`, `named` or `none`.
    pub mode: String,
    /// What `named` means.
    #[serde(default)]
    pub ranges: Vec<RangeText>,
}

impl Egress {
    /// Reads what somebody wrote; `cluster` are the cluster's own addresses. All that is wrong is told at once, at fields that
    /// begin with `at`.
    ///
    /// # Errors
    /// What is wrong.
    pub fn read(at: &str, written: &EgressText, cluster: &[Cidr]) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mode = EgressMode::from_word(&written.mode);
        if mode.is_none() {
            let choices = EgressMode::ALL.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let error = FieldError::new(format!("{at}.mode"), "one_of", format!("one of {choices}"));
            errors.push(error.param("choices", choices));
        }
        let listed = format!("{at}.ranges");
        if mode == Some(EgressMode::Named) && written.ranges.is_empty() {
            let message = "name a range, or choose that nothing may be reached";
            errors.push(FieldError::new(&listed, "egress_empty", message));
        }
        if written.ranges.len() > MAX_RANGES {
            let message =
                format!("at most {MAX_RANGES} ranges: take ranges together, or choose that all may be reached");
            errors.push(FieldError::new(&listed, "egress_too_many", message).param("max", MAX_RANGES));
            return Err(errors);
        }
        let mut ranges: Vec<EgressRange> = Vec::with_capacity(written.ranges.len());
        let mut seen: BTreeMap<Cidr, usize> = BTreeMap::new();
        for (index, text) in written.ranges.iter().enumerate() {
            let at = format!("{listed}[{index}]");
            let cidr = range(&format!("{at}.cidr"), text.cidr.trim(), cluster).and_then(|cidr| {
                match seen.insert(cidr, index) {
                    None => Ok(cidr),
                    Some(_) => {
                        let message = format!("{cidr} is there twice: give one of them all the ports");
                        Err(FieldError::new(format!("{at}.cidr"), "cidr_twice", message).param("value", cidr))
                    }
                }
            });
            let ports = ports(&format!("{at}.ports"), &text.ports);
            let name = name(&format!("{at}.name"), text.name.trim());
            match (cidr, ports, name) {
                (Ok(cidr), Ok(ports), Ok(name)) => ranges.push(EgressRange { cidr, ports, name }),
                (cidr, ports, name) => {
                    errors.extend(cidr.err());
                    errors.extend(ports.err().into_iter().flatten());
                    errors.extend(name.err());
                }
            }
        }
        match (mode, errors.is_empty()) {
            (Some(mode), true) => Ok(Self { mode, ranges }),
            _ => Err(errors),
        }
    }
}

fn range(at: &str, text: &str, cluster: &[Cidr]) -> Result<Cidr, FieldError> {
    let shown: String = text.chars().take(60).collect();
    let wrong = |code: &str, message: String| FieldError::new(at, code, message).param("value", &shown);
    let cidr: Cidr = text.parse().map_err(|e: CidrError| match e {
        CidrError::Invalid => wrong("cidr_invalid", e.to_string()),
        CidrError::Host => wrong("cidr_host", e.to_string()),
        CidrError::Bare(meant) => wrong("cidr_bare", e.to_string()).param("meant", meant).suggest(meant.to_string()),
        CidrError::HostBits(meant) => {
            wrong("cidr_host_bits", e.to_string()).param("meant", meant).suggest(meant.to_string())
        }
    })?;
    if cidr.is_everything() {
        return Err(wrong("cidr_everything", "this is every address: choose that all may be reached".to_owned()));
    }
    if let Some(other) = METADATA.iter().find(|other| other.parse().is_ok_and(|other| cidr.overlaps(&other))) {
        let message = format!("{other} gives machines their credentials: no range may cover it");
        return Err(wrong("cidr_metadata", message).param("other", other));
    }
    if let Some(other) = cluster.iter().find(|other| cidr.overlaps(other)) {
        let message =
            format!("{other} is the cluster itself: pods of other tenants, Services, nodes. No range may cover it");
        return Err(wrong("cidr_cluster", message).param("other", other));
    }
    Ok(cidr)
}

fn ports(at: &str, texts: &[String]) -> Result<Vec<Ports>, Vec<FieldError>> {
    if texts.len() > MAX_PORTS {
        let message = format!("at most {MAX_PORTS} ports or rows of ports");
        return Err(vec![FieldError::new(at, "ports_too_many", message).param("max", MAX_PORTS)]);
    }
    let (mut ports, mut errors) = (Vec::with_capacity(texts.len()), Vec::new());
    for text in texts {
        match text.trim().parse::<Ports>() {
            Ok(one) if ports.contains(&one) => {
                let message = format!("{one} is there twice");
                errors.push(FieldError::new(at, "ports_twice", message).param("value", one));
            }
            Ok(one) => ports.push(one),
            Err(()) => {
                let shown: String = text.chars().take(40).collect();
                let message = format!("“{shown}” is no port: write 443, 53/UDP or 8000-8100, each from 1 to 65535");
                errors.push(FieldError::new(at, "ports_invalid", message).param("value", shown));
            }
        }
    }
    if errors.is_empty() { Ok(ports) } else { Err(errors) }
}

fn name(at: &str, text: &str) -> Result<String, FieldError> {
    if text.chars().count() > MAX_NAME || text.chars().any(char::is_control) {
        let message = format!("at most {MAX_NAME} characters, none of them a control character");
        return Err(FieldError::new(at, "egress_name", message).param("max", MAX_NAME));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn text(cidr: &str, ports: &[&str]) -> RangeText {
        RangeText { cidr: cidr.into(), ports: ports.iter().map(|p| (*p).to_owned()).collect(), name: String::new() }
    }

    fn read(mode: &str, ranges: Vec<RangeText>) -> Result<Egress, Vec<(String, String, Vec<String>)>> {
        let cluster = ["10.42.0.0/16".parse().unwrap(), "fd00:42::/48".parse().unwrap()];
        let written = EgressText { mode: mode.into(), ranges };
        Egress::read("egress", &written, &cluster)
            .map_err(|errors| errors.into_iter().map(|e| (e.field, e.code, e.suggestions)).collect())
    }

    #[test]
    fn what_may_be_named() {
        let egress = read(
            "named",
            vec![
                text("203.0.113.0/24", &["443", "8000-8100/udp"]),
                text(" 2001:db8::/32 ", &[]),
                text("8.8.8.8/32", &[]),
            ],
        )
        .unwrap();
        let shown: Vec<String> = egress.ranges.iter().map(|r| r.cidr.to_string()).collect();
        assert_eq!(shown, ["203.0.113.0/24", "2001:db8::/32", "8.8.8.8/32"]);
        let ports: Vec<String> = egress.ranges[0].ports.iter().map(ToString::to_string).collect();
        assert_eq!(ports, ["443/TCP", "8000-8100/UDP"]);
        let json = serde_json::to_string(&egress).unwrap();
        assert_eq!(serde_json::from_str::<Egress>(&json).unwrap(), egress, "{json}");
        // What is not in effect is kept.
        assert_eq!(read("none", vec![text("8.8.8.8/32", &[])]).unwrap().ranges.len(), 1);
        assert_eq!(read("all", vec![]).unwrap(), Egress::default());
    }

    #[test]
    fn what_is_no_range() {
        for (cidr, code, meant) in [
            ("", "cidr_invalid", None),
            ("10.1.2.0/33", "cidr_invalid", None),
            ("10.1.2.0/08", "cidr_invalid", None),
            ("10.1.2/24", "cidr_invalid", None),
            ("010.1.2.0/24", "cidr_invalid", None),
            ("10.1.2.0/+8", "cidr_invalid", None),
            ("::ffff:10.1.2.0/120", "cidr_invalid", None),
            ("api.example.com", "cidr_host", None),
            ("*.example.com", "cidr_host", None),
            ("https://example.com", "cidr_invalid", None),
            ("8.8.8.8", "cidr_bare", Some("8.8.8.8/32")),
            ("2001:db8::1", "cidr_bare", Some("2001:db8::1/128")),
            ("8.8.8.8/24", "cidr_host_bits", Some("8.8.8.0/24")),
            ("2001:db8::1/64", "cidr_host_bits", Some("2001:db8::/64")),
            ("0.0.0.0/0", "cidr_everything", None),
            ("::/0", "cidr_everything", None),
            ("169.254.169.254/32", "cidr_metadata", None),
            ("128.0.0.0/1", "cidr_metadata", None),
            ("fd00::/8", "cidr_metadata", None),
            ("10.42.7.0/24", "cidr_cluster", None),
            ("10.0.0.0/8", "cidr_cluster", None),
            ("fd00:42:0:1::/64", "cidr_cluster", None),
        ] {
            let want = vec![(
                "egress.ranges[0].cidr".to_owned(),
                code.to_owned(),
                meant.map(str::to_owned).into_iter().collect::<Vec<_>>(),
            )];
            assert_eq!(read("named", vec![text(cidr, &[])]), Err(want), "{cidr}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let long =
            RangeText { name: "x".repeat(61), ..text("1.2.3.4", &["0", "70000", "9-8", "5/icmp", "80", "80/TCP"]) };
        let errors = read("some", vec![text("9.9.9.9/32", &[]), long, text("9.9.9.9/32", &[])]).unwrap_err();
        let told: Vec<(&str, &str)> = errors.iter().map(|(field, code, _)| (field.as_str(), code.as_str())).collect();
        assert_eq!(
            told,
            [
                ("egress.mode", "one_of"),
                ("egress.ranges[1].cidr", "cidr_bare"),
                ("egress.ranges[1].ports", "ports_invalid"),
                ("egress.ranges[1].ports", "ports_invalid"),
                ("egress.ranges[1].ports", "ports_invalid"),
                ("egress.ranges[1].ports", "ports_invalid"),
                ("egress.ranges[1].ports", "ports_twice"),
                ("egress.ranges[1].name", "egress_name"),
                ("egress.ranges[2].cidr", "cidr_twice"),
            ]
        );
    }

    #[test]
    fn how_many() {
        let many = |n: u32| (0..n).map(|i| text(&format!("20.0.{}.{}/32", i / 256, i % 256), &[])).collect::<Vec<_>>();
        assert_eq!(read("named", many(100)).unwrap().ranges.len(), 100);
        let code = |result: Result<Egress, Vec<(String, String, Vec<String>)>>| result.unwrap_err()[0].1.clone();
        assert_eq!(code(read("named", many(101))), "egress_too_many");
        assert_eq!(code(read("named", many(0))), "egress_empty");
        let ports: Vec<String> = (1..=21).map(|p| p.to_string()).collect();
        let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
        assert_eq!(code(read("named", vec![text("8.8.8.8/32", &ports)])), "ports_too_many");
    }

    #[test]
    fn overlap() {
        for (a, b, want) in [
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.1.0.0/16", "10.0.0.0/8", true),
            ("10.0.0.0/9", "10.128.0.0/9", false),
            ("0.0.0.0/0", "1.2.3.4/32", true),
            ("::/0", "1.2.3.4/32", false),
            ("1.2.3.4/32", "1.2.3.5/32", false),
        ] {
            let (a, b): (Cidr, Cidr) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!(a.overlaps(&b), want, "{a} {b}");
        }
    }
}
