//! Addresses of Git repositories, and names in them.

use crate::paths::absolute;
use std::ops::Range;
use std::path::Path;

/// Why something can't be used as the address of a repository.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnusableUrl {
    /// What is wrong: the end of a sentence about the key.
    pub(super) message: &'static str,
    /// What to write instead.
    pub(super) help: &'static str,
}

/// The address as Git takes it. A relative path is relative to `directory`.
///
/// # Errors
/// It is of no use, or not safe.
pub(super) fn checked(url: &str, directory: &Path) -> Result<String, UnusableUrl> {
    let wrong = |message, help| Err(UnusableUrl { message, help });
    if url.starts_with('-') || url.contains(char::is_control) {
        return wrong("is not the address of a repository", FORMS);
    }
    if let Some((scheme, rest)) = url.split_once("://") {
        if has_password(url) {
            return wrong("contains a password", "remove it from the address: use `ssh://` with `ssh_key`");
        }
        return match scheme {
            "ssh" | "https" if rest.starts_with('-') => wrong("is not the address of a repository", FORMS),
            "ssh" | "https" => Ok(url.to_owned()),
            "file" => Ok(rest.strip_prefix("localhost").filter(|rest| rest.starts_with('/')).unwrap_or(rest).to_owned()),
            "http" | "git" => {
                wrong("can't be trusted: any host on the way can change what it sends", "write `https://` or `ssh://`")
            }
            _ => wrong("has a scheme that is not supported", FORMS),
        };
    }
    if url.contains("::") {
        return wrong("is not the address of a repository", FORMS);
    }
    // `user@host:path`: a colon before the first slash.
    if url.split('/').next().is_some_and(|first| first.contains(':')) {
        return Ok(url.to_owned());
    }
    Ok(absolute(&directory.join(url)).to_string_lossy().into_owned())
}

/// Whether an address contains a password.
pub(super) fn has_password(url: &str) -> bool {
    let host = url.split_once("://").and_then(|(_, rest)| rest.split('/').next());
    let user = host.and_then(|host| host.rsplit_once('@')).map(|(user, _)| user);
    user.is_some_and(|user| user.contains(':'))
}

/// The passwords of all addresses in a text.
pub(super) fn passwords(text: &str) -> Vec<Range<usize>> {
    let starts = text.match_indices("://").map(|(at, scheme)| at + scheme.len());
    let password = |start: usize| {
        let rest = &text[start..];
        let host =
            &rest[..rest.find(|char: char| char.is_whitespace() || matches!(char, '/' | '\'' | '"')).unwrap_or(rest.len())];
        let (user, _) = host.rsplit_once('@')?;
        let colon = user.find(':')?;
        Some(start + colon + 1..start + user.len())
    };
    starts.filter_map(password).filter(|range| !range.is_empty()).collect()
}

const FORMS: &str = "write `ssh://HOST/PATH`, `USER@HOST:PATH`, `https://HOST/PATH`, or a path";

/// Whether this can be the name of a branch or tag (`git check-ref-format`); with `is_pattern`, a pattern with `*` and `?`.
pub(super) fn is_reference(name: &str, is_pattern: bool) -> bool {
    let is_allowed = |char: char| match char {
        '*' | '?' => is_pattern,
        ' ' | '~' | '^' | ':' | '[' | '\\' => false,
        char => !char.is_control(),
    };
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.strip_suffix(".lock").is_none();
    name.chars().all(is_allowed)
        && name.split('/').all(is_part)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.starts_with('-')
        && !name.ends_with('.')
        && name != "@"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_as_git_takes_them() {
        let directory = Path::new("/etc/navigator");
        for (url, expected) in [
            ("ssh://git@host/ops/hosts.git", "ssh://git@host/ops/hosts.git"),
            ("ssh://host:2222/hosts", "ssh://host:2222/hosts"),
            ("git@host:ops/hosts.git", "git@host:ops/hosts.git"),
            ("https://token@host/hosts", "https://token@host/hosts"),
            ("/srv/hosts.git", "/srv/hosts.git"),
            ("file:///srv/hosts.git", "/srv/hosts.git"),
            ("file://localhost/srv/hosts.git", "/srv/hosts.git"),
            ("hosts.git", "/etc/navigator/hosts.git"),
        ] {
            assert_eq!(checked(url, directory).as_deref(), Ok(expected), "{url}");
        }
        for (url, message) in [
            ("https://user:secret@host/hosts", "contains a password"),
            ("http://host/hosts", "can't be trusted"),
            ("git://host/hosts", "can't be trusted"),
            ("ftp://host/hosts", "scheme"),
            ("ext::sh -c id", "is not the address"),
            ("--upload-pack=id", "is not the address"),
            ("ssh://-oProxyCommand=id/x", "is not the address"),
        ] {
            let found = checked(url, directory).expect_err(url);
            assert!(found.message.contains(message), "{url}: {found:?}");
            assert!(!found.message.contains("secret") && !found.help.contains("secret"));
        }
    }

    #[test]
    fn passwords_are_found_in_a_text() {
        let text = "a: https://u:one@h/x\nb: [redis://:two@h, http://h:80/, \"ssh://u@h:22/@\"]\n";
        assert_eq!(passwords(text).into_iter().map(|range| &text[range]).collect::<Vec<_>>(), ["one", "two"]);
    }

    #[test]
    fn names_of_branches_and_tags_are_those_of_git() {
        for name in ["main", "ops/web-1", "v1.2.3", "@x"] {
            assert!(is_reference(name, false), "{name}");
        }
        for name in ["", "-x", "a b", "a..b", "/a", "a/", "a//b", ".a", "a.lock", "a~1", "a^", "a:b", "v1.*", "a@{1}", "@", "a."]
        {
            assert!(!is_reference(name, false), "{name}");
        }
        assert!(is_reference("v1.*", true));
    }
}
