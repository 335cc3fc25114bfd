//! Tests of what git may be told: URLs, those of submodules, and names.

use super::*;

#[test]
fn urls_that_would_run_or_reach_something_else_are_refused() {
    for (bad, why) in [
        ("", BadUrl::Text),
        ("-u", BadUrl::Text),
        ("https://h.example/a b", BadUrl::Text),
        ("https://h.example/a\nb", BadUrl::Text),
        ("../beside", BadUrl::Protocol),
        ("ext::sh -c x", BadUrl::Text),
        ("ext::sh", BadUrl::Protocol),
        ("https::x", BadUrl::Protocol),
        ("rsync://h/x", BadUrl::Protocol),
        ("git+ext::x", BadUrl::Protocol),
        ("git@h.example:o/r.git", BadUrl::Protocol),
        ("https:///r", BadUrl::Host),
        ("https://-oProxyCommand=x/r.git", BadUrl::Host),
        ("ssh://-oProxyCommand=x/r", BadUrl::Host),
        ("ssh://git@-oProxyCommand=x/r", BadUrl::Host),
        ("file://h/x", BadUrl::File),
        ("https://u:secret@h.example/r.git", BadUrl::Password),
        ("https://h.example/r.git#main", BadUrl::Fragment),
    ] {
        assert_eq!(GitUrl::new(bad), Err(why), "{bad:?}");
    }
    for good in ["https://h.example/o/r", "ssh://git@h.example:22/r", "git://h/r", "file:///srv/r"] {
        assert_eq!(GitUrl::new(good).unwrap().as_str(), good);
        assert_eq!(GitUrl::new(&format!("git+{good}")).unwrap().as_str(), good);
    }
}

#[test]
fn submodules_are_found_beside_their_repository_and_never_lead_to_this_machine() {
    let web = GitUrl::new("https://h.example/o/r.git").unwrap();
    let ssh = GitUrl::new("ssh://git@h.example/o/r/").unwrap();
    let local = GitUrl::new("file:///srv/o/r").unwrap();
    for (of, text, found) in [
        (&web, "../s.git", "https://h.example/o/s.git"),
        (&web, "./s", "https://h.example/o/r.git/s"),
        (&web, "../../p/./s/", "https://h.example/p/s"),
        (&web, "git@h.example:o/s.git", "ssh://git@h.example/o/s.git"),
        (&web, "http://other.example/s", "http://other.example/s"),
        (&ssh, "../s", "ssh://git@h.example/o/s"),
        (&local, "../s", "file:///srv/o/s"),
        (&local, "/srv/s", "file:///srv/s"),
    ] {
        assert_eq!(of.submodule(text).map(|url| url.to_string()).as_deref(), Ok(found), "{of} {text}");
    }
    for (of, text, why) in [
        (&web, "../../../s", BadUrl::Outside),
        (&web, "file:///etc", BadUrl::Local),
        (&ssh, "/srv/s", BadUrl::Protocol),
        (&web, "ext::x", BadUrl::Protocol),
        (&web, "-u@h:x", BadUrl::Host),
        (&web, "a@-x:y", BadUrl::Host),
        (&local, "s", BadUrl::Protocol),
    ] {
        assert_eq!(of.submodule(text), Err(why), "{of} {text}");
    }
}

#[test]
fn commits_are_whole_ids() {
    let id = "0123456789ABCDEF0123456789abcdef01234567";
    let commit = Commit::new(id).unwrap();
    assert_eq!((commit.as_str(), commit.short()), (id.to_lowercase().as_str(), "0123456789ab"));
    for bad in ["", &id[1..], &id.replace('0', "g"), "main"] {
        assert!(Commit::new(bad).is_none(), "{bad}");
    }
}

#[test]
fn names_that_git_would_read_in_another_way_are_refused() {
    for good in ["main", "a/b", "v1.0", "feature-1"] {
        assert!(is_reference(good), "{good}");
    }
    for bad in ["", "-x", "a..b", "a b", "a:b", "HEAD@{1}", "x.lock", "@", "a//b", ".a", "a.", "a*", "^a"] {
        assert!(!is_reference(bad), "{bad}");
    }
}
