//! From a setting's text to its value, as Kafka's `ConfigDef.parseType` and validators do it.

use super::{ConfigDefinition, ConfigError, ConfigType, definition::Bounds};

/// A value that satisfies its setting.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Boolean(bool),
    String(String),
    Number(i64),
    Fraction(f64),
    List(Vec<String>),
}

/// Splits a list setting; blank text is the empty list.
pub(super) fn split_list(text: &str) -> Vec<String> {
    let text = text.trim();
    if text.is_empty() {
        return Vec::new();
    }
    text.split(',').map(|element| element.trim().to_owned()).collect()
}

impl ConfigDefinition {
    /// Checks a value, in the words of Kafka's `ConfigException`.
    pub(super) fn parse(&self, text: &str) -> Result<Value, ConfigError> {
        let invalid = |why: String| ConfigError::InvalidValue {
            name: self.name.to_owned(),
            value: text.to_owned(),
            why,
        };
        let not_a_number = || invalid(format!("Not a number of type {}", self.kind.name()));
        let trimmed = text.trim();
        match self.kind {
            ConfigType::Boolean => match trimmed.to_ascii_lowercase().as_str() {
                "true" => Ok(Value::Boolean(true)),
                "false" => Ok(Value::Boolean(false)),
                _ => Err(invalid("Expected value to be either true or false".to_owned())),
            },
            ConfigType::Int | ConfigType::Long => {
                let number: i64 = trimmed.parse().map_err(|_| not_a_number())?;
                if self.kind == ConfigType::Int && i32::try_from(number).is_err() {
                    return Err(not_a_number());
                }
                self.check_number(number).map_err(invalid)?;
                Ok(Value::Number(number))
            }
            ConfigType::Double => {
                let number: f64 = trimmed.parse().map_err(|_| not_a_number())?;
                if self.bounds == Bounds::Ratio && !(0.0..=1.0).contains(&number) {
                    let high = number > 1.0;
                    let why = if high { "no more than 1" } else { "at least 0" };
                    return Err(invalid(format!("Value must be {why}")));
                }
                Ok(Value::Fraction(number))
            }
            ConfigType::String => {
                self.check_words(&[trimmed]).map_err(|_word| invalid(self.words()))?;
                Ok(Value::String(trimmed.to_owned()))
            }
            ConfigType::List => self.parse_list(text),
        }
    }

    fn parse_list(&self, text: &str) -> Result<Value, ConfigError> {
        let elements = split_list(text);
        if elements.iter().any(String::is_empty) {
            return Err(ConfigError::EmptyListElement(self.name.to_owned()));
        }
        let invalid = |value: String, why: String| ConfigError::InvalidValue {
            name: self.name.to_owned(),
            value,
            why,
        };
        let words: Vec<&str> = elements.iter().map(String::as_str).collect();
        self.check_words(&words).map_err(|word| invalid(word, self.words()))?;
        if self.bounds == Bounds::ThrottledReplicas && words != ["*"] {
            let number = |text: &str| text.parse::<u32>().is_ok();
            let pair = |word: &&str| {
                word.split_once(':').is_some_and(|(left, right)| number(left) && number(right))
            };
            if !words.iter().all(pair) {
                return Err(invalid(
                    format!("[{}]", words.join(", ")),
                    format!(
                        "{} must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...",
                        self.name
                    ),
                ));
            }
        }
        Ok(Value::List(elements))
    }

    fn check_number(&self, number: i64) -> Result<(), String> {
        match self.bounds {
            Bounds::AtLeast(low) | Bounds::Between(low, _) if number < low => {
                Err(format!("Value must be at least {low}"))
            }
            Bounds::Between(_, high) if number > high => {
                Err(format!("Value must be no more than {high}"))
            }
            Bounds::BetweenOr(low, high, other)
                if number != other && !(low..=high).contains(&number) =>
            {
                Err(format!("Value must be between {low} and {high} or equal to {other}"))
            }
            _ => Ok(()),
        }
    }

    /// The first word that is not among those allowed.
    fn check_words(&self, words: &[&str]) -> Result<(), String> {
        let Bounds::OneOf(allowed) = self.bounds else { return Ok(()) };
        match words.iter().find(|word| !allowed.contains(word)) {
            Some(word) => Err((*word).to_owned()),
            None => Ok(()),
        }
    }

    fn words(&self) -> String {
        let Bounds::OneOf(allowed) = self.bounds else { return String::new() };
        format!("String must be one of: {}", allowed.join(", "))
    }

    /// Checks a value, and that it is the default if this setting does not act.
    pub(super) fn accept(&self, text: &str) -> Result<Value, ConfigError> {
        let value = self.parse(text)?;
        let default = self.default.map(|default| self.parse(default)).transpose()?;
        if self.acts || default.as_ref() == Some(&value) {
            return Ok(value);
        }
        Err(ConfigError::NotSupported {
            name: self.name.to_owned(),
            default: self.default.unwrap_or("null").to_owned(),
        })
    }
}
