//! What each token lets its holder do.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq;
use waldo_protocol::field::Role;

use crate::http::is_token_text;

/// Tokens in one file.
const MAX_TOKENS: usize = 1024;

/// Size of the file, bytes.
const MAX_FILE: u64 = 1 << 20;

/// What somebody may do in a field. Whoever may do anything may watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldRights {
    /// Have arms and drive them.
    pub control: bool,
    /// Put meshes and points into the scene.
    pub publish: bool,
}

impl FieldRights {
    /// Everything.
    pub const ALL: Self = Self { control: true, publish: true };
    /// Nothing but watching.
    pub const VIEW: Self = Self { control: false, publish: false };

    /// Whether these are enough for this role.
    pub(super) const fn allow(self, role: Role) -> bool {
        match role {
            Role::VrClient => self.control,
            Role::Publisher => self.publish,
            Role::Spectator => true,
        }
    }

    fn parse(words: &str) -> Option<Self> {
        words.split(',').try_fold(Self::VIEW, |rights, word| match word.trim() {
            "control" => Some(Self { control: true, ..rights }),
            "publish" => Some(Self { publish: true, ..rights }),
            "view" => Some(rights),
            _ => None,
        })
    }
}

/// Tokens of people and programs, each with its rights.
#[derive(Clone, Default)]
pub struct FieldTokens(Vec<(String, FieldRights)>);

/// A file of tokens that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FieldTokensError {
    /// The file cannot be read.
    #[error("the tokens of --field-tokens cannot be read from {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line that is none.
    #[error(
        "{}, line {line}: expected a token of at least 16 letters, digits, - or _, and after a space its rights: \
        control, publish or view, with commas between them",
        path.display()
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// Its line, from 1 on.
        line: usize,
    },
    /// More than anybody writes.
    #[error("{} has more than {MAX_TOKENS} tokens or 1 MiB", path.display())]
    Large {
        /// The file.
        path: PathBuf,
    },
}

impl FieldTokens {
    /// A token with its rights, for programs that have them from elsewhere.
    pub fn add(&mut self, token: impl Into<String>, rights: FieldRights) {
        self.0.push((token.into(), rights));
    }

    /// A file with lines of a token, a space and rights: `control,publish`, `view`. Empty lines and those with a `#` in
    /// front say nothing.
    ///
    /// # Errors
    /// [`FieldTokensError`] names the line, but not what it says.
    pub fn read(path: &Path) -> Result<Self, FieldTokensError> {
        let cannot = |source| FieldTokensError::Read { path: path.to_owned(), source };
        let mut text = String::new();
        let file = fs::File::open(path).map_err(cannot)?;
        file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(cannot)?;
        if text.len() as u64 > MAX_FILE {
            return Err(FieldTokensError::Large { path: path.to_owned() });
        }
        let mut tokens = Self::default();
        for (i, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let known = line.split_once(char::is_whitespace).filter(|(token, _)| is_token_text(token));
            let known = known.and_then(|(token, rights)| Some((token, FieldRights::parse(rights)?)));
            let Some((token, rights)) = known else {
                return Err(FieldTokensError::Line { path: path.to_owned(), line: i + 1 });
            };
            tokens.add(token, rights);
        }
        if tokens.0.len() > MAX_TOKENS {
            return Err(FieldTokensError::Large { path: path.to_owned() });
        }
        Ok(tokens)
    }

    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rights of a token. How long it takes does not tell how much of it is right.
    pub(super) fn rights(&self, token: &str) -> Option<FieldRights> {
        let mut found = None;
        for (known, rights) in &self.0 {
            if bool::from(known.as_bytes().ct_eq(token.as_bytes())) {
                found = Some(*rights);
            }
        }
        found
    }
}

impl fmt::Debug for FieldTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef";

    fn read(text: &str) -> Result<FieldTokens, FieldTokensError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        fs::write(&path, text).unwrap();
        FieldTokens::read(&path)
    }

    #[test]
    fn a_line_is_a_token_and_what_it_lets_do() {
        let tokens = read(&format!("# rig\n\n{KEY}a publish\n  {KEY}b\tcontrol, publish \n{KEY}c view\n")).unwrap();
        let rights = |end: &str| tokens.rights(&format!("{KEY}{end}"));
        assert_eq!(rights("a"), Some(FieldRights { control: false, publish: true }));
        assert_eq!((rights("b"), rights("c")), (Some(FieldRights::ALL), Some(FieldRights::VIEW)));
        assert_eq!((rights(""), rights("ab")), (None, None));
        assert_eq!(format!("{tokens:?}"), "3 tokens", "not for logs");
    }

    #[test]
    fn a_line_that_is_none_is_named_without_what_it_says() {
        for line in [KEY.to_owned(), "short view".to_owned(), format!("{KEY} everything"), format!("{KEY}! view")] {
            let error = read(&format!("{KEY}x view\n{line}")).unwrap_err().to_string();
            assert!(error.contains("line 2") && !error.contains(KEY), "{error}");
        }
        let error = read(&format!("{KEY} view\n").repeat(MAX_TOKENS + 1)).unwrap_err().to_string();
        assert!(error.contains("1024"), "{error}");
        assert!(FieldTokens::read(Path::new("/nowhere")).unwrap_err().to_string().contains("--field-tokens"));
    }

    #[test]
    fn who_may_only_watch_has_no_arms_and_publishes_nothing() {
        let roles = [Role::VrClient, Role::Publisher, Role::Spectator];
        assert_eq!(roles.map(|role| FieldRights::VIEW.allow(role)), [false, false, true]);
        assert_eq!(roles.map(|role| FieldRights::ALL.allow(role)), [true; 3]);
    }
}
