//! Sizes as people write them: `512MiB`, `2g`, `1048576`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, de};
use thiserror::Error;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size {
    /// The number.
    pub bytes: u64,
}

/// A text is no size.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not a size: write a number with a unit, such as 512MiB, 2GiB or 800MB")]
pub struct SizeError {
    text: String,
}

/// Units in lower case. A single letter means what it means to the JVM and to systemd.
const UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("kb", 1_000),
    ("kib", 1 << 10),
    ("m", 1 << 20),
    ("mb", 1_000_000),
    ("mib", 1 << 20),
    ("g", 1 << 30),
    ("gb", 1_000_000_000),
    ("gib", 1 << 30),
    ("t", 1 << 40),
    ("tb", 1_000_000_000_000),
    ("tib", 1 << 40),
];

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Size, SizeError> {
        let error = || SizeError { text: text.to_owned() };
        let trimmed = text.trim();
        let digits = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(digits);
        let unit = unit.trim().to_ascii_lowercase();
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(error)?;
        let number: u64 = number.parse().map_err(|_| error())?;
        let bytes = number.checked_mul(*factor).ok_or_else(error)?;
        Ok(Size { bytes })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |unit: u64| self.bytes >= unit && self.bytes.is_multiple_of(unit);
        match self.bytes {
            bytes if whole(1 << 30) => write!(formatter, "{}GiB", bytes >> 30),
            bytes if whole(1 << 20) => write!(formatter, "{}MiB", bytes >> 20),
            bytes if whole(1 << 10) => write!(formatter, "{}KiB", bytes >> 10),
            bytes => write!(formatter, "{bytes}"),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Bytes(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Bytes(bytes) => Ok(Size { bytes }),
            Written::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("512MiB", 512 << 20),
            ("512 mib", 512 << 20),
            ("2g", 2 << 30),
            ("800MB", 800_000_000),
            ("1TiB", 1 << 40),
        ] {
            assert_eq!(text.parse(), Ok(Size { bytes }), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_by_name() {
        for text in ["", "MiB", "-1", "1.5GiB", "12 parsecs", "99999999999999TiB"] {
            let error = text.parse::<Size>().unwrap_err();
            assert!(error.to_string().contains(&format!("`{text}`")), "{error}");
        }
    }

    #[test]
    fn shown_as_written() {
        for text in ["512MiB", "3GiB", "4KiB", "1000"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
    }
}
