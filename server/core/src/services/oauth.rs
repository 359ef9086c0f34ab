//! What is to be true of a provider that speaks plain OAuth 2.0: see [`super::providers`].

use berth_types::{FieldError, provider::OAuth};
use url::Url;

use crate::ports::sign_in::is_private;

/// What is to be true of it, besides what every provider has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OAuthText {
    /// Where people say yes.
    pub authorization_url: String,
    /// Where codes become tokens.
    pub token_url: String,
    /// What says who somebody is.
    pub user_url: String,
    /// What lists their groups, where that is elsewhere; empty otherwise.
    pub groups_url: String,
    /// The field of what never changes.
    pub id_field: String,
    /// The field of what they sign in as there.
    pub login_field: String,
    /// The field of their name.
    pub name_field: String,
    /// Whether the client's secret goes into a header instead of the form.
    pub basic_auth: bool,
}

/// Longest name of a field.
const FIELD_MAX: usize = 100;
/// What people change, or get from others who had it before.
const CHANGES: [&str; 4] = ["email", "e-mail", "mail", "email_address"];

fn address(field: &str, text: &str) -> Result<String, FieldError> {
    let wrong = || FieldError::new(field, "oauth_url", "an https:// address without “#”, name and password");
    let text = text.trim();
    let url = Url::parse(text).map_err(|_| wrong())?;
    let schemed = is_private(url.scheme(), url.host_str().unwrap_or_default());
    let plain = url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    if schemed && plain && text.len() <= 500 { Ok(text.to_owned()) } else { Err(wrong()) }
}

/// A field's name, or the path to one (`data.id`).
fn json_field(field: &str, text: &str) -> Result<String, FieldError> {
    let text = text.trim();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':');
    let parts = text.split('.');
    if text.len() > FIELD_MAX || !parts.clone().all(|part| !part.is_empty() && part.chars().all(fits)) {
        let message = "the name of a field, such as “id”, or a path, such as “data.id”";
        return Err(FieldError::new(field, "oauth_field", message));
    }
    Ok(text.to_owned())
}

impl OAuthText {
    /// As it is kept; all that is wrong goes to `errors`.
    pub(super) fn read(&self, errors: &mut Vec<FieldError>) -> OAuth {
        let mut keep = |read: Result<String, FieldError>| {
            read.unwrap_or_else(|e| {
                errors.push(e);
                String::new()
            })
        };
        let or = |text: &str, default: &str| if text.trim().is_empty() { default.to_owned() } else { text.to_owned() };
        let id = json_field("oauth.idField", &or(&self.id_field, "id")).and_then(|id| {
            let last = id.rsplit('.').next().unwrap_or_default().to_lowercase();
            if CHANGES.contains(&last.as_str()) {
                let message = "not the e-mail address: people change it, and others get it after them";
                return Err(FieldError::new("oauth.idField", "oauth_email", message));
            }
            Ok(id)
        });
        let groups = self.groups_url.trim();
        OAuth {
            authorization_url: keep(address("oauth.authorizationUrl", &self.authorization_url)),
            token_url: keep(address("oauth.tokenUrl", &self.token_url)),
            user_url: keep(address("oauth.userUrl", &self.user_url)),
            groups_url: (!groups.is_empty()).then(|| keep(address("oauth.groupsUrl", groups))),
            id_field: keep(id),
            login_field: keep(json_field("oauth.loginField", &or(&self.login_field, "login"))),
            name_field: keep(json_field("oauth.nameField", &or(&self.name_field, "name"))),
            basic_auth: self.basic_auth,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> OAuthText {
        let at = |path: &str| format!("https://git.example.com/{path}");
        OAuthText {
            authorization_url: at("login/oauth/authorize"),
            token_url: at("login/oauth/access_token"),
            user_url: at("api/v1/user"),
            groups_url: at("api/v1/user/orgs?limit=50"),
            ..OAuthText::default()
        }
    }

    fn wrong(text: &OAuthText) -> Vec<(String, String)> {
        let mut errors = Vec::new();
        text.read(&mut errors);
        errors.into_iter().map(|e| (e.field, e.code)).collect()
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let mut errors = Vec::new();
        let read = good().read(&mut errors);
        assert_eq!(errors, []);
        assert_eq!(
            (read.id_field.as_str(), read.login_field.as_str(), read.name_field.as_str()),
            ("id", "login", "name")
        );
        assert_eq!(OAuthText { groups_url: " ".to_owned(), ..good() }.read(&mut errors).groups_url, None);
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let all = OAuthText {
            authorization_url: "http://git.example.com/a".to_owned(),
            token_url: "https://user:secret@git.example.com/t".to_owned(),
            user_url: "https://git.example.com/u#x".to_owned(),
            groups_url: "/orgs".to_owned(),
            id_field: "a..b".to_owned(),
            login_field: "lo gin".to_owned(),
            name_field: "x".repeat(101),
            basic_auth: false,
        };
        let fields: Vec<_> = wrong(&all).into_iter().map(|(field, _)| field).collect();
        let want = ["authorizationUrl", "tokenUrl", "userUrl", "groupsUrl", "idField", "loginField", "nameField"];
        assert_eq!(fields, want.map(|field| format!("oauth.{field}")));
        for id in ["email", "user.email", "Mail", "E-Mail"] {
            let text = OAuthText { id_field: id.to_owned(), ..good() };
            assert_eq!(wrong(&text), [("oauth.idField".to_owned(), "oauth_email".to_owned())], "{id}");
        }
        assert_eq!(wrong(&OAuthText { id_field: "data.id".to_owned(), ..good() }), []);
        assert_eq!(wrong(&OAuthText { user_url: "http://127.0.0.1:9/u".to_owned(), ..good() }), []);
    }
}
