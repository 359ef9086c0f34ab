//! Names that Berth writes into the cluster: labels, annotations, field managers. People and scripts may rely on them.

/// The app that an object belongs to.
pub const APP: &str = "berth.dev/app";
/// The component that an object belongs to.
pub const COMPONENT: &str = "berth.dev/component";
/// On pods: the app's revision in which their template last changed.
pub const REVISION: &str = "berth.dev/revision";
/// On an `App`: who last changed it. Copied to the revision that follows.
pub const CHANGED_BY: &str = "berth.dev/changed-by";
/// On an `App`: when its pods were last asked to restart; copied to the pod templates.
pub const RESTARTED_AT: &str = "berth.dev/restarted-at";
/// On children: a digest of what was applied, so that an unchanged child costs no call.
pub const APPLIED: &str = "berth.dev/applied";
/// On a Deployment: a digest of its pod template, without its revision.
pub const TEMPLATE: &str = "berth.dev/template";
/// On a Deployment: whether `berth` or an `autoscaler` sets its replicas.
pub const SCALED_BY: &str = "berth.dev/scaled-by";
/// On a ControllerRevision: who made it.
pub const BY: &str = "berth.dev/by";
/// On a ControllerRevision: when it last became the wanted one.
pub const BEGAN_AT: &str = "berth.dev/began-at";
/// On a namespace: its tenant.
pub const TENANT: &str = "berth.dev/tenant";
/// On a namespace: its name within the tenant.
pub const NAMESPACE: &str = "berth.dev/namespace";
/// On a namespace, `true`: its apps are scaled to zero, whatever they say themselves.
pub const SUSPENDED: &str = "berth.dev/suspended";
/// On a namespace: a digest of everything that Berth wanted when it last kept it whole.
pub const KEPT: &str = "berth.dev/kept";
/// On a node: that it is being emptied, by whom and since when, as JSON.
pub const DRAIN: &str = "berth.dev/drain";
/// On pods of an app that has an address of its own to the outside: anybody may reach them.
pub const OUTSIDE: &str = "berth.dev/outside";
/// On a CustomResourceDefinition: the version of the schema, growing.
pub const SCHEMA_VERSION: &str = "berth.dev/schema-version";
/// On the Lease: the installation that its holder belongs to; on a namespace: the one that keeps it.
pub const INSTALLATION: &str = "berth.dev/installation";
/// The well-known label that says who manages an object, and Berth's value for it.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY`] on all that Berth makes.
pub const BERTH: &str = "berth";
/// Field manager of the controller's server-side apply.
pub const CONTROLLER: &str = "berth-controller";
/// Field manager of what people do through Berth.
pub const PORTAL: &str = "berth";
/// Field manager that keeps a Deployment's replicas alive while they are handed to an autoscaler.
pub const HANDOVER: &str = "berth-handover";
