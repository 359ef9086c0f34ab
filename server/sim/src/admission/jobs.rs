//! The selector that the API gives each Job (`pkg/registry/batch/job/strategy.go`, generateSelector).

use serde_json::Value;

use crate::{
    controllers::fields::{Fields, set},
    hooks::{Admission, AdmissionRequest, Operation},
    registry::builtin::gr,
    status::Result,
};

/// The plug-in.
pub struct JobSelector;

impl Admission for JobSelector {
    fn admit(&self, request: &AdmissionRequest<'_>, job: &mut Value) -> Result<()> {
        if request.resource.id != gr::JOBS || request.operation != Operation::Create || job.flag("/spec/manualSelector")
        {
            return Ok(());
        }
        let (uid, mut name) = (job.uid().to_owned(), job.name().to_owned());
        if name.is_empty() {
            name = job.text("/metadata/generateName").to_owned();
        }
        for (label, value) in [
            ("batch.kubernetes.io/controller-uid", &uid),
            ("batch.kubernetes.io/job-name", &name),
            ("controller-uid", &uid),
            ("job-name", &name),
        ] {
            if job.at("/spec/template/metadata/labels").get(label).is_none() {
                set(job, &["spec", "template", "metadata", "labels", label], value.as_str());
            }
        }
        set(job, &["spec", "selector", "matchLabels", "batch.kubernetes.io/controller-uid"], uid.as_str());
        // The default comes again once the template has its labels.
        let fits = name.len() <= 63;
        if fits && job.at("/metadata/labels").as_object().is_none_or(serde_json::Map::is_empty) {
            job["metadata"]["labels"] = job.at("/spec/template/metadata/labels").clone();
        }
        Ok(())
    }
}
