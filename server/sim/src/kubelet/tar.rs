//! `tar`: create, extract and list, as far as `kubectl cp` and people at a shell use it.

use std::io::Read;

use super::{
    builtins::Done,
    files::{self, ROOM},
    shell::World,
};

/// What a call of `tar` asks for.
#[derive(Debug, Default)]
struct Call<'a> {
    mode: char,
    file: Option<&'a str>,
    folder: Option<&'a str>,
    verbose: bool,
    names: Vec<&'a str>,
}

/// Whether a command unpacks what comes in, so that its input has to be read to the end first.
#[must_use]
pub fn reads_input(arguments: &[String]) -> bool {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    parse(&words).is_ok_and(|call| call.mode != 'c' && matches!(call.file, None | Some("-")))
}

fn parse<'a>(words: &[&'a str]) -> Result<Call<'a>, String> {
    let mut call = Call::default();
    let mut words = words.iter().copied().enumerate();
    while let Some((index, word)) = words.next() {
        let letters = match word.strip_prefix('-') {
            Some("") => return Err("tar: unknown operand -".into()),
            Some(long) if long.starts_with('-') => match long.trim_start_matches('-') {
                "no-same-permissions" | "no-same-owner" | "overwrite" => continue,
                "" => {
                    call.names.extend(words.map(|(_, word)| word));
                    break;
                }
                other => return Err(format!("tar: unrecognized option '--{other}'")),
            },
            Some(letters) => letters,
            // The first word may leave the hyphen out.
            None if index == 0 => word,
            None => {
                call.names.push(word);
                continue;
            }
        };
        for letter in letters.chars() {
            let mut value =
                || words.next().map(|(_, word)| word).ok_or(format!("tar: option requires an argument -- '{letter}'"));
            match letter {
                'c' | 'x' | 't' => call.mode = letter,
                'f' => call.file = Some(value()?),
                'C' => call.folder = Some(value()?),
                'v' => call.verbose = true,
                'm' | 'o' | 'p' | 'O' => {}
                other => return Err(format!("tar: invalid option -- '{other}'")),
            }
        }
    }
    if call.mode == '\0' { Err("tar: must specify one of -c, -x, -t".into()) } else { Ok(call) }
}

/// Runs it.
pub fn run(world: &mut World, words: &[&str], input: &str) -> Done {
    let failed = |err: String| Done { err: err + "\n", code: 1, ..Done::default() };
    let call = match parse(words) {
        Ok(call) => call,
        Err(why) => return failed(why),
    };
    let base = match call.folder {
        None => world.directory.clone(),
        Some(folder) => {
            let path = world.resolve(folder);
            if !world.is_directory(&path) {
                return failed(format!("tar: can't change directory to '{folder}': No such file or directory"));
            }
            path
        }
    };
    let file = call.file.filter(|file| *file != "-").map(|file| world.resolve(file));
    if call.mode == 'c' {
        let (archive, mut done) = create(world, &call, &base);
        match file {
            Some(path) => drop(world.files.insert(path, files::text(&archive))),
            None => done.out = files::text(&archive),
        }
        return done;
    }
    let archive = match &file {
        None => files::bytes(input),
        Some(path) => match world.files.get(path) {
            Some(text) => files::bytes(text),
            None => {
                return failed(format!(
                    "tar: can't open '{}': No such file or directory",
                    call.file.unwrap_or_default()
                ));
            }
        },
    };
    match unpack(world, &call, &base, &archive) {
        Ok(out) => Done { out, ..Done::default() },
        Err(why) => failed(format!("tar: {why}")),
    }
}

fn join(base: &str, name: &str) -> String {
    if name.starts_with('/') || base == "/" {
        format!("/{}", name.trim_start_matches('/'))
    } else {
        format!("{base}/{name}")
    }
}

fn header(size: usize, kind: tar::EntryType, mode: u32, now: jiff::Timestamp) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size as u64);
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(u64::try_from(now.as_second()).unwrap_or_default());
    header
}

fn create(world: &World, call: &Call<'_>, base: &str) -> (Vec<u8>, Done) {
    let mut done = Done::default();
    let mut builder = tar::Builder::new(Vec::new());
    let mut put = |name: &str, content: Option<&str>, done: &mut Done| {
        let bytes = files::bytes(content.unwrap_or_default());
        let mut head = match content {
            Some(_) => header(bytes.len(), tar::EntryType::Regular, 0o644, world.now),
            None => header(0, tar::EntryType::Directory, 0o755, world.now),
        };
        if call.verbose {
            done.err.push_str(&format!("{name}\n"));
        }
        if builder.append_data(&mut head, name, bytes.as_slice()).is_err() {
            done.code = 1;
        }
    };
    let mut told = false;
    for name in &call.names {
        let path = world.resolve(&join(base, name));
        let exists = world.files.contains_key(&path) || world.is_directory(&path);
        if name.starts_with('/') && exists && !std::mem::replace(&mut told, true) {
            done.err.push_str("tar: removing leading '/' from member names\n");
        }
        let shown = match name.trim_start_matches('/').trim_end_matches('/') {
            "" => ".",
            shown => shown,
        };
        if let Some(text) = world.files.get(&path) {
            put(shown, Some(text), &mut done);
        } else if world.is_directory(&path) {
            put(&format!("{shown}/"), None, &mut done);
            let prefix = if path == "/" { path } else { path + "/" };
            let mut made = std::collections::BTreeSet::new();
            for (file, text) in &world.files {
                let Some(rest) = file.strip_prefix(&prefix) else { continue };
                for (at, _) in rest.match_indices('/') {
                    let folder = rest.get(..at).unwrap_or_default();
                    if made.insert(folder.to_owned()) {
                        put(&format!("{shown}/{folder}/"), None, &mut done);
                    }
                }
                // An empty folder is kept by a file of this name, which is none of its own.
                if !(text.is_empty() && (rest == ".keep" || rest.ends_with("/.keep"))) {
                    put(&format!("{shown}/{rest}"), Some(text), &mut done);
                }
            }
        } else {
            done.err.push_str(&format!("tar: {name}: No such file or directory\n"));
            done.code = 1;
        }
    }
    if done.code != 0 {
        done.err.push_str("tar: error exit delayed from previous errors\n");
    }
    (builder.into_inner().unwrap_or_default(), done)
}

fn unpack(world: &mut World, call: &Call<'_>, base: &str, archive: &[u8]) -> Result<String, String> {
    let mut listed = String::new();
    let mut room = ROOM;
    let broken = |_| "short read".to_owned();
    for entry in tar::Archive::new(archive).entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if call.mode == 't' {
            listed.push_str(&format!("{name}\n"));
            continue;
        }
        let inside = name.trim_start_matches('/').trim_end_matches('/');
        if inside.split('/').any(|part| part == "..") {
            return Err(format!("name with '..' skipped: '{name}'"));
        }
        let path = world.resolve(&join(base, inside));
        if entry.header().entry_type().is_dir() {
            if !world.is_directory(&path) {
                world.files.insert(format!("{path}/.keep"), String::new());
            }
        } else if entry.header().entry_type().is_file() {
            if world.is_directory(&path) {
                return Err(format!("can't open '{name}': Is a directory"));
            }
            let mut bytes = Vec::new();
            entry.by_ref().take(room as u64 + 1).read_to_end(&mut bytes).map_err(broken)?;
            room = room.checked_sub(bytes.len()).ok_or("write error: No space left on device")?;
            world.files.insert(path, files::text(&bytes));
        }
        if call.verbose {
            listed.push_str(&format!("{name}\n"));
        }
    }
    Ok(listed)
}
