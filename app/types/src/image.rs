//! Image references: `registry/repository:tag@digest`.
//!
//! Grammar: `distribution/reference`, as containerd applies it.

/// Most characters of registry and repository together.
const MAX_NAME: usize = 255;

/// A parsed reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRef {
    /// Registry host with its port, if one is named.
    pub registry: Option<String>,
    /// Path in the registry.
    pub repository: String,
    /// Tag, if given; a reference without tag and digest means `latest`.
    pub tag: Option<String>,
    /// `sha256:…`, if pinned.
    pub digest: Option<String>,
}

/// Why a reference was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// Nothing was given.
    #[error("an image is needed, such as registry.example.com/shop/web:1.4")]
    Empty,
    /// Blank inside or around.
    #[error("an image has no spaces")]
    Space,
    /// A URL was pasted.
    #[error("an image has no “{0}” in front: begin with the registry's host")]
    Scheme(String),
    /// The registry is no host.
    #[error("“{0}” is no registry: write a host name with or without a port, such as registry.example.com:5000")]
    Registry(String),
    /// 64 hexadecimal digits alone: the id of an image, not its name.
    #[error("64 hexadecimal digits alone are an image's id: write its name, and @sha256: before the digits")]
    Id,
    /// The repository is not lower case letters, digits and separators.
    #[error("“{0}” is no repository: use lower-case letters, digits, and . _ - / between them")]
    Repository(String),
    /// The tag has a character that is not allowed, or more than 128.
    #[error("“{0}” is no tag: use up to 128 letters, digits, _ . -, not beginning with . or -")]
    Tag(String),
    /// The digest is not `sha256:` and 64 hexadecimal digits.
    #[error("“{0}” is no digest: write sha256: and 64 hexadecimal digits")]
    Digest(String),
}

impl ImageError {
    /// The translation key.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "image_empty",
            Self::Space => "image_space",
            Self::Scheme(_) => "image_scheme",
            Self::Registry(_) => "image_registry",
            Self::Id => "image_id",
            Self::Repository(_) => "image_repository",
            Self::Tag(_) => "image_tag",
            Self::Digest(_) => "image_digest",
        }
    }
}

/// `[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*`
fn is_path_component(part: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = part.as_bytes();
    bytes.first().is_some_and(|b| word(*b))
        && bytes.last().is_some_and(|b| word(*b))
        && part
            .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            .all(|separator| matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-'))
}

/// A host name or an IPv6 address in brackets, with a port or without.
fn is_registry(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        // Whatever stands behind the bracket but a colon is no port either.
        Some((address, rest)) if address.parse::<std::net::Ipv6Addr>().is_ok() => {
            ("ip", rest.strip_prefix(':').or((!rest.is_empty()).then_some("none")))
        }
        Some(_) => return false,
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    let label = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    name.split('.').all(label)
        && port.is_none_or(|port| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

impl ImageRef {
    /// Reads a reference.
    ///
    /// # Errors
    /// What is wrong with it, in the order registry, repository, tag, digest.
    pub fn parse(text: &str) -> Result<Self, ImageError> {
        if text.is_empty() {
            return Err(ImageError::Empty);
        }
        if text.contains(char::is_whitespace) {
            return Err(ImageError::Space);
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(ImageError::Scheme(format!("{scheme}://")));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        if let Some(digest) = digest {
            let ok = digest.strip_prefix("sha256:").is_some_and(|hex| {
                hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            });
            if !ok {
                return Err(ImageError::Digest(digest.to_owned()));
            }
        }
        let (registry, path) = match rest.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (Some(host), path),
            _ => (None, rest),
        };
        let (repository, tag) = match path.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (path, None),
        };
        if !registry.is_none_or(is_registry) {
            return Err(ImageError::Registry(registry.unwrap_or_default().to_owned()));
        }
        let long = registry.map_or(0, |host| host.len() + 1) + repository.len() > MAX_NAME;
        if long || repository.is_empty() || !repository.split('/').all(is_path_component) {
            return Err(ImageError::Repository(repository.to_owned()));
        }
        // Registries would take it for the id of an image.
        if text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(ImageError::Id);
        }
        if let Some(tag) = tag {
            let ok = (1..=128).contains(&tag.len())
                && !tag.starts_with(['.', '-'])
                && tag.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
            if !ok {
                return Err(ImageError::Tag(tag.to_owned()));
            }
        }
        Ok(Self {
            registry: registry.map(str::to_owned),
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }

    /// Last part of the repository with tag or short digest: what a narrow column shows.
    #[must_use]
    pub fn short(&self) -> String {
        let name = self.repository.rsplit('/').next().unwrap_or(&self.repository);
        match (&self.tag, &self.digest) {
            (Some(tag), _) => format!("{name}:{tag}"),
            (None, Some(digest)) => format!("{name}@{}", digest.get(7..19).unwrap_or(digest)),
            (None, None) => name.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reads() {
        let pinned = format!("ghcr.io/shop/web:1.4@sha256:{}", "a".repeat(64));
        for (text, registry, repository, tag) in [
            ("nginx", None, "nginx", None),
            ("nginx:1.27", None, "nginx", Some("1.27")),
            ("shop/web", None, "shop/web", None),
            ("localhost/a", Some("localhost"), "a", None),
            ("a--b/c__d.e_f", None, "a--b/c__d.e_f", None),
            ("[::1]:5000/a", Some("[::1]:5000"), "a", None),
            ("registry.example.com:5000/a/b:x", Some("registry.example.com:5000"), "a/b", Some("x")),
            (pinned.as_str(), Some("ghcr.io"), "shop/web", Some("1.4")),
        ] {
            let got = ImageRef::parse(text).unwrap();
            assert_eq!(
                (got.registry.as_deref(), got.repository.as_str(), got.tag.as_deref()),
                (registry, repository, tag)
            );
        }
    }

    #[test]
    fn refuses() {
        for (text, code) in [
            ("", "image_empty"),
            ("a b", "image_space"),
            ("https://ghcr.io/a", "image_scheme"),
            ("Nginx", "image_repository"),
            ("a//b", "image_repository"),
            ("a:", "image_tag"),
            ("a:b/c:", "image_registry"),
            ("a@sha256:12", "image_digest"),
            ("-a.com/x", "image_registry"),
            ("a.b-/x", "image_registry"),
            ("a..b/c", "image_registry"),
            ("a.b:/c", "image_registry"),
            ("a.b:+5/c", "image_registry"),
            ("a.b:99999/c", "image_registry"),
            ("[::1]5000/c", "image_registry"),
            ("a/b.-c", "image_repository"),
            ("a/b..c", "image_repository"),
            ("a/b___c", "image_repository"),
            ("a/-b", "image_repository"),
            (&"0123456789abcdef".repeat(4), "image_id"),
            (&"a/".repeat(128), "image_repository"),
        ] {
            assert_eq!(ImageRef::parse(text).unwrap_err().code(), code, "{text}");
        }
    }
}
