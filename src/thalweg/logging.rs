//! The log: to standard error, readable by default, its levels changeable while it runs.

use std::sync::{Arc, Mutex, PoisonError};

use admin::{BadDirectives, LogLevels};
use clap::ValueEnum;
use serde::Deserialize;
use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter::LevelFilter, fmt, layer::SubscriberExt, reload,
    util::SubscriberInitExt,
};

/// The environment variable that chooses levels at start.
const VARIABLE: &str = "THALWEG_LOG";
const DEFAULT_DIRECTIVES: &str = "info";

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The log while it runs.
pub struct Log {
    directives: Mutex<String>,
    reload: reload::Handle<EnvFilter, Registry>,
}

impl LogLevels for Log {
    fn directives(&self) -> String {
        self.directives.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_directives(&self, directives: &str) -> Result<(), BadDirectives> {
        let filter = parse(directives)?;
        // Held while the filter changes, so that what is shown is what is in force.
        let mut shown = self.directives.lock().unwrap_or_else(PoisonError::into_inner);
        let bad = |error: reload::Error| bad_directives(directives, error.to_string());
        self.reload.reload(filter).map_err(bad)?;
        directives.clone_into(&mut shown);
        Ok(())
    }
}

/// Starts the log. `THALWEG_LOG` chooses levels, as in `info,kafka=debug`.
pub fn start(format: LogFormat) -> Result<Arc<Log>, BadDirectives> {
    let chosen = std::env::var(VARIABLE).ok().filter(|directives| !directives.is_empty());
    let directives = chosen.unwrap_or_else(|| DEFAULT_DIRECTIVES.to_owned());
    let (filter, reload) = reload::Layer::new(parse(&directives)?);
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => {
            lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).boxed()
        }
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // A second start (in a test) changes nothing.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    Ok(Arc::new(Log { directives: Mutex::new(directives), reload }))
}

fn bad_directives(directives: &str, reason: impl Into<String>) -> BadDirectives {
    BadDirectives { directives: directives.to_owned(), reason: reason.into() }
}

/// Directives such as `warn,kafka=debug`. A bare word that is no level would be taken for a target,
/// and a misspelt level would so silence the log: it is refused.
fn parse(directives: &str) -> Result<EnvFilter, BadDirectives> {
    for directive in directives.split(',') {
        // Filters on spans have brackets, and commas within.
        let named_target = directive.contains(['=', '[']);
        let is_level = !directive.is_empty() && directive.parse::<LevelFilter>().is_ok();
        if !named_target && !is_level {
            return Err(bad_directives(directives, format!("`{directive}` is no level")));
        }
    }
    EnvFilter::builder()
        .parse(directives)
        .map_err(|error| bad_directives(directives, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_targets_are_understood_and_misspelt_ones_refused() {
        for good in ["info", "off", "warn,kafka=debug", "info,broker::append=trace"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in ["", "inof", "info,kafka=loud", "info,,debug", "kafka"] {
            let error = parse(bad).expect_err(bad);
            assert_eq!(error.directives, bad);
        }
    }
}
