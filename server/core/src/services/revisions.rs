//! What an app once was, compared.

use berth_types::{FieldError, rows::RevisionRow};
use similar::TextDiff;

use super::{Services, apps::AppPath};
use crate::{
    ctx::OpCtx,
    error::{Error, Result},
    yaml,
};

impl Services {
    /// A unified diff of the specs (as YAML) of revision `from` and revision `to`, or of what is wanted now; empty when they
    /// do not differ.
    ///
    /// # Errors
    /// `NotFound` for the app and `from`; `Invalid` at `to`; what the cluster says.
    pub async fn diff_revisions(&self, ctx: &OpCtx, path: AppPath<'_>, from: i64, to: Option<i64>) -> Result<String> {
        let revisions = self.app_revisions(ctx, path).await?;
        let find = |number: i64| revisions.iter().find(|r| r.number == number);
        let old = find(from).ok_or_else(Error::not_found)?;
        let (new, name) = match to {
            Some(number) => {
                (print(find(number).ok_or_else(|| unknown(number, &revisions))?)?, format!("revision {number}"))
            }
            None => (yaml::print(&self.get_app(ctx, path).await?.object.view.spec)?, "now".to_owned()),
        };
        Ok(unified(&print(old)?, &new, (&format!("revision {from}"), &name)))
    }
}

fn print(revision: &RevisionRow) -> Result<String> {
    yaml::print(&revision.spec)
}

fn unknown(number: i64, revisions: &[RevisionRow]) -> Error {
    let known: Vec<String> = revisions.iter().map(|r| r.number.to_string()).collect();
    let message = format!("there is no revision {number}; there are {}", known.join(", "));
    Error::field(FieldError::new("to", "revision_unknown", message).param("value", number))
}

fn unified(old: &str, new: &str, (from, to): (&str, &str)) -> String {
    if old == new {
        return String::new();
    }
    TextDiff::from_lines(old, new).unified_diff().context_radius(3).header(from, to).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diffs_name_both_sides() {
        assert_eq!(unified("a: 1\n", "a: 1\n", ("x", "y")), "");
        assert_eq!(
            unified("a: 1\nb: 2\n", "a: 1\nb: 3\n", ("revision 1", "now")),
            "--- revision 1\n+++ now\n@@ -1,2 +1,2 @@\n a: 1\n-b: 2\n+b: 3\n"
        );
    }
}
