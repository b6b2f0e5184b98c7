//! Who may ask: the keys of a file in the form of AWS's shared credentials file.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt, fs, io,
    path::{Path, PathBuf},
};

use thiserror::Error;

/// Keys that requests may be signed with. Cheap to look into; never shown.
#[derive(Clone)]
pub struct Credentials {
    by_access_key: BTreeMap<String, Secret>,
}

/// What belongs to an access key.
#[derive(Clone)]
pub(crate) struct Secret {
    /// The secret access key.
    pub key: String,
    /// The session token that has to come along, if the file gives one.
    pub session_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({} keys)", self.by_access_key.len())
    }
}

/// A file of credentials that cannot be used.
#[derive(Debug, Error)]
pub enum CredentialsError {
    /// It cannot be read.
    #[error("the credentials file {path} cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It does not say what it should.
    #[error("the credentials file {path}, line {line}: {what}")]
    Content {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
}

/// A profile while it is read.
#[derive(Default)]
struct Profile {
    line: usize,
    name: String,
    access_key: Option<String>,
    secret_key: Option<String>,
    session_token: Option<String>,
}

impl Credentials {
    /// Reads a file: profiles in brackets, each with `aws_access_key_id`, `aws_secret_access_key`
    /// and, if it has one, `aws_session_token`. Other settings of a profile say nothing here.
    pub fn read(path: &Path) -> Result<Credentials, CredentialsError> {
        let path = path.to_owned();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) => return Err(CredentialsError::Read { path, source }),
        };
        parse(&text).map_err(|(line, what)| CredentialsError::Content { path, line, what })
    }

    pub(crate) fn get(&self, access_key: &str) -> Option<&Secret> {
        self.by_access_key.get(access_key)
    }
}

/// From a file's text; else the line and what is wrong there.
pub(crate) fn parse(text: &str) -> Result<Credentials, (usize, String)> {
    let mut found = Credentials { by_access_key: BTreeMap::new() };
    let mut profile = None;
    for (line, content) in (1..).zip(text.lines().map(without_comment)) {
        if content.is_empty() {
            continue;
        }
        if let Some(name) = content.strip_prefix('[') {
            let name = name.strip_suffix(']').ok_or((line, "`[` without `]`".to_owned()))?;
            found.add(profile.take())?;
            profile = Some(Profile { line, name: name.trim().to_owned(), ..Profile::default() });
            continue;
        }
        let (setting, value) = content
            .split_once('=')
            .ok_or((line, "write `[PROFILE]` or `SETTING = VALUE`".to_owned()))?;
        let Some(profile) = &mut profile else {
            return Err((line, "a setting before the first `[PROFILE]`".to_owned()));
        };
        profile.set(setting.trim(), value.trim());
    }
    found.add(profile)?;
    if found.by_access_key.is_empty() {
        return Err((1, "there is no profile with keys: nobody could ask anything".to_owned()));
    }
    Ok(found)
}

/// A line without its comment, which begins it or follows a blank.
fn without_comment(line: &str) -> &str {
    let line = line.trim();
    let begins =
        |at: usize| line.get(..at).is_some_and(|b| b.is_empty() || b.ends_with([' ', '\t']));
    let comment = line.match_indices(['#', ';']).map(|(at, _)| at).find(|&at| begins(at));
    comment.and_then(|at| line.get(..at)).unwrap_or(line).trim_end()
}

impl Profile {
    fn set(&mut self, setting: &str, value: &str) {
        let place = match setting.to_ascii_lowercase().as_str() {
            "aws_access_key_id" => &mut self.access_key,
            "aws_secret_access_key" => &mut self.secret_key,
            "aws_session_token" => &mut self.session_token,
            _ => return,
        };
        *place = Some(value.to_owned()).filter(|value| !value.is_empty());
    }
}

impl Credentials {
    fn add(&mut self, profile: Option<Profile>) -> Result<(), (usize, String)> {
        let Some(Profile { line, name, access_key, secret_key, session_token }) = profile else {
            return Ok(());
        };
        let (access_key, key) = match (access_key, secret_key) {
            (Some(access_key), Some(secret_key)) => (access_key, secret_key),
            // A profile of another kind: a role, a process, single sign-on.
            (None, None) => return Ok(()),
            _ => {
                let what = "needs both aws_access_key_id and aws_secret_access_key";
                return Err((line, format!("profile `{name}` {what}")));
            }
        };
        match self.by_access_key.entry(access_key) {
            Entry::Vacant(place) => {
                place.insert(Secret { key, session_token });
                Ok(())
            }
            Entry::Occupied(other) => {
                Err((line, format!("profile `{name}`: another has the key {}", other.key())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_with_keys_are_found_and_others_passed_over() {
        let found = parse(
            "# ours\n[default]\naws_access_key_id = AK1\naws_secret_access_key=s/1+= ; old\n\
             region = eu-west-1\n\n[by-role]\nrole_arn = x\n[ session ]\nAWS_ACCESS_KEY_ID=AK2\n\
             aws_secret_access_key = s#2\naws_session_token = T\n",
        )
        .unwrap();
        assert_eq!(found.get("AK1").unwrap().key, "s/1+=");
        assert_eq!(found.get("AK1").unwrap().session_token, None);
        assert_eq!(found.get("AK2").unwrap().key, "s#2");
        assert_eq!(found.get("AK2").unwrap().session_token.as_deref(), Some("T"));
        assert!(found.get("AK3").is_none());
        assert_eq!(format!("{found:?}"), "Credentials(2 keys)");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, line, what) in [
            ("", 1, "no profile with keys"),
            ("[a]\nregion = x\n", 1, "no profile with keys"),
            ("aws_access_key_id = A\n", 1, "before the first"),
            ("[a\n", 1, "without `]`"),
            ("[a]\nnonsense\n", 2, "SETTING = VALUE"),
            ("\n[a]\naws_access_key_id = A\n", 2, "needs both"),
            ("[a]\naws_access_key_id = A\naws_secret_access_key =\n", 1, "needs both"),
            (
                "[a]\naws_access_key_id=A\naws_secret_access_key=1\n\
                 [b]\naws_access_key_id=A\naws_secret_access_key=2\n",
                4,
                "another has the key A",
            ),
        ] {
            let (at, said) = parse(text).unwrap_err();
            assert!(at == line && said.contains(what), "{text}: {at}: {said}");
        }
    }
}
