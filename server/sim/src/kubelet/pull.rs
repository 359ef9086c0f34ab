//! Images: present, pulled, or refused in the runtime's words.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    config::go_duration,
    container::{Container, State, Step, later},
    environment::has_pull_secret,
    image::{Reference, pull_failure},
};
use crate::controllers::fields::Fields;

impl Container {
    /// Starts a container whose turn has come.
    pub fn begin(&mut self, spec: &Value, step: &mut Step<'_>) {
        let image = spec.text("/image");
        let Some(reference) = Reference::parse(image) else {
            let lower = image.to_lowercase();
            let detail = if lower == image {
                "invalid reference format".to_owned()
            } else {
                format!(
                    "invalid reference format: repository name ({}) must be lowercase",
                    image.split(':').next().unwrap_or(image)
                )
            };
            let message = format!(
                "Failed to apply default image tag \"{image}\": couldn't parse image name \"{image}\": {detail}"
            );
            self.tell(step, "Warning", "InspectFailed", message.clone());
            self.tell(step, "Warning", "Failed", "Error: InvalidImageName".to_owned());
            self.state = State::NoImage { reason: "InvalidImageName", message, until: None };
            return;
        };
        let present = step.images.contains(&reference.canonical());
        let policy = match spec.text("/imagePullPolicy") {
            "" if reference.tag == "latest" => "Always",
            "" => "IfNotPresent",
            policy => policy,
        };
        match (policy, present) {
            ("Never", false) => {
                let message = format!("Container image \"{image}\" is not present with pull policy of Never");
                self.tell(step, "Warning", "ErrImageNeverPull", message.clone());
                self.tell(step, "Warning", "Failed", "Error: ErrImageNeverPull".to_owned());
                self.state = State::NoImage { reason: "ErrImageNeverPull", message, until: None };
            }
            ("Always", _) | (_, false) => {
                self.tell(step, "Normal", "Pulling", format!("Pulling image \"{image}\""));
                let takes = if self.refusal(&reference, step).is_some() {
                    step.timing.pull_refused
                } else if present {
                    step.timing.pull / 4
                } else {
                    step.timing.pull
                };
                let refused = match &self.state {
                    State::NoImage { reason, message, .. } => Some((*reason, message.clone())),
                    _ => None,
                };
                self.state = State::Pulling { since: step.now, until: later(step.now, takes), refused };
            }
            _ => {
                let message =
                    format!("Container image \"{image}\" already present on machine and can be accessed by the pod");
                self.tell(step, "Normal", "Pulled", message);
                self.state = State::Creating { until: later(step.now, step.timing.start) };
            }
        }
    }

    fn refusal(&self, reference: &Reference, step: &Step<'_>) -> Option<String> {
        pull_failure(reference, has_pull_secret(step.cluster, step.pod, &reference.registry))
    }

    /// The pull is over, well or badly.
    pub(super) fn pulled(&mut self, spec: &Value, since: Timestamp, step: &mut Step<'_>) {
        let image = spec.text("/image");
        let Some(reference) = Reference::parse(image) else { return };
        if let Some(refusal) = self.refusal(&reference, step) {
            self.tell(step, "Warning", "Failed", format!("Failed to pull image \"{image}\": {refusal}"));
            self.tell(step, "Warning", "Failed", "Error: ErrImagePull".to_owned());
            self.pull.next(step.now, step.timing);
            self.state = State::NoImage {
                reason: "ErrImagePull",
                message: refusal,
                until: Some(later(step.now, step.timing.notice)),
            };
            return;
        }
        let took = go_duration(Duration::try_from(step.now.duration_since(since)).unwrap_or_default());
        let size = reference.pretend_size();
        self.tell(
            step,
            "Normal",
            "Pulled",
            format!(
                "Successfully pulled image \"{image}\" in {took} ({took} including waiting). Image size: {size} bytes."
            ),
        );
        step.images.insert(reference.canonical());
        self.state = State::Creating { until: later(step.now, step.timing.start) };
    }

    /// A refused pull waits before the next.
    pub(super) fn back_off_pull(&mut self, spec: &Value, step: &mut Step<'_>) {
        let image = spec.text("/image");
        let previous = match &self.state {
            State::NoImage { message, .. } => message.clone(),
            _ => String::new(),
        };
        let back_off = format!("Back-off pulling image \"{image}\"");
        self.tell(step, "Normal", "BackOff", back_off.clone());
        self.tell(step, "Warning", "Failed", "Error: ImagePullBackOff".to_owned());
        self.state = State::NoImage {
            reason: "ImagePullBackOff",
            message: format!("{back_off}: ErrImagePull: {previous}"),
            until: Some(later(step.now, self.pull.delay)),
        };
    }
}
