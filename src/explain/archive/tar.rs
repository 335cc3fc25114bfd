//! The archives of `tar`, read by the crate of that name.

use super::{MOST_MEMBERS, Member, time};

/// Reads an archive; nothing if it is none, or damaged.
pub(super) fn read(bytes: &[u8]) -> Option<Vec<Member<'_>>> {
    // Every header of today's archives says so.
    (bytes.get(257..262)? == b"ustar").then_some(())?;
    let mut archive = ::tar::Archive::new(bytes);
    let mut members = Vec::new();
    for entry in archive.entries().ok()? {
        let mut entry = entry.ok()?;
        (members.len() < MOST_MEMBERS).then_some(())?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let start = usize::try_from(entry.raw_file_position()).ok()?;
        let size = usize::try_from(entry.size()).ok()?;
        let header = entry.header();
        let kind = header.entry_type();
        // What a sparse file leaves out is not in the archive.
        let has_content = (kind.is_file() || kind.is_contiguous()) && !kind.is_gnu_sparse();
        let content = if has_content { bytes.get(start..start.checked_add(size)?)? } else { b"" };
        let mut fields = Vec::new();
        if let Ok(seconds) = header.mtime() {
            fields.push(("modification time", time(seconds)));
        }
        let number = |number: std::io::Result<u64>| {
            number.map_or_else(|_| "unreadable".to_owned(), |id| id.to_string())
        };
        fields.push(("user", number(header.uid())));
        fields.push(("group", number(header.gid())));
        fields.push((
            "mode",
            header.mode().map_or_else(|_| "unreadable".to_owned(), |mode| format!("{mode:o}")),
        ));
        fields.push(("kind", format!("{kind:?}").to_lowercase()));
        let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        fields.extend(text(header.username_bytes()).map(|name| ("user's name", name)));
        fields.extend(text(header.groupname_bytes()).map(|name| ("group's name", name)));
        fields.extend(text(entry.link_name_bytes().as_deref()).map(|name| ("link", name)));
        if let Ok(Some(extensions)) = entry.pax_extensions() {
            let extensions = extensions.filter_map(Result::ok);
            let lines = extensions.map(|one| {
                format!(
                    "{}={}",
                    String::from_utf8_lossy(one.key_bytes()),
                    String::from_utf8_lossy(one.value_bytes())
                )
            });
            fields.push(("extended header", lines.collect::<Vec<_>>().join("\n")));
        }
        members.push(Member { name, fields, bytes: content, packing: None });
    }
    Some(members)
}
