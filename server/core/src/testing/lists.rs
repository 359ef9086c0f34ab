//! How the rows of a cluster are listed: columns as the rows' own documentation names them.

use std::sync::Arc;

use berth_types::rows::{AppRow, EventRow, PodRow};

use crate::listing::{Column, Listing};

pub(super) static APPS: Listing<AppRow> = Listing {
    columns: &[
        Column { name: "name", key: Some(|r| (&*r.name).into()), value: Some(|r| r.name.to_string()), facet: false },
        Column {
            name: "phase",
            key: Some(|r| (r.phase as i64).into()),
            value: Some(|r| r.phase.as_str().to_owned()),
            facet: true,
        },
        Column { name: "image", key: Some(|r| (&*r.image).into()), value: Some(|r| r.image.to_string()), facet: false },
        Column { name: "ready", key: Some(|r| i64::from(r.ready).into()), value: None, facet: false },
        Column { name: "created", key: Some(|r| r.created_at.into()), value: None, facet: false },
        Column { name: "changed", key: Some(|r| r.changed_at.into()), value: None, facet: false },
        Column {
            name: "cause",
            key: Some(|r| r.cause.as_deref().unwrap_or_default().into()),
            value: Some(|r| r.cause_code.map(|c| c.to_string()).unwrap_or_default()),
            facet: true,
        },
    ],
    search: |r| format!("{} {}", r.name, r.image),
    unique: "name",
    descending: false,
};

fn text(value: Option<&Arc<str>>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

pub(super) static PODS: Listing<PodRow> = Listing {
    columns: &[
        Column { name: "name", key: Some(|r| (&*r.name).into()), value: Some(|r| r.name.to_string()), facet: false },
        Column {
            name: "phase",
            key: Some(|r| (r.phase as i64).into()),
            value: Some(|r| r.phase.to_string()),
            facet: true,
        },
        Column {
            name: "reason",
            key: Some(|r| (&*r.reason).into()),
            value: Some(|r| r.reason.to_string()),
            facet: true,
        },
        Column {
            name: "node",
            key: Some(|r| text(r.node.as_ref()).as_str().into()),
            value: Some(|r| text(r.node.as_ref())),
            facet: true,
        },
        Column { name: "restarts", key: Some(|r| i64::from(r.restarts).into()), value: None, facet: false },
        Column { name: "created", key: Some(|r| r.created_at.into()), value: None, facet: false },
        Column {
            name: "app",
            key: Some(|r| text(r.app.as_ref()).as_str().into()),
            value: Some(|r| text(r.app.as_ref())),
            facet: true,
        },
        Column {
            name: "component",
            key: Some(|r| text(r.component.as_ref()).as_str().into()),
            value: Some(|r| text(r.component.as_ref())),
            facet: true,
        },
    ],
    search: |r| format!("{} {} {}", r.name, r.reason, text(r.node.as_ref())),
    unique: "name",
    descending: false,
};

pub(super) static EVENTS: Listing<(usize, EventRow)> = Listing {
    columns: &[
        Column { name: "kind", key: Some(|r| (&*r.1.kind).into()), value: Some(|r| r.1.kind.to_string()), facet: true },
        Column {
            name: "reason",
            key: Some(|r| (&*r.1.reason).into()),
            value: Some(|r| r.1.reason.to_string()),
            facet: true,
        },
        Column {
            name: "object",
            key: Some(|r| (&*r.1.object).into()),
            value: Some(|r| r.1.object.to_string()),
            facet: false,
        },
        Column {
            name: "app",
            key: Some(|r| text(r.1.app.as_ref()).as_str().into()),
            value: Some(|r| text(r.1.app.as_ref())),
            facet: false,
        },
        Column { name: "count", key: Some(|r| i64::from(r.1.count).into()), value: None, facet: false },
        Column { name: "last", key: Some(|r| r.1.last_at.into()), value: None, facet: false },
        // Events have no name of their own here; their order of arrival stands for it.
        Column { name: "arrival", key: Some(|r| (r.0 as i64).into()), value: None, facet: false },
    ],
    search: |r| format!("{} {} {}", r.1.reason, r.1.object, r.1.message),
    unique: "arrival",
    descending: true,
};
