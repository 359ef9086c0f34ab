//! Image references: `registry/repository:tag@digest`.
//!
//! Grammar: `distribution/reference`, as containerd applies it.

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
            Self::Repository(_) => "image_repository",
            Self::Tag(_) => "image_tag",
            Self::Digest(_) => "image_digest",
        }
    }
}

fn is_path_component(part: &str) -> bool {
    let bytes = part.as_bytes();
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
        && !part.contains("..")
        && !part.contains("._")
        && !part.contains("_.")
        && !part.contains("___")
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
        let host_ok = registry.is_none_or(|host| {
            let (name, port) = host.split_once(':').unwrap_or((host, "1"));
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
                && port.parse::<u16>().is_ok()
        });
        if !host_ok || rest.len() > 255 || repository.is_empty() || !repository.split('/').all(is_path_component) {
            return Err(ImageError::Repository(if host_ok { repository } else { rest }.to_owned()));
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
            ("a:b/c:", "image_repository"),
            ("a@sha256:12", "image_digest"),
        ] {
            assert_eq!(ImageRef::parse(text).unwrap_err().code(), code, "{text}");
        }
    }
}
