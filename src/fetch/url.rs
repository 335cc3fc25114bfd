//! URLs: where redirects may lead, and the paths of `file:` URLs.

use std::net::IpAddr;
use std::path::PathBuf;

use ureq::http::Uri;

use super::http::Trouble;

/// Where a redirect leads, if it may be followed: never to another scheme than https from https,
/// never out of HTTP, never from a public server into the private network.
pub(super) fn redirect(from: &Uri, to: &str) -> Result<Uri, Trouble> {
    let refuse = |reason| Trouble::Redirect { to: to.to_owned(), reason };
    let (scheme, authority) = match (from.scheme_str(), from.authority()) {
        (Some(scheme), Some(authority)) => (scheme, authority.as_str()),
        _ => return Err(Trouble::BadUrl),
    };
    let has_scheme = to.split(['/', '?', '#']).next().is_some_and(|head| head.contains(':'));
    let text = if has_scheme {
        to.to_owned()
    } else if to.starts_with("//") {
        format!("{scheme}:{to}")
    } else if to.starts_with('/') {
        format!("{scheme}://{authority}{to}")
    } else {
        let directory = from.path().rsplit_once('/').map_or("", |(directory, _)| directory);
        format!("{scheme}://{authority}{directory}/{to}")
    };
    let target: Uri = text.parse().map_err(|_| refuse("which is not a URL"))?;
    match (scheme, target.scheme_str()) {
        (_, Some("https")) | ("http", Some("http")) => {}
        (_, Some("http")) => return Err(refuse("which gives up encryption")),
        _ => return Err(refuse("which is not on the web")),
    }
    let (Some(here), Some(there)) = (from.host(), target.host()) else {
        return Err(refuse("which is not a URL"));
    };
    if is_private(there) && here != there {
        return Err(refuse("an address of a private network"));
    }
    Ok(target)
}

/// Whether a host, as a URL writes it, is an address that only this machine or site can reach.
fn is_private(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => {
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified()
        }
        Ok(IpAddr::V6(ip)) => match ip.to_ipv4_mapped() {
            Some(ip) => is_private(&ip.to_string()),
            None => {
                ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local()
            }
        },
        Err(_) => bare.eq_ignore_ascii_case("localhost") || bare.to_ascii_lowercase().ends_with(".localhost"),
    }
}

/// The path of a `file:` URL, percent escapes undone; nothing for other schemes.
pub(super) fn file_url(url: &str) -> Option<Result<PathBuf, Trouble>> {
    use std::os::unix::ffi::OsStringExt;
    let rest = url.strip_prefix("file:")?;
    let path = rest.strip_prefix("//localhost").or_else(|| rest.strip_prefix("//")).unwrap_or(rest);
    let mut bytes = Vec::with_capacity(path.len());
    let mut left = path.as_bytes();
    while let [byte, rest @ ..] = left {
        left = rest;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let hex = rest.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(value) if value != 0 => bytes.push(value),
            _ => return Some(Err(Trouble::BadUrl)),
        }
        left = &rest[2..];
    }
    let path = PathBuf::from(std::ffi::OsString::from_vec(bytes));
    Some(if path.is_absolute() { Ok(path) } else { Err(Trouble::BadUrl) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(from: &str, to: &str) -> Option<String> {
        redirect(&from.parse().unwrap(), to).ok().map(|uri| uri.to_string())
    }

    #[test]
    fn redirects_are_resolved_like_links() {
        let from = "https://a.example.org/x/y.tar?q";
        assert_eq!(follow(from, "z.tar").unwrap(), "https://a.example.org/x/z.tar");
        assert_eq!(follow(from, "/z?u=http://b").unwrap(), "https://a.example.org/z?u=http://b");
        assert_eq!(follow(from, "//b.example.org/z").unwrap(), "https://b.example.org/z");
        assert_eq!(follow(from, "https://b.example.org").unwrap(), "https://b.example.org/");
        assert_eq!(
            follow("http://a.example.org/", "https://b.example.org/").unwrap(),
            "https://b.example.org/"
        );
    }

    #[test]
    fn redirects_out_of_the_web_or_into_private_networks_are_refused() {
        for to in [
            "http://a.example.org/",
            "file:///etc/passwd",
            "file:/etc/passwd",
            "ftp://a.example.org/",
            "gopher:x",
            "https://127.0.0.1/",
            "https://10.1.2.3/",
            "https://169.254.169.254/latest",
            "https://[::1]/",
            "https://[::ffff:192.168.0.1]/",
            "https://localhost/",
            "https://x.localhost/",
        ] {
            assert_eq!(follow("https://a.example.org/x", to), None, "{to}");
        }
        assert!(follow("http://127.0.0.1:80/x", "http://127.0.0.1:81/y").is_some());
        assert!(follow("http://127.0.0.1/x", "http://127.0.0.2/y").is_none());
    }

    #[test]
    fn file_urls_are_absolute_and_unescaped() {
        let path = |url| file_url(url).map(Result::ok);
        assert_eq!(path("file:///a%20b/c"), Some(Some("/a b/c".into())));
        assert_eq!(path("file:/a"), Some(Some("/a".into())));
        for bad in ["file:a", "file://host/a", "file:///a%0", "file:///a%zz", "file:///a%00"] {
            assert_eq!(path(bad), Some(None), "{bad}");
        }
        assert_eq!(path("https://a.example.org/"), None);
    }
}
