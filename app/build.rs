//! Turns `locales/{language}/{namespace}.json` into functions, one a text: a missing key, a wrong parameter or a language
//! that lags behind fails the build. See `src/tr.rs` for how they are used.
//!
//! `{name}` is a parameter; `{n:app|apps}` chooses by whether the parameter is 1.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fmt::Write as _,
    fs,
    path::Path,
    process::exit,
};

/// Folder names, the first one leads: its keys and parameters must exist in all others.
const LANGUAGES: [(&str, &str); 2] = [("en", "En"), ("zh-CN", "ZhCn")];

type Texts = BTreeMap<String, String>;

#[derive(Debug, PartialEq)]
enum Part<'a> {
    Text(&'a str),
    Param(&'a str),
    Plural(&'a str, &'a str, &'a str),
}

fn main() {
    println!("cargo::rerun-if-changed=locales");
    let root = Path::new("locales");
    match generate(root) {
        Ok(code) => {
            let out = env::var("OUT_DIR").unwrap_or_default();
            if let Err(e) = fs::write(Path::new(&out).join("texts.rs"), code) {
                fail(&format!("cannot write texts.rs: {e}"));
            }
        }
        Err(e) => fail(&e),
    }
}

fn fail(message: &str) -> ! {
    eprintln!("locales: {message}");
    exit(1)
}

fn generate(root: &Path) -> Result<String, String> {
    let leading = read(&root.join(LANGUAGES[0].0))?;
    let mut code = String::new();
    let mut lookup = String::new();
    let mut translations = Vec::new();
    for (folder, variant) in LANGUAGES {
        let texts = read(&root.join(folder))?;
        compare(folder, &leading, &texts)?;
        translations.push((variant, texts));
    }
    for (namespace, keys) in &leading {
        let _ = writeln!(code, "/// Texts of `{namespace}.json`.\npub mod {namespace} {{\n    use super::*;");
        for (key, english) in keys {
            let variants: Vec<(&str, &str)> =
                translations.iter().map(|(variant, texts)| (*variant, texts[namespace][key].as_str())).collect();
            function(&mut code, key, english, &variants)?;
            for (variant, text) in variants {
                let _ = writeln!(lookup, "        (Language::{variant}, {namespace:?}, {key:?}) => {text:?},");
            }
        }
        code.push_str("}\n");
    }
    let _ = write!(
        code,
        "/// The template of a text whose key is known at run time only, such as an error code.\n\
         pub fn template(language: Language, namespace: &str, key: &str) -> Option<&'static str> {{\n    \
         Some(match (language, namespace, key) {{\n{lookup}        _ => return None,\n    }})\n}}\n"
    );
    Ok(code)
}

fn read(folder: &Path) -> Result<BTreeMap<String, Texts>, String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut all = BTreeMap::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let Some(namespace) = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".json")) else {
            continue;
        };
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let texts: Texts = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        // Of a key that stands twice the parser would take the last, and another page would say something else.
        if text.lines().filter(|line| line.trim_start().starts_with('"')).count() != texts.len() {
            return Err(format!("{}: one text a line, each key once", path.display()));
        }
        all.insert(namespace.to_owned(), texts);
    }
    Ok(all)
}

/// Every text of the leading language exists in `texts` with the same parameters, and no other.
fn compare(folder: &str, leading: &BTreeMap<String, Texts>, texts: &BTreeMap<String, Texts>) -> Result<(), String> {
    let keys = |all: &BTreeMap<String, Texts>| -> BTreeSet<String> {
        all.iter().flat_map(|(ns, texts)| texts.keys().map(move |key| format!("{ns}.{key}"))).collect()
    };
    let (want, have) = (keys(leading), keys(texts));
    if let Some(missing) = want.difference(&have).next() {
        return Err(format!("{folder} lacks {missing}"));
    }
    if let Some(surplus) = have.difference(&want).next() {
        return Err(format!("{folder} has {surplus}, which {} lacks", LANGUAGES[0].0));
    }
    for (namespace, keys) in leading {
        for (key, english) in keys {
            let other = &texts[namespace][key];
            if params(english)?.into_iter().collect::<BTreeSet<_>>() != params(other)?.into_iter().collect() {
                return Err(format!("{folder}: {namespace}.{key} has other parameters than {:?}", LANGUAGES[0].0));
            }
        }
    }
    Ok(())
}

fn parse(text: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let close = rest[open..].find('}').ok_or_else(|| format!("“{text}” has a {{ without a }}"))? + open;
        if open > 0 {
            parts.push(Part::Text(&rest[..open]));
        }
        let inner = &rest[open + 1..close];
        parts.push(match inner.split_once(':') {
            None => Part::Param(inner),
            Some((name, forms)) => {
                let (one, many) =
                    forms.split_once('|').ok_or_else(|| format!("“{text}”: {{{inner}}} needs one|many"))?;
                Part::Plural(name, one, many)
            }
        });
        rest = &rest[close + 1..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    Ok(parts)
}

/// Parameters in the order of their first use.
fn params(text: &str) -> Result<Vec<String>, String> {
    let mut names: Vec<String> = Vec::new();
    for part in parse(text)? {
        if let Part::Param(name) | Part::Plural(name, ..) = part
            && !names.iter().any(|n| n == name)
        {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

fn function(code: &mut String, key: &str, english: &str, variants: &[(&str, &str)]) -> Result<(), String> {
    let names = params(english)?;
    let doc = english.replace('\n', " ");
    if names.is_empty() {
        let _ = writeln!(code, "    /// {doc}\n    pub fn r#{key}(l: Language) -> &'static str {{\n        match l {{");
        for (variant, text) in variants {
            let _ = writeln!(code, "            Language::{variant} => {text:?},");
        }
        code.push_str("        }\n    }\n");
        return Ok(());
    }
    let list: String = names.iter().map(|n| format!(", r#{n}: impl Display")).collect();
    let _ = writeln!(
        code,
        "    /// {doc}\n    #[allow(non_snake_case)]\n    pub fn r#{key}(l: Language{list}) -> String {{"
    );
    for name in &names {
        let _ = writeln!(code, "        let r#{name} = r#{name}.to_string();");
    }
    code.push_str("        let mut out = String::new();\n        match l {\n");
    for (variant, text) in variants {
        let _ = writeln!(code, "            Language::{variant} => {{");
        for part in parse(text)? {
            let _ = match part {
                Part::Text(text) => writeln!(code, "                out.push_str({text:?});"),
                Part::Param(name) => writeln!(code, "                out.push_str(&r#{name});"),
                Part::Plural(name, one, many) => writeln!(
                    code,
                    "                out.push_str(if r#{name} == \"1\" {{ {one:?} }} else {{ {many:?} }});"
                ),
            };
        }
        code.push_str("            }\n");
    }
    code.push_str("        }\n        out\n    }\n");
    Ok(())
}
