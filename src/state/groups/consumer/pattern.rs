//! Subscriptions by pattern. Kafka's coordinator takes RE2's syntax, matched against whole names;
//! the `regex` crate is of the same family (no look-around, no back references, linear time).

use std::{collections::BTreeMap, rc::Rc};

use regex::{Regex, RegexBuilder};

use super::ConsumerGroupError;

/// The longest pattern, in bytes. Kafka has no bound of its own; a topic's name has 249.
pub const PATTERN_BYTES_MAX: usize = 8 << 10;

/// What a compiled pattern may take, in bytes: `a{1000}{1000}` is refused, not compiled.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// Compiled patterns that are kept; the oldest by name goes when there are more.
const KEPT_MAX: usize = 256;

/// A pattern for whole topic names.
#[derive(Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles a pattern.
    pub fn new(pattern: &str) -> Result<Pattern, ConsumerGroupError> {
        let invalid = |why: String| ConsumerGroupError::InvalidRegularExpression {
            pattern: pattern.to_owned(),
            why,
        };
        if pattern.len() > PATTERN_BYTES_MAX {
            let why = format!("it has {} bytes, more than {PATTERN_BYTES_MAX}", pattern.len());
            return Err(ConsumerGroupError::InvalidRegularExpression {
                pattern: pattern.chars().take(64).collect(),
                why,
            });
        }
        let compile = |text: &str| RegexBuilder::new(text).size_limit(COMPILED_BYTES_MAX).build();
        // First alone: `a)(b` is no pattern, though it would be one within brackets. A comment of
        // the verbose mode, which RE2 does not have, would swallow the bracket: refused as well.
        compile(pattern).map_err(|error| invalid(error.to_string()))?;
        let whole = compile(&format!("\\A(?:{pattern})\\z"));
        whole.map(Pattern).map_err(|error| invalid(error.to_string()))
    }

    /// Whether it matches the whole name.
    pub fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

/// Patterns that were compiled before. It holds nothing that could not be worked out again.
#[derive(Debug, Default)]
pub struct PatternCache {
    compiled: BTreeMap<String, Rc<Pattern>>,
}

impl PatternCache {
    /// The pattern, compiled if it was not before.
    pub fn get(&mut self, pattern: &str) -> Result<Rc<Pattern>, ConsumerGroupError> {
        if let Some(compiled) = self.compiled.get(pattern) {
            return Ok(Rc::clone(compiled));
        }
        let compiled = Rc::new(Pattern::new(pattern)?);
        if self.compiled.len() >= KEPT_MAX {
            self.compiled.pop_first();
        }
        self.compiled.insert(pattern.to_owned(), Rc::clone(&compiled));
        Ok(compiled)
    }
}
