//! The form of an identity provider: what it shows, what was sent, and what it is filled in with.

use berth_core::services::{oauth::OAuthText, providers::ProviderText};
use berth_types::provider::{IdentityProvider, OAuth, SigningAlgorithm};
use leptos::prelude::*;

use crate::{
    components::{Field, Form, field, hidden},
    request::PageCx,
    tr,
    ui::Ui,
};

/// The fields of a provider.
pub(super) const FIELDS: &[&str] = &[
    "name",
    "displayName",
    "issuer",
    "clientId",
    "secret",
    "scopes",
    "algorithms",
    "groupClaim",
    "allowedGroups",
    "enabled",
    "oauth.authorizationUrl",
    "oauth.tokenUrl",
    "oauth.userUrl",
    "oauth.groupsUrl",
    "oauth.idField",
    "oauth.loginField",
    "oauth.nameField",
];
/// What a form shows first.
pub(super) fn values(provider: &IdentityProvider) -> Vec<(String, String)> {
    let algorithms: Vec<&str> = provider.algorithms.iter().map(|algorithm| algorithm.as_str()).collect();
    let enabled = if provider.enabled { "on" } else { "" };
    let pairs = [
        ("displayName", provider.display_name.clone()),
        ("issuer", provider.issuer.clone()),
        ("clientId", provider.client_id.clone()),
        ("secret", provider.secret.clone().unwrap_or_default()),
        ("scopes", provider.scopes.join(" ")),
        ("algorithms", algorithms.join(" ")),
        ("groupClaim", provider.group_claim.clone()),
        ("allowedGroups", provider.allowed_groups.join("\n")),
        ("enabled", enabled.to_owned()),
        ("signOutThere", if provider.sign_out_there { "on" } else { "" }.to_owned()),
        ("version", provider.version.to_string()),
    ];
    let mut all: Vec<_> = pairs.into_iter().map(|(field, value)| (field.to_owned(), value)).collect();
    all.extend(provider.oauth.iter().flat_map(oauth_values));
    all
}

/// What the form of a provider that speaks plain OAuth 2.0 shows first, besides.
fn oauth_values(oauth: &OAuth) -> Vec<(String, String)> {
    let pairs = [
        ("kind", OAUTH.to_owned()),
        ("oauth.authorizationUrl", oauth.authorization_url.clone()),
        ("oauth.tokenUrl", oauth.token_url.clone()),
        ("oauth.userUrl", oauth.user_url.clone()),
        ("oauth.groupsUrl", oauth.groups_url.clone().unwrap_or_default()),
        ("oauth.idField", oauth.id_field.clone()),
        ("oauth.loginField", oauth.login_field.clone()),
        ("oauth.nameField", oauth.name_field.clone()),
        ("oauth.basicAuth", if oauth.basic_auth { "on" } else { "" }.to_owned()),
    ];
    pairs.into_iter().map(|(field, value)| (field.to_owned(), value)).collect()
}

/// What a form's `kind` says that is for plain OAuth 2.0.
pub(super) const OAUTH: &str = "oauth";

/// Forms that are filled in, by `kind`, with what they are called. Where people keep a Gitea, only they know.
pub(super) const PRESETS: [(&str, &str); 2] = [("github", "GitHub"), ("gitea", "Gitea, Forgejo")];

fn preset(kind: &str) -> Option<Form> {
    let at = |site: &str, path: &str| format!("{site}{path}");
    let (site, api, scopes, groups, name, group, [authorize, token], called) = match kind {
        "github" => (
            "https://github.com",
            "https://api.github.com",
            "read:user read:org",
            "/user/orgs?per_page=100",
            "name",
            "login",
            ["/login/oauth/authorize", "/login/oauth/access_token"],
            "GitHub",
        ),
        "gitea" => (
            "https://git.example.com",
            "https://git.example.com/api/v1",
            "read:user read:organization",
            "/user/orgs?limit=50",
            "full_name",
            "username",
            ["/login/oauth/authorize", "/login/oauth/access_token"],
            "",
        ),
        _ => return None,
    };
    Some(Form::with([
        ("kind", OAUTH.to_owned()),
        ("name", if kind == "github" { kind.to_owned() } else { String::new() }),
        ("displayName", called.to_owned()),
        ("issuer", site.to_owned()),
        ("scopes", scopes.to_owned()),
        ("groupClaim", group.to_owned()),
        ("enabled", "on".to_owned()),
        ("oauth.authorizationUrl", at(site, authorize)),
        ("oauth.tokenUrl", at(site, token)),
        ("oauth.userUrl", at(api, "/user")),
        ("oauth.groupsUrl", at(api, groups)),
        ("oauth.idField", "id".to_owned()),
        ("oauth.loginField", "login".to_owned()),
        ("oauth.nameField", name.to_owned()),
    ]))
}

/// What the form of a new provider of this `kind` shows first.
pub(super) fn first(kind: &str) -> Form {
    if kind == OAUTH {
        return Form::with([("kind", OAUTH.to_owned()), ("enabled", "on".to_owned())]);
    }
    preset(kind).unwrap_or_else(|| {
        let algorithms = SigningAlgorithm::DEFAULT.map(SigningAlgorithm::as_str).join(" ");
        Form::with([
            ("scopes", "profile email groups".to_owned()),
            ("algorithms", algorithms),
            ("groupClaim", "groups".to_owned()),
            ("enabled", "on".to_owned()),
            ("signOutThere", "on".to_owned()),
        ])
    })
}

/// What was sent of plain OAuth 2.0.
fn oauth_text(cx: &PageCx) -> Option<OAuthText> {
    let of = |field: &str| cx.field(field).to_owned();
    (cx.field("kind") == OAUTH).then(|| OAuthText {
        authorization_url: of("oauth.authorizationUrl"),
        token_url: of("oauth.tokenUrl"),
        user_url: of("oauth.userUrl"),
        groups_url: of("oauth.groupsUrl"),
        id_field: of("oauth.idField"),
        login_field: of("oauth.loginField"),
        name_field: of("oauth.nameField"),
        basic_auth: cx.field("oauth.basicAuth") == "on",
    })
}

/// What was sent.
pub(super) fn text(cx: &PageCx) -> ProviderText {
    let words = |field: &str| cx.field(field).split([' ', ',']).map(str::to_owned).collect();
    ProviderText {
        display_name: cx.field("displayName").to_owned(),
        issuer: cx.field("issuer").to_owned(),
        client_id: cx.field("clientId").to_owned(),
        secret: cx.field("secret").to_owned(),
        scopes: words("scopes"),
        algorithms: words("algorithms"),
        group_claim: cx.field("groupClaim").to_owned(),
        // Groups may have spaces and commas in their names.
        allowed_groups: cx.field("allowedGroups").lines().map(str::to_owned).collect(),
        enabled: cx.field("enabled") == "on",
        sign_out_there: cx.field("signOutThere") == "on",
        oauth: oauth_text(cx),
    }
}

/// What the form of a provider that speaks plain OAuth 2.0 has besides.
fn oauth_body(ui: Ui, form: &Form) -> AnyView {
    let l = ui.lang;
    let url = |name: &'static str, label: &'static str| Field::text(name, label).required().mono().max(500);
    let part = |name: &'static str, label: &'static str| Field::text(name, label).mono().max(100);
    let groups =
        Field::text("oauth.groupsUrl", tr::oauth::groups_url(l)).mono().max(500).hint(tr::oauth::groups_url_hint(l));
    let id = part("oauth.idField", tr::oauth::id_field(l)).required().hint(tr::oauth::id_field_hint(l));
    let group = part("groupClaim", tr::oauth::group_field(l)).hint(tr::oauth::group_field_hint(l));
    let basic = Field::check("oauth.basicAuth", tr::oauth::basic_auth(l)).hint(tr::oauth::basic_auth_hint(l));
    view! {
        {hidden("kind", OAUTH)}
        {field(ui, form, url("oauth.authorizationUrl", tr::oauth::authorization_url(l)))}
        {field(ui, form, url("oauth.tokenUrl", tr::oauth::token_url(l)))}
        {field(ui, form, url("oauth.userUrl", tr::oauth::user_url(l)).hint(tr::oauth::user_url_hint(l)))}
        <div class="row">
            {field(ui, form, id)}
            {field(ui, form, part("oauth.loginField", tr::oauth::login_field(l)))}
            {field(ui, form, part("oauth.nameField", tr::oauth::name_field(l)))}
        </div>
        {field(ui, form, groups)}
        {field(ui, form, group)}
        {field(ui, form, basic)}
    }
    .into_any()
}

/// What every form of a provider has.
pub(super) fn body(ui: Ui, form: &Form) -> AnyView {
    let l = ui.lang;
    let oauth = form.value("kind") == OAUTH;
    let issuer = Field::text("issuer", tr::sign_in::issuer(l))
        .required()
        .mono()
        .max(500)
        .placeholder("https://id.example.com")
        .hint(if oauth { tr::oauth::issuer_hint(l) } else { tr::sign_in::issuer_hint(l) });
    let client = Field::text("clientId", tr::sign_in::client_id(l)).required().mono().max(200).placeholder("berth");
    let secret = Field::text("secret", tr::sign_in::secret(l)).mono().max(60).hint(tr::sign_in::secret_hint(l));
    let scopes = Field::text("scopes", tr::sign_in::scopes(l)).mono().hint(if oauth {
        tr::oauth::scopes_hint(l)
    } else {
        tr::sign_in::scopes_hint(l)
    });
    let algorithms = Field::text("algorithms", tr::sign_in::algorithms(l))
        .mono()
        .choices(SigningAlgorithm::ALL.iter().map(|algorithm| algorithm.as_str().to_owned()).collect())
        .hint(tr::sign_in::algorithms_hint(l));
    let claim = Field::text("groupClaim", tr::sign_in::group_claim(l))
        .mono()
        .max(100)
        .placeholder("groups")
        .hint(tr::sign_in::group_claim_hint(l));
    let allowed =
        Field::area("allowedGroups", tr::sign_in::allowed_groups(l), 3).hint(tr::sign_in::allowed_groups_hint(l));
    view! {
        {field(ui, form, Field::text("displayName", tr::sign_in::button_name(l)).max(60))}
        {field(ui, form, issuer)}
        <div class="row">{field(ui, form, client)}{field(ui, form, secret)}</div>
        {match oauth {
            true => view! { {field(ui, form, scopes)}{oauth_body(ui, form)} }.into_any(),
            false => view! {
                <div class="row">{field(ui, form, scopes)}{field(ui, form, algorithms)}</div>
                {field(ui, form, claim)}
            }
            .into_any(),
        }}
        {field(ui, form, allowed)}
        {field(ui, form, Field::check("enabled", tr::sign_in::enabled(l)))}
        {(!oauth).then(|| {
            let ends = Field::check("signOutThere", tr::sign_in::ends_there(l)).hint(tr::sign_in::ends_there_hint(l));
            field(ui, form, ends)
        })}
    }
    .into_any()
}
