//! The font of the plots: the drawing library brings none.

use std::path::{Path, PathBuf};

use anyhow::Context;
use plotters::style::{FontStyle, register_font};

const FOLDERS: [&str; 3] = ["/usr/share/fonts", "/usr/local/share/fonts", "/usr/share/texmf/fonts"];
const PREFERRED: [&str; 3] =
    ["DejaVuSans.ttf", "LiberationSans-Regular.ttf", "NotoSans-Regular.ttf"];

/// Makes `named`, or a font of the system, the one called `sans-serif`.
pub fn register(named: Option<&Path>) -> anyhow::Result<()> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => find().context("no TrueType font in /usr/share/fonts: install one (Debian: fonts-dejavu-core), or name one with --font")?,
    };
    let font = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    // The library keeps fonts for as long as the program runs.
    let font = Box::leak(font.into_boxed_slice());
    register_font("sans-serif", FontStyle::Normal, font)
        .map_err(|_| anyhow::anyhow!("{} is not a font that can be used", path.display()))
}

fn find() -> Option<PathBuf> {
    let mut found = Vec::new();
    FOLDERS.iter().for_each(|folder| collect(Path::new(folder), &mut found));
    let named = |name: &&str| found.iter().find(|path| path.ends_with(name)).cloned();
    PREFERRED.iter().find_map(named).or_else(|| found.first().cloned())
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "ttf") {
            found.push(path);
        }
    }
}
