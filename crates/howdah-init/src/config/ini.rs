//! The ini dialect of supervisord: Python's `RawConfigParser` with `;` and `#` as inline comments after a blank.

use std::path::Path;

use super::fault::Findings;

/// One `[section]` of an ini file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IniSection {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) entries: Vec<IniEntry>,
}

/// One `key = value`; the lines of a continued value are joined by line ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IniEntry {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) line: usize,
}

/// Reads all sections of `text`.
pub(crate) fn parse(file: &Path, text: &str, findings: &mut Findings) -> Vec<IniSection> {
    let mut sections: Vec<IniSection> = Vec::new();
    let mut value_indent = None;
    for (index, raw) in text.lines().enumerate() {
        let line = index + 1;
        let content = without_comment(raw);
        let indent = raw.len() - raw.trim_start().len();
        if content.is_empty() {
            continue;
        }
        // configparser: a line indented deeper than its key continues the key's value.
        if value_indent.is_some_and(|value| indent > value) {
            if let Some(entry) = sections
                .last_mut()
                .and_then(|section| section.entries.last_mut())
            {
                entry.value.push('\n');
                entry.value.push_str(content);
            }
            continue;
        }
        value_indent = None;
        if let Some(header) = content.strip_prefix('[') {
            let Some(name) = header.strip_suffix(']') else {
                findings.fault(
                    file,
                    line,
                    format!("section header `{content}` has no closing `]`"),
                );
                continue;
            };
            sections.push(IniSection {
                name: name.trim().to_owned(),
                line,
                entries: Vec::new(),
            });
        } else if let Some(at) = content.find(['=', ':']) {
            let entry = IniEntry {
                key: content[..at].trim().to_lowercase(),
                value: content[at + 1..].trim().to_owned(),
                line,
            };
            match sections.last_mut() {
                Some(section) => section.entries.push(entry),
                None => findings.fault(
                    file,
                    line,
                    format!("`{}` stands before any [section]", entry.key),
                ),
            }
            value_indent = Some(indent);
        } else {
            findings.fault(
                file,
                line,
                format!("`{content}` is neither [section] nor key=value"),
            );
        }
    }
    sections
}

/// A comment is a whole line that starts with `;` or `#`, or the rest of a line after a blank and one of them.
fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with([';', '#']) {
        return "";
    }
    let bytes = line.as_bytes();
    let end = (1..bytes.len())
        .find(|&at| matches!(bytes[at], b';' | b'#') && bytes[at - 1].is_ascii_whitespace())
        .unwrap_or(line.len());
    line[..end].trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<IniSection>, Findings) {
        let mut findings = Findings::default();
        (parse(Path::new("s.conf"), text, &mut findings), findings)
    }

    #[test]
    fn reads_sections_comments_and_continuations() {
        let text = "; head\n[program:web] ; trailing\ncommand=nginx -g 'daemon off;' ; why\nENVIRONMENT = A=\"1\",\n    # inside\n\n    B=\"2\"\nx: y;z\n";
        let (sections, findings) = read(text);
        assert_eq!(findings.faults, []);
        assert_eq!(sections.len(), 1);
        let entries: Vec<_> = sections[0]
            .entries
            .iter()
            .map(|e| (e.key.as_str(), e.value.as_str(), e.line))
            .collect();
        assert_eq!(
            entries,
            [
                ("command", "nginx -g 'daemon off;'", 3),
                ("environment", "A=\"1\",\nB=\"2\"", 4),
                ("x", "y;z", 8),
            ]
        );
    }

    #[test]
    fn tells_all_faults() {
        let (_, findings) = read("a=1\n[program:x\nnonsense\n");
        let lines: Vec<_> = findings.faults.iter().map(|fault| fault.line).collect();
        assert_eq!(lines, [1, 2, 3]);
    }
}
