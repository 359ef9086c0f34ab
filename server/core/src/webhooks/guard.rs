//! Where a webhook may be. Whoever makes one chooses where Berth sends something to, so it must not reach what they do not:
//! the machine itself, its network, the cluster, the addresses where clouds give out credentials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use berth_types::{
    FieldError,
    network::{Cidr, METADATA},
    webhook::MAX_URL,
};
use url::{Host, Url};

/// What is let through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    allowed: Vec<Cidr>,
    cluster: Vec<Cidr>,
}

/// What an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The operator named it: plain http may go there, too.
    Named,
    /// Of the internet.
    Public,
    /// Nothing is sent there.
    Closed,
}

/// The ranges that nobody on the internet has, but for those of IPv6, of which all but `2000::/3` are none.
const OWN_V4: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];

fn is_public_v4(address: Ipv4Addr) -> bool {
    let inside = |(net, bits): &(Ipv4Addr, u32)| (address.to_bits() ^ net.to_bits()) >> (32 - bits) == 0;
    !OWN_V4.iter().any(inside)
}

/// Addresses of IPv6 that lead to one of IPv4, or to wherever a tunnel ends, count as what they lead to, or not at all.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    let global = parts[0] & 0xe000 == 0x2000;
    let documentation = (parts[0] == 0x2001 && parts[1] == 0xdb8) || parts[0] & 0xfff0 == 0x3ff0;
    // 6to4; Teredo, ORCHID and others of IETF protocols.
    let tunnel = parts[0] == 0x2002 || (parts[0] == 0x2001 && parts[1] < 0x200);
    global && !documentation && !tunnel
}

/// The address that is really meant.
fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

impl Guard {
    /// Lets the internet through, and `allowed`; of `cluster`, the cluster's own addresses, only what is in that. What gives
    /// machines their credentials is reached by no list.
    #[must_use]
    pub fn new(allowed: Vec<Cidr>, cluster: Vec<Cidr>) -> Self {
        Self { allowed, cluster }
    }

    /// What an address is.
    #[must_use]
    pub fn reach(&self, address: IpAddr) -> Reach {
        let address = plain(address);
        let within = |ranges: &[Cidr]| ranges.iter().any(|range| range.contains(address));
        let metadata = METADATA.iter().any(|text| text.parse().is_ok_and(|range: Cidr| range.contains(address)));
        let public = match address {
            IpAddr::V4(v4) => is_public_v4(v4),
            IpAddr::V6(v6) => is_public_v6(v6),
        };
        match () {
            () if metadata => Reach::Closed,
            () if within(&self.allowed) => Reach::Named,
            () if within(&self.cluster) || !public => Reach::Closed,
            () => Reach::Public,
        }
    }

    /// Whether something may be sent to an address, encrypted or not.
    #[must_use]
    pub fn lets(&self, encrypted: bool, address: IpAddr) -> bool {
        match self.reach(address) {
            Reach::Named => true,
            Reach::Public => encrypted,
            Reach::Closed => false,
        }
    }

    /// The address of a webhook as somebody wrote it; what a host's name leads to is looked at when something is sent.
    ///
    /// # Errors
    /// What is wrong, at `url`.
    pub fn read(&self, written: &str) -> Result<String, FieldError> {
        let wrong = |code: &str, message: String| Err(FieldError::new("url", code, message));
        let text = written.trim();
        if text.is_empty() {
            return wrong("required", "where the webhook is".to_owned());
        }
        if text.chars().count() > MAX_URL {
            let error = FieldError::new("url", "name_too_long", format!("at most {MAX_URL} characters"));
            return Err(error.param("max", MAX_URL));
        }
        let Some(url) = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http")) else {
            return wrong("hook_url", "an address such as https://hooks.example.com/berth".to_owned());
        };
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            let message = "without a user, a password or a # part: put a secret into the path or the query";
            return wrong("hook_url_parts", message.to_owned());
        }
        let address = match url.host() {
            None => return wrong("hook_url", "it names no host".to_owned()),
            Some(Host::Ipv4(v4)) => Some(IpAddr::V4(v4)),
            Some(Host::Ipv6(v6)) => Some(IpAddr::V6(v6)),
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                let own = name == "localhost" || name.ends_with(".localhost");
                own.then_some(IpAddr::V4(Ipv4Addr::LOCALHOST))
            }
        };
        let encrypted = url.scheme() == "https";
        match address {
            Some(address) if self.reach(address) == Reach::Closed => {
                let message = "nothing is sent there: it is an address of the machine, its network or the cluster";
                wrong("hook_closed", message.to_owned())
            }
            Some(address) if !self.lets(encrypted, address) => wrong("hook_plain", PLAIN.to_owned()),
            None if !encrypted && self.allowed.is_empty() => wrong("hook_plain", PLAIN.to_owned()),
            _ => Ok(url.into()),
        }
    }
}

const PLAIN: &str = "https: without encryption messages could be read on the way";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn guard() -> Guard {
        let ranges = |text: &str| text.split(' ').map(|range| range.parse().unwrap()).collect();
        Guard::new(ranges("10.1.2.0/24 fd00:1::/64 169.254.0.0/16 127.0.0.0/8"), ranges("198.100.0.0/16 10.1.0.0/16"))
    }

    #[test]
    fn addresses() {
        use Reach::{Closed, Named, Public};
        for (address, want) in [
            ("93.184.216.34", Public),
            ("2606:4700::1111", Public),
            ("2a00:1450:4001::1", Public),
            ("0.0.0.0", Closed),
            ("10.0.0.1", Closed),
            ("10.1.2.3", Named),
            ("10.1.3.3", Closed),
            ("127.0.0.1", Named),
            ("100.64.0.1", Closed),
            ("172.16.0.1", Closed),
            ("172.31.255.255", Closed),
            ("172.32.0.1", Public),
            ("192.168.1.1", Closed),
            ("192.0.0.1", Closed),
            ("192.0.2.1", Closed),
            ("198.19.0.1", Closed),
            ("198.51.100.7", Closed),
            ("203.0.113.7", Closed),
            ("224.0.0.1", Closed),
            ("255.255.255.255", Closed),
            // The cluster's, though of the internet.
            ("198.100.1.1", Closed),
            // Never, whatever the list says.
            ("169.254.169.254", Closed),
            ("168.63.129.16", Closed),
            ("fd00:ec2::254", Closed),
            ("fe80::1", Closed),
            ("::", Closed),
            ("::1", Closed),
            ("::ffff:10.0.0.1", Closed),
            ("::ffff:10.1.2.3", Named),
            ("::ffff:169.254.169.254", Closed),
            ("::ffff:93.184.216.34", Public),
            ("::7f00:1", Closed),
            ("64:ff9b::a00:1", Closed),
            ("2002:a00:1::", Closed),
            ("2001::1", Closed),
            ("2001:db8::1", Closed),
            ("3fff::1", Closed),
            ("fc00::1", Closed),
            ("fd00:1::7", Named),
            ("fec0::1", Closed),
            ("ff02::1", Closed),
        ] {
            assert_eq!(guard().reach(address.parse().unwrap()), want, "{address}");
        }
        assert_eq!(Guard::default().reach("127.0.0.1".parse().unwrap()), Closed);
        assert_eq!(Guard::default().reach("::1".parse().unwrap()), Closed);
        assert!(!guard().lets(false, "93.184.216.34".parse().unwrap()), "plain http into the internet");
        assert!(guard().lets(false, "10.1.2.3".parse().unwrap()));
    }

    #[test]
    fn what_is_written() {
        let long = format!("https://a.example/{}", "x".repeat(MAX_URL));
        for (written, want) in [
            (" https://hooks.example.com/T0/x?y=z ", Ok("https://hooks.example.com/T0/x?y=z")),
            ("HTTPS://Hooks.Example.com", Ok("https://hooks.example.com/")),
            ("https://hooks.example.com:8443/", Ok("https://hooks.example.com:8443/")),
            ("https://bücher.example/", Ok("https://xn--bcher-kva.example/")),
            ("", Err("required")),
            (&long, Err("name_too_long")),
            ("hooks.example.com", Err("hook_url")),
            ("ftp://hooks.example.com/", Err("hook_url")),
            ("file:///etc/passwd", Err("hook_url")),
            ("javascript:alert(1)", Err("hook_url")),
            ("https://", Err("hook_url")),
            ("https://ann:pw@hooks.example.com/", Err("hook_url_parts")),
            ("https://ann@hooks.example.com/", Err("hook_url_parts")),
            ("https://hooks.example.com/#x", Err("hook_url_parts")),
            ("http://hooks.example.com/", Err("hook_plain")),
            ("http://93.184.216.34/", Err("hook_plain")),
            ("https://localhost/", Err("hook_closed")),
            ("https://x.localhost./", Err("hook_closed")),
            ("https://127.0.0.1/", Err("hook_closed")),
            // The same address in other clothes.
            ("https://2130706433/", Err("hook_closed")),
            ("https://0x7f.1/", Err("hook_closed")),
            ("https://0177.0.0.1/", Err("hook_closed")),
            ("https://[::1]/", Err("hook_closed")),
            ("https://[::ffff:7f00:1]/", Err("hook_closed")),
            ("https://10.0.0.1/", Err("hook_closed")),
            ("https://169.254.169.254/latest/meta-data", Err("hook_closed")),
        ] {
            let read = Guard::default().read(written);
            assert_eq!(read.as_deref().map_err(|e| e.code.as_ref()), want, "{written}");
        }
        for written in ["http://10.1.2.3/", "http://hooks.corp.example/", "http://localhost:9000/"] {
            assert!(guard().read(written).is_ok(), "{written}");
        }
    }
}
