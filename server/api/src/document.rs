//! Completes the OpenAPI document with what all operations share, so that no handler repeats it: parameters of paths and
//! lists, security, conditional requests, idempotency keys, problems, examples.

use std::collections::{BTreeMap, BTreeSet};

use berth_types::{AppSpec, ErrorCode, Problem, rows::LogLine};
use serde_json::{Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Components, Content, ContentBuilder, HeaderBuilder, HttpMethod, InfoBuilder, LicenseBuilder, OpenApi, Ref,
        RefOr, Required, Response, ResponseBuilder, Schema, Tag,
        path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem},
        schema::{ArrayBuilder, ObjectBuilder, Type},
        security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
        tag::TagBuilder,
    },
};

use crate::{
    examples,
    handlers::{
        access, admin, announcements, app_actions, apps, audit, clusters, invitations, me, members, namespaces, nodes,
        preflight::PREFLIGHT, providers, quotas, requests, robots, roles, tenants, workloads,
    },
    logs,
    problem::PROBLEM_JSON,
    query::Columns,
    reply::{CSV, EVENTS, JSON, NDJSON, YAML},
};

const DESCRIPTION: &str = "\
Everything that Berth's pages do, for programs.

**Credentials**: an API token, made in the browser (Account, API tokens) or with `berth admin create-token`, sent as \
`Authorization: Bearer berth_…`. A request without a valid token answers 401; what you may not know of answers 404; what \
you may see but not do answers 403.

**Errors** are RFC 9457 problems (`application/problem+json`). `code` is stable; `errors` names each wrong field and what is \
allowed; `requestId` finds the request in the server's log. Unknown fields and parameters are refused.

**Lists** take `limit`, `cursor`, `sort=-created,name`, `q`, and a filter a column, which may be repeated \
(`phase=Degraded&phase=Progressing`). `total` counts all pages; `Link: <…>; rel=\"next\"` and `next` lead on.

**Versions**: a single object carries an `ETag`. Send it as `If-Match` to change only what you have read (412 when it has \
changed since; `PUT` of an app demands it, 428), and as `If-None-Match` to hear 304 when nothing changed.

**Repeating safely**: a `POST` with an `Idempotency-Key` is done once. The same request with the same key within 24 hours \
gets the first reply again, marked `Idempotent-Replayed: true`.

**Preflight**: before an app is made or changed, what it takes of the namespace's quota is counted and one of its pods is \
tried. What cannot fit is refused (`quota-exceeded`, with the numbers at each field) unless `preflight=skip` is in the query; \
what only makes a rollout wait stands in the reply's `warnings`.

**Watching** is the same GET with `Accept: text/event-stream`. Events: `snapshot` (the page, with `keys` of its rows), then \
`upsert` (`key`, `index`, `total`, `item`), `delete` (`key`, `total`), `freshness` (`state`, `asOf`, `since`, `reason`), \
`error` (a problem; the stream ends) and `bye` (the server stops; connect again).";

/// Tags in the order of the documentation, each with what it holds.
const TAGS: &[(&str, &str)] = &[
    ("me", "The person a token belongs to."),
    ("tenants", "Teams and product lines."),
    ("members", "People of a tenant and their roles, in the whole of it and in its namespaces."),
    ("namespaces", "Kubernetes namespaces of a tenant."),
    ("quotas", "What tenants may have, how they share it out, and the plans that give it."),
    ("apps", "What a team runs."),
    ("revisions", "What an app was before."),
    ("workloads", "Pods, events and logs."),
    ("search", "Over all that you may see."),
    ("clusters", "Clusters and their machines; for people with a role on the platform."),
    ("admin", "The platform itself; for people with a role on it."),
];

/// The columns of each list.
const LISTS: &[(&str, &Columns)] = &[
    ("list_tokens", &me::TOKENS),
    ("list_tenants", &tenants::TENANTS),
    ("list_members", &members::MEMBERS),
    ("list_namespace_members", &members::MEMBERS),
    ("list_access_requests", &access::ACCESS),
    ("list_roles", &roles::OWN),
    ("list_robots", &robots::ROBOTS),
    ("list_robot_tokens", &me::TOKENS),
    ("list_invitations", &invitations::INVITATIONS),
    ("list_platform_invitations", &invitations::INVITATIONS),
    ("list_namespaces", &namespaces::NAMESPACES),
    ("get_usage", &namespaces::USAGE),
    ("list_plans", &quotas::PLANS),
    ("preview_plan", &quotas::EFFECTS),
    ("get_tenant_quota", &quotas::QUOTAS),
    ("list_pressure", &quotas::PRESSURE),
    ("list_requests", &requests::REQUESTS),
    ("list_all_requests", &requests::ALL_REQUESTS),
    ("list_apps", &apps::APPS),
    ("list_revisions", &app_actions::REVISIONS),
    ("list_pods", &workloads::PODS),
    ("list_events", &workloads::EVENT_COLUMNS),
    ("list_clusters", &clusters::CLUSTERS),
    ("list_nodes", &nodes::NODES),
    ("list_current_announcements", &announcements::ANNOUNCEMENTS),
    ("list_announcements", &announcements::ANNOUNCEMENTS),
    ("list_users", &admin::USERS),
    ("list_providers", &providers::PROVIDERS),
    ("list_group_rules", &providers::RULES),
    ("list_audit", &admin::AUDIT),
    ("list_checkpoints", &audit::CHECKPOINTS),
];
/// Operations that can be watched.
const WATCHED: &[&str] = &["list_apps", "get_app", "list_pods", "list_events"];
/// Changes that honour `If-Match`.
const VERSIONED: &[&str] = &[
    "update_tenant",
    "replace_role",
    "set_network",
    "replace_plan",
    "replace_provider",
    "replace_announcement",
    "replace_webhook",
    "replace_platform_webhook",
    "replace_cluster",
    "replace_app",
    "patch_app",
    "delete_app",
];
/// Operations whose replies carry the version as `ETag`, besides all GETs.
const TAGGED: &[&str] = &[
    "create_tenant",
    "update_tenant",
    "create_role",
    "replace_role",
    "set_network",
    "create_plan",
    "replace_plan",
    "create_provider",
    "replace_provider",
    "create_announcement",
    "replace_announcement",
    "replace_webhook",
    "replace_platform_webhook",
    "register_cluster",
    "replace_cluster",
    "create_request",
    "approve_request",
    "refuse_request",
    "offer_request",
    "accept_request",
    "withdraw_request",
    "create_app",
    "replace_app",
    "patch_app",
    "scale_app",
    "restart_app",
    "suspend_app",
    "resume_app",
    "rollback_app",
];
const LOGS: &[&str] = &["app_logs", "pod_logs"];
/// Needs no token of Berth's, and is done once by itself.
const OPEN: &str = "exchange_token";
/// Answers a file: all rows of the list, without the parameters of pages.
const EXPORT: &str = "export_audit";
/// Changes that a preflight may refuse.
const WEIGHED: &[&str] =
    &["create_app", "replace_app", "patch_app", "scale_app", "restart_app", "resume_app", "rollback_app"];

/// The document with all of it.
pub(crate) fn complete(mut document: OpenApi) -> OpenApi {
    document.info = InfoBuilder::new()
        .title("Berth")
        .version("v1")
        .description(Some(DESCRIPTION))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    document.tags = Some(TAGS.iter().map(|(name, text)| tag(name, text)).collect());
    document.security = Some(vec![SecurityRequirement::new("token", [] as [&str; 0])]);
    let components = document.components.get_or_insert(Components::new());
    let mut schemas = Vec::new();
    <Problem as ToSchema>::schemas(&mut schemas);
    <AppSpec as ToSchema>::schemas(&mut schemas);
    schemas.push(("Problem".to_owned(), <Problem as PartialSchema>::schema()));
    schemas.push(("AppSpec".to_owned(), <AppSpec as PartialSchema>::schema()));
    schemas.push(("LogLine".to_owned(), <LogLine as PartialSchema>::schema()));
    components.schemas.extend(schemas);
    let mut bearer = Http::new(HttpAuthScheme::Bearer);
    bearer.bearer_format = Some("berth_…".to_owned());
    bearer.description = Some("An API token.".to_owned());
    components.security_schemes.insert("token".to_owned(), RefOr::T(SecurityScheme::Http(bearer)));
    let statuses: BTreeSet<u16> = ErrorCode::ALL.iter().map(|code| code.status()).collect();
    for status in statuses {
        components.responses.insert(problem_name(status), RefOr::T(problem(status)));
    }
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            complete_operation(path, &method, operation);
        }
    }
    document
}

/// The document as it is committed and served.
///
/// # Errors
/// When it cannot be written, which does not happen.
pub fn to_json(document: &OpenApi) -> serde_json::Result<String> {
    document.to_pretty_json().map(|mut text| {
        text.push('\n');
        text
    })
}

fn tag(name: &str, text: &str) -> Tag {
    TagBuilder::new().name(name).description(Some(text)).build()
}

/// The operations of a path.
fn operations(item: &mut PathItem) -> Vec<(HttpMethod, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [
        (HttpMethod::Get, get),
        (HttpMethod::Put, put),
        (HttpMethod::Post, post),
        (HttpMethod::Delete, delete),
        (HttpMethod::Patch, patch),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
    .collect()
}

fn complete_operation(path: &str, method: &HttpMethod, operation: &mut Operation) {
    let id = operation.operation_id.clone().unwrap_or_default();
    let id = id.as_str();
    if let Some(text) = &mut operation.description {
        *text = text.replace('\n', " ");
    }
    let reads = *method == HttpMethod::Get;
    let list = LISTS.iter().find(|(name, _)| *name == id).map(|(_, columns)| *columns);
    let mut parameters: Vec<Parameter> = path_parameters(path);
    if let Some(columns) = list {
        parameters.extend(list_parameters(columns));
    }
    if LOGS.contains(&id) {
        parameters.extend(log_parameters());
    }
    if id == EXPORT {
        parameters.extend(filter_parameters(&admin::AUDIT));
    }
    let streams = LOGS.contains(&id) || id == EXPORT;
    if reads && !streams {
        let text = "An `ETag` you have: 304 without a body when nothing changed.";
        parameters.push(header("If-None-Match", text, json!("\"4711\"")));
    }
    if VERSIONED.contains(&id) {
        let text = "The `ETag` of the version you read; `*` for whatever is there.";
        let mut parameter = header("If-Match", text, json!("\"4711\""));
        if id == "replace_app" {
            parameter.required = Required::True;
        }
        parameters.push(parameter);
    }
    if WEIGHED.contains(&id) {
        let text = "`skip`: leave it to the cluster whether there is room, and whether its policies take the pods.";
        let skip = string().enum_values(Some(["skip"]));
        parameters.push(parameter(PREFLIGHT, ParameterIn::Query, text, skip, json!("skip")));
    }
    if *method == HttpMethod::Post && id != OPEN {
        let text =
            "1 to 255 characters that are new for each request: with them, sending it again does not do it again.";
        parameters.push(header("Idempotency-Key", text, json!("5f0c9b1e-deploy-42")));
    }
    let own = operation.parameters.take().unwrap_or_default();
    operation.parameters = Some(parameters.into_iter().map(RefOr::T).chain(own).collect());

    let has_body = operation.request_body.is_some();
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        let optional =
            matches!(id, "restart_app" | "suspend_app" | "resume_app" | "reset_password" | "create_reset_link");
        body.required = Some(if optional { Required::False } else { Required::True });
        for (kind, content) in &mut body.content {
            if let RefOr::T(content) = content {
                add_example(kind, content);
            }
        }
    }
    complete_success(id, method, operation);
    let mut codes = BTreeSet::from([401, 404, 406, 429, 500, 503, 504]);
    if reads {
        codes.extend(
            (list.is_some()
                || streams
                || matches!(id, "search" | "diff_revision" | "get_namespace_history" | "get_tenant_history"))
            .then_some(422),
        );
        codes.extend([400, 403]);
    } else {
        codes.extend([403, 409, 422]);
    }
    if has_body {
        codes.extend([400, 413, 415]);
    }
    if VERSIONED.contains(&id) || *method == HttpMethod::Post {
        codes.insert(400);
    }
    if VERSIONED.contains(&id) {
        codes.insert(412);
    }
    if id == "replace_app" {
        codes.insert(428);
    }
    for code in codes {
        let problem = Ref::from_response_name(problem_name(code));
        operation.responses.responses.insert(code.to_string(), RefOr::Ref(problem));
    }
}

/// Success: headers, other forms of the same, examples.
fn complete_success(id: &str, method: &HttpMethod, operation: &mut Operation) {
    let reads = *method == HttpMethod::Get;
    let streams = LOGS.contains(&id) || id == EXPORT;
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        response_header(response, "x-request-id", "Finds the request in the server's log.");
        if (reads && !streams) || TAGGED.contains(&id) {
            response_header(response, "ETag", "The version, for `If-Match` and `If-None-Match`.");
        }
        if status == "201" {
            response_header(response, "Location", "Where what was made is.");
        }
        if *method == HttpMethod::Post && id != OPEN {
            response_header(response, "Idempotent-Replayed", "`true`: the reply to an earlier request with this key.");
        }
        if LISTS.iter().any(|(name, _)| *name == id) {
            response_header(response, "Link", "`<…>; rel=\"next\"`, when there is a next page.");
        }
        for (kind, content) in &mut response.content {
            if let RefOr::T(content) = content {
                add_example(kind, content);
            }
        }
        if WATCHED.contains(&id) {
            let example = "event: snapshot\ndata: {\"items\":[],\"keys\":[],\"total\":0,\"offset\":0}\n\n";
            response.content.insert(EVENTS.to_owned(), RefOr::T(text_content(example)));
        }
        if id == "get_app" {
            response.content.insert(YAML.to_owned(), RefOr::T(text_content(&examples::manifest())));
        }
        if id == EXPORT {
            let (_, ndjson, csv) = examples::audit::lines();
            response.content.insert(NDJSON.to_owned(), RefOr::T(text_content(&ndjson)));
            response.content.insert(CSV.to_owned(), RefOr::T(text_content(&csv)));
        }
        if id == "list_checkpoints" {
            let (lines, ..) = examples::audit::lines();
            response.content.insert(NDJSON.to_owned(), RefOr::T(text_content(&lines)));
        }
        if LOGS.contains(&id) {
            let line = json!(examples::log_line());
            let text = text_content(&format!("{}\n", examples::log_line().text));
            response.content.insert("text/plain".to_owned(), RefOr::T(text));
            let mut ndjson = Content::new(Some(Ref::from_schema_name("LogLine")));
            ndjson.example = Some(line.clone());
            response.content.insert(NDJSON.to_owned(), RefOr::T(ndjson));
            let events = text_content(&format!("event: line\ndata: {line}\n\n"));
            response.content.insert(EVENTS.to_owned(), RefOr::T(events));
        }
    }
    if reads && !streams {
        let text = "Nothing changed since the version that `If-None-Match` names.";
        let unchanged = ResponseBuilder::new().description(text).build();
        operation.responses.responses.insert("304".to_owned(), RefOr::T(unchanged));
    }
}

fn text_content(example: &str) -> Content {
    ContentBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()))
        .example(Some(example.into()))
        .build()
}

fn add_example(kind: &str, content: &mut Content) {
    let Some(RefOr::Ref(schema)) = &content.schema else {
        if kind == JSON && content.example.is_none() {
            content.example = Some(examples::pod_object());
        }
        return;
    };
    let name = schema.ref_location.rsplit('/').next().unwrap_or_default();
    if content.example.is_none()
        && let Some(example) = examples::of(name)
    {
        let yaml = || berth_core::yaml::print(&example).ok().map(Value::from);
        content.example = if kind == YAML { yaml() } else { Some(example) };
    }
}

fn response_header(response: &mut Response, name: &str, text: &str) {
    let header = HeaderBuilder::new().schema(Some(string().build())).description(Some(text)).build();
    response.headers.insert(name.to_owned(), RefOr::T(header));
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn parameter(
    name: &str,
    place: ParameterIn,
    text: &str,
    schema: impl Into<RefOr<Schema>>,
    example: Value,
) -> Parameter {
    let required = if place == ParameterIn::Path { Required::True } else { Required::False };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .description(Some(text))
        .required(required)
        .schema(Some(schema))
        .example(Some(example))
        .build()
}

fn header(name: &str, text: &str, example: Value) -> Parameter {
    parameter(name, ParameterIn::Header, text, string(), example)
}

/// What stands in `{…}`.
fn path_parameters(path: &str) -> Vec<Parameter> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let name = |max: usize| string().pattern(Some("^[a-z]([-a-z0-9]*[a-z0-9])?$")).max_length(Some(max));
    names
        .map(|one| {
            let (text, schema, example) = match one {
                "tenant" => ("The tenant's name.", name(30), json!("shop")),
                "namespace" => ("The namespace's name within the tenant.", name(30), json!("prod")),
                "app" => ("The app's name.", name(40), json!("checkout")),
                "trust" => ("The trust's id.", string(), json!("0193f0a0-0000-7000-8000-00000000000c")),
                "role" => ("The role's name within the tenant.", name(30), json!("releaser")),
                "robot" => ("The robot's name within the tenant.", name(30), json!("deploy")),
                "user" => ("What the person signs in as.", name(40), json!("alice")),
                "plan" => ("The plan's name.", name(30), json!("small")),
                "provider" => ("The provider's name.", name(30), json!("corp")),
                "rule" => ("The rule's id.", string(), json!("0193f0a0-0000-7000-8000-000000000009")),
                "pod" => ("The pod's name.", string(), json!("checkout-5d4f8c7b9-x2x7k")),
                "request" => ("The request's id.", string(), json!("0193f0a0-0000-7000-8000-000000000006")),
                "webhook" => ("The webhook's id.", string(), json!("0193f0a0-0000-7000-8000-00000000000e")),
                "invitation" => ("The invitation's id.", string(), json!("0193f0a0-0000-7000-8000-00000000000a")),
                "token" => ("The token's id.", string(), json!("0193f0a0-0000-7000-8000-000000000001")),
                _ => ("Its number.", ObjectBuilder::new().schema_type(Type::Integer), json!(3)),
            };
            parameter(one, ParameterIn::Path, text, schema, example)
        })
        .collect()
}

/// Filters that are no lists of values.
const BOUNDS: &[(&str, &str)] = &[
    ("since", "Only rows of this time and later: RFC 3339, or a day, with or without a time, in UTC."),
    ("until", "Only rows from before this time."),
];

fn list_parameters(columns: &Columns) -> Vec<Parameter> {
    let integer = || ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(500));
    let sorts = format!("Columns to sort by, most important first, `-` for downwards: {}.", columns.sorts.join(", "));
    let first = columns.sorts.first().copied().unwrap_or_default();
    let mut parameters = vec![
        parameter("limit", ParameterIn::Query, "Rows of a page, 1 to 500 (default 100).", integer(), json!(50)),
        parameter(
            "cursor",
            ParameterIn::Query,
            "Where to go on: `next` of the page before.",
            string(),
            json!("eyJzb3J0Ijoi…"),
        ),
        parameter("sort", ParameterIn::Query, &sorts, string(), json!(format!("-{first}"))),
    ];
    parameters.extend(filter_parameters(columns));
    parameters
}

fn filter_parameters(columns: &Columns) -> Vec<Parameter> {
    let mut parameters =
        vec![parameter("q", ParameterIn::Query, "Words that must all occur.", string(), json!("check"))];
    for (name, values) in columns.filters {
        if let Some((_, text)) = BOUNDS.iter().find(|(bound, _)| bound == name) {
            parameters.push(parameter(name, ParameterIn::Query, text, string(), json!("2026-11-20T08:00:00Z")));
            continue;
        }
        let one = if values.is_empty() { string() } else { string().enum_values(Some(values.iter().copied())) };
        let many = ArrayBuilder::new().items(one.build());
        let text = format!("Only rows with this `{name}`; repeat it for any of several.");
        let example = json!([values.first().copied().unwrap_or(example_value(name))]);
        parameters.push(parameter(name, ParameterIn::Query, &text, many, example));
    }
    parameters
}

fn example_value(column: &str) -> &'static str {
    match column {
        "app" | "name" => "checkout",
        "component" => "main",
        "cause" => "image-pull",
        "image" => "registry.example.com/checkout:1.4.2",
        "reason" => "CrashLoopBackOff",
        "node" => "node-1",
        "object" => "Pod/checkout-5d4f8c7b9-x2x7k",
        "action" => "app.create",
        "tenant" => "shop",
        "limited" => "true",
        "cluster" => "local",
        _ => "alice",
    }
}

fn log_parameters() -> Vec<Parameter> {
    let boolean = || ObjectBuilder::new().schema_type(Type::Boolean);
    let integer = || ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(100_000));
    logs::PARAMS
        .into_iter()
        .map(|name| {
            let (text, schema, example) = match name {
                "container" => ("Only this container.", string(), json!("main")),
                "previous" => ("Of the container before its last restart.", boolean(), json!(false)),
                "follow" => ("Go on as lines come.", boolean(), json!(true)),
                "tail" => ("Last lines of each container to begin with (default 1000).", integer(), json!(200)),
                _ => ("Only lines younger than this: `90s`, `10m`, `1h30m`.", string(), json!("10m")),
            };
            parameter(name, ParameterIn::Query, text, schema, example)
        })
        .collect()
}

/// The problems that a status stands for.
fn codes(status: u16) -> Vec<ErrorCode> {
    ErrorCode::ALL.iter().copied().filter(|code| code.status() == status).collect()
}

/// What the response with a problem of this status is called in the document.
fn problem_name(status: u16) -> String {
    format!("Problem{status}")
}

fn problem(status: u16) -> Response {
    let codes = codes(status);
    let titles: Vec<String> = codes.iter().map(|code| format!("`{code}`: {}", code.title())).collect();
    let mut content = Content::new(Some(Ref::from_schema_name("Problem")));
    content.example = codes.first().map(|code| examples::problem(*code));
    let mut response =
        ResponseBuilder::new().description(format!("{}.", titles.join("; "))).content(PROBLEM_JSON, content).build();
    let headers: BTreeMap<&str, &str> = match status {
        401 => BTreeMap::from([("WWW-Authenticate", "`Bearer`.")]),
        429 | 409 => {
            BTreeMap::from([("Retry-After", "Seconds after which trying again makes sense, where that is known.")])
        }
        _ => BTreeMap::new(),
    };
    for (name, text) in headers {
        response_header(&mut response, name, text);
    }
    response_header(&mut response, "x-request-id", "Finds the request in the server's log.");
    response
}
