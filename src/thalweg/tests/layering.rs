//! The rules of the house (DESIGN.md 2), read out of the sources: a room imports only rooms below
//! it, each outside library stays in the room that owns it, and what the simulator must control
//! is reached through `runtime` alone.

#![expect(
    clippy::unwrap_used,
    reason = "a test over the project's own files: what is not as expected fails it"
)]

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// The rooms, lowest first, in groups that do not see each other.
const ROOMS: &[&[&str]] = &[
    &["model"],
    &["batch"],
    &["metrics"],
    &["aws_cbor"],
    &["runtime"],
    &["journal"],
    &["partition"],
    &["state"],
    &["lane"],
    &["broker"],
    &["kinesis"],
    &["http_door"],
    &["kafka", "aws"],
    &["admin"],
    &["thalweg"],
];

/// What runs on either runtime, and so must reach the world through `runtime` alone.
const SIMULATED: &[&str] = &["metrics", "journal", "partition", "state", "lane", "broker", "kafka"];

/// Paths that code in [`SIMULATED`] must not name, and where to go instead.
const NOT_SIMULATED: &[(&str, &str)] = &[
    ("std::fs", "runtime::fs"),
    ("TcpStream", "runtime::net"),
    ("TcpListener", "runtime::net"),
    ("UdpSocket", "runtime::net"),
    ("std::thread", "runtime::spawn"),
    ("std::time::Instant", "runtime::Instant"),
    ("std::time::SystemTime", "runtime::wall_clock"),
    ("Instant::now", "runtime::now"),
    ("SystemTime", "runtime::wall_clock"),
    ("Uuid::new_v4", "runtime::random_u128"),
    ("Uuid::now_v7", "runtime::random_u128"),
    ("thread_local!", "a field of what the core owns"),
    ("RandomState", "a BTreeMap"),
    ("rand::", "runtime::random_u64"),
    ("fastrand::", "runtime::random_u64"),
    ("getrandom::", "runtime::random_u64"),
];

/// Outside crates, and the only rooms that may name them.
const OWNED_CRATES: &[(&str, &[&str])] = &[
    ("glommio", &["runtime"]),
    ("io_uring", &["runtime"]),
    ("kafka_protocol", &["kafka"]),
    ("hyper", &["http_door", "aws", "firehose", "admin"]),
    ("tokio", &["http_door", "aws", "kinesis", "firehose", "admin", "thalweg"]),
    ("rand", &["runtime"]),
];

/// The one place in `runtime` where tokio's runtime-agnostic parts are re-exported, and its kin.
const TOKIO_IN_RUNTIME: &[&str] = &["tokio::sync"];

const UNSAFE_ROOMS: &[&str] = &["runtime"];
const LINES_MAX: usize = 600;
const DRAWERS: &[&str] = &["utils", "util", "helpers", "helper", "common", "misc"];

struct Source {
    room: String,
    path: PathBuf,
    text: String,
}

impl Source {
    /// Tests may look at the world from outside.
    fn is_test(&self) -> bool {
        self.path.components().any(|part| part.as_os_str() == "tests")
    }

    /// Lines of code with their numbers: without comments, and for product code without what
    /// follows the file's `#[cfg(test)] mod`.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = if self.is_test() {
            Some(0)
        } else {
            self.text.find("#[cfg(test)]\nmod ").map(|at| self.text[..at].lines().count())
        };
        (1..).zip(self.text.lines()).take(end.unwrap_or(usize::MAX)).filter_map(|(number, line)| {
            let code = line.split("//").next().unwrap_or_default();
            (!code.trim().is_empty()).then_some((number, code))
        })
    }

    fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path.strip_prefix(source_root()).unwrap().display())
    }
}

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for room in fs::read_dir(source_root()).unwrap() {
        let room = room.unwrap();
        let name = room.file_name().into_string().unwrap();
        let mut folders = vec![room.path()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    if path.file_name().is_some_and(|name| name != "target") {
                        folders.push(path);
                    }
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let text = fs::read_to_string(&path).unwrap();
                    found.push(Source { room: name.clone(), path, text });
                }
            }
        }
    }
    assert!(found.len() > ROOMS.len(), "the sources were not found");
    found
}

/// Whether `code` names `path` as a path of its own: `tokio` in `tokio::sync` and `use tokio;`,
/// not in `our_tokio::x` or `kafka::tokio`.
fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = &code[at + name.len()..];
        let starts = before.is_none_or(|c| !c.is_alphanumeric() && !"_.:\"".contains(c));
        let root = starts || code[..at].trim_end().ends_with("extern crate");
        root && (after.starts_with("::")
            || (code.trim_start().starts_with("use ") && after.starts_with(';')))
    })
}

fn level(room: &str) -> Option<usize> {
    ROOMS.iter().position(|group| group.contains(&room))
}

/// Fails with every broken rule at once.
fn must_be_none(broken: Vec<String>, rule: &str) {
    let mut message = String::new();
    for one in &broken {
        let _ = writeln!(message, "  {one}");
    }
    assert!(broken.is_empty(), "{rule}:\n{message}");
}

#[test]
fn every_room_is_in_the_plan() {
    let rooms: BTreeSet<String> = sources().into_iter().map(|source| source.room).collect();
    let unknown = rooms.into_iter().filter(|room| level(room).is_none()).collect();
    must_be_none(unknown, "rooms without a place in ROOMS");
}

#[test]
fn a_room_imports_only_rooms_below_it() {
    let mut broken = Vec::new();
    for room in ROOMS.iter().copied().flatten() {
        let manifest = source_root().join(room).join("Cargo.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        let mut section = "";
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                section = line;
            }
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            let is_dependency = section.contains("dependencies");
            if is_dependency && level(name).is_some() && level(name) >= level(room) {
                broken.push(format!("{room}/Cargo.toml {section} names {name}"));
            }
        }
    }
    must_be_none(broken, "a room imports only rooms below it");
}

#[test]
fn outside_crates_stay_in_the_room_that_owns_them() {
    let mut broken = Vec::new();
    for source in sources() {
        for (number, code) in source.code() {
            for (name, rooms) in OWNED_CRATES {
                if rooms.contains(&source.room.as_str()) || !names_crate(code, name) {
                    continue;
                }
                let allowed = source.room == "runtime"
                    && TOKIO_IN_RUNTIME.iter().any(|allowed| code.contains(allowed));
                if !allowed {
                    broken.push(format!("{} names {name}", source.place(number)));
                }
            }
        }
    }
    must_be_none(broken, "only the room that owns an outside crate names it");
}

#[test]
fn simulated_rooms_reach_the_world_through_runtime() {
    let mut broken = Vec::new();
    for source in sources() {
        if !SIMULATED.contains(&source.room.as_str()) {
            continue;
        }
        for (number, code) in source.code() {
            for (path, instead) in NOT_SIMULATED {
                let plain = code.replace("runtime::Instant", "");
                if plain.contains(path) {
                    broken.push(format!("{} names {path}: use {instead}", source.place(number)));
                }
            }
        }
        // `use std::{fs, ...}` hides from the search above.
        for (number, name) in grouped_std_imports(&source.text) {
            if !source.is_test() && ["fs", "thread"].contains(&name.as_str()) {
                broken.push(format!("{} imports std::{name}", source.place(number)));
            }
        }
    }
    must_be_none(broken, "from journal up to kafka, the world is reached through runtime");
}

/// The direct children of `use std::{...}` outside tests, with the line of the `use`.
fn grouped_std_imports(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let product = text.find("#[cfg(test)]\nmod ").map_or(text, |at| &text[..at]);
    for (at, opening) in product.match_indices("use std::{") {
        let line = product[..at].lines().count() + 1;
        let (mut depth, mut name) = (1, String::new());
        for c in product[at + opening.len()..].chars() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => found.push((line, std::mem::take(&mut name))),
                c if depth == 1 && !c.is_whitespace() => name.push(c),
                _ => {}
            }
            if depth == 0 {
                found.push((line, std::mem::take(&mut name)));
                break;
            }
        }
    }
    for (_, name) in &mut found {
        *name = name.split("::").next().unwrap_or_default().to_owned();
    }
    found
}

#[test]
fn only_the_runtime_is_unsafe() {
    let mut broken = Vec::new();
    for source in sources() {
        if UNSAFE_ROOMS.contains(&source.room.as_str()) {
            continue;
        }
        for (number, code) in source.code() {
            let word =
                code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == "unsafe");
            if word {
                broken.push(source.place(number));
            }
        }
    }
    must_be_none(broken, "`unsafe` only in runtime");
}

#[test]
fn files_stay_short_and_folders_have_names() {
    let mut broken = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > LINES_MAX {
            broken.push(format!("{} has {lines} lines, more than {LINES_MAX}", source.place(1)));
        }
        let path = source.path.strip_prefix(source_root()).unwrap();
        for part in path.components() {
            let part = part.as_os_str().to_string_lossy();
            let name = part.trim_end_matches(".rs");
            if DRAWERS.contains(&name) {
                broken.push(format!("{}: `{name}` says nothing of what is inside", path.display()));
            }
        }
    }
    must_be_none(broken, "files are short, and named for what is in them");
}
