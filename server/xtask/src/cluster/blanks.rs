//! Settings and objects whose blanks, `${NAME}`, are known only once there is a cluster.

use anyhow::{Result, bail};

/// `text` with its blanks filled in.
///
/// # Errors
/// One is left that has no value.
pub fn filled(text: &str, values: &[(&str, String)]) -> Result<String> {
    let text = values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value));
    if let Some((_, rest)) = text.split_once("${") {
        bail!("nothing fills in ${{{}", rest.lines().next().unwrap_or_default());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_filled_in_or_named() {
        let values = [("A", "1".to_owned())];
        assert_eq!(filled("a: ${A}, $1 ${A}", &values).unwrap(), "a: 1, $1 1");
        assert!(filled("b: ${B}", &values).unwrap_err().to_string().contains("${B}"));
    }
}
