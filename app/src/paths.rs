//! Every URL of the pages, as functions: a link that goes nowhere does not compile.

use std::fmt::{Display, Write as _};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What a query value may hold as it is.
const QUERY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/').remove(b',');

/// Percent-encodes one value of a query.
#[must_use]
pub fn encode(value: &str) -> String {
    utf8_percent_encode(value, QUERY).to_string()
}

/// `path?a=b&c=d`, without parameters that are empty.
#[must_use]
pub fn with_query<'a>(path: &str, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = path.to_owned();
    for (key, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
        let mark = if out.len() == path.len() { '?' } else { '&' };
        let _ = write!(out, "{mark}{}={}", encode(key), encode(value));
    }
    out
}

/// Where to go after signing in; only a path of ours, so that no link can lead people elsewhere.
#[must_use]
pub fn safe_next(next: &str) -> Option<&str> {
    berth_types::text::own_path(next)
}

/// Home: the tenants.
pub const HOME: &str = "/";
/// Sign-in.
pub const SIGN_IN: &str = "/sign-in";
/// Where a code is asked for besides the password.
pub const SIGN_IN_CODE: &str = "/sign-in/code";
/// Where a passkey is asked for in place of name and password.
pub const SIGN_IN_PASSKEY: &str = "/sign-in/passkey";
/// Sign-out, a form only.
pub const SIGN_OUT: &str = "/sign-out";
/// An invitation that was opened.
pub const JOIN: &str = "/join";
/// A link to a new password that was opened.
pub const RESET: &str = "/reset";
/// For who forgot their password.
pub const FORGOT: &str = "/forgot";
/// A password of one's own, before anything else.
pub const PASSWORD: &str = "/password";
/// One's own account.
pub const ACCOUNT: &str = "/account";
/// One's API tokens.
pub const TOKENS: &str = "/account/tokens";
/// Where one gets mail, and which.
pub const MAIL: &str = "/account/mail";
/// A link that shows whether an address is one's own, opened.
pub const MAIL_CONFIRM: &str = "/account/mail/confirm";
/// The identity providers that open one's account.
pub const CONNECTIONS: &str = "/account/connections";
/// What is asked for besides one's password.
pub const SECOND_FACTOR: &str = "/account/second-factor";
/// One's sessions.
pub const SESSIONS: &str = "/account/sessions";
/// Language and colours, a form only.
pub const PREFERENCES: &str = "/preferences";
/// Ends a look as somebody else.
pub const VIEW_END: &str = "/view/end";
/// Search.
pub const SEARCH: &str = "/search";
/// The admin console.
pub const ADMIN: &str = "/admin";
/// People on the platform.
pub const ADMIN_PEOPLE: &str = "/admin/people";
/// A new person.
pub const ADMIN_PERSON_NEW: &str = "/admin/people/new";
/// Invitations onto the platform.
pub const ADMIN_INVITATIONS: &str = "/admin/invitations";
/// All tenants.
pub const ADMIN_TENANTS: &str = "/admin/tenants";
/// A new tenant.
pub const ADMIN_TENANT_NEW: &str = "/admin/tenants/new";
/// Plans.
pub const ADMIN_PLANS: &str = "/admin/plans";
/// A new plan.
pub const ADMIN_PLAN_NEW: &str = "/admin/plans/new";
/// The platform's room, for admins.
pub const ADMIN_CAPACITY: &str = "/admin/capacity";
/// Banners on everybody's pages, for admins.
pub const ADMIN_ANNOUNCEMENTS: &str = "/admin/announcements";
/// A new one.
pub const ADMIN_ANNOUNCEMENT_NEW: &str = "/admin/announcements/new";
/// Clusters, for admins.
pub const ADMIN_CLUSTERS: &str = "/admin/clusters";
/// A new one.
pub const ADMIN_CLUSTER_NEW: &str = "/admin/clusters/new";
/// A new one, by an agent. No cluster is called so: it would have to begin with a letter or a digit.
pub const ADMIN_CLUSTER_AGENT: &str = "/admin/clusters/-/agent";
/// Machines, for admins.
pub const ADMIN_NODES: &str = "/admin/nodes";
/// Identity providers.
pub const ADMIN_SIGN_IN: &str = "/admin/sign-in";
/// A new identity provider.
pub const ADMIN_PROVIDER_NEW: &str = "/admin/sign-in/new";
/// CI systems whose jobs robots may trust.
pub const ADMIN_CI: &str = "/admin/ci";
/// The platform's webhooks.
pub const ADMIN_WEBHOOKS: &str = "/admin/webhooks";
/// How it is with mail.
pub const ADMIN_MAIL: &str = "/admin/mail";
/// Requests for another quota, of all tenants.
pub const ADMIN_REQUESTS: &str = "/admin/requests";
/// The audit log.
pub const ADMIN_AUDIT: &str = "/admin/audit";
/// The audit log as a file (served by `web`); takes the filters of its page, and `format`.
pub const ADMIN_AUDIT_EXPORT: &str = "/admin/audit/export";
/// The REST API's own pages.
pub const API_DOCS: &str = "/api/docs";

/// Sign-in, then on to `next`.
#[must_use]
pub fn sign_in(next: &str) -> String {
    with_query(SIGN_IN, [("next", if next == HOME { "" } else { next })])
}

/// The code besides the password, then on to `next`.
#[must_use]
pub fn sign_in_code(next: &str) -> String {
    with_query(SIGN_IN_CODE, [("next", if next == HOME { "" } else { next })])
}

/// A passkey in place of name and password, then on to `next`.
#[must_use]
pub fn sign_in_passkey(next: &str) -> String {
    with_query(SIGN_IN_PASSKEY, [("next", if next == HOME { "" } else { next })])
}

/// One of one's passkeys.
#[must_use]
pub fn passkey(id: impl Display) -> String {
    format!("{SECOND_FACTOR}/{id}")
}

/// The link of an invitation.
#[must_use]
pub fn join(secret: impl Display) -> String {
    format!("/join/{secret}")
}

/// The link to a new password.
#[must_use]
pub fn reset(secret: impl Display) -> String {
    format!("/reset/{secret}")
}

/// Invitations into a tenant.
#[must_use]
pub fn invitations(tenant: impl Display) -> String {
    format!("/t/{tenant}/invitations")
}

/// A person, for admins.
#[must_use]
pub fn admin_person(user: impl Display) -> String {
    format!("/admin/people/{user}")
}

/// An entry of the audit log.
#[must_use]
pub fn admin_audit_entry(sequence: i64) -> String {
    format!("/admin/audit/{sequence}")
}

/// An announcement, for admins.
#[must_use]
pub fn admin_announcement(id: impl Display) -> String {
    format!("{ADMIN_ANNOUNCEMENTS}/{id}")
}

/// A cluster, for admins.
#[must_use]
pub fn admin_cluster(cluster: impl Display) -> String {
    format!("{ADMIN_CLUSTERS}/{cluster}")
}

/// A node, for admins.
#[must_use]
pub fn admin_node(node: &str) -> String {
    format!("{ADMIN_NODES}/{}", encode(node))
}

/// Where a node is emptied.
#[must_use]
pub fn admin_node_drain(node: &str) -> String {
    format!("{ADMIN_NODES}/{}/drain", encode(node))
}

/// A plan, for admins.
#[must_use]
pub fn admin_plan(plan: impl Display) -> String {
    format!("/admin/plans/{plan}")
}

/// An identity provider, for admins.
#[must_use]
pub fn admin_provider(provider: impl Display) -> String {
    format!("/admin/sign-in/{provider}")
}

/// Where a sign-in by a provider begins (a form's target, served by `web`).
#[must_use]
pub fn auth_start(provider: impl Display) -> String {
    format!("/auth/{provider}/start")
}

/// Where a provider sends people back to (served by `web`).
#[must_use]
pub fn auth_callback(provider: impl Display) -> String {
    format!("/auth/{provider}/callback")
}

/// What a tenant may have, for admins.
#[must_use]
pub fn admin_tenant_quota(tenant: impl Display) -> String {
    format!("/admin/tenants/{tenant}/quota")
}

/// A tenant's quota.
#[must_use]
pub fn tenant_quota(tenant: impl Display) -> String {
    format!("/t/{tenant}/quota")
}

/// A tenant's requests for another quota.
#[must_use]
pub fn quota_requests(tenant: impl Display) -> String {
    format!("/t/{tenant}/quota/requests")
}

/// Asking for another quota; takes `cluster`, `namespace` and `lacking[KEY]`.
#[must_use]
pub fn quota_request_new(tenant: impl Display) -> String {
    format!("/t/{tenant}/quota/requests/new")
}

/// A request for another quota.
#[must_use]
pub fn quota_request(tenant: impl Display, request: impl Display) -> String {
    format!("/t/{tenant}/quota/requests/{request}")
}

/// Moving quota between a tenant's namespaces.
#[must_use]
pub fn quota_move(tenant: impl Display) -> String {
    format!("/t/{tenant}/quota/move")
}

/// What a namespace has of its tenant's quota.
#[must_use]
pub fn namespace_quota(tenant: impl Display, namespace: impl Display) -> String {
    format!("/t/{tenant}/n/{namespace}/quota")
}

/// What a namespace takes and uses.
#[must_use]
pub fn namespace_usage(tenant: impl Display, namespace: impl Display) -> String {
    format!("/t/{tenant}/n/{namespace}/usage")
}

/// What a namespace's pods reach, and who reaches them.
#[must_use]
pub fn namespace_network(tenant: impl Display, namespace: impl Display) -> String {
    format!("/t/{tenant}/n/{namespace}/network")
}

/// A kubeconfig for a tenant; `namespace` is where one comes from.
#[must_use]
pub fn kubectl(tenant: impl Display, namespace: Option<&str>) -> String {
    with_query(&format!("/t/{tenant}/kubectl"), [("namespace", namespace.unwrap_or_default())])
}

/// The file of a kubeconfig: a form's target.
#[must_use]
pub fn kubeconfig(tenant: impl Display) -> String {
    format!("/t/{tenant}/kubectl/file")
}

/// Asking for a role.
#[must_use]
pub fn access(tenant: impl Display) -> String {
    format!("/t/{tenant}/access")
}

/// Asking for `role`, in the tenant or in one of its namespaces.
#[must_use]
pub fn ask_access(tenant: impl Display, namespace: Option<impl Display>, role: impl Display) -> String {
    let namespace = namespace.map(|namespace| format!("&namespace={namespace}")).unwrap_or_default();
    format!("/t/{tenant}/access?role={role}{namespace}")
}

/// Who may do what in a namespace.
#[must_use]
pub fn namespace_members(tenant: impl Display, namespace: impl Display) -> String {
    format!("/t/{tenant}/n/{namespace}/members")
}

/// A tenant.
#[must_use]
pub fn tenant(tenant: impl Display) -> String {
    format!("/t/{tenant}")
}

/// Members of a tenant.
#[must_use]
pub fn members(tenant: impl Display) -> String {
    format!("/t/{tenant}/members")
}

/// Roles that a tenant made.
#[must_use]
pub fn roles(tenant: impl Display) -> String {
    format!("/t/{tenant}/roles")
}

/// One of them.
#[must_use]
pub fn role(tenant: impl Display, role: impl Display) -> String {
    format!("/t/{tenant}/roles/{role}")
}

/// Robots of a tenant.
#[must_use]
pub fn robots(tenant: impl Display) -> String {
    format!("/t/{tenant}/robots")
}

/// Webhooks of a tenant.
#[must_use]
pub fn webhooks(tenant: impl Display) -> String {
    format!("/t/{tenant}/webhooks")
}

/// A robot.
#[must_use]
pub fn robot(tenant: impl Display, robot: impl Display) -> String {
    format!("/t/{tenant}/robots/{robot}")
}

/// What a tenant is called.
#[must_use]
pub fn tenant_settings(tenant: impl Display) -> String {
    format!("/t/{tenant}/settings")
}

/// A question before a tenant's life goes on otherwise: `suspend`, `resume`, `remove`, `restore`.
#[must_use]
pub fn tenant_step(tenant: impl Display, step: &str) -> String {
    format!("/t/{tenant}/{step}")
}

/// The same for a namespace: `remove`, `restore`.
#[must_use]
pub fn namespace_step(tenant: impl Display, namespace: impl Display, step: &str) -> String {
    format!("/t/{tenant}/n/{namespace}/{step}")
}

/// A new namespace.
#[must_use]
pub fn namespace_new(tenant: impl Display) -> String {
    format!("/t/{tenant}/namespaces/new")
}

/// A namespace that a cluster has already becomes the tenant's.
#[must_use]
pub fn adopt(tenant: impl Display) -> String {
    format!("/t/{tenant}/adopt")
}

/// A namespace.
#[must_use]
pub fn namespace(tenant: impl Display, namespace: impl Display) -> String {
    format!("/t/{tenant}/n/{namespace}")
}

/// The apps of a namespace.
#[must_use]
pub fn apps(tenant: impl Display, namespace: impl Display) -> String {
    format!("/t/{tenant}/n/{namespace}/apps")
}

/// A new app.
#[must_use]
pub fn app_new(tenant: impl Display, namespace: impl Display) -> String {
    format!("/t/{tenant}/n/{namespace}/apps/new")
}

/// An app.
#[must_use]
pub fn app(tenant: impl Display, namespace: impl Display, app: impl Display) -> String {
    format!("/t/{tenant}/n/{namespace}/apps/{app}")
}

/// A tab of an app: `pods`, `events`, `logs`, `configuration`, `yaml`, `revisions`, or an action: `scale`, `delete`, …
#[must_use]
pub fn app_tab(tenant: impl Display, namespace: impl Display, app: impl Display, tab: &str) -> String {
    format!("/t/{tenant}/n/{namespace}/apps/{app}/{tab}")
}

/// The pods of a namespace.
#[must_use]
pub fn pods(tenant: impl Display, namespace: impl Display) -> String {
    format!("/t/{tenant}/n/{namespace}/pods")
}

/// A pod.
#[must_use]
pub fn pod(tenant: impl Display, namespace: impl Display, pod: impl Display) -> String {
    format!("/t/{tenant}/n/{namespace}/pods/{pod}")
}

/// A terminal in a pod.
#[must_use]
pub fn terminal(tenant: impl Display, namespace: impl Display, pod: impl Display) -> String {
    format!("/t/{tenant}/n/{namespace}/pods/{pod}/terminal")
}

/// The event stream of the live parts of a page (served by `web`).
#[must_use]
pub fn live(path_and_query: &str) -> String {
    with_query("/live", [("path", path_and_query)])
}

/// The event stream of log lines (served by `web`); takes `app`, `component`, `pod`, `container`, `tail`, `since`, `previous`.
#[must_use]
pub fn log_stream(tenant: impl Display, namespace: impl Display) -> String {
    format!("/t/{tenant}/n/{namespace}/logs/stream")
}

/// The WebSocket of a terminal (served by `web`).
#[must_use]
pub fn exec(tenant: impl Display, namespace: impl Display, pod: impl Display) -> String {
    format!("/t/{tenant}/n/{namespace}/pods/{pod}/exec")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_do_not_move() {
        let (t, n, a) = ("shop", "dev", "web");
        let all = [
            HOME.to_owned(),
            sign_in("/t/shop?x=1&y=2"),
            sign_in(HOME),
            sign_in_code("/t/shop"),
            sign_in_code(HOME),
            admin_person("alice"),
            admin_audit_entry(4711),
            tenant(t),
            members(t),
            invitations(t),
            roles(t),
            role(t, "releaser"),
            robots(t),
            webhooks(t),
            robot(t, "deploy"),
            join("secret"),
            reset("secret"),
            tenant_settings(t),
            namespace_new(t),
            namespace(t, n),
            namespace_members(t, n),
            apps(t, n),
            app_new(t, n),
            app(t, n, a),
            app_tab(t, n, a, "logs"),
            pods(t, n),
            pod(t, n, "web-1"),
            terminal(t, n, "web-1"),
            live("/t/shop/n/dev/apps?sort=-name"),
            log_stream(t, n),
            exec(t, n, "web-1"),
        ];
        insta::assert_snapshot!(all.join("\n"), @r"
        /
        /sign-in?next=/t/shop%3Fx%3D1%26y%3D2
        /sign-in
        /sign-in/code?next=/t/shop
        /sign-in/code
        /admin/people/alice
        /admin/audit/4711
        /t/shop
        /t/shop/members
        /t/shop/invitations
        /t/shop/roles
        /t/shop/roles/releaser
        /t/shop/robots
        /t/shop/webhooks
        /t/shop/robots/deploy
        /join/secret
        /reset/secret
        /t/shop/settings
        /t/shop/namespaces/new
        /t/shop/n/dev
        /t/shop/n/dev/members
        /t/shop/n/dev/apps
        /t/shop/n/dev/apps/new
        /t/shop/n/dev/apps/web
        /t/shop/n/dev/apps/web/logs
        /t/shop/n/dev/pods
        /t/shop/n/dev/pods/web-1
        /t/shop/n/dev/pods/web-1/terminal
        /live?path=/t/shop/n/dev/apps%3Fsort%3D-name
        /t/shop/n/dev/logs/stream
        /t/shop/n/dev/pods/web-1/exec
        ");
    }

    #[test]
    fn next_stays_with_us() {
        for (next, ok) in [
            ("/t/shop", true),
            ("/", true),
            ("//evil.example", false),
            ("/\\evil.example", false),
            ("https://evil.example", false),
            ("/a\nb", false),
            ("", false),
        ] {
            assert_eq!(safe_next(next).is_some(), ok, "{next:?}");
        }
    }
}
