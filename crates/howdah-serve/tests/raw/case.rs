//! The form of a case.

/// One connection: what is sent, and what must come back.
#[derive(Debug, Default)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) send: Vec<u8>,
    /// The statuses of the responses.
    pub(crate) statuses: Vec<u16>,
    /// Does the connection go on afterwards?
    pub(crate) stays_open: bool,
    /// Have the responses no content, as those to HEAD?
    pub(crate) is_head: bool,
    /// What the last response must have: `Name: value`, or `!Name`.
    pub(crate) fields: Vec<String>,
    /// The content of the last response.
    pub(crate) body: Option<Vec<u8>>,
}

impl Case {
    /// The cases of a file.
    pub(crate) fn all(text: &str) -> Vec<Case> {
        let mut cases: Vec<Case> = Vec::new();
        let lines = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        for line in lines {
            let (key, value) = line
                .split_once(':')
                .unwrap_or_else(|| panic!("no key: {line}"));
            let value = value.strip_prefix(' ').unwrap_or(value);
            if key == "case" {
                cases.push(Case {
                    name: value.to_owned(),
                    ..Case::default()
                });
            } else {
                let case = cases
                    .last_mut()
                    .unwrap_or_else(|| panic!("before the first case: {line}"));
                case.set(key, value);
            }
        }
        cases
    }

    fn set(&mut self, key: &str, value: &str) {
        match key {
            "send" => self.send.extend(unescape(value)),
            "expect" => {
                for word in value.split(' ') {
                    match word {
                        "open" => self.stays_open = true,
                        "close" => self.stays_open = false,
                        "head" => self.is_head = true,
                        status => self.statuses.push(status.parse().unwrap()),
                    }
                }
            }
            "field" => self.fields.push(value.to_owned()),
            "body" => self.body = Some(unescape(value)),
            _ => panic!("unknown key {key}"),
        }
    }
}

/// `\r`, `\n`, `\t`, `\0`, `\\`, `\xHH`, and `{1000*a}` for a thousand of them.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        match letter {
            '\\' => {
                let code = rest.chars().next().unwrap();
                rest = &rest[1..];
                bytes.push(match code {
                    'r' => b'\r',
                    'n' => b'\n',
                    't' => b'\t',
                    '0' => 0,
                    '\\' => b'\\',
                    'x' => {
                        let byte = u8::from_str_radix(&rest[..2], 16).unwrap();
                        rest = &rest[2..];
                        byte
                    }
                    code => panic!("unknown code \\{code}"),
                });
            }
            '{' => {
                let (count, tail) = rest.split_once('*').unwrap();
                let (text, tail) = tail.split_once('}').unwrap();
                bytes.extend(unescape(text).repeat(count.parse().unwrap()));
                rest = tail;
            }
            letter => bytes.extend(letter.to_string().as_bytes()),
        }
    }
    bytes
}
